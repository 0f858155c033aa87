"""What an activity says about itself: when it happened, with whom, and whose it is, as typed in the form of a draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from activities.builtin import BUILTINS
from activities.models import Activity
from activities.queries import TypeInfo
from crm import ids
from crm.customfields.catalog import Catalog, Use
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.models import Membership, User
from leads.models import Contact

# The keys of `draft_data` beside those of fields.
ABOUT = ("activity_at", "contact", "user")


def moment_of(text: str, zone: ZoneInfo) -> datetime | None:
    """Return the moment a form's text names, in `zone` where it names none; None for nothing. Raises `InvalidInput`."""
    text = text.strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        # What lies outside the calendar once it is turned into UTC cannot be stored.
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(ZoneInfo("UTC"))
    except (ValueError, OverflowError):
        raise InvalidInput(
            fields={"activity_at": f"“{text}” is not a date and time. Write it as 2026-01-31T14:30."}
        ) from None


def start_use(known: Catalog, kind: TypeInfo) -> Use | None:
    """Return the field by which activities of a built-in kind say when they happen: the start of a meeting."""
    if not kind.builtin or not (starts := BUILTINS[kind.builtin].starts):
        return None
    key = f"{kind.builtin}.{starts}"
    return next((use for use in known.uses(kind.fieldset_id) if use.field.builtin == key), None)


def start_of(known: Catalog, kind: TypeInfo, values: Mapping[str, Any]) -> datetime | None:
    """Return when an activity with these stored values starts; None where it does not say."""
    use = start_use(known, kind)
    stored = values.get(str(use.field.id)) if use else None
    return datetime.fromisoformat(stored) if stored else None


@dataclass(frozen=True)
class About:
    """When, with whom and whose; None where the draft says nothing."""

    activity_at: datetime | None = None
    contact: Contact | None = None
    user: User | None = None


def about_of(actor: Membership, draft: Activity) -> About:
    """Return what was typed into a draft about itself. Raises `InvalidInput` naming what cannot be understood any more."""
    typed: dict[str, Any] = draft.draft_data or {}
    errors: dict[str, str] = {}
    at: datetime | None = None
    contact: Contact | None = None
    user: User | None = None
    try:
        at = moment_of(str(typed.get("activity_at") or ""), actor.zone)
    except InvalidInput as error:
        errors |= error.fields
    if named := str(typed.get("contact") or ""):
        contact = Contact.objects.filter(lead_id=draft.lead_id, pk=ids.decode("cont", named)).first()
        if contact is None:
            errors["contact"] = "The contact chosen in this draft is not at this lead any more. Choose another one."
    if named := str(typed.get("user") or ""):
        ref = Lookups(actor.organization).find_user(named)
        user = User.objects.filter(pk=ref.id).first() if ref else None
        if user is None:
            errors["user"] = "The member chosen in this draft is not known here. Choose another one."
    if errors:
        raise InvalidInput(fields=errors)
    return About(at, contact, user)
