"""Which on-publish rules and public forms use a field, and what becomes of them when it gets another kind or goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from activities.models import PublicForm, PublishRule
from crm import ids
from crm.customfields.catalog import Field
from crm.customfields.lookups import Lookups
from crm.customfields.mentions import Mention
from crm.fieldkinds import InvalidValue
from crm.models import Membership
from crm.permissions import can_view_type
from leads.queries_mentions import conditions_on, fits


def mentions(actor: Membership, old: Field, new: Field | None) -> Iterator[Mention]:
    """Yield the rules that ask or set the field, and the forms that lose it: by name those of types the actor sees."""
    yield from _rules(actor, old, new)
    if new is None:
        yield from _forms(actor, old)


def _rules(actor: Membership, old: Field, new: Field | None) -> Iterator[Mention]:
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


def _forms(actor: Membership, old: Field) -> Iterator[Mention]:
    asking = [row for row in PublicForm.objects.select_related("type").order_by("title", "pk") if old.id in row.fields]
    for form in asking:
        if can_view_type(actor, form.type):
            yield Mention("Public form", form.title, "asks for it no more.", f"settings/forms/{form.public_id}/")
    if others := sum(not can_view_type(actor, form.type) for form in asking):
        forms, ask = ("public form", "asks") if others == 1 else ("public forms", "ask")
        yield Mention(f"{others:,} {forms}", "", f"of activity types you cannot see {ask} for it no more.", "")


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
