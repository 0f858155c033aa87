"""Saved reports and their tiles, and numbers of past days that are kept (`reporting.kept`)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.timezone import now

from crm import ids
from crm.models import User
from crm.tenancy import TenantModel


class Report(TenantModel):
    """A named Activity Overview or Activity Comparison."""

    class Kind(models.TextChoices):
        OVERVIEW = "overview", "Activity Overview"
        COMPARISON = "comparison", "Activity Comparison"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    name = models.CharField(max_length=200)
    owner = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    shared = models.BooleanField(default=False)
    filters = models.JSONField(default=dict, help_text="Range, members, Smart View of the whole report")
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "id"], name="report_in_organization")]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("report", self.pk)


class Tile(TenantModel):
    """One metric on a report. `metric` is a key of the metric grammar (`reporting.metrics`)."""

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="tiles")
    metric = models.CharField(max_length=400)
    name = models.CharField(max_length=200, blank=True)
    options = models.JSONField(default=dict, help_text="Attribution, split, step, filter, goal (`queries.asked.Asked`)")
    position = models.PositiveIntegerField(default=0)
    width = models.PositiveSmallIntegerField(default=1, help_text="1 a third, 2 half, 3 two thirds, 4 a whole line")

    def __str__(self) -> str:
        return self.name or self.metric

    @property
    def public_id(self) -> str:
        return ids.encode("tile", self.pk)


class DayNumbers(TenantModel):
    """One day of one number about a type: `cells` are what each group holds and the columns of the aggregate, as JSON.

    `number` names it (`reporting.kept`). Written and read on PostgreSQL only; may be deleted at any time.
    """

    type_id = models.BigIntegerField()
    number = models.CharField(max_length=500)
    day = models.DateField()
    cells = models.TextField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["type_id", "number", "day"], name="day_numbers_once")]
        indexes: ClassVar = [models.Index(fields=["type_id", "day"], name="day_numbers_of_day")]

    def __str__(self) -> str:
        return f"{self.number} on {self.day}"


class ChangedDay(TenantModel):
    """A day of a type that was written to after numbers of it were kept. Made by the database itself."""

    type_id = models.BigIntegerField()
    day = models.DateField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["type_id", "day"], name="changed_day")]

    def __str__(self) -> str:
        return str(self.day)
