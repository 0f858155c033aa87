"""Simple filters of the lead list's query string."""

from __future__ import annotations

from typing import Any

import django_filters

from crm import ids
from leads.models import Lead, LeadStatus
from leads.queries import statuses


class LeadFilter(django_filters.FilterSet):
    """`status`: a status's id; `created_after`, `created_before`: days. Turned into conditions of the query language."""

    status = django_filters.ChoiceFilter(empty_label="Any status")
    created_after = django_filters.DateFilter()
    created_before = django_filters.DateFilter()

    class Meta:
        model = Lead
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows: list[LeadStatus] = statuses()
        self.filters["status"].extra["choices"] = [(row.public_id, row.label) for row in self.rows]

    def conditions(self) -> list[dict[str, Any]]:
        """Return the filters as conditions. Unreadable ones are left to the form's errors."""
        self.form.is_valid()
        given = self.form.cleaned_data
        found: list[dict[str, Any]] = []
        if given.get("status") and ids.decode("stat", given["status"]):
            found.append(_condition("status_id", {"type": "term", "values": [given["status"]]}))
        moments: dict[str, Any] = {}
        for key, bound, which in (("created_after", "on_or_after", "start"), ("created_before", "before", "end")):
            if given.get(key):
                moments[bound] = {"type": "fixed_local_date", "value": given[key].isoformat(), "which": which}
        if moments:
            found.append(_condition("date_created", {"type": "moment_range", **moments}))
        return found


def _condition(name: str, condition: dict[str, Any]) -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": "lead", "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition}
