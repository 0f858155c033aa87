"""Why a member can or cannot see or edit something: the answers of the one gate (`crm.permissions`), collected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from activities.models import Activity
from activities.queries import activity_for, type_catalog, type_for
from activities.queries.types import TypeInfo
from crm import events, ids
from crm.customfields.catalog import Use, catalog
from crm.customfields.cleaning import may_write
from crm.errors import InvalidInput, NotFound
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
from leads.queries import lead_for

# Most telling first: a permalink names a lead and an activity, a field's page its type and the field.
_PREFIXES = ("acti", "cf", "actitype", "lead")


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
    for prefix in _PREFIXES:
        for public_id in reversed(re.findall(rf"(?<![a-zA-Z0-9]){prefix}_[a-zA-Z0-9]+", thing)):
            if ids.decode(prefix, public_id):
                return prefix, public_id
    raise InvalidInput(
        fields={
            "thing": "Paste the link of a lead, an activity, an activity type or a field, or its id such as lead_8Q…"
        }
    )


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
    known = catalog(actor.organization)
    field = known.field_by_public_id(public_id)
    if field is None:
        raise NotFound("There is no such field.")
    uses = [use for fieldset_id in field.fieldset_ids if (use := known.use(fieldset_id, field.id))]
    places = {use.fieldset_id: _place(actor, use) for use in uses if can_view_field(actor, use)}
    if not any(places.values()):
        raise NotFound("There is no such field.")
    answers: list[Answer] = []
    for use in uses:
        if place := places.get(use.fieldset_id):
            name, visible = place
            see = _both(visible(member), can_view_field(member, use))
            answers.append(Answer(f"See it on {name}", see))
            answers += _by_door(f"Write it on {name}", lambda use=use, see=see: _both(see, may_write(member, use)))
    return Explanation("field", field.name, tuple(answers))


def _place(actor: Membership, use: Use) -> tuple[str, Callable[[Membership], Decision]] | None:
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
