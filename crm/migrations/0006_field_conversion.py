from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("crm", "0005_text_index_by_field")]

    operations = [
        migrations.AddField(
            model_name="customfield",
            name="known_as",
            field=models.BigIntegerField(
                help_text="The number in its public id, where it is not the row's own", null=True
            ),
        ),
        migrations.AddField(
            model_name="customfield",
            name="replaces",
            field=models.BigIntegerField(
                help_text="The field it takes the place of, while values are converted", null=True
            ),
        ),
    ]
