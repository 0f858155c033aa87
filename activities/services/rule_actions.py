"""What an on-publish rule can do: one class an action. To add one: a class and its place in `ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from activities.models import Activity
from activities.queries import TypeInfo
from activities.queries_mentions import is_of_another_kind
from crm import events, ids
from crm.customfields.catalog import catalog
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import Membership
from crm.notifications import notify
from crm.permissions import can_view_lead, can_view_type
from leads.models import Lead
from leads.queries import status_for, statuses
from leads.services import create_task

MAX_DAYS = 3650
MAX_TEXT = 300
WHOEVER = "publisher"  # stands for the member the activity is attributed to


@dataclass
class Followup:
    """What a rule does on one lead, gathered: `changes` of the lead, and what is done after, in words."""

    owner: Membership
    activity: Activity
    kind: TypeInfo
    changes: dict[str, Any] = field(default_factory=dict)
    later: list[Callable[[Lead], object]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


class Action:
    """One kind of action. `clean` checks it as the member who saves; `plan` adds what it does; `words` says it."""

    slug = ""
    label = ""

    def clean(self, actor: Membership, given: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def plan(self, given: Mapping[str, Any], to: Followup) -> None:
        raise NotImplementedError

    def words(self, actor: Membership, given: Mapping[str, Any]) -> str:
        raise NotImplementedError


class SetStatus(Action):
    slug, label = "set_status", "Set the lead’s status"

    def clean(self, actor: Membership, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"status_id": status_for(actor, str(given.get("status_id", ""))).public_id}

    def plan(self, given: Mapping[str, Any], to: Followup) -> None:
        status = status_for(to.owner, given["status_id"])
        to.changes["status"] = status
        to.words.append(f"set the status to {status.label}")

    def words(self, actor: Membership, given: Mapping[str, Any]) -> str:
        labels = {status.public_id: status.label for status in statuses()}
        return f"set the lead’s status to {labels.get(given['status_id'], 'a status that is gone')}"


class SetField(Action):
    slug, label = "set_field", "Set a field of the lead"

    def clean(self, actor: Membership, given: Mapping[str, Any]) -> dict[str, Any]:
        uses = catalog(actor.organization).lead_uses
        use = next((use for use in uses if use.field.public_id == given.get("field_id")), None)
        if use is None:
            raise InvalidInput("Choose a field of the lead to set.")
        raw = given.get("value", "")
        # Checked as it will be written: by the field's kind, with the rights of who saves the rule.
        with events.door("system"):
            clean_values(
                actor, uses, {use.field.public_id: raw}, current={}, lookups=Lookups(actor.organization),
                require=False, partial=True,
            )  # fmt: skip
        return {"field_id": use.field.public_id, "value": raw}

    def plan(self, given: Mapping[str, Any], to: Followup) -> None:
        found = catalog(to.owner.organization).field_by_public_id(given["field_id"])
        if found is None:
            raise NotFound("The lead field it sets is gone.")
        if is_of_another_kind(found, given["value"]):
            raise InvalidInput(
                f"{found.name} is a {found.kind.label.lower()} field now. Choose again what to set it to."
            )
        to.changes.setdefault("custom", {})[found.public_id] = given["value"]
        to.words.append(f"set {found.name}" if given["value"] else f"emptied {found.name}")

    def words(self, actor: Membership, given: Mapping[str, Any]) -> str:
        found = catalog(actor.organization).field_by_public_id(given["field_id"])
        if found is None:
            return "set a lead field that is gone"
        return f"set the lead’s {found.name} to {_shown(actor, found, given['value'])}"


class AddTask(Action):
    slug, label = "task", "Create a task"

    def clean(self, actor: Membership, given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "text": _clean_text(given, "The task needs a text."),
            "due_days": _clean_days(given.get("due_days")),
            "assignee": _clean_member(actor, given.get("assignee")),
        }

    def plan(self, given: Mapping[str, Any], to: Followup) -> None:
        member = _member(to, given["assignee"])
        today = timezone.now().astimezone(member.zone).date()
        due = None if given["due_days"] is None else today + timedelta(days=given["due_days"])
        to.later.append(lambda lead: create_task(to.owner, lead, given["text"], due_date=due, assigned_to=member.user))
        to.words.append(f"gave {member.user.full_name} a task")

    def words(self, actor: Membership, given: Mapping[str, Any]) -> str:
        days = given["due_days"]
        due = "" if days is None else " due today" if days == 0 else f" due in {days} day{'' if days == 1 else 's'}"
        return f"create the task “{given['text']}”{due} for {_member_words(actor, given['assignee'])}"


class Tell(Action):
    slug, label = "notify", "Notify a member"

    def clean(self, actor: Membership, given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "text": _clean_text(given, "The notification needs a text."),
            "member": _clean_member(actor, given.get("member")),
        }

    def plan(self, given: Mapping[str, Any], to: Followup) -> None:
        member = _member(to, given["member"])
        if not can_view_lead(member, to.activity.lead) or not can_view_type(member, to.kind):
            raise NotAllowed(f"{member.user.full_name} may not see this activity, so they were not notified.")
        text = f"{given['text']} ({to.kind.name} on {to.activity.lead.name})"
        to.later.append(
            lambda lead: notify([member], "rule", text, f"activities/{to.activity.public_id}/")
        )  # fmt: skip
        to.words.append(f"notified {member.user.full_name}")

    def words(self, actor: Membership, given: Mapping[str, Any]) -> str:
        return f"notify {_member_words(actor, given['member'])}: “{given['text']}”"


ACTIONS: dict[str, Action] = {action.slug: action for action in (SetStatus(), SetField(), AddTask(), Tell())}


# --- parts -----------------------------------------------------------------------------------------------------------
def _clean_text(given: Mapping[str, Any], missing: str) -> str:
    text = " ".join(str(given.get("text") or "").replace("\x00", "").split())
    if not text:
        raise InvalidInput(missing)
    if len(text) > MAX_TEXT:
        raise InvalidInput(f"The text has at most {MAX_TEXT} characters.")
    return text


def _clean_days(given: Any) -> int | None:
    text = "" if given is None else str(given).strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text[:9]) > MAX_DAYS:
        raise InvalidInput(f"Days are a whole number from 0 to {MAX_DAYS:,}.")
    return int(text)


def _clean_member(actor: Membership, given: Any) -> str:
    if given in (None, "", WHOEVER):
        return WHOEVER
    member = Membership.objects.filter(pk=ids.decode("memb", given), removed_at=None).first()
    if member is None:
        raise InvalidInput("Choose a member of this organization.")
    return member.public_id


def _member(to: Followup, given: str) -> Membership:
    rows = Membership.objects.select_related("user", "role", "organization").filter(removed_at=None)
    if given == WHOEVER:
        found = rows.filter(user_id=to.activity.user_id or to.activity.created_by_id).first()
    else:
        found = rows.filter(pk=ids.decode("memb", given)).first()
    if found is None:
        raise NotFound("The member it names is no longer here.")
    return found


def _member_words(actor: Membership, given: str) -> str:
    if given == WHOEVER:
        return "whoever logged the activity"
    member = Membership.objects.select_related("user").filter(pk=ids.decode("memb", given)).first()
    return member.user.full_name if member else "a member who is gone"


def _shown(actor: Membership, found: Any, raw: Any) -> str:
    """Return a raw value in words: options by their label, members by their name."""
    values = [value for value in (raw if isinstance(raw, list) else [raw]) if value not in (None, "")]
    labels = {option.public_id: option.label for option in found.options}
    members = Lookups(actor.organization)
    words = [
        labels.get(value) or (user.name if (user := members.find_user(value)) else str(value))
        if isinstance(value, str)
        else str(value)
        for value in values
    ]  # fmt: skip
    return f"“{', '.join(words)}”" if words else "nothing"
