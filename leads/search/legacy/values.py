"""What stands behind the sign of an expression: moments, numbers, counts, as conditions of the search language."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from crm.errors import InvalidInput

_ISO = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+([+-]\d\d:?\d\d|Z)?)?")
_AGO = re.compile(r"(\d{1,5}) (second|minute|hour|day|week|month|year)s? ago")
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,10})?")


def moments(operator: str, given: str, zone: ZoneInfo) -> dict[str, Any]:
    """Return the condition that a date compares so with “7 days ago”, `today`, a day, or a moment (of `zone` without offset)."""
    moment: Any
    if found := _AGO.fullmatch(given.lower()):
        unit = f"{found[2]}s"
        moment = {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {unit: int(found[1])}}
    elif given.lower() in ("today", "yesterday", "now"):
        period = {"type": "start_end_of_predefined_relative_period", "range": given.lower(), "which": "start"}
        moment = {"type": "now"} if given.lower() == "now" else period
    elif _ISO.fullmatch(given):
        moment = given if len(given) == 10 else _instant(given, zone)
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


def _instant(given: str, zone: ZoneInfo) -> str:
    """Return an ISO text with an offset; without one it is a time of the zone."""
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise InvalidInput(fields={"query": f"“{given}” is not a date. Write 2026-01-31T14:30."}) from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).isoformat()


def _just_after(moment: Any) -> Any:
    """Return the end of a day, plain or named, else the moment itself: a microsecond is below what clients send."""
    if isinstance(moment, dict) and "range" in moment:
        return {**moment, "which": "end"}
    if isinstance(moment, str) and len(moment) == 10:
        return {"type": "fixed_local_date", "value": moment, "which": "end"}
    return moment


def counts(operator: str, number: int) -> dict[str, int]:
    """Return how many related records there must be."""
    found = {":": ("eq", number), "=": ("eq", number), ">": ("gte", number + 1), ">=": ("gte", number),
             "<": ("lte", number - 1), "<=": ("lte", number)}[operator]  # fmt: skip
    if found[1] < 0:
        raise InvalidInput(fields={"query": "There are never fewer than 0."})
    return {found[0]: found[1]}


def numbers(key: str, operator: str, given: str) -> dict[str, Any]:
    """Return the condition that a number compares so."""
    if not _NUMBER.fullmatch(given):
        raise InvalidInput(fields={"query": f"{key} is compared with a number; “{given}” is none."})
    keys = {":": ("gte", "lte"), "=": ("gte", "lte"), ">": ("gt",), ">=": ("gte",), "<": ("lt",), "<=": ("lte",)}
    return {"type": "number_range", **dict.fromkeys(keys[operator], given)}


def texts(given: str, mode: str = "phrase") -> dict[str, Any]:
    """Return the condition on a text; `*` is any."""
    return {"type": "exists"} if given == "*" else {"type": "text", "value": given, "mode": mode}


def truths(given: str) -> dict[str, Any]:
    return {"type": "boolean", "value": given.lower() in ("yes", "true", "1")}
