"""On PostgreSQL: types, activities and comments stay in their organization."""

from django.db import migrations

from crm.postgres import tenant_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("activities", "0002_initial"), ("crm", "0002_postgres"), ("leads", "0002_postgres")]

    operations = [
        tenant_foreign_keys(
            ("activities_activitytype", "fieldset_id", "crm_fieldset"),
            ("activities_activity", "lead_id", "leads_lead"),
            ("activities_activity", "type_id", "activities_activitytype"),
            ("activities_activity", "contact_id", "leads_contact"),
            ("activities_comment", "activity_id", "activities_activity"),
        ),
    ]
