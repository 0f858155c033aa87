"""Services for the organization itself: its name, zone, week and currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from crm import events
from crm.errors import InvalidInput
from crm.jobs import enqueue
from crm.models import Membership, Organization
from crm.permissions import Perm, authorize, has

KEYS = ("name", "timezone", "week_starts_on", "currency")


def update_organization(actor: Membership, changes: Mapping[str, Any]) -> Organization:
    """Change name, timezone (IANA), week_starts_on (0 = Monday) or currency (ISO 4217); returns it as it is now.

    With another zone the days kept beside the moments are counted again by jobs (`settings.ZONE_JOBS`).
    """
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    with transaction.atomic():
        row = Organization.objects.select_for_update().get(pk=actor.organization_id)
        before = {key: getattr(row, key) for key in KEYS}
        after = before | _clean({key: changes[key] for key in KEYS if key in changes})
        if not (changed := events.diff(before, after)):
            return row
        for key in changed:
            setattr(row, key, after[key])
        row.date_updated = timezone.now()
        row.save(update_fields=[*changed, "date_updated"])
        events.record(
            actor, "updated", "organization", row.pk, changed=changed,
            before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
        )  # fmt: skip
        if "timezone" in changed:
            for path in settings.ZONE_JOBS:
                enqueue(path, row.pk)
    return row


def _clean(given: dict[str, Any]) -> dict[str, Any]:
    errors = {}
    if "name" in given:
        given["name"] = " ".join(str(given["name"] or "").split())
        if not given["name"]:
            errors["name"] = "An organization needs a name."
        elif len(given["name"]) > 200:
            errors["name"] = "The name has at most 200 characters."
    if "timezone" in given and given["timezone"] not in available_timezones():
        errors["timezone"] = f"“{given['timezone']}” is not a time zone. Write it as Europe/Berlin."
    if "week_starts_on" in given and given["week_starts_on"] not in range(7):
        errors["week_starts_on"] = "The week starts on a day from 0 (Monday) to 6 (Sunday)."
    if "currency" in given:
        given["currency"] = str(given["currency"] or "").strip().upper()
        if len(given["currency"]) != 3 or not given["currency"].isascii() or not given["currency"].isalpha():
            errors["currency"] = "A currency has three letters, for example EUR."
    if errors:
        raise InvalidInput(fields=errors)
    return given
