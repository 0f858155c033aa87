"""What report pages share: the toolbar, numbers in words, and the address of the list behind each number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from crm import ids
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.members import members_of
from crm.models import Membership, Team
from crm.permissions import Perm, has
from leads.queries import smart_views_for
from leads.search.language import CustomValue
from reporting import services
from reporting.models import Report, Tile
from reporting.periods import RELATIVE_RANGES, STEPS, Period
from reporting.queries import (
    Asked,
    Filters,
    Tuned,
    filters_from,
    may_change,
    reports_for,
    tiles_of,
    tuned,
    visible_tiles,
)
from reporting.queries.overview import MOST_LINES, Holds

BROKEN = "The address of this number is broken. Open it from the report again."


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Cell:
    """A number with the address of the list behind it. `raw`: for charts and sorting. `share`: of the largest, for bars."""

    text: str
    url: str = ""
    raw: str = ""
    share: int = 0


def given_of(request: HttpRequest, report: Report | None = None) -> dict[str, Any]:
    """Return the filters of the query string, else those kept with the report."""
    found: dict[str, Any] = {key: request.GET.get(key, "") for key in services.FILTERS if key in request.GET}
    if "users" in request.GET:
        found["users"] = [value for value in request.GET.getlist("users") if value]
    return found or dict(report.filters if report else {})


def read_filters(request: HttpRequest, given: Mapping[str, Any]) -> tuple[Filters | None, str]:
    """Return the filters, or None and the sentence that says what was wrong with them."""
    try:
        return filters_from(request.actor, given), ""
    except NotFound:
        return None, "This report is limited by a Smart View that is not there for you. Choose another one."
    except InvalidInput as error:
        return None, error.message


def query_of(given: Mapping[str, Any], report: Report | None, **more: str) -> str:
    """Return filters as a query string."""
    pairs = [(key, value) for key, value in given.items() if value and key != "users"]
    pairs += [("users", value) for value in given.get("users") or ()]
    pairs += [("report", report.public_id)] if report else []
    return urlencode([*pairs, *((key, value) for key, value in more.items() if value)])


def tiles_shown(request: HttpRequest, report: Report) -> list[tuple[Tile, Tuned]]:
    """Return the tiles of the report on the page that exist for the actor; read once a request."""
    if not hasattr(request, "report_tiles"):
        tiles = tiles_of(report)
        found = visible_tiles(request.actor, tiles)
        there = {tile.pk for tile, _ in found}
        request.report_tiles, request.tiles_lost = found, [tile for tile in tiles if tile.pk not in there]
    return request.report_tiles


def tiles_lost(request: HttpRequest, report: Report | None) -> list[Tile]:
    """Return the tiles that whoever may change the report can only take away: what they count or filter by is gone or hidden."""
    if report is None or not may_change(request.actor, report):
        return []
    tiles_shown(request, report)
    return request.tiles_lost


def toolbar(request: HttpRequest, kind: str, report: Report | None, given: Mapping[str, Any], period: Period) -> dict:
    """Return the context of the toolbar. Three queries: reports, members with teams, Smart Views."""
    name = "" if _custom(given) else given.get("range") or "last-30-days"
    chosen = set(given.get("users") or ())
    rows = reports_for(request.actor, kind)
    teams = Team.objects.order_by("name", "pk")
    members = members_of(request.organization, former=True)
    views = smart_views_for(request.actor, "lead")
    view = given.get("view") or ""
    return {
        "kind": kind,
        "report": report,
        "reports": [Choice(row.public_id, row.name, report is not None and row.pk == report.pk) for row in rows],
        "may_change": report is None or may_change(request.actor, report),
        "may_share": bool(
            report and may_change(request.actor, report) and has(request.actor, Perm.MANAGE_TEAM_REPORTS)
        ),
        "may_export": bool(has(request.actor, Perm.EXPORT)),
        "ranges": [Choice(key, label, key == name) for key, label in RELATIVE_RANGES.items()],
        "custom": _custom(given),
        "teams": [Choice(row.public_id, row.name, row.public_id in chosen) for row in teams],
        "members": [
            Choice(row.user.public_id, _member_label(row), row.user.public_id in chosen)
            for row in members
            if row.removed_at is None or row.user.public_id in chosen
        ],
        "chosen_count": len(chosen),
        "zones": _zones(request, members, given.get("zone") or ""),
        "views": [Choice(row.public_id, row.name, row.public_id == view) for row in views],
        "period": period,
        "steps": [
            Choice(step, f"Bars by {step}" if step else "Automatic bars", request.GET.get("step", "") == step)
            for step in ("", *STEPS)
        ],
        "query": query_of(given, report),
        "given": given,
        "filters_kept": report is None or _same(given, report.filters),
    }


def _zones(request: HttpRequest, members: Sequence[Membership], chosen: str) -> list[Choice]:
    """Return the zones that days can be days in: the actor's own, the organization's, those of other members, UTC."""
    actor = request.actor
    known = {actor.organization.timezone, "UTC", chosen, *(row.user.timezone for row in members)} - {"", actor.zone.key}
    own = Choice("", f"days in {actor.zone.key}", not chosen or chosen == actor.zone.key)
    return [own, *(Choice(name, f"days in {name}", name == chosen) for name in sorted(known))]


def is_all_time(given: Mapping[str, Any]) -> bool:
    """Return whether the range has nothing before it."""
    return given.get("range") == "all-time" and not _custom(given)


def _custom(given: Mapping[str, Any]) -> bool:
    return bool(given.get("start") or given.get("end"))


def _member_label(row: Any) -> str:
    return f"{row.user.full_name} (former)" if row.removed_at else row.user.full_name


def _same(given: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    return {key: value for key, value in given.items() if value} == {key: value for key, value in kept.items() if value}


def report_shown(request: HttpRequest, kind: str) -> Report | None:
    """Return the report the address names, else the first the actor sees; None for the default. Raises `NotFound`."""
    rows = reports_for(request.actor, kind)
    wanted = request.GET.get("report", "")
    if not wanted:
        return rows[0] if rows else None
    if (found := next((row for row in rows if row.public_id == wanted), None)) is None:
        raise NotFound("There is no such report.")
    return found


# --- one tile as an address carries it --------------------------------------------------------------------------------
def tile_query(asked: Asked) -> dict[str, str]:
    options = {key: value for key, value in asked.options.items() if key != "rows"}
    found = {"metric": asked.metric, "name": asked.name}
    if options:
        found["o"] = json.dumps(options, separators=(",", ":"), ensure_ascii=False)
    return {key: value for key, value in found.items() if value}


def tile_of(request: HttpRequest) -> Tuned:
    """Return the metric with options that the address names. Raises `InvalidInput`."""
    try:
        options = json.loads(request.GET.get("o") or "{}")
    except ValueError:
        raise InvalidInput(BROKEN) from None
    return tuned(request.actor, Asked.read(request.GET.get("metric", ""), request.GET.get("name", "")[:200], options))


class Links:
    """Addresses of the lists behind the numbers of one tile."""

    def __init__(self, request: HttpRequest, asked: Tuned, given: Mapping[str, Any], period: Period) -> None:
        self.base = reverse("reporting:records", args=[request.organization.slug])
        self.asked, self.period = asked, period
        self.fixed = [*tile_query(asked.asked).items(), ("zone", period.zone.key)]
        if given.get("view"):
            self.fixed.append(("view", str(given["view"])))
        self.users = tuple(given.get("users") or ())

    def to(self, start: date, end: date, *, part: int = 0, users: Sequence[str] | None = None, holds: str = "") -> str:
        """Return the address of the records of these days, of a measure, of members or teams, of one group of a split."""
        pairs = [*self.fixed, ("start", start.isoformat()), ("end", end.isoformat())]
        pairs += [("part", str(part))] if part else []
        pairs += [("holds", holds)] if holds else []
        pairs += [("users", user) for user in (self.users if users is None else users)]
        return f"{self.base}?{urlencode(pairs)}"

    def whole(self, **more: Any) -> str:
        return self.to(self.period.start, self.period.end, **more)

    def before(self, **more: Any) -> str:
        return self.to(self.period.previous.start, self.period.previous.end, **more)


def holds_id(asked: Tuned, holds: Holds) -> str:
    """Return how an address names a group of a split."""
    if holds is None:
        return "none"
    options = isinstance(asked.split, CustomValue) and asked.split.field.kind.has_options
    prefix = "opt" if options else "user"
    if isinstance(holds, tuple):
        return f"not:{','.join(ids.encode(prefix, number) for number in holds)}"
    return ids.encode(prefix, holds)


def holds_number(request: HttpRequest, asked: Tuned) -> tuple[Holds, str | tuple[str, ...]] | None:
    """Return the group an address names, as (what is held, words); None for the whole. Raises `InvalidInput`."""
    text = request.GET.get("holds", "")
    if not text:
        return None
    if asked.split is None:
        raise InvalidInput(BROKEN)
    if text == "none":
        return None, "nothing"
    if not text.startswith("not:"):
        return _held(request, asked, text)
    found = [_held(request, asked, part) for part in text[4:].split(",")[:MOST_LINES]]
    return tuple(number for number, _ in found), tuple(label for _, label in found)


def _held(request: HttpRequest, asked: Tuned, text: str) -> tuple[int, str]:
    if isinstance(asked.split, CustomValue) and asked.split.field.kind.has_options:
        option = asked.split.field.option(ids.decode("opt", text))
        if option:
            return option.id, option.words
    elif number := ids.decode("user", text):
        found = Lookups(request.organization).user(number)
        return number, found.name if found else "somebody"
    raise InvalidInput(BROKEN)


# --- numbers in words -------------------------------------------------------------------------------------------------
def number_text(value: Decimal | None, unit: str = "") -> str:
    """Return a number for people: thousands separated, two decimals at most; `–` for none. Seconds become h and min."""
    if value is None:
        return "–"
    if unit == "s":
        if not value:
            return "0 min"
        minutes, seconds = divmod(int(value), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"
    text = f"{value:,.2f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text}{unit}" if unit == "%" else f"{text} {unit}".strip()


def change_text(change: int, unit: str) -> str:
    """Return a change for people: `+25%`, `0%`, `-3 points` for a share; what is more than tenfold as `×20`."""
    signed = f"{change:+}" if change else "0"
    if unit == "%":
        return f"{signed} point{'' if abs(change) == 1 else 's'}"
    return f"×{round(change / 100) + 1:,}" if change > 900 else f"{signed}%"


def days_text(start: date, end: date) -> str:
    """Return days in words: `3 Nov 2026`, `3–9 Nov 2026`, `28 Oct – 3 Nov 2026`."""
    if start == end:
        return f"{start:%-d %b %Y}"
    if (start.year, start.month) == (end.year, end.month):
        return f"{start:%-d}–{end:%-d %b %Y}"
    if start.year == end.year:
        return f"{start:%-d %b} – {end:%-d %b %Y}"
    return f"{start:%-d %b %Y} – {end:%-d %b %Y}"


def bucket_label(start: date, end: date, step: str, year: bool) -> str:
    """Return a bucket's label on the axis: `24 Nov`, `Nov 2026`."""
    if step == "month":
        return f"{start:%b %Y}"
    return f"{start:%-d %b %Y}" if year else f"{start:%-d %b}"
