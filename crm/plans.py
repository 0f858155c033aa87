"""Plans: every limit in one table, every question through `require_room`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils import timezone

from crm.errors import PlanLimitReached

if TYPE_CHECKING:
    from crm.models import Organization

MAX_FIELDS_PER_TYPE = 50
MAX_FIELD_DESCRIPTION = 280


@dataclass(frozen=True)
class Plan:
    """`activity_types`: how many may be unarchived. `monthly_activities`: first publishes per calendar month. None = no limit."""

    name: str
    activity_types: int | None
    monthly_activities: int | None


PLANS: dict[str, Plan] = {
    "solo": Plan("Solo", 0, 0),
    "essentials": Plan("Essentials", 0, 0),
    "base": Plan("Base", 0, 0),
    "startup": Plan("Startup", 5, 250),
    "growth": Plan("Growth", 5, 10_000),
    "professional": Plan("Professional", 5, 10_000),
    "scale": Plan("Scale", 200, 50_000),
    "enterprise": Plan("Enterprise", 200, 50_000),
    "unlimited": Plan("Unlimited", None, None),
}
DEFAULT_PLAN = "unlimited"


@dataclass(frozen=True)
class Usage:
    """What an organization uses of its plan now. `resets_on`: first day of the next month in the organization's zone."""

    plan: Plan
    types_used: int
    activities_used: int
    resets_on: date

    @property
    def activities_left(self) -> int | None:
        """How many more may be published for the first time this month; None = no limit."""
        limit = self.plan.monthly_activities
        return None if limit is None else max(limit - self.activities_used, 0)

    @property
    def runs_out(self) -> bool:
        """Is a tenth of the month's activities left, or less?"""
        limit, left = self.plan.monthly_activities, self.activities_left
        return bool(limit) and left is not None and 0 < left * 10 <= (limit or 0)

    @property
    def types_full(self) -> bool:
        """Is there no room for one more type?"""
        return self.plan.activity_types is not None and self.types_used >= self.plan.activity_types


def this_month(organization: Organization) -> date:
    """Return the first day of the current calendar month in the organization's zone."""
    return timezone.now().astimezone(ZoneInfo(organization.timezone)).date().replace(day=1)


def usage(organization: Organization, types_used: int) -> Usage:
    """Return the plan's use. `types_used` is counted by the caller, who owns the types."""
    from crm.models import UsageCounter

    month = this_month(organization)
    used = UsageCounter.unscoped.filter(organization=organization, month=month).values_list("used", flat=True).first()
    return Usage(PLANS[organization.plan], types_used, used or 0, _next_month(month))


def require_room_for_type(organization: Organization, types_used: int) -> None:
    """Raise `PlanLimitReached` when one more unarchived type would exceed the plan. Call it with the organization's row locked."""
    plan = PLANS[organization.plan]
    if plan.activity_types is not None and types_used >= plan.activity_types:
        raise PlanLimitReached(
            f"The {plan.name} plan allows {plan.activity_types} activity types and {types_used} are in use. "
            # Where there are none at all, archiving and waiting make no room.
            f"{'Archive one, or choose' if plan.activity_types else 'Choose'} a larger plan in Settings > Plan."
        )


def count_first_publishes(organization: Organization, number: int = 1) -> None:
    """Count activities published for the first time this month; raises `PlanLimitReached` and counts none if they do not fit.

    One conditional UPDATE decides, so concurrent publishers can never exceed the limit together. Call it inside the
    transaction that publishes.
    """
    from crm.models import UsageCounter

    plan = PLANS[organization.plan]
    month = this_month(organization)
    if _count(organization, month, plan, number):
        return
    # The first of a month finds no counter.
    UsageCounter.unscoped.bulk_create([UsageCounter(organization=organization, month=month)], ignore_conflicts=True)
    if not _count(organization, month, plan, number):
        counters = UsageCounter.unscoped.filter(organization=organization, month=month)
        used = counters.values_list("used", flat=True).get()
        raise PlanLimitReached(
            f"The {plan.name} plan allows {plan.monthly_activities:,} activities a month and {used:,} are used. "
            + (
                f"More can be published from {_next_month(month):%-d %B %Y}, or after choosing a larger plan. "
                if plan.monthly_activities
                else "Choose a larger plan in Settings > Plan. "
            )
            + "Drafts are kept."
        )


def _count(organization: Organization, month: date, plan: Plan, number: int) -> bool:
    """Add to the month's counter where that fits. By hand: each publish pays for it, and compiling costs ten times as much."""
    sql = "UPDATE crm_usagecounter SET used = used + %s WHERE organization_id = %s AND month = %s"
    values: list[Any] = [number, organization.pk, month.isoformat()]
    if plan.monthly_activities is not None:
        sql, values = f"{sql} AND used <= %s", [*values, plan.monthly_activities - number]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.rowcount > 0


def _next_month(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
