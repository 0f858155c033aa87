"""What a conversion would do, in numbers and examples, before anything happens; and how far one is that is going on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps

from crm import ids
from crm.customfields.catalog import Field, catalog
from crm.customfields.lookups import Lookups
from crm.customfields.mentions import Mention, mentions
from crm.customfields.services.changes import require_settled, use_for
from crm.customfields.services.conversion_plans import (
    Place,
    Plan,
    became,
    chunks,
    plan_conversion,
    read_as,
    records,
    require_convertible,
)
from crm.customfields.services.definitions import records_holding
from crm.fieldkinds import KINDS, FieldKind, InvalidValue, is_blank, many
from crm.models import CustomField, FieldSet, Membership
from crm.permissions import can_view_field, visible_lead_filter

LOOKED_AT = 20_000  # so many records are read for a preview, to the end of the chunk
EXAMPLES = 5
CANDIDATES = 100  # different values kept while reading, for the case that some are on leads the actor does not see


@dataclass(frozen=True)
class Example:
    """One value and what it becomes (`after`; empty: it is dropped, for the `reason`), with the lead it is at."""

    place: Place
    before: str
    after: str = ""
    reason: str = ""
    lead_id: str = ""
    lead_name: str = ""


@dataclass(frozen=True)
class Preview:
    """What a conversion would do. `holding`: records with a value, exact. Of `looked_at` of them, `kept` keep it (`partly` of
    these lose some of several values) and `lost` lose it. Examples only of leads the actor sees, `labels` (the options it
    would get) only for who sees all of them.
    """

    plan: Plan
    holding: int
    looked_at: int = 0
    kept: int = 0
    partly: int = 0
    lost: int = 0
    changed: tuple[Example, ...] = ()
    dropped: tuple[Example, ...] = ()
    settings: tuple[str, ...] = ()
    mentions: tuple[Mention, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether all values were looked at; if not, each number but `holding` is “at least”."""
        return self.looked_at >= self.holding


@dataclass
class _Seen:
    """What was found while reading. Examples by their words, so that each is another one."""

    looked_at: int = 0
    kept: int = 0
    partly: int = 0
    lost: int = 0
    changed: dict[str, Example] = field(default_factory=dict)
    same: dict[str, Example] = field(default_factory=dict)
    dropped: dict[str, Example] = field(default_factory=dict)


def preview_conversion(
    actor: Membership, fieldset: FieldSet, row: CustomField, kind: str, changes: Mapping[str, Any]
) -> Preview:
    """Return what `convert_field` would do with the same input; raises what it would raise. Reads `LOOKED_AT` records."""
    require_convertible(actor, fieldset, row, kind)
    require_settled(row)
    use_for(fieldset, row)
    known = catalog(actor.organization)
    plan = plan_conversion(actor, known, fieldset, row, kind, changes, most=LOOKED_AT)
    seen = _Seen()
    for chunk in chunks(row):
        _read(actor, plan, chunk, seen)
        if seen.looked_at >= LOOKED_AT:
            break
    # Places whose record is on its way out count for nothing.
    holding = seen.looked_at if seen.looked_at < LOOKED_AT else max(records_holding(row), seen.looked_at)
    use = known.use(fieldset.pk, row.pk)
    changed: tuple[Example, ...] = ()
    dropped: tuple[Example, ...] = ()
    labels: Sequence[str] = ()
    if use and can_view_field(actor, use):
        labels = (plan.labels or ()) if visible_lead_filter(actor) is None else ()
        changed = _told(actor, [*seen.changed.values(), *seen.same.values()])
        dropped = _told(actor, seen.dropped.values())
    return Preview(
        plan, holding, seen.looked_at, seen.kept, seen.partly, seen.lost, changed, dropped,
        tuple(_settings(actor, plan)), tuple(mentions(actor, plan.old, plan.new)), tuple(labels),
    )  # fmt: skip


def _read(actor: Membership, plan: Plan, chunk: list[Place], seen: _Seen) -> None:
    old, new, lookups = plan.old, plan.new, Lookups(actor.organization)
    if "contact" in (old.kind.refers_to, new.kind.refers_to):
        lookups.preload_leads({lead_id for lead_id, _ in chunk})
    for place, record, stored in records(chunk, lock=False, field_id=old.id):
        if record is None or stored is None:
            continue
        seen.looked_at += 1
        here, reason = lookups.at(place[0]), ""
        try:
            value = read_as(stored, old, new, here, actor.zone)
        except InvalidValue as error:
            value, reason = None, str(error)
        if value is None:
            seen.lost += 1
            if len(seen.dropped) < CANDIDATES:
                before = _words(old, stored, here)
                seen.dropped.setdefault(before, Example(place, before, reason=reason or "There is nothing to read."))
            continue
        seen.kept += 1
        partly = new.multiple and old.multiple and len(many(value)) < len(many(stored))
        seen.partly += partly
        if len(seen.changed) < CANDIDATES:
            before, after = _words(old, stored, here), _words(new, value, here)
            found = seen.changed if before != after else seen.same
            if len(found) < CANDIDATES:
                found.setdefault(
                    before, Example(place, before, after, "Some of its values are dropped." if partly else "")
                )


def _words(of: Field, stored: Any, lookups: Lookups) -> str:
    return of.kind.display(stored, of, lookups)


def _told(actor: Membership, found: Iterable[Example]) -> tuple[Example, ...]:
    """Return the first examples of leads the actor sees, with the leads."""
    candidates = list(found)
    if not candidates:
        return ()
    leads = apps.get_model("leads.Lead").objects.filter(pk__in={example.place[0] for example in candidates})
    seen = visible_lead_filter(actor)
    names = dict((leads if seen is None else leads.filter(seen)).values_list("pk", "name"))
    return tuple(
        Example(
            one.place, one.before, one.after, one.reason, ids.encode("lead", one.place[0]), names[one.place[0]]
        )
        for one in candidates
        if one.place[0] in names
    )[:EXAMPLES]  # fmt: skip


# --- what else changes ------------------------------------------------------------------------------------------------
def _settings(actor: Membership, plan: Plan) -> Iterable[str]:
    """Yield sentences about what the field's definition loses."""
    old, new, lookups = plan.old, plan.new, Lookups(actor.organization)
    if not is_blank(old.default):
        value = became(old.default, old, new, lookups, actor.zone) if "default" in new.kind.settings else None
        if value is None:
            yield f"The default value “{_words(old, old.default, lookups)}” goes."
        elif (after := _words(new, value, lookups)) != (before := _words(old, old.default, lookups)):
            yield f"The default value “{before}” becomes “{after}”."
    bounds = {"unit": old.unit, "minimum": old.minimum, "maximum": old.maximum}
    if gone := [name for name, held in bounds.items() if held not in (None, "") and name not in new.kind.settings]:
        yield f"The {' and the '.join(gone)} {'goes' if len(gone) == 1 else 'go'}."
    if old.kind.has_options:
        yield "The list of options goes. Their labels stay as words on the records that hold them."
    if new.kind.hidden:
        yield "Nobody sees it on pages any more: hidden fields are for the API and imports."


# --- how far it is ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Progress:
    """A conversion that a job is at: the kind the field gets, and how many of its values are done."""

    kind: FieldKind
    done: int
    total: int

    @property
    def percent(self) -> int:
        """From 0 to 99: it is 100 when the field has its new kind."""
        return min(self.done * 100 // self.total, 99) if self.total else 0


def conversions_of(field_ids: Iterable[int]) -> dict[int, Progress]:
    """Return the conversions that are going on, by the row id of the field. One query, none without ids."""
    wanted = list(field_ids)
    if not wanted:
        return {}
    found = {}
    for row in CustomField.objects.filter(replaces__in=wanted, deleted_at=None):
        state = row.settings.get("converting", {})
        done = state.get("converted", 0) + state.get("gone", 0)
        found[row.replaces or 0] = Progress(KINDS[row.kind], done, max(state.get("total", 0), done))
    return found
