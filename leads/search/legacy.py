"""The old text language of `GET /lead/?query=…` (`spec/api.md` 2.8), the part that shipped clients send, as a search tree.

Words are ANDed; `not`, `-`, `or` and parentheses combine. Anything that is not an expression is a word of the lead's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from crm import ids
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput
from crm.fieldkinds import normal_phone
from crm.models import Membership
from crm.permissions import can_view_field
from leads.models import LeadStatus, SmartView
from leads.queries import smart_views_for, statuses

_TOKEN = re.compile(
    r'\s*(?:(?P<op>[()]|>=|<=|!=|>|<|:|=)|"(?P<quoted>(?:[^"\\]|\\.)*)"|'
    # The Ruby gem puts values into single quotes; an apostrophe inside a word is none.
    r"'(?P<single>(?:[^'\\]|\\.)*)'(?=[\s)]|$)|"
    r'(?P<word>(?:(?!!=)[^\s()"<>=:])+(?::\d\d(?=[:\d+.Z-])[^\s()"]*)?))'
)
_ISO = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+([+-]\d\d:?\d\d|Z)?)?")
_AGO = re.compile(r"(\d{1,5}) (second|minute|hour|day|week|month|year)s? ago")
SORTS = {
    "updated": "date_updated", "date_updated": "date_updated", "created": "date_created", "date_created": "date_created",
    "name": "name", "display_name": "name", "last_activity": "last_activity_at",
    # By their number, at Close; the last one is the nearest that leads keep.
    "activities": "last_activity_at",
}  # fmt: skip
DATES = {
    "date_updated": "date_updated", "updated": "date_updated", "date_created": "date_created", "created": "date_created",
    "last_communication_date": "last_communication_date", "last_activity_date": "last_activity_at",
}  # fmt: skip
# Words that count related records: contacts > 1, calls:0, has:calls.
RELATED = {
    "contacts": "contact", "emails": "activity.email", "calls": "activity.call", "notes": "activity.note",
    "sms_messages": "activity.sms", "sms": "activity.sms", "meetings": "activity.meeting", "tasks": "task",
    "phone_numbers": "contact_phone", "email_addresses": "contact_email", "urls": "contact_url", "addresses": "address",
    "call": "activity.call", "email": "activity.email", "note": "activity.note", "meeting": "activity.meeting",
    "activities": "activity", "custom_activities": "activity.custom_activity",
}  # fmt: skip
# “+” of an offset that was sent unquoted in an address arrives as a blank.
_LOST_PLUS = re.compile(r"(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)(?=[\s)\"]|$)")
NOTHING = {"type": "match_all", "negate": True}


@dataclass
class Legacy:
    """`tree` for `parse`, `sort` (with `-`, empty: not asked for), and `part` (k, n) of a slice."""

    tree: dict[str, Any]
    sort: str = ""
    part: tuple[int, int] | None = None


def read(query: str, actor: Membership, zone: ZoneInfo | None = None, *, lists: bool = False) -> Legacy:
    """Return what a legacy query asks. Dates are of `zone` (the actor's). Raises `InvalidInput` for what is not understood.

    `lists`: it only lists leads, so a custom field that does not exist is one no lead has a value of; a query by which leads
    are changed, or that is kept, may not name one.
    """
    if len(query) > 5000:
        raise InvalidInput(fields={"query": "The query is longer than 5,000 characters."})
    reader = _Reader(actor, _tokens(_LOST_PLUS.sub(r"\1+\2", query)), zone or actor.zone, lists)
    tree = reader.any()
    if reader.peek() is not None:
        raise InvalidInput(fields={"query": f"“{reader.peek()[1]}” was not expected there. Check the parentheses."})
    head = {"type": "object_type", "object_type": "lead"}
    return Legacy({"type": "and", "queries": [head, tree]}, reader.sort, reader.part)


def _tokens(query: str) -> list[tuple[str, str]]:
    found, at = [], 0
    query = query.rstrip()
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise InvalidInput(fields={"query": f"The query cannot be read from “{query[at : at + 20].strip()}” on."})
        kind = match.lastgroup or ""
        text = match[kind]
        if kind in ("quoted", "single"):
            kind, text = "quoted", re.sub(r"\\(.)", r"\1", text)
        found.append((kind, text))
        at = match.end()
    return found


def _field(name: str, condition: dict[str, Any], of: str = "lead") -> dict[str, Any]:
    return {
        "type": "field_condition",
        "field": {"type": "regular_field", "object_type": of, "field_name": name},
        "condition": condition,
    }


def _related(name: str, query: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    inner = query or {"type": "match_all"}
    return {
        "type": "has_related",
        "this_object_type": "lead",
        "related_object_type": name,
        "related_query": inner,
        **more,
    }


class _Reader:
    """Recursive descent: any = all (or all)*; all = term+; term = not term, (any), key op value, word."""

    def __init__(self, actor: Membership, tokens: list[tuple[str, str]], zone: ZoneInfo, lists: bool) -> None:
        self.actor = actor
        self.lists = lists
        self.zone = zone
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.sort = ""
        self.part: tuple[int, int] | None = None

    @cached_property
    def statuses(self) -> list[LeadStatus]:
        return statuses()

    @cached_property
    def views(self) -> list[SmartView]:
        return smart_views_for(self.actor)

    def peek(self, ahead: int = 0) -> Any:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def take(self) -> tuple[str, str]:
        found = self.peek()
        if found is None:
            raise InvalidInput(fields={"query": "The query ends too early."})
        self.at += 1
        return found

    def _is_word(self, word: str) -> bool:
        found = self.peek()
        return found is not None and found[0] == "word" and found[1].lower() == word

    def any(self, of: str = "lead") -> dict[str, Any]:
        self.depth += 1
        if self.depth > 8:
            raise InvalidInput(fields={"query": "The query is nested too deeply."})
        found = [self.all(of)]
        while self._is_word("or"):
            self.take()
            found.append(self.all(of))
        self.depth -= 1
        return found[0] if len(found) == 1 else {"type": "or", "queries": found}

    def all(self, of: str) -> dict[str, Any]:
        found = []
        while self.peek() is not None and self.peek() != ("op", ")") and not self._is_word("or"):
            if self._is_word("and"):
                self.take()
                continue
            term = self.term(of)
            if term is not None:
                found.append(term)
        return {"type": "and", "queries": found}

    def term(self, of: str) -> dict[str, Any] | None:
        turned = False
        while self._turns():
            turned = not turned
        found = self._plain(of)
        return {"type": "and", "queries": [found], "negate": True} if turned and found is not None else found

    def _turns(self) -> bool:
        """Take a `not`, or the `-` before a word; returns whether there was one."""
        if self._is_word("not"):
            self.take()
            return True
        kind, text = self.peek() or ("", "")
        if kind == "word" and len(text) > 1 and text.startswith("-") and not text[1].isdigit():
            self.tokens[self.at] = (kind, text[1:])
            return True
        return False

    def _plain(self, of: str) -> dict[str, Any] | None:
        kind, text = self.take()
        if (kind, text) == ("op", "("):
            inner = self.any(of)
            self._close()
            return inner
        if kind == "op":
            raise InvalidInput(
                fields={"query": f"“{text}” was not expected there. Put text with such characters in quotes."}
            )
        following = self.peek()
        if following == ("op", "(") and text.lower() in ("opportunity", "opportunities"):
            self._pass_over()
            return dict(NOTHING)
        if following == ("op", "(") and text.lower() in RELATED and of == "lead":
            self.take()
            name = RELATED[text.lower()]
            inner = self.any(name)
            self._close()
            return _related(name, inner)
        if following is not None and following[0] == "op" and following[1] not in "()":
            operator = self.take()[1]
            if operator == "!=":
                same = self._expression(text, ":", self.take()[1], of)
                return None if same is None else {"type": "and", "queries": [same], "negate": True}
            if operator in ":=" and self.peek() == ("op", "("):
                return self._one_of(text, of)
            operand = self.take()
            return self._expression(text, operator, operand[1], of)
        if following == ("word", "in") and self.peek(1) == ("op", "("):
            self.take()
            return self._one_of(text, of)
        if of != "lead":
            raise InvalidInput(fields={"query": f"“{text}” is not understood there."})
        if not text.strip("* "):
            return None
        return {"type": "text", "value": text, "mode": "phrase" if kind == "quoted" else "beginning_of_words"}

    def _one_of(self, key: str, of: str) -> dict[str, Any]:
        """Read `(A, "B b", C)` or `(A or B)`: one of these values."""
        self.take()
        values: list[str] = []
        while self.peek() is not None and self.peek()[0] != "op":
            kind, text = self.take()
            parts = [text] if kind == "quoted" else [part for part in text.split(",") if part and part.lower() != "or"]
            values += parts
        self._close()
        found = [node for value in values if (node := self._expression(key, ":", value, of)) is not None]
        return {"type": "or", "queries": found} if found else dict(NOTHING)

    def _pass_over(self) -> None:
        """Leave out a pair of parentheses and what is in it."""
        depth = 0
        while True:
            depth += {("op", "("): 1, ("op", ")"): -1}.get(self.take(), 0)
            if depth == 0:
                return

    def _close(self) -> None:
        if self.peek() != ("op", ")"):
            raise InvalidInput(fields={"query": "A closing parenthesis is missing."})
        self.take()

    def _expression(self, key: str, operator: str, given: str, of: str) -> dict[str, Any] | None:
        name = key.lower()
        if name.startswith("custom."):
            return self._custom(key[7:], operator, given)
        if of != "lead":
            return self._of_activity(name, operator, given, of)
        handlers: dict[str, Callable[[str, str], dict[str, Any] | None]] = {
            "sort": self._sort, "slice": self._slice, "name": self._name, "company": self._name, "status": self._status,
            "lead_status": self._status, "id": self._id, "has": self._has, "email_address": self._point("email"), "email": self._point("email"),
            "phone_number": self._point("phone"), "phone": self._point("phone"), "url": self._url, "lead_id": self._id,
            "status_id": self._status, "description": self._of_lead("description"), "in": self._in_view,
            "contact": self._of_contact("name"), "contact_name": self._of_contact("name"), "title": self._of_contact("title"),
            "times_communicated": self._communicated, "opportunities": self._no_opportunities,
        }  # fmt: skip
        if name in DATES:
            return _field(DATES[name], self._moment(operator, given))
        if name in RELATED and re.fullmatch(r"\d{1,4}", given):
            return _related(RELATED[name], count=_count(operator, int(given)))
        if name in handlers:
            return handlers[name](operator, given)
        raise InvalidInput(
            fields={
                "query": f"“{key}” is not a field this query language knows. Use POST /data/search/ for other fields."
            }
        )

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

    def _name(self, operator: str, given: str) -> dict[str, Any]:
        return self._text_or_any("display_name", given, "lead")

    def _text_or_any(self, name: str, given: str, of: str, mode: str = "phrase") -> dict[str, Any]:
        return _field(name, {"type": "exists"} if given == "*" else {"type": "text", "value": given, "mode": mode}, of)

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

    def _of_lead(self, name: str) -> Callable[[str, str], dict[str, Any]]:
        return lambda operator, given: self._text_or_any(name, given, "lead")

    def _of_contact(self, name: str) -> Callable[[str, str], dict[str, Any]]:
        return lambda operator, given: _related("contact", self._text_or_any(name, given, "contact"))

    def _url(self, operator: str, given: str) -> dict[str, Any]:
        """The lead's own address, or one of its contacts'."""
        own = self._text_or_any("url", given, "lead")
        return {"type": "or", "queries": [own, self._point("url")(operator, given)]}

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
        return _related(RELATED[given.lower()])

    def _point(self, channel: str) -> Callable[[str, str], dict[str, Any]]:
        plain: Callable[[str], str] = normal_phone if channel == "phone" else str
        return lambda operator, given: _related(
            f"contact_{channel}", self._text_or_any(channel, plain(given), f"contact_{channel}", "exact_value")
        )

    def _communicated(self, operator: str, given: str) -> dict[str, Any]:
        """Calls, emails, SMS and meetings together."""
        if not re.fullmatch(r"\d{1,4}", given):
            raise InvalidInput(fields={"query": "times_communicated is compared with a whole number."})
        return _field("times_communicated", {"type": "number_range", **_bounds(operator, given)})

    def _no_opportunities(self, operator: str, given: str) -> dict[str, Any]:
        """There are none here, so opportunities:0 is every lead."""
        return {"type": "match_all"} if given == "0" and operator in (":", "=", "<=") else dict(NOTHING)

    def _of_activity(self, name: str, operator: str, given: str, of: str) -> dict[str, Any]:
        if name in ("date", "activity_at", "created", "date_created", "date_updated", "updated"):
            column = {"date": "activity_at", **DATES}.get(name, name)
            return _field(column, self._moment(operator, given), of)
        if name in ("user", "created_by", "user_id"):
            user = (
                {"type": "current_user"}
                if given == "me"
                else {"type": "reference", "reference_type": "user", "object_ids": [given]}
            )
            return _field("created_by" if name == "created_by" else "user_id", user, of)
        if name == "status":  # sent, answered …: every activity here happened
            return {"type": "match_all"}
        found = self._builtin_field(of, name)
        if found is None:
            raise InvalidInput(fields={"query": f"“{name}” is not a field of {of} this query language knows."})
        return _custom_field(found, operator, given)

    def _builtin_field(self, of: str, name: str) -> Any:
        key = f"{of.removeprefix('activity.')}.{name}"
        return next((f for f in catalog(self.actor.organization).fields.values() if f.builtin == key), None)

    def _custom(self, name: str, operator: str, given: str) -> dict[str, Any]:
        uses = [use for use in catalog(self.actor.organization).lead_uses if can_view_field(self.actor, use)]
        plain = name.casefold().replace("_", " ")
        for use in uses:
            if name == use.field.public_id or use.field.name.casefold() in (name.casefold(), plain):
                return _custom_field(use.field, operator, given, self._moment)
        if not self.lists:
            raise InvalidInput(fields={"query": f"Leads have no custom field “{name}”."})
        return dict(NOTHING)  # scripts ask for leads without a field that they make later

    def _moment(self, operator: str, given: str) -> dict[str, Any]:
        moment: Any
        if found := _AGO.fullmatch(given.lower()):
            unit = f"{found[2]}s"
            moment = {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {unit: int(found[1])}}
        elif given.lower() in ("today", "yesterday", "now"):
            period = {"type": "start_end_of_predefined_relative_period", "range": given.lower(), "which": "start"}
            moment = {"type": "now"} if given.lower() == "now" else period
        elif _ISO.fullmatch(given):
            moment = given if len(given) == 10 else self._instant(given)
        else:
            raise InvalidInput(fields={"query": f"“{given}” is not a date. Write 2026-01-31 or “7 days ago”."})
        if operator in (":", "=") and isinstance(moment, dict) and "range" in moment:
            ends = [{**moment, "which": which} for which in ("start", "end")]
            return {"type": "moment_range", "on_or_after": ends[0], "before": ends[1]}
        if operator in (":", "="):
            if not (isinstance(moment, str) and len(moment) == 10):
                raise InvalidInput(fields={"query": "Compare dates with >=, >, < or <=."})
            ends = [{"type": "fixed_local_date", "value": moment, "which": which} for which in ("start", "end")]
            return {"type": "moment_range", "on_or_after": ends[0], "before": ends[1]}
        if operator in (">=", "<"):
            return {"type": "moment_range", "on_or_after" if operator == ">=" else "before": moment}
        return {"type": "moment_range", "on_or_after" if operator == ">" else "before": _just_after(moment)}

    def _instant(self, given: str) -> str:
        """Return an ISO text with an offset; without one it is a time of the zone."""
        try:
            found = datetime.fromisoformat(given)
        except ValueError:
            raise InvalidInput(fields={"query": f"“{given}” is not a date. Write 2026-01-31T14:30."}) from None
        return (found if found.tzinfo else found.replace(tzinfo=self.zone)).isoformat()


def _just_after(moment: Any) -> Any:
    """Return the end of a plain day, else the moment itself: a microsecond is below what clients send."""
    if isinstance(moment, str) and len(moment) == 10:
        return {"type": "fixed_local_date", "value": moment, "which": "end"}
    return moment


def _count(operator: str, number: int) -> dict[str, int]:
    found = {":": ("eq", number), "=": ("eq", number), ">": ("gte", number + 1), ">=": ("gte", number),
             "<": ("lte", number - 1), "<=": ("lte", number)}[operator]  # fmt: skip
    if found[1] < 0:
        raise InvalidInput(fields={"query": "There are never fewer than 0."})
    return {found[0]: found[1]}


def _custom_field(
    known: Any, operator: str, given: str, moment: Callable[[str, str], Any] | None = None
) -> dict[str, Any]:
    """Return the condition on a custom field that its storage understands."""
    condition: dict[str, Any]
    if given == "*":
        condition = {"type": "exists"}
    elif known.kind.has_options:
        condition = {"type": "term", "values": [given]}
    elif known.kind.refers_to == "user":
        condition = (
            {"type": "current_user"}
            if given == "me"
            else {"type": "reference", "reference_type": "user", "object_ids": [given]}
        )
    else:
        by_storage: dict[str, Callable[[], dict[str, Any]]] = {
            "number": lambda: {"type": "number_range", **_bounds(operator, given)},
            "moment": lambda: moment(operator, given) if moment else {"type": "exists"},
            "ref": lambda: {"type": "boolean", "value": given.lower() in ("yes", "true", "1")},
            "text": lambda: {"type": "text", "value": given, "mode": "phrase"},
        }
        condition = by_storage[known.kind.storage]()
    return {
        "type": "field_condition",
        "field": {"type": "custom_field", "custom_field_id": known.public_id},
        "condition": condition,
    }


def _bounds(operator: str, given: str) -> dict[str, str]:
    keys = {":": ("gte", "lte"), "=": ("gte", "lte"), ">": ("gt",), ">=": ("gte",), "<": ("lt",), "<=": ("lte",)}[
        operator
    ]
    return dict.fromkeys(keys, given)
