"""On PostgreSQL: leads, contacts and tasks stay in their organization; names are found by their parts."""

from django.db import migrations

from crm.postgres import tenant_foreign_keys, trigram_indexes


class Migration(migrations.Migration):
    dependencies = [("leads", "0001_initial"), ("crm", "0002_postgres")]

    operations = [
        tenant_foreign_keys(
            ("leads_lead", "status_id", "leads_leadstatus"),
            ("leads_contact", "lead_id", "leads_lead"),
            ("leads_contactpoint", "contact_id", "leads_contact"),
            ("leads_contactpoint", "lead_id", "leads_lead"),
            ("leads_task", "lead_id", "leads_lead"),
        ),
        trigram_indexes("leads_lead"),
    ]
