"""The keys of metrics: which exist for an actor, and the metric each stands for.

    custom_activities.<created|occurred>.<type | all>.count    recorded activities, or by when they happened
    custom_activities.leads.<type | all>.count                 different leads among the recorded ones
    custom_activities.created.<type>.<sum|avg|median|min|max>_<number field>
    custom_activities.created.<type>.<count|share>_<option>    those that hold a choice; their share of all of the type
    calls.<all|inbound|outbound>.<all | disposition>.<count|share>
    calls.<all|inbound|outbound>.all.<sum|avg|median|min|max>_duration
    emails.<sent|received>.all.count · sms.<sent|received>.all.count
    notes.created.all.count · meetings.created.all.count
    status_changes.all.all.count · status_changes.to.<status>.count
    leads.created.all.count
    leads.contacted.all.count                                  leads called, written to or met
    conversion.<type>.<type>.<days> · days_between.<type>.<type>.<days>
    ratio(<key>,<key>)

Built-in kinds take the keys of custom types as well, with `activities` as first word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from activities.queries import TypeCatalog, TypeInfo, type_catalog
from activities.search import ACTIVITY, TYPE
from crm.customfields.catalog import Catalog, Field, Option, Use, catalog
from crm.errors import InvalidInput
from crm.fieldkinds import fold
from crm.models import Membership
from crm.permissions import can_view_field, can_view_type
from leads.queries import statuses
from leads.search.language import AnyOf, CustomValue, Everything, Node, OneOf, TextIs, Where
from leads.search.sources import Column
from reporting.metrics.aggregates import AVERAGE, COUNT, LEADS, OF_NUMBERS, DaysUntil, FieldAmount
from reporting.metrics.kinds import Conversion, DaysBetween, Measure, Measured, Metric, Ratio, Share
from reporting.metrics.selections import Followed, Selection, activities, held_in, leads

MAX_DAYS = 3650
VERBS = {
    # word → (column, whether leads are counted, words for people)
    "created": ("date_created", False, "created"),
    "occurred": ("activity_at", False, "by activity date"),
    "leads": ("date_created", True, "leads"),
}
BUILTIN_WORDS: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    # family: (kind, word → (label of the direction's option, words for people))
    "calls": ("call", {"all": ("", "Calls"), "inbound": ("inbound", "Inbound calls"), "outbound": ("outbound", "Outbound calls")}),
    "emails": ("email", {"sent": ("outgoing", "Emails sent"), "received": ("incoming", "Emails received")}),
    "sms": ("sms", {"sent": ("outbound", "SMS sent"), "received": ("inbound", "SMS received")}),
    "notes": ("note", {"created": ("", "Notes")}),
    "meetings": ("meeting", {"created": ("", "Meetings")}),
}  # fmt: skip
TALK = {"sum": "talk time", "avg": "average duration", "median": "median duration", "min": "shortest", "max": "longest"}
LEADS_CREATED, LEADS_CONTACTED = "leads.created.all.count", "leads.contacted.all.count"
# A lead is contacted by these: kind and the direction it must have, "" for any.
CONTACTING = (("call", "outbound"), ("email", "outgoing"), ("sms", "outbound"), ("meeting", ""))
# Numbers that clients of Close ask for along with others. They count what is not kept here: zero, with an empty list.
NOT_KEPT = {
    "emails.opened.all.count": "Emails opened",
    "emails.sent.sequences.count": "Emails sent by sequences",
    "emails.sent.manual_with_reply.count": "Emails that a reply is linked to",
    "opportunities.created_for.all.count": "Opportunities created",
}


class MetricCatalogue:
    """Makes metrics for one actor: types, fields and options they may not see do not exist."""

    def __init__(self, actor: Membership) -> None:
        self.actor = actor
        self.types: TypeCatalog = type_catalog(actor.organization)
        self.fields: Catalog = catalog(actor.organization)
        self.visible = [row for row in self.types.types if can_view_type(actor, row)]
        self.custom = [row for row in self.visible if row.is_custom]
        self.builtin = [row for row in self.visible if row.builtin and not row.system]

    # --- from a key ---------------------------------------------------------------------------------------------------
    def metric(self, key: str) -> Metric | None:
        """Return the metric of a key, or None."""
        if found := re.fullmatch(r"ratio\(([^(),]+),([^(),]+)\)", key):
            return self._ratio(key, self.metric(found[1]), self.metric(found[2]))
        parts = key.split(".")
        if len(parts) != 4:
            return None
        family, verb, subset, aggregate = parts
        if family in ("custom_activities", "activities"):
            return self._of_type(key, family, verb, subset, aggregate)
        if family in BUILTIN_WORDS and key not in NOT_KEPT:
            return self._of_builtin(key, family, verb, subset, aggregate)
        if family in ("conversion", "days_between"):
            return self._followed(key, family, verb, subset, aggregate)
        if family == "status_changes":
            return self._status_change(key, verb, subset, aggregate)
        if key == LEADS_CREATED:
            return Measured(key, "Leads created", "teal", (Measure(leads(), words="Leads created"),))
        if key == LEADS_CONTACTED:
            return self._contacted(key)
        if label := NOT_KEPT.get(key):
            nothing = leads().with_nodes(Everything(negate=True))
            return Measured(key, label, "secondary", (Measure(nothing, words=label),))
        return None

    def _contacted(self, key: str) -> Metric | None:
        kinds: list[TypeInfo] = []
        ways: list[Node] = []
        for slug, direction in CONTACTING:
            kind = self.types.builtin(slug)
            if kind is None or not can_view_type(self.actor, kind):
                continue
            way: Node | None = Where(cast(Column, ACTIVITY.column(TYPE)), OneOf((kind.id,), (kind.name,)))
            if direction:
                declared = {use.field.builtin: use.field for use in self.uses(kind)}
                way = _holds(declared.get(f"{slug}.direction"), direction, kind)
            if way is not None:
                kinds.append(kind)
                ways.append(way)
        if not kinds:
            return None
        selection = activities(tuple(kinds)).with_nodes(AnyOf(tuple(ways)))
        return Measured(key, "Leads contacted", "teal", (Measure(selection, LEADS, words="Leads contacted"),))

    def type_named(self, public_id: str) -> TypeInfo | None:
        return next((row for row in self.visible if row.public_id == public_id and not row.system), None)

    def uses(self, kind: TypeInfo) -> list[Use]:
        """Return the fields of a type that the actor may see."""
        return [use for use in self.fields.uses(kind.fieldset_id) if can_view_field(self.actor, use)]

    def _of_type(self, key: str, family: str, verb: str, subset: str, aggregate: str) -> Metric | None:
        if verb not in VERBS:
            return None
        when, of_leads, words = VERBS[verb]
        counted = LEADS if of_leads else COUNT
        if subset == "all":
            if family != "custom_activities" or not self.custom or aggregate != "count":
                return None
            selection = activities(tuple(self.custom), when)
            label = f"All custom activities, {words}"
            return Measured(key, label, "blue", (Measure(selection, counted, words=label),))
        kind = self.type_named(subset)
        if kind is None or kind.is_custom != (family == "custom_activities"):
            return None
        selection = activities((kind,), when)
        if aggregate == "count":
            label = f"{kind.name}, {words}"
            return Measured(key, label, kind.color, (Measure(selection, counted, words=label),))
        word, _, public_id = aggregate.partition("_")
        if of_leads:
            return None
        if word in OF_NUMBERS:
            field = next((use.field for use in self.uses(kind) if use.field.public_id == public_id), None)
            if field is None or field.kind.storage != "number":
                return None
            how, label = OF_NUMBERS[word]
            return _of_number(key, f"{kind.name}, {label} {field.name}", kind, selection, how, field)
        if word in ("count", "share"):
            return self._of_option(key, kind, selection, public_id, word)
        return None

    def _of_option(self, key: str, kind: TypeInfo, selection: Selection, public_id: str, word: str) -> Metric | None:
        for use in self.uses(kind):
            for option in use.field.options:
                if option.public_id == public_id:
                    names = [f"{kind.name}, {use.field.name} {each}" for each in (option.words, option.label)]
                    held = Where(held_in(use.field, (kind,)), OneOf((option.id,), (option.words,)))
                    color = option.color or kind.color
                    return _counted(key, names, color, selection, selection.with_nodes(held), word)
        return None

    def _of_builtin(self, key: str, family: str, word: str, subset: str, aggregate: str) -> Metric | None:
        slug, words = BUILTIN_WORDS[family]
        kind = self.types.builtin(slug)
        if kind is None or word not in words or not can_view_type(self.actor, kind):
            return None
        direction, label = words[word]
        declared = {use.field.builtin: use.field for use in self.uses(kind)}
        selection = activities((kind,))
        if direction:
            if (held := _holds(declared.get(f"{slug}.direction"), direction, kind)) is None:
                return None
            selection = selection.with_nodes(held)
        if slug == "call" and subset != "all" and aggregate in ("count", "share"):
            if (held := _holds(declared.get("call.disposition"), subset, kind)) is None:
                return None
            option = declared["call.disposition"].find_option(subset)
            names = [f"{label}, {each}" for each in (option.words.lower() if option else subset, subset)]
            return _counted(key, names, kind.color, selection, selection.with_nodes(held), aggregate)
        if subset != "all":
            return None
        if aggregate == "count":
            return Measured(key, label, kind.color, (Measure(selection, words=label),))
        word, _, name = aggregate.partition("_")
        field = declared.get("call.duration") if slug == "call" and name == "duration" else None
        if field is None or word not in OF_NUMBERS:
            return None
        metric = _of_number(key, f"{label}, {TALK[word]}", kind, selection, OF_NUMBERS[word][0], field)
        return replace(metric, unit="s")

    def _status_change(self, key: str, verb: str, subset: str, aggregate: str) -> Metric | None:
        kind = self.types.builtin("status_change")
        if kind is None or not can_view_type(self.actor, kind) or aggregate != "count":
            return None
        selection, label = activities((kind,)), "Status changes"
        if verb == "to":
            field = next((use.field for use in self.uses(kind) if use.field.builtin.endswith(".new_status_id")), None)
            status = next((row for row in statuses() if row.public_id == subset), None)
            if field is None or status is None:
                return None
            asked = TextIs("exact_value", (fold(subset),), status.label)
            selection = selection.with_nodes(Where(held_in(field, (kind,)), asked))
            label = f"Leads moved to {status.label}"
        elif (verb, subset) != ("all", "all"):
            return None
        return Measured(key, label, kind.color, (Measure(selection, words=label),))

    def _followed(self, key: str, family: str, first: str, then: str, days: str) -> Metric | None:
        a, b = self.type_named(first), self.type_named(then)
        if a is None or b is None or not days.isdigit() or not 0 < int(days) <= MAX_DAYS:
            return None
        followed = Followed((b,), int(days), same=a.id == b.id)
        everything = activities((a,), "activity_at")
        some = everything.with_nodes(followed)  # type: ignore[arg-type]
        if family == "conversion":
            label = f"{a.name} → {b.name} within {int(days)} days"
            whole = Measure(everything, LEADS, words=f"leads with a {a.name}")
            return Conversion(key, label, b.color, (Measure(some, LEADS, words=label), whole))
        label = f"Days from {a.name} to {b.name}"
        return DaysBetween(key, label, b.color, (Measure(some, AVERAGE, DaysUntil(followed), label),))

    def _ratio(self, key: str, part: Metric | None, whole: Metric | None) -> Metric | None:
        if not isinstance(part, Measured) or not isinstance(whole, Measured):
            return None
        label, told = f"{part.label} per {whole.label}", f"{part.written} per {whole.written}"
        return Ratio(key, label, part.color, (part.main, whole.main), told=told)

    # --- all of them --------------------------------------------------------------------------------------------------
    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all metrics without parameters, in menu order."""
        if self.custom:
            yield from (f"custom_activities.{verb}.all.count" for verb in VERBS)
        for kind in self.custom:
            yield from self.keys_of(kind)
        yield from self.builtin_keys()
        yield from self.status_keys()
        yield LEADS_CREATED
        yield LEADS_CONTACTED

    def keys_of(self, kind: TypeInfo) -> Iterator[str]:
        """Yield the keys about one type."""
        family = "custom_activities" if kind.is_custom else "activities"
        yield from (f"{family}.{verb}.{kind.public_id}.count" for verb in VERBS)
        for use in self.uses(kind):
            start = f"{family}.created.{kind.public_id}"
            if use.field.kind.storage == "number":
                yield from (f"{start}.{word}_{use.field.public_id}" for word in OF_NUMBERS)
            for option in use.field.options:
                yield f"{start}.count_{option.public_id}"
                yield f"{start}.share_{option.public_id}"

    def builtin_keys(self, only: str = "") -> Iterator[str]:
        for family, (slug, words) in BUILTIN_WORDS.items():
            kind = self.types.builtin(slug)
            if kind is None or not can_view_type(self.actor, kind) or (only and only != slug):
                continue
            declared = {use.field.builtin: use.field for use in self.uses(kind)}
            for word, (direction, _) in words.items():
                if direction and _holds(declared.get(f"{slug}.direction"), direction, kind) is None:
                    continue
                yield f"{family}.{word}.all.count"
                if slug == "call":
                    if "call.duration" in declared:
                        yield from (f"{family}.{word}.all.{name}_duration" for name in OF_NUMBERS)
                    for option in _options(declared.get("call.disposition")):
                        yield f"{family}.{word}.{option.label}.count"
                        yield f"{family}.{word}.{option.label}.share"

    def status_keys(self) -> Iterator[str]:
        kind = self.types.builtin("status_change")
        if kind is not None and can_view_type(self.actor, kind):
            yield "status_changes.all.all.count"
            yield from (f"status_changes.to.{row.public_id}.count" for row in statuses())


def _of_number(key: str, label: str, kind: TypeInfo, selection: Selection, how: Any, field: Field) -> Measured:
    return Measured(key, label, kind.color, (Measure(selection, how, FieldAmount(field), label),), field.unit)


def _counted(key: str, names: Sequence[str], color: str, whole: Selection, part: Selection, word: str) -> Metric:
    """Return how many are in a part, or their share. `names`: to people, and of the API and files."""
    label, told = names
    if word == "count":
        return Measured(key, label, color, (Measure(part, words=label),), told=told)
    measures = (Measure(part, words=label), Measure(whole, words="all of them"))
    return Share(key, f"{label}, share", color, measures, told=f"{told}, share")


def _options(field: Field | None) -> tuple[Option, ...]:
    return field.options if field else ()


def _holds(field: Field | None, label: str, kind: TypeInfo) -> Where | None:
    option = next((row for row in _options(field) if row.label == label), None)
    return Where(held_in(field, (kind,)), OneOf((option.id,), (option.words,))) if field and option else None


def catalogue(actor: Membership) -> dict[str, Metric]:
    """Return every metric the actor may see that takes no parameters, by key, in menu order."""
    known = MetricCatalogue(actor)
    return {key: metric for key in known.all_keys() if (metric := known.metric(key))}


def metric_for(actor: Membership, key: str, known: MetricCatalogue | None = None) -> Metric:
    """Return the metric of this key; raises `InvalidInput` for one that does not exist for the actor."""
    found = (known or MetricCatalogue(actor)).metric(str(key)[:400])
    if found is None:
        raise InvalidInput(fields={"metrics": f"There is no metric “{key}”. GET /report/activity/metrics/ lists them."})
    return found


def user_field(actor: Membership, kinds: tuple[TypeInfo, ...], public_id: str) -> CustomValue | None:
    """Return a user field that all of these types have and the actor may see, for attribution."""
    return _field_of(actor, kinds, public_id, lambda field: field.kind.refers_to == "user")


def choice_field(actor: Membership, kinds: tuple[TypeInfo, ...], public_id: str) -> CustomValue | None:
    """Return a choice field that all of these types have and the actor may see, for splitting."""
    return _field_of(actor, kinds, public_id, lambda field: field.kind.has_options)


def _field_of(actor: Membership, kinds: tuple[TypeInfo, ...], public_id: str, fits: Any) -> CustomValue | None:
    known = catalog(actor.organization)
    field = known.field_by_public_id(public_id)
    uses = [known.use(kind.fieldset_id, field.id) for kind in kinds] if field else []
    if not uses or not all(use and can_view_field(actor, use) and fits(use.field) for use in uses):
        return None
    assert uses[0] is not None
    return held_in(uses[0].field, kinds)
