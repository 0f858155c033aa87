from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reporting", "0002_postgres")]

    operations = [
        migrations.AlterField("tile", "metric", models.CharField(max_length=400)),
        migrations.AlterField(
            "tile",
            "options",
            models.JSONField(
                default=dict, help_text="Attribution, split, step, filter, goal (`queries.asked.Asked`)"
            ),
        ),
        migrations.AlterField(
            "tile",
            "width",
            models.PositiveSmallIntegerField(
                default=1, help_text="1 a third, 2 half, 3 two thirds, 4 a whole line"
            ),
        ),
    ]
