"""Numbers of past days are kept, and on PostgreSQL each write to an activity notes its day when numbers of it are kept.

See `reporting.kept`. Writers share a lock for the type and month of what they write; keeping takes it for itself. Under that
lock no numbers can be kept meanwhile, so a day without any needs no note.
"""

import django.db.models.deletion
from django.db import migrations, models

SHARED = """
CREATE FUNCTION reporting_month(type_id bigint, day date) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT ((type_id * 32768 + extract(year FROM day)::int * 12 + extract(month FROM day)::int) % 2147483647)::int
$$;
CREATE FUNCTION reporting_month_free(type_id bigint, day date) RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT pg_try_advisory_xact_lock(77102, reporting_month(type_id, day))
$$;
"""
NOTES = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(77102, m.month) FROM (
        SELECT DISTINCT reporting_month(type_id, created_on) AS month FROM ({changed}) c ORDER BY 1
    ) m;
    INSERT INTO reporting_changedday (organization_id, type_id, day)
        SELECT d.organization_id, d.type_id, d.created_on FROM (
            SELECT DISTINCT organization_id, type_id, created_on FROM ({changed}) c
        ) d
        WHERE EXISTS (SELECT 1 FROM reporting_daynumbers k WHERE k.type_id = d.type_id AND k.day = d.created_on)
        AND NOT EXISTS (SELECT 1 FROM reporting_changedday x WHERE x.type_id = d.type_id AND x.day = d.created_on);
    RETURN NULL;
END
$$;
CREATE TRIGGER {name} AFTER {when} ON activities_activity REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {name}();
"""
ROWS = "SELECT organization_id, type_id, created_on FROM {0} WHERE status = 'published'"
EVENTS = {
    "INSERT": ("NEW TABLE AS made", ROWS.format("made")),
    "DELETE": ("OLD TABLE AS gone", ROWS.format("gone")),
    "UPDATE": ("OLD TABLE AS gone NEW TABLE AS made", f"{ROWS.format('gone')} UNION ALL {ROWS.format('made')}"),
}


def forward(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(SHARED, None)
    for when, (tables, changed) in EVENTS.items():
        name = f"reporting_note_{when.lower()}"
        schema_editor.execute(NOTES.format(name=name, when=when, tables=tables, changed=changed), None)


def back(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for when in EVENTS:
        schema_editor.execute(f"DROP TRIGGER IF EXISTS reporting_note_{when.lower()} ON activities_activity")
        schema_editor.execute(f"DROP FUNCTION IF EXISTS reporting_note_{when.lower()}()")
    schema_editor.execute("DROP FUNCTION reporting_month_free(bigint, date); DROP FUNCTION reporting_month(bigint, date)")


def organization():
    return models.ForeignKey(
        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="crm.organization", db_index=False
    )


class Migration(migrations.Migration):
    dependencies = [("reporting", "0003_tile_options"), ("activities", "0005_report_index")]

    operations = [
        migrations.CreateModel(
            "ChangedDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("type_id", models.BigIntegerField()),
                ("day", models.DateField()),
                ("organization", organization()),
            ],
            options={"indexes": [models.Index(fields=["type_id", "day"], name="changed_day")]},
            managers=[("objects", models.Manager()), ("unscoped", models.Manager())],
        ),
        migrations.CreateModel(
            "DayNumbers",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("type_id", models.BigIntegerField()),
                ("number", models.CharField(max_length=500)),
                ("day", models.DateField()),
                ("cells", models.TextField()),
                ("organization", organization()),
            ],
            options={
                "indexes": [models.Index(fields=["type_id", "day"], name="day_numbers_of_day")],
                "constraints": [models.UniqueConstraint(fields=("type_id", "number", "day"), name="day_numbers_once")],
            },
            managers=[("objects", models.Manager()), ("unscoped", models.Manager())],
        ),
        migrations.RunPython(forward, back),
    ]
