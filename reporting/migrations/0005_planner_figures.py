"""SQLite's planner is told how the large tables are shaped (`crm.sqlite`). In the uppermost app: all tables are there."""

from django.db import migrations

from crm.sqlite import tell_planner


def forward(apps, schema_editor):
    tell_planner(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("reporting", "0004_kept_days"),
        ("crm", "0006_field_conversion"),
        ("leads", "0005_contact_point_kind"),
        ("activities", "0005_report_index"),
    ]

    operations = [migrations.RunPython(forward, migrations.RunPython.noop)]
