"""On PostgreSQL an index that matches ORDER BY last_activity_at DESC NULLS LAST; SQLite's own order is that already."""

from django.db import migrations


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX IF NOT EXISTS lead_by_activity_nulls_last "
            "ON leads_lead (organization_id, last_activity_at DESC NULLS LAST, id DESC)"
        )


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS lead_by_activity_nulls_last")


class Migration(migrations.Migration):
    dependencies = [("leads", "0002_postgres")]

    operations = [migrations.RunPython(create, drop)]
