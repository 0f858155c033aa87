"""Which on-publish rules and public forms use a field, and what becomes of them when it gets another kind or goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from activities.models import PublishRule
from crm import ids
from crm.customfields.catalog import Field
from crm.customfields.lookups import Lookups
from crm.customfields.mentions import Mention
from crm.fieldkinds import InvalidValue
from crm.models import Membership
from crm.permissions import can_view_type
from leads.queries_mentions import conditions_on, fits


def mentions(actor: Membership, old: Field, new: Field | None) -> Iterator[Mention]:
    """Yield the rules that ask or set the field: by name those of types the actor sees, of the others the number."""
    others = 0
    for rule in PublishRule.objects.select_related("type").order_by("name", "pk"):
        asked = list(conditions_on(rule.condition, old.public_id))
        values = [
            action["value"]
            for action in rule.actions
            if action.get("do") == "set_field" and action.get("field_id") == old.public_id
        ]
        if not asked and not values:
            continue
        if not can_view_type(actor, rule.type):
            others += 1
            continue
        stops = not all(fits(condition, new) for condition in asked) or not all(
            _can_be_set(actor, new, value) for value in values
        )
        yield Mention(
            "On-publish rule", rule.name, _effect(stops, new, values), f"settings/rules/{rule.public_id}/", stops
        )
    if others:
        rules = "on-publish rule" if others == 1 else "on-publish rules"
        yield Mention(f"{others:,} {rules}", "", "of activity types you cannot see may fail.", "", True)


def _can_be_set(actor: Membership, new: Field | None, value: Any) -> bool:
    if new is None or is_of_another_kind(new, value):
        return False
    try:
        new.kind.clean(value, new, Lookups(actor.organization), actor.zone)
    except InvalidValue:
        return False
    return True


def _effect(stops: bool, new: Field | None, values: list[Any]) -> str:
    if stops or new is None:
        return (
            "fails when it runs, and says so on its page, until it is changed. Activities are published all the same."
        )
    return f"goes on and sets {new.name} as before." if values else "goes on and reads the new values."


def is_of_another_kind(found: Field, raw: Any) -> bool:
    """Return whether a value names an option, member or contact, and the field is of a kind that knows none.

    Rules keep ids; a field that became text would hold them as words.
    """
    named = {
        "opt": found.kind.has_options,
        "user": found.kind.refers_to == "user",
        "cont": found.kind.refers_to == "contact",
    }
    return any(
        ids.decode(prefix, value) is not None and not fits
        for value in (raw if isinstance(raw, list) else [raw])
        if isinstance(value, str)
        for prefix, fits in named.items()
    )
