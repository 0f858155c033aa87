"""On PostgreSQL: the text index has the field in front. Nobody is locked out while it is made."""

from django.db import migrations

from crm.postgres import create_trigram_indexes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("crm", "0004_organization_has_webhooks")]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: create_trigram_indexes(schema_editor.connection, ["value_text"], live=True),
            migrations.RunPython.noop,
        ),
    ]
