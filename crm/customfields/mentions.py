"""What uses a field of leads or contacts, outside of the records. Each app names its own (`settings.FIELD_MENTIONS`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string

from crm.customfields.catalog import Field
from crm.models import Membership


@dataclass(frozen=True)
class Mention:
    """Something that uses a field: what and its name, where it is (`path` below /o/<slug>/), and what becomes of it.

    `stops`: it does not go on once the field has the other kind.
    """

    what: str
    name: str
    effect: str
    path: str = ""
    stops: bool = False


def mentions(actor: Membership, old: Field, new: Field) -> Iterator[Mention]:
    """Yield what uses the field `old` and what becomes of it as `new`: by name only what the actor may see."""
    for listed in settings.FIELD_MENTIONS:
        yield from import_string(listed)(actor, old, new)
