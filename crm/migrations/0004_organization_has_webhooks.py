from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("crm", "0003_notifications_webhooks_idempotency")]

    operations = [
        migrations.AddField(
            model_name="organization",
            name="has_webhooks",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
