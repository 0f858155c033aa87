"""Reading activity types for their settings: how much they are used, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce

from activities.models import Activity, ActivityType
from crm.models import FieldUse, Membership, Role
from crm.permissions import Perm, can_view_type, has
from crm.plans import this_month


@dataclass(frozen=True)
class TypeLine:
    """A type on the settings list. `editors`: who may log it, in words; `viewers`: empty when everybody sees it."""

    row: ActivityType
    fields: int
    this_month: int
    last_used: datetime | None
    editors: str
    viewers: str

    @property
    def archived(self) -> bool:
        return self.row.archived_at is not None


def type_lines(actor: Membership) -> list[TypeLine]:
    """Return the custom types the actor may see, in menu order, archived ones included; three queries.

    *This month* counts what was recorded since the first day of the month in the organization's zone.
    """
    used = Activity.objects.filter(type=OuterRef("pk")).order_by()
    this = used.filter(created_on__gte=this_month(actor.organization)).values("type").annotate(n=Count("pk"))
    rows = ActivityType.objects.filter(builtin="").annotate(
        month=Coalesce(Subquery(this.values("n")), 0),
        last=Subquery(used.order_by("-date_created").values("date_created")[:1]),
    )
    sizes = dict(FieldUse.objects.filter(field__deleted_at=None).values_list("fieldset").annotate(n=Count("pk")))
    roles = dict(Role.objects.values_list("pk", "name"))
    named = lambda chosen: ", ".join(roles[pk] for pk in chosen if pk in roles)  # noqa: E731
    return [
        TypeLine(
            row, sizes.get(row.fieldset_id, 0), row.month, row.last,
            named(row.edit_roles) or "Everybody", named(row.view_roles),
        )
        for row in rows.order_by("position", "pk")
        if can_view_type(actor, row)
    ]  # fmt: skip


@dataclass(frozen=True)
class Contents:
    """What goes when a type is deleted."""

    published: int
    drafts: int
    leads: int
    fields: int

    @property
    def total(self) -> int:
        return self.published + self.drafts


def type_contents(row: ActivityType) -> Contents:
    """Return the exact counts of a type's activities, drafts, leads that have one, and fields of its own."""
    kept = Activity.with_drafts.filter(type=row).order_by()
    by_status = dict(kept.values_list("status").annotate(n=Count("pk")))
    return Contents(
        published=by_status.get(Activity.Status.PUBLISHED, 0),
        drafts=by_status.get(Activity.Status.DRAFT, 0),
        leads=kept.values("lead_id").distinct().count(),
        fields=FieldUse.objects.filter(fieldset=row.fieldset_id, field__deleted_at=None, field__shared=False).count(),
    )


def may_manage(actor: Membership) -> bool:
    """Return whether the actor defines types and fields."""
    return bool(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
