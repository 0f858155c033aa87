"""Reports join values to activities of a type and time by their ids: the index that finds those has the id in it.

It takes the place of `activity_type_created`, which is its beginning. On PostgreSQL nobody is locked out while it is made.
"""

from django.db import migrations, models

NEW = "activities_activity (type_id, date_created, created_by_id, lead_id, id) WHERE status = 'published'"
OLD = "activities_activity (type_id, date_created, created_by_id, lead_id) WHERE status = 'published'"


def _swap(schema_editor, made, where, gone):
    live = "CONCURRENTLY " if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"CREATE INDEX {live}IF NOT EXISTS {made} ON {where}")
    schema_editor.execute(f"DROP INDEX {live}IF EXISTS {gone}")


def forward(apps, schema_editor):
    _swap(schema_editor, "activity_type_report", NEW, "activity_type_created")


def back(apps, schema_editor):
    _swap(schema_editor, "activity_type_created", OLD, "activity_type_report")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("activities", "0004_rules_and_forms")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forward, back)],
            state_operations=[
                migrations.RemoveIndex("activity", "activity_type_created"),
                migrations.AddIndex(
                    "activity",
                    models.Index(
                        fields=["type", "date_created", "created_by", "lead", "id"],
                        condition=models.Q(status="published"),
                        name="activity_type_report",
                    ),
                ),
            ],
        )
    ]
