"""Metrics: small classes that turn the records a member may see into a number per day and member.

A metric is named by a key of the API's grammar, `<object>.<verb>.<subset>.<aggregate>`:

    custom_activities.created.<actitype id | all>.count        recorded activities
    custom_activities.occurred.<actitype id | all>.count       by activity_at instead
    custom_activities.leads.<actitype id | all>.count          different leads among the recorded ones
    custom_activities.created.<actitype id>.sum_<cf id>        sum (or avg) of a number field
    calls.<all|inbound|outbound>.all.<count|sum_duration|avg_duration>
    emails.<sent|received>.all.count · sms.<sent|received>.all.count
    notes.created.all.count · meetings.created.all.count · leads.created.all.count

To add one: a class here with its row in `FAMILIES`, and a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import TruncDate

from activities.queries import TypeInfo, type_catalog, visible_activities
from crm.customfields.catalog import Catalog, Field, catalog
from crm.errors import InvalidInput
from crm.models import Membership, ValueNumber, ValueRef
from crm.permissions import can_view_field, can_view_type
from leads.queries import visible_leads
from reporting.periods import Period


@dataclass(frozen=True)
class Part:
    """What one member did on one day: how many records, and the sum of the measured number (0 when none is measured)."""

    day: date
    user_id: int | None
    count: int
    amount: Decimal


class Metric(Protocol):
    """`records` and `parts` share one query, so that a number and the list behind it agree."""

    key: str
    label: str
    color: str
    unit: str
    aggregate: str

    def records(self, actor: Membership, period: Period) -> QuerySet: ...
    def parts(self, records: QuerySet) -> Iterator[Part]: ...
    def drill_down(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class ActivityMetric:
    """Counts, or measures a number field of, published activities of some types.

    `records` carry a `day` annotation: the day, in the period's zone, that each one counts for.

    `when`: `date_created` or `activity_at`. `who`: the member it counts for. `option`: (field id, option id) that must
    be held. `measured`: the number field added up.
    """

    key: str
    label: str
    color: str
    types: tuple[TypeInfo, ...]
    aggregate: str = "count"  # count, leads, sum, avg
    when: str = "date_created"
    who: str = "created_by"
    option: tuple[int, int] | None = None
    measured: Field | None = None
    unit: str = ""

    def records(self, actor: Membership, period: Period) -> QuerySet:
        """Return the activities behind the number: published, visible to the actor, in the period."""
        found = visible_activities(actor).filter(type_id__in=[row.id for row in self.types])
        if self.when == "date_created" and period.zone.key == actor.organization.timezone:
            # The stored day is the day in the organization's zone, and it is indexed.
            found = found.filter(created_on__gte=period.start, created_on__lte=period.end).annotate(day=F("created_on"))
        else:
            start, after = period.moments
            found = found.filter(**{f"{self.when}__gte": start, f"{self.when}__lt": after})
            found = found.annotate(day=TruncDate(self.when, tzinfo=period.zone))
        if self.option:
            held = ValueRef.objects.filter(
                field_id=self.option[0], v=self.option[1], lead_id=OuterRef("lead_id"), record_key=OuterRef("pk")
            )
            found = found.filter(Exists(held))
        return found

    def parts(self, records: QuerySet) -> Iterator[Part]:
        """Yield one part per day and member with records. For `leads` the count is of different leads that day."""
        rows = records.order_by().values("day", f"{self.who}_id")
        if self.measured:
            value = ValueNumber.objects.filter(
                field_id=self.measured.id, lead_id=OuterRef("lead_id"), record_key=OuterRef("pk")
            ).values("v")[:1]
            rows = rows.annotate(amount=Sum(Subquery(value)), n=Count(Subquery(value)))
        else:
            counted = Count("lead_id", distinct=True) if self.aggregate == "leads" else Count("pk")
            rows = rows.annotate(n=counted)
        for row in rows:
            yield Part(row["day"], row[f"{self.who}_id"], row["n"], Decimal(row.get("amount") or 0))

    def drill_down(self) -> dict[str, str]:
        """Return the query string of the activities list that shows the records, without dates and member."""
        found = {"type": ",".join(row.public_id for row in self.types), "by": self.when}
        if self.option:
            found["option"] = f"{self.option[0]}:{self.option[1]}"
        return found


@dataclass(frozen=True)
class LeadsCreated:
    """Counts leads by the day they were created."""

    key: ClassVar[str] = "leads.created.all.count"
    label: ClassVar[str] = "Leads created"
    color: ClassVar[str] = "teal"
    unit: ClassVar[str] = ""
    aggregate: ClassVar[str] = "count"

    def records(self, actor: Membership, period: Period) -> QuerySet:
        start, after = period.moments
        found = visible_leads(actor).filter(date_created__gte=start, date_created__lt=after)
        return found.annotate(day=TruncDate("date_created", tzinfo=period.zone))

    def parts(self, records: QuerySet) -> Iterator[Part]:
        for row in records.order_by().values("day", "created_by_id").annotate(n=Count("pk")):
            yield Part(row["day"], row["created_by_id"], row["n"], Decimal(0))

    def drill_down(self) -> dict[str, str]:
        return {"list": "leads"}


def combine(aggregate: str, parts: Iterable[Part]) -> Decimal | None:
    """Return one number from many parts: a count, a sum, or an average (None when there is nothing to average)."""
    count, amount = 0, Decimal(0)
    for part in parts:
        count += part.count
        amount += part.amount
    if aggregate == "sum":
        return amount
    if aggregate == "avg":
        return (amount / count).quantize(Decimal("0.01")) if count else None
    return Decimal(count)


# --- the catalogue ----------------------------------------------------------------------------------------------------
_DIRECTIONS = {
    # family: (built-in kind, word in the key → (option label, words for people))
    "calls": ("call", {"all": (None, "Calls"), "inbound": ("inbound", "Inbound calls"), "outbound": ("outbound", "Outbound calls")}),
    "emails": ("email", {"sent": ("outgoing", "Emails sent"), "received": ("incoming", "Emails received")}),
    "sms": ("sms", {"sent": ("outbound", "SMS sent"), "received": ("inbound", "SMS received")}),
    "notes": ("note", {"created": (None, "Notes")}),
    "meetings": ("meeting", {"created": (None, "Meetings")}),
}  # fmt: skip
_VERBS = {
    "created": ("count", "date_created", "created"),
    "occurred": ("count", "activity_at", "by activity date"),
    "leads": ("leads", "date_created", "leads"),
}


def catalogue(actor: Membership) -> dict[str, Metric]:
    """Return every metric the actor may see, by key, in menu order."""
    types = type_catalog(actor.organization)
    fields = catalog(actor.organization)
    found: list[Metric] = []
    custom = [row for row in types.custom if can_view_type(actor, row)]
    if custom:
        for verb, (aggregate, when, words) in _VERBS.items():
            key = f"custom_activities.{verb}.all.count"
            found.append(ActivityMetric(key, f"All custom activities, {words}", "blue", tuple(custom), aggregate, when))
    for row in custom:
        found.extend(_type_metrics(actor, row, fields))
    found.extend(_builtin_metrics(actor, types, fields))
    found.append(LeadsCreated())
    return {metric.key: metric for metric in found}


def metric_for(actor: Membership, key: str, known: dict[str, Metric] | None = None) -> Metric:
    """Return the metric of this key; raises `InvalidInput` for one that does not exist for the actor."""
    metric = (known if known is not None else catalogue(actor)).get(key)
    if metric is None:
        raise InvalidInput(fields={"metrics": f"There is no metric “{key}”. GET /report/activity/metrics/ lists them."})
    return metric


def _type_metrics(actor: Membership, row: TypeInfo, fields: Catalog) -> Iterator[Metric]:
    for verb, (aggregate, when, words) in _VERBS.items():
        key = f"custom_activities.{verb}.{row.public_id}.count"
        yield ActivityMetric(key, f"{row.name}, {words}", row.color, (row,), aggregate, when)
    for use in fields.uses(row.fieldset_id):
        if use.field.kind.storage != "number" or not can_view_field(actor, use):
            continue
        for aggregate, words in (("sum", "sum of"), ("avg", "average")):
            key = f"custom_activities.created.{row.public_id}.{aggregate}_{use.field.public_id}"
            label = f"{row.name}, {words} {use.field.name}"
            yield ActivityMetric(key, label, row.color, (row,), aggregate, measured=use.field, unit=use.field.unit)


def _builtin_metrics(actor: Membership, types: Any, fields: Catalog) -> Iterator[Metric]:
    for family, (kind, words) in _DIRECTIONS.items():
        row = types.builtin(kind)
        if row is None or not can_view_type(actor, row):
            continue
        declared = {use.field.builtin: use.field for use in fields.uses(row.fieldset_id)}
        for word, (direction, label) in words.items():
            option = _option(declared.get(f"{kind}.direction"), direction)
            yield ActivityMetric(f"{family}.{word}.all.count", label, row.color, (row,), option=option)
            if duration := declared.get(f"{kind}.duration") if kind == "call" else None:
                for aggregate, name in (("sum", "talk time"), ("avg", "average duration")):
                    key = f"{family}.{word}.all.{aggregate}_duration"
                    yield ActivityMetric(
                        key,
                        f"{label}, {name}",
                        row.color,
                        (row,),
                        aggregate,
                        option=option,
                        measured=duration,
                        unit="s",
                    )


def _option(field: Field | None, label: str | None) -> tuple[int, int] | None:
    if field is None or label is None:
        return None
    return next(((field.id, option.id) for option in field.options if option.label == label), None)
