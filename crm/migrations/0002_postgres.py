"""On PostgreSQL: rows stay in their organization, text is found by its parts, the planner knows the fields."""

from django.db import migrations

from crm.postgres import statistics_target, tenant_foreign_keys, trigram_indexes


class Migration(migrations.Migration):
    dependencies = [("crm", "0001_initial")]

    operations = [
        tenant_foreign_keys(
            ("crm_membership", "role_id", "crm_role"),
            ("crm_apikey", "membership_id", "crm_membership"),
            ("crm_fielduse", "fieldset_id", "crm_fieldset"),
            ("crm_fielduse", "field_id", "crm_customfield"),
            ("crm_fieldoption", "field_id", "crm_customfield"),
            ("crm_importrun", "membership_id", "crm_membership"),
            ("crm_importrow", "run_id", "crm_importrun"),
        ),
        trigram_indexes("value_text"),
        statistics_target(1000, "field_id", "value_ref", "value_number", "value_moment", "value_text"),
    ]
