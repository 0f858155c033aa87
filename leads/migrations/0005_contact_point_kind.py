"""What sort of email, phone or url a contact point is: office, mobile …, so that it can be searched by."""

from django.db import migrations, models

from crm.fieldkinds import fold
from crm.phones import normal_phone

BATCH = 2000


def fill(apps, schema_editor):
    """Read the sort of each point off its contact."""
    Contact, ContactPoint = apps.get_model("leads", "Contact"), apps.get_model("leads", "ContactPoint")
    last = 0
    while contacts := list(Contact._base_manager.filter(pk__gt=last).order_by("pk")[:BATCH]):
        last = contacts[-1].pk
        kinds = {}
        for contact in contacts:
            for channel in ("emails", "phones", "urls"):
                one = channel[:-1]
                for entry in getattr(contact, channel):
                    value = normal_phone(entry[one]) if one == "phone" else entry[one].lower()
                    kinds.setdefault((contact.pk, one, value[:320]), fold(entry.get("type") or "")[:30])
        points = list(ContactPoint._base_manager.filter(contact_id__in=[contact.pk for contact in contacts]))
        for point in points:
            point.kind = kinds.get((point.contact_id, point.channel, point.value), "")
        ContactPoint._base_manager.bulk_update(points, ["kind"], batch_size=500)


def nothing(apps, schema_editor):
    """The column goes away by itself."""


class Migration(migrations.Migration):
    dependencies = [("leads", "0004_bulk_actions_merged_leads")]

    operations = [
        migrations.AddField(
            model_name="contactpoint",
            name="kind",
            field=models.CharField(
                blank=True, default="", help_text="office, mobile …: folded, as the contact has it", max_length=30
            ),
        ),
        migrations.RunPython(fill, nothing),
    ]
