"""On PostgreSQL: tiles stay in their report's organization."""

from django.db import migrations

from crm.postgres import tenant_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("reporting", "0001_initial"), ("crm", "0002_postgres")]

    operations = [tenant_foreign_keys(("reporting_tile", "report_id", "reporting_report"))]
