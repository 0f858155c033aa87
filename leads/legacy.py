"""The text language of `GET /lead/?query=` (`spec/api.md` 2.8): what shipped clients send. New searches use the JSON tree."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from crm.errors import InvalidInput
from crm.fieldkinds import fold, normal_phone
from leads.models import ContactPoint
from leads.queries import search_words

_TERM = re.compile(
    r"""\s*(?: (?P<not>not\s+|-)? (?: "(?P<qkey>[^"]+)" | (?P<key>[A-Za-z_][\w.]*) )
               \s* (?P<op>:|>=|<=|>|<|=) \s* (?: "(?P<qvalue>[^"]*)" | (?P<value>[^\s()]+) )
           | "(?P<phrase>[^"]*)" | (?P<word>[^\s"]+) )""",
    re.VERBOSE | re.IGNORECASE,
)
_SORTS = {
    "updated": "date_updated", "date_updated": "date_updated", "created": "date_created", "date_created": "date_created",
    "name": "name_fold", "display_name": "name_fold", "last_activity": "last_activity_at",
}  # fmt: skip
_ENDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte", ":": "gte", "=": "gte"}


def read_legacy(text: str, zone: Any) -> tuple[Q, list[str]]:
    """Return the condition and the order (empty: not asked for) of a text query. Terms are joined by *and*."""
    condition, order, words = Q(), [], []
    for found in _TERM.finditer(text[:5000].strip()):
        key = found["qkey"] or found["key"]
        if key is None:
            words.append(found["phrase"] if found["phrase"] is not None else found["word"].strip("()"))
            continue
        value = found["qvalue"] if found["qvalue"] is not None else found["value"]
        if key.lower() == "sort":
            order = _order(value)
            continue
        part = _condition(key.lower(), found["op"], value, zone)
        condition &= ~part if found["not"] else part
    if bare := " ".join(word for word in words if word.lower() not in ("", "*", "and")):
        condition &= search_words(bare)
    return condition, order


def _order(value: str) -> list[str]:
    bare, sign = value.lstrip("-").lower(), "-" if value.startswith("-") else ""
    if bare not in _SORTS:
        raise InvalidInput(fields={"query": f"“sort:{value}” is not understood. Use one of: {', '.join(_SORTS)}."})
    return [f"{sign}{_SORTS[bare]}", f"{sign}pk"]


def _condition(key: str, op: str, value: str, zone: Any) -> Q:
    if key in ("date_updated", "date_created", "updated", "created"):
        return Q(**{f"{_SORTS[key]}__{_ENDS[op]}": _moment(value, zone)})
    reader = _READERS.get(key)
    if reader is None or op not in (":", "="):
        known = ", ".join([*_READERS, "date_updated", "date_created", "sort"])
        raise InvalidInput(
            fields={
                "query": f"“{key}{op}” is not understood. Use one of: {known}; or POST /data/search/ for everything else."
            }
        )
    return reader(value)


def _moment(value: str, zone: Any) -> datetime:
    try:
        found = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", value))
    except ValueError:
        raise InvalidInput(fields={"query": f"“{value[:40]}” is not a date. Write it as 2026-01-31T14:30."}) from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _point(channel: str, value: str) -> Q:
    return Q(pk__in=ContactPoint.objects.filter(channel=channel, value=value).values("lead_id"))


_READERS = {
    "name": lambda value: Q(name_fold__startswith=fold(value)),
    "company": lambda value: Q(name_fold__startswith=fold(value)),
    "status": lambda value: Q(status__label__iexact=value),
    "lead_status": lambda value: Q(status__label__iexact=value),
    "email_address": lambda value: _point("email", value.lower()),
    "email": lambda value: _point("email", value.lower()),
    "phone_number": lambda value: _point("phone", normal_phone(value)),
    "phone": lambda value: _point("phone", normal_phone(value)),
}
