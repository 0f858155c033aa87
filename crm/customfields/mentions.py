"""What uses a field, outside of the records. Each app names its own (`settings.FIELD_MENTIONS`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string

from crm.customfields.catalog import Field, Use, catalog
from crm.models import Membership


@dataclass(frozen=True)
class Mention:
    """Something that uses a field: what and its name, where it is (`path` below /o/<slug>/), and what becomes of it.

    `stops`: it does not go on once the field has the other kind, or is gone.
    """

    what: str
    name: str
    effect: str
    path: str = ""
    stops: bool = False


def mentions(actor: Membership, old: Field, new: Field | None) -> Iterator[Mention]:
    """Yield what uses the field `old` and what becomes of it as `new`: by name only what the actor may see.

    `new`: None when the field is deleted.
    """
    for use in _ruled_by(actor, old):
        place = {"lead": "lead", "contact": "contact"}.get(use.owner, "")
        path = f"settings/fields/{place}/{use.field.public_id}/" if place else ""
        yield Mention("Field", use.field.name, "loses its rule and is always shown.", path, True)
    for listed in settings.FIELD_MENTIONS:
        yield from import_string(listed)(actor, old, new)


def _ruled_by(actor: Membership, old: Field) -> Iterator[Use]:
    """Yield the fields that are shown for some values of this one."""
    known = catalog(actor.organization)
    for fieldset_id in old.fieldset_ids:
        yield from (use for use in known.uses(fieldset_id) if use.show_when and use.show_when["field"] == old.id)
