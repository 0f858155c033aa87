"""Rows of imports have the numbers that a spreadsheet shows. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("crm", "0006_field_conversion")]

    operations = [
        migrations.AlterField(
            model_name="importrow",
            name="number",
            field=models.PositiveIntegerField(help_text="As a spreadsheet shows it: the header is row 1"),
        ),
    ]
