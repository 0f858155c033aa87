"""Why a member can or cannot see or edit something: the answers of the one gate (`crm.permissions`), collected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from activities.models import Activity
from activities.queries import activity_for, type_catalog, type_for, visible_types
from activities.queries.types import TypeInfo
from crm import events, ids
from crm.customfields.catalog import Field, Use, catalog
from crm.customfields.cleaning import may_write
from crm.errors import InvalidInput, NotFound
from crm.fieldkinds import fold
from crm.models import Membership
from crm.permissions import (
    Decision,
    Perm,
    authorize,
    can_delete_activity,
    can_edit_activity,
    can_enter,
    can_log,
    can_view_draft,
    can_view_field,
    can_view_lead,
    can_view_type,
    has,
)
from leads.queries import lead_for, search_words, visible_leads

# Most telling first: a permalink names a lead and an activity, a field's page its type and the field.
_PREFIXES = ("acti", "cf", "actitype", "lead")
MOST_THINGS = 8
Place = tuple[str, Callable[[Membership], Decision]]
"""Where a field is used, in words, and the gate before it."""


@dataclass(frozen=True)
class Answer:
    """One question in words, and the gate's decision. `door`: where it differs from the page's answer."""

    question: str
    decision: Decision
    door: str = ""


@dataclass(frozen=True)
class Explanation:
    """What was asked about, as `what` (“lead”, “activity” …) and `name`, and the answers in order."""

    what: str
    name: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Thing:
    """What can be asked about, as `what` (“lead”, “activity type”, “field”) and its name."""

    what: str
    name: str
    public_id: str


def things_meant(actor: Membership, text: str) -> list[Thing]:
    """Return the leads, types and fields that `text` may name: called exactly so, else with these words in their names.

    An id or a link to one is what it names, alone. At most `MOST_THINGS`. Needs *manage organization*; raises
    `InvalidInput` where nothing is called so. Activities have no names: they are asked about by link.
    """
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    if linked := _linked(text):
        return [Thing("", "", linked[1])]
    wanted = fold(text)
    known = [
        *(Thing("activity type", row.name, row.public_id) for row in visible_types(actor) if not row.system),
        *(
            Thing("field", field.name, field.public_id)
            for field in catalog(actor.organization).fields.values()
            if field.number is not None and not field.builtin and _places(actor, field)
        ),
    ]
    leads = visible_leads(actor).order_by("name_fold", "pk")
    exact = [thing for thing in known if fold(thing.name) == wanted]
    exact += [Thing("lead", lead.name, lead.public_id) for lead in leads.filter(name_fold=wanted)[:MOST_THINGS]]
    found = exact or [thing for thing in known if wanted and all(word in fold(thing.name) for word in wanted.split())]
    if not exact and wanted:
        found += [Thing("lead", lead.name, lead.public_id) for lead in leads.filter(search_words(text))[:MOST_THINGS]]
    if not found:
        raise InvalidInput(
            fields={
                "thing": "Nothing is called so. Type the name of a lead, an activity type or a field, or paste a link: "
                "an activity has no name."
            }
        )
    return found[:MOST_THINGS]


def explain(actor: Membership, member: Membership, thing: str) -> Explanation:
    """Answer for `member` about the lead, activity, type or field that `thing` (an id or a link to it) names.

    Needs *manage organization*, and the actor must see the thing themselves; raises `NotFound` otherwise.
    """
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    prefix, public_id = _named(thing)
    explainers: dict[str, Callable[[Membership, Membership, str], Explanation]] = {
        "lead": _lead, "acti": _activity, "actitype": _type, "cf": _field,
    }  # fmt: skip
    found = explainers[prefix](actor, member, public_id)
    enter = can_enter(member)
    if not enter:
        return Explanation(found.what, found.name, (Answer("Use this organization at all", enter),))
    return found


def _named(thing: str) -> tuple[str, str]:
    if linked := _linked(thing):
        return linked
    raise InvalidInput(
        fields={
            "thing": "Paste the link of a lead, an activity, an activity type or a field, or its id such as lead_8Q…"
        }
    )


def _linked(thing: str) -> tuple[str, str] | None:
    """Return the prefix and the id that a text holds."""
    for prefix in _PREFIXES:
        for public_id in reversed(re.findall(rf"(?<![a-zA-Z0-9]){prefix}_[a-zA-Z0-9]+", thing)):
            if ids.decode(prefix, public_id):
                return prefix, public_id
    return None


def _lead(actor: Membership, member: Membership, public_id: str) -> Explanation:
    lead = lead_for(actor, public_id)
    see = can_view_lead(member, lead)
    answers = [
        Answer("See the lead, find it and count it", see),
        Answer("Edit the lead, its contacts and tasks of their own", see),
        Answer("Merge the lead with another one", _both(see, has(member, Perm.MERGE_LEADS))),
        Answer("Delete the lead", _both(see, has(member, Perm.DELETE_LEADS))),
    ]
    return Explanation("lead", lead.name, tuple(answers))


def _activity(actor: Membership, member: Membership, public_id: str) -> Explanation:
    activity = activity_for(actor, public_id)
    kind = _kind(actor, activity)
    see = _both(can_view_lead(member, activity.lead), can_view_type(member, kind))
    if activity.is_draft:
        see = _both(see, can_view_draft(member, activity))
    answers = [
        Answer("See the activity, find it and count it", see),
        Answer("Edit it", _both(see, can_edit_activity(member, activity, kind))),
        Answer("Delete it", _both(see, can_delete_activity(member, activity, kind))),
    ]
    if activity.is_draft:
        answers.append(Answer("Publish it", _both(see, can_log(member, kind))))
    for use in catalog(actor.organization).uses(kind.fieldset_id):
        if can_view_field(actor, use) and not (field := can_view_field(member, use)):
            answers.append(Answer(f"See {use.field.name}", field))
    return Explanation("activity", f"{kind.name} on {activity.lead.name}", tuple(answers))


def _type(actor: Membership, member: Membership, public_id: str) -> Explanation:
    kind = type_for(actor, public_id)
    answers = [
        Answer("See activities of this type", can_view_type(member, kind)),
        *_by_door("Log a new one", lambda: can_log(member, kind)),
    ]
    return Explanation("activity type", kind.name, tuple(answers))


def _field(actor: Membership, member: Membership, public_id: str) -> Explanation:
    field = catalog(actor.organization).field_by_public_id(public_id)
    if field is None:
        raise NotFound("There is no such field.")
    places = _places(actor, field)
    if not places:
        raise NotFound("There is no such field.")
    answers: list[Answer] = []
    for use, (name, visible) in places:
        see = _both(visible(member), can_view_field(member, use))
        answers.append(Answer(f"See it on {name}", see))
        answers += _by_door(f"Write it on {name}", lambda use=use, see=see: _both(see, may_write(member, use)))
    return Explanation("field", field.name, tuple(answers))


def _places(actor: Membership, field: Field) -> list[tuple[Use, Place]]:
    """Return where the actor sees a field used."""
    known = catalog(actor.organization)
    uses = [use for fieldset_id in field.fieldset_ids if (use := known.use(fieldset_id, field.id))]
    return [(use, place) for use in uses if can_view_field(actor, use) and (place := _place(actor, use))]


def _place(actor: Membership, use: Use) -> Place | None:
    """Return where a field is used, in words, and the gate before it; None where the actor does not see the place."""
    if use.owner in ("lead", "contact"):
        return f"{use.owner}s", can_enter
    kind = next((row for row in type_catalog(actor.organization).types if row.fieldset_id == use.fieldset_id), None)
    if kind is None or not can_view_type(actor, kind):
        return None
    return f"{kind.name} activities", lambda member: can_view_type(member, kind)


def _by_door(question: str, ask: Callable[[], Decision]) -> list[Answer]:
    """Ask as on a page; where the API would answer otherwise, that is a second answer."""
    with events.door("page"):
        page = ask()
    with events.door("api"):
        api = ask()
    if page.allowed == api.allowed:
        return [Answer(question, page)]
    return [Answer(question, page, "on pages"), Answer(question, api, "through the API")]


def _both(first: Decision, second: Decision) -> Decision:
    """Return the first refusal, else the second decision."""
    return first if not first else second


def _kind(actor: Membership, activity: Activity) -> TypeInfo:
    kind = type_catalog(actor.organization).get(activity.type_id)
    if kind is None:
        raise NotFound("There is no such activity type.")
    return kind
