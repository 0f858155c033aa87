"""A goal: a number to reach per day, week or month, or in the whole range, and how far it is reached."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from crm.errors import InvalidInput
from reporting.periods import Period

PER = {"range": "in the whole range", "day": "a day", "week": "a week", "month": "a month"}


@dataclass(frozen=True)
class Goal:
    number: Decimal
    per: str

    def target(self, period: Period, unit: str = "") -> Decimal:
        """Return what a period should reach: parts of a week or month count in proportion. A share is the same for all."""
        if self.per == "range" or unit == "%":
            return self.number
        if self.per == "month":
            days = (period.start + timedelta(days=number) for number in range(period.days))
            months = sum((Decimal(1) / monthrange(day.year, day.month)[1] for day in days), Decimal(0))
            return (self.number * months).quantize(Decimal("0.01"))
        return (self.number * period.days / (7 if self.per == "week" else 1)).quantize(Decimal("0.01"))


@dataclass(frozen=True)
class Progress:
    """`percent` of the target; `shown` never exceeds 100."""

    target: Decimal
    percent: int

    @property
    def shown(self) -> int:
        return min(self.percent, 100)

    @property
    def shown_target(self) -> Decimal:
        """The target as people read it: parts of one tell nothing beside ten."""
        return self.target.quantize(Decimal(1)) if self.target >= 10 else self.target


def progress(goal: Goal, total: Decimal | None, period: Period, unit: str = "") -> Progress:
    target = goal.target(period, unit)
    return Progress(target, int((total or Decimal(0)) * 100 / target) if target else 0)


def read_goal(given: Mapping[str, Any] | None) -> Goal | None:
    """Return the goal of a tile's options. Raises `InvalidInput`."""
    if not given:
        return None
    try:
        number = Decimal(str(given.get("number")))
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or not 0 < number < Decimal("1e12"):
        raise InvalidInput(fields={"goal": "A goal is a number above 0, such as 20."})
    if given.get("per") not in PER:
        raise InvalidInput(fields={"goal_per": f"Reach it {', '.join(PER.values())}."})
    return Goal(number, str(given["per"]))
