"""What `key:value` asks: of leads, and of what belongs to them inside `contact(…)`, `call(…)` and their kin.

A few keys have a meaning of their own. Any other is a field that the search itself knows by this name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from crm import ids
from crm.customfields.catalog import Field, Use, catalog
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.models import Membership
from crm.permissions import can_view_field
from crm.phones import normal_phone
from leads.models import LeadStatus, SmartView
from leads.queries import smart_views_for, statuses
from leads.search.legacy.values import counts, moments, numbers, texts, truths
from leads.search.sources import asks_of, source_named

SORTS = {
    "updated": "date_updated", "date_updated": "date_updated", "created": "date_created", "date_created": "date_created",
    "name": "name", "display_name": "name", "last_activity": "last_activity_at",
    # By their number, at Close; the last one is the nearest that leads keep.
    "activities": "last_activity_at",
}  # fmt: skip
# Words that count related records: contacts > 1, calls:0, has:calls; some are said in the singular before parentheses.
RELATED = {
    "contacts": "contact", "emails": "activity.email", "calls": "activity.call", "notes": "activity.note",
    "sms_messages": "activity.sms", "sms": "activity.sms", "meetings": "activity.meeting", "tasks": "task",
    "phone_numbers": "contact_phone", "email_addresses": "contact_email", "urls": "contact_url", "addresses": "address",
    "call": "activity.call", "email": "activity.email", "note": "activity.note", "meeting": "activity.meeting",
    "activities": "activity", "custom_activities": "activity.custom_activity", "contact": "contact", "task": "task",
    "address": "address", "lead_status_change": "activity.lead_status_change",
}  # fmt: skip
# Other names of fields, and the object types whose they are; an empty one: all.
_OTHER_NAMES = {
    "created": ("date_created", ""), "updated": ("date_updated", ""), "date": ("activity_at", "activity"), "user": ("user_id", "activity"),
    "company": ("name", "lead"), "address": ("location", "address"), "zip": ("zipcode", "address"), "old_status": ("old_status_label", "activity"),
    "new_status": ("new_status_label", "activity"), "due": ("due_date", "task"),
}  # fmt: skip
_PLACES = ("address", "city", "state", "zipcode", "zip", "country", "address_1", "address_2")
_POINTS = {"email": "email", "email_address": "email", "contact_email": "email", "phone": "phone", "phone_number": "phone", "contact_phone": "phone"}  # fmt: skip
# What makes a text that is asked of contacts a query, not words.
CONTACT_KEYS = (*_POINTS, "name", "title", "lead_id")
# What scripts look for as a form was filled in: left empty, nobody has it.
_ASKED_BY_FORMS = (*_POINTS, "name", "title", "url", "company", "contact", "contact_name")
NOTHING = {"type": "match_all", "negate": True}
Ask = Callable[[dict[str, Any]], dict[str, Any]]


def related(name: str, query: dict[str, Any] | None = None, of: str = "lead", **more: Any) -> dict[str, Any]:
    """Return the node of an object type that has a related record for which the query holds."""
    inner = query or {"type": "match_all"}
    return {
        "type": "has_related",
        "this_object_type": of,
        "related_object_type": name,
        "related_query": inner,
        **more,
    }


def _field(name: str, condition: dict[str, Any], of: str = "lead") -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": of, "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition}


class Keys:
    """The keys of one query. `sort` and `part` are what it says of order and slices."""

    def __init__(self, actor: Membership, zone: ZoneInfo, lists: bool) -> None:
        self.actor, self.zone, self.lists = actor, zone, lists
        self.sort = ""
        self.part: tuple[int, int] | None = None

    @cached_property
    def statuses(self) -> list[LeadStatus]:
        return statuses()

    @cached_property
    def views(self) -> list[SmartView]:
        return smart_views_for(self.actor)

    @cached_property
    def people(self) -> Lookups:
        return Lookups(self.actor.organization)

    def expression(self, key: str, operator: str, given: str, of: str) -> dict[str, Any] | None:
        """Return the node of `key operator given` on an object type; None for what selects nothing (sort, slice).

        Raises `InvalidInput` for a key that is not known.
        """
        name = key.lower()
        if self.lists and not given.strip() and operator in ":=" and name in _ASKED_BY_FORMS:
            return dict(NOTHING)
        if name.startswith("custom."):
            return self._custom(key[7:], operator, given, of)
        if of != "lead":
            return self._of_related(name, operator, given, of)
        if name in _POINTS:
            return self._point(_POINTS[name], given)
        if name in RELATED and re.fullmatch(r"\d{1,4}", given):
            return related(RELATED[name], count=counts(operator, int(given)))
        own: dict[str, Callable[[str, str], dict[str, Any] | None]] = {
            "sort": self._sort, "slice": self._slice, "status": self._status, "lead_status": self._status, "status_id": self._status,
            "id": self._id, "lead_id": self._id, "has": self._has, "url": self._url, "in": self._in_view,
            "contact": self._of_contact("name"), "contact_name": self._of_contact("name"), "title": self._of_contact("title"),
            "opportunities": self._no_opportunities,
        }  # fmt: skip
        if name in own:
            return own[name](operator, given)
        if name in _PLACES:
            return related("address", self._regular(name, operator, given, "address"))
        found = self._regular(name, operator, given, "lead")
        if found is None:
            sentence = f"“{key}” is not a field this query language knows. Use POST /data/search/ for other fields."
            raise InvalidInput(fields={"query": sentence})
        return found

    # --- keys with a meaning of their own -----------------------------------------------------------------------------
    def _sort(self, operator: str, given: str) -> None:
        bare = given.removeprefix("-")
        if bare not in SORTS:
            raise InvalidInput(fields={"query": f"“{given}” cannot be sorted by. Use one of: {', '.join(SORTS)}."})
        self.sort = ("-" if given.startswith("-") else "") + SORTS[bare]

    def _slice(self, operator: str, given: str) -> None:
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", given)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise InvalidInput(fields={"query": "A slice is written as slice:1/4."})
        self.part = (int(found[1]), int(found[2]))

    def _status(self, operator: str, given: str) -> dict[str, Any]:
        wanted = given.casefold()
        found = [row for row in self.statuses if row.label.casefold() == wanted]
        status = next(iter(found or [row for row in self.statuses if row.public_id == given]), None)
        if status is None:
            return dict(NOTHING)
        return _field(
            "status_id", {"type": "reference", "reference_type": "status.lead", "object_ids": [status.public_id]}
        )

    def _id(self, operator: str, given: str) -> dict[str, Any]:
        return {"type": "id", "value": given} if ids.decode("lead", given) else dict(NOTHING)

    def _of_contact(self, name: str) -> Callable[[str, str], dict[str, Any]]:
        return lambda operator, given: related("contact", _field(name, texts(given), "contact"))

    def _url(self, operator: str, given: str) -> dict[str, Any]:
        """The lead's own address, or one of its contacts'."""
        own = _field("url", texts(given))
        return {"type": "or", "queries": [own, self._point("url", given)]}

    def _in_view(self, operator: str, given: str) -> dict[str, Any]:
        for view in self.views:
            if given == view.public_id or given.casefold() == view.name.casefold():
                return {"type": "saved_search", "saved_search_id": view.public_id}
        raise InvalidInput(fields={"query": f"There is no Smart View “{given[:60]}”."})

    def _has(self, operator: str, given: str) -> dict[str, Any]:
        if given.lower() in ("opportunity", "opportunities"):
            return dict(NOTHING)
        if given.lower() not in RELATED:
            raise InvalidInput(
                fields={"query": f"“has:{given}” is not known. Use one of: {', '.join(sorted(RELATED))}."}
            )
        return related(RELATED[given.lower()])

    def _point(self, channel: str, given: str, of: str = "lead") -> dict[str, Any]:
        """An email, phone or address of the web. Scripts look for phones by their digits, without the plus sign."""
        said = [given]
        if channel == "phone":
            said = [normal_phone(given), *([normal_phone(f"+{given}")] if given.isdecimal() else [])]
        kind = f"contact_{channel}"
        found = [related(kind, _field(channel, texts(text, "exact_value"), kind), of) for text in said]
        return found[0] if len(found) == 1 else {"type": "or", "queries": found}

    def _no_opportunities(self, operator: str, given: str) -> dict[str, Any]:
        """There are none here, so opportunities:0 is every lead."""
        return {"type": "match_all"} if given == "0" and operator in (":", "=", "<=") else dict(NOTHING)

    # --- keys that are names of fields --------------------------------------------------------------------------------
    def _of_related(self, name: str, operator: str, given: str, of: str) -> dict[str, Any]:
        if of.startswith("activity") and name == "status":
            return self._status_of_activity(given, of)
        if of == "contact" and name in _POINTS:
            return self._point(_POINTS[name], given, of)
        found = self._regular(name, operator, given, of)
        if found is None:
            raise InvalidInput(fields={"query": f"“{name}” is not a field of {of} this query language knows."})
        return found

    def _status_of_activity(self, given: str, of: str) -> dict[str, Any]:
        """What went out was sent, what came in is in the inbox, a call is over. No search knows more of it, and says so."""
        said = given.casefold()
        ways = {"sent": "outgoing", "inbox": "incoming"} if of in ("activity.email", "activity.sms") else {}
        if said in ways:
            found = self._regular("direction", ":", ways[said], of)
        elif said in ("draft", "published"):
            found = self._regular("status", ":", said, of)
        elif of == "activity.call" and said == "completed":
            found = {"type": "match_all"}
        else:
            found = None
        if found is None:
            known = [*ways, *(["completed"] if of == "activity.call" else []), "draft", "published"]
            raise InvalidInput(
                fields={"query": f"“status:{given}” cannot be searched here. Use one of: {', '.join(known)}."}
            )
        return found

    def _regular(self, name: str, operator: str, given: str, of: str) -> dict[str, Any] | None:
        """Return the node of a field that the search knows; None when it knows no such field."""
        other, whose = _OTHER_NAMES.get(name, ("", ""))
        if other and (not whose or of.startswith(whose)):
            name = other
        source = source_named(self.actor, of)
        column = source.column(name) if source else None
        if column is not None:
            return self._asked(lambda condition: _field(name, condition, of), column.asks, name, operator, given)
        kept = source.named_field(self.actor, name) if source else None
        return self._kept_in(kept.field, operator, given) if kept else None

    def _asked(self, ask: Ask, asks: str, name: str, operator: str, given: str) -> dict[str, Any]:
        """Return the node `ask` makes of what is said of a field that is asked so; `*` is any value, `null` none."""
        if given in ("*", "null"):
            return ask({"type": "exists"}) | ({"negate": True} if given == "null" else {})
        return self._person(ask, given) if asks == "user" else ask(self._condition(asks, name, operator, given))

    def _condition(self, asks: str, name: str, operator: str, given: str) -> dict[str, Any]:
        if asks == "number":
            return numbers(name, operator, given)
        if asks == "moment":
            return moments(operator, given, self.zone)
        if asks == "flag":
            return truths(given)
        if asks == "reference":
            return {"type": "reference", "object_ids": [given]}
        return {"type": "term", "values": [given]} if asks in ("term", "type") else texts(given)

    def _person(self, ask: Ask, given: str) -> dict[str, Any]:
        """Somebody by id, name or email, or `me`; who is not known did nothing."""
        if given.lower() == "me":
            return ask({"type": "current_user"})
        found = self.people.find_users(given)
        if not found:
            return dict(NOTHING)
        people = [user.public_id for user in found]
        return ask({"type": "reference", "reference_type": "user", "object_ids": people})

    def _custom(self, name: str, operator: str, given: str, of: str) -> dict[str, Any]:
        plain = name.casefold().replace("_", " ")
        for use in self._uses(of):
            if name == use.field.public_id or use.field.name.casefold() in (name.casefold(), plain):
                return self._kept_in(use.field, operator, given)
        if not self.lists:
            raise InvalidInput(fields={"query": f"Leads have no custom field “{name}”."})
        return dict(NOTHING)  # scripts ask for leads without a field that they make later

    def _uses(self, of: str) -> list[Use]:
        known = catalog(self.actor.organization)
        uses = known.contact_uses if of == "contact" else known.lead_uses
        return [use for use in uses if can_view_field(self.actor, use)]

    def _kept_in(self, field: Field, operator: str, given: str) -> dict[str, Any]:
        """Return the condition on a custom field that its storage understands."""

        def ask(condition: dict[str, Any]) -> dict[str, Any]:
            named = {"type": "custom_field", "custom_field_id": field.public_id}
            return {"type": "field_condition", "field": named, "condition": condition}

        return self._asked(ask, asks_of(field.kind), field.name, operator, given)
