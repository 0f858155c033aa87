"""Lists and query strings: paging, filters, dates (`spec/api.md` 1.6, 1.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from django.db import models
from django.http import HttpRequest

from crm import ids
from crm.errors import InvalidInput
from crm.models import Team, User

MAX_PAGE = 100


def window(request: HttpRequest, maximum: int = MAX_PAGE, max_skip: int | None = None) -> tuple[int, int]:
    """Return `_skip` and `_limit`; raises `InvalidInput` for what is out of range."""
    limit = _whole(request, "_limit", min(100, maximum))
    if limit > maximum:
        raise InvalidInput(fields={"_limit": f"Input should be less than or equal to {maximum}"})
    skip = _whole(request, "_skip", 0)
    if max_skip is not None and skip > max_skip:
        # tap-closeio looks for “max_skip = ” and starts again from its bookmark.
        words = f"Input should be less than or equal to {max_skip}"
        raise InvalidInput(f"_skip is too large: max_skip = {max_skip}. Narrow the query.", fields={"_skip": words})
    return skip, limit


def _whole(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"\d{1,12}", text):
        raise InvalidInput(fields={name: "Input should be a whole number, 0 or more"})
    return int(text)


def listing(
    request: HttpRequest,
    rows: models.QuerySet | Sequence[Any],
    to_json: Callable[[list[Any]], Iterable[dict[str, Any]]],
    *,
    maximum: int = MAX_PAGE,
    max_skip: int | None = None,
    total: bool = False,
) -> dict[str, Any]:
    """Return one page of rows. `to_json` turns a page into objects at once, so that it can load what they need."""
    skip, limit = window(request, maximum, max_skip)
    found = list(rows[skip : skip + limit + 1])
    answer: dict[str, Any] = {"data": list(to_json(found[:limit])), "has_more": len(found) > limit}
    if total:
        answer["total_results"] = rows.count() if isinstance(rows, models.QuerySet) else len(rows)
    return answer


def empty_list(**more: Any) -> dict[str, Any]:
    return {"data": [], "has_more": False, **more}


def listed(request: HttpRequest, name: str) -> list[str] | None:
    """Return the values of `name` and `name__in`, comma-joined or repeated; None when neither is there."""
    found = [*request.GET.getlist(name), *request.GET.getlist(f"{name}__in")]
    if not found:
        return None
    return [part.strip() for text in found for part in text.split(",") if part.strip()]


def numbers(prefix: str, public_ids: Iterable[str]) -> list[int]:
    """Return the row numbers of public ids; ids of nothing are left out."""
    return [number for number in (ids.decode(prefix, public_id) for public_id in public_ids) if number]


def user_numbers(public_ids: Iterable[str]) -> set[int]:
    """Return user row ids of user and group ids."""
    public_ids = list(public_ids)
    found = set(numbers("user", public_ids))
    if groups := numbers("group", public_ids):
        found.update(User.objects.filter(teams__in=Team.objects.filter(pk__in=groups)).values_list("pk", flat=True))
    return found


def flag(request: HttpRequest, name: str) -> bool | None:
    """Return a boolean of the query string: `True`, `true`, `1` …; None when absent. Raises `InvalidInput` for other words."""
    text = request.GET.get(name, "").strip()
    found = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower())
    if found is None and text:
        raise InvalidInput(fields={name: f"“{text[:40]}” is neither true nor false."})
    return found


def ordered(request: HttpRequest, columns: Mapping[str, str], usual: str) -> list[str]:
    """Return the order `_order_by` asks for by a name of `columns` (`-` turns it around), else the `usual` one.

    Other names leave the usual order, as they do at Close: its clients send some that it never honoured.
    """
    asked = request.GET.get("_order_by", "").strip()
    column = columns.get(asked.removeprefix("-"))
    if column is None:
        asked, column = usual, columns[usual.removeprefix("-")]
    sign = "-" if asked.startswith("-") else ""
    return [f"{sign}{column}", f"{sign}pk"]


def moment(text: Any, name: str, zone: Any) -> datetime:
    """Return an aware instant of ISO text; a date is midnight, and no offset means the asker's zone."""
    # A plus sign of an offset arrives as a blank where a client did not escape it.
    shaped = re.sub(r" (\d\d:?\d\d)$", r"+\1", str(text).strip())
    try:
        found = datetime.fromisoformat(shaped)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            fields={name: f"“{str(text)[:40]}” is not a date. Write it as 2026-01-31T14:30:00+00:00."}
        ) from None


def day(text: Any, name: str) -> date | None:
    """Return a calendar day of ISO text; None for nothing."""
    if not text:
        return None
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        raise InvalidInput(fields={name: f"“{str(text)[:40]}” is not a date. Write it as 2026-01-31."}) from None


def between(request: HttpRequest, rows: models.QuerySet, *columns: str) -> models.QuerySet:
    """Apply `column__gt|gte|lt|lte` of the query string."""
    for column in columns:
        for end in ("gt", "gte", "lt", "lte"):
            name = f"{column}__{end}"
            if text := request.GET.get(name):
                rows = rows.filter(**{name: moment(text, name, request.zone)})
    return rows
