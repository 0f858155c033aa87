"""Background jobs of activities: thin, idempotent, chunked."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

from activities.models import Activity
from activities.services.activities import local_day
from crm.models import Organization
from crm.tenancy import scope

CHUNK = 2000


def count_days_again(organization_id: int) -> None:
    """Make `created_on` of every activity the day of its `date_created` in the organization's zone. Safe to repeat.

    The zone is read again for each chunk: when it changes meanwhile, the job that follows sets right what came before.
    """
    last = 0
    with scope(organization_id):
        while True:
            organization = Organization.objects.get(pk=organization_id)
            rows = list(
                Activity.with_drafts.filter(pk__gt=last)
                .order_by("pk")
                .values_list("pk", "date_created", "created_on")[:CHUNK]
            )
            if not rows:
                return
            wrong: dict[date, list[int]] = defaultdict(list)
            for pk, moment, day in rows:
                if day != (right := local_day(moment, organization)):
                    wrong[right].append(pk)
            for right, pks in wrong.items():
                Activity.with_drafts.filter(pk__in=pks).update(created_on=right)
            last = rows[-1][0]
