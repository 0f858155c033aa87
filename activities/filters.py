"""The simple filters of the activities page. The lists behind the numbers of reports are made of them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import django_filters

from activities.models import Activity
from activities.queries import type_catalog, visible_types
from crm import ids
from crm.customfields.catalog import catalog
from leads.filters import ListFilter, Tree, regular
from leads.search.sources import source_named

NOTHING: Tree = {"type": "match_all", "negate": True}


class ActivityFilter(ListFilter):
    """`type`: ids of types, comma-joined. `from`, `to`: days, in `zone`, of what `by` says.

    `by`: `activity_at` (happened, the default; `user` is whom it is attributed to) or `date_created` (recorded; `user` is
    who recorded it). `user`: a member's id, `me`, or `former` for all who have left. `option`: `<field>:<option>`, row numbers.
    """

    type = django_filters.ChoiceFilter(empty_label="All types")
    user = django_filters.ChoiceFilter(empty_label="Everybody")
    by = django_filters.ChoiceFilter(
        empty_label=None, null_label=None, choices=(("activity_at", "happened"), ("date_created", "recorded"))
    )
    labels: ClassVar = {"type": "Activity type", "user": "Member", "by": "Which date"}

    class Meta:
        model = Activity
        fields: tuple[str, ...] = ()

    def set_choices(self) -> None:
        rows = [row for row in visible_types(self.actor) if not row.system]
        rows.sort(key=lambda row: (row.archived, bool(row.builtin), row.position))
        choices = [(row.public_id, row.name) for row in rows]
        asked = self.data.get("type", "")
        if "," in asked:
            choices.append((asked, "Several types"))
        self.filters["type"].extra["choices"] = choices
        people = [(ref.public_id, f"{ref.name} (former member)" if ref.former else ref.name)
                  for ref in self.lookups.members]  # fmt: skip
        former = [("former", "Any former member")] if any(ref.former for ref in self.lookups.members) else []
        self.filters["user"].extra["choices"] = [("me", "Me"), *people, *former]

    @property
    def zone(self) -> ZoneInfo:  # type: ignore[override]
        """The zone days are counted in: the address's, else the member's."""
        try:
            return ZoneInfo(self.data["zone"]) if self.data.get("zone") else self.actor.zone
        except (ValueError, ZoneInfoNotFoundError, OSError):
            return self.actor.zone

    def parameters(self) -> dict[str, str]:
        found = super().parameters()
        if found.get("by") == "activity_at":
            del found["by"]
        return found | {key: self.data[key] for key in ("from", "to", "zone", "option") if self.data.get(key)}

    def conditions(self) -> list[Tree]:
        by = "date_created" if self.data.get("by") == "date_created" else "activity_at"
        found: list[Tree] = []
        if types := [value for value in self.data.get("type", "").split(",") if value]:
            known = [value for value in types if type_catalog(self.actor.organization).by_public_id(value)]
            found.append(
                regular(self.of or "activity", "custom_activity_type_id", {"type": "term", "values": known})
                if known
                else NOTHING
            )
        if user := self.data.get("user"):
            name = "created_by" if by == "date_created" else "user_id"
            who = {"me": {"type": "current_user"}, "former": {"type": "former_user"}}.get(
                user, {"type": "reference", "reference_type": "user", "object_ids": [user]}
            )
            known_one = user in ("me", "former") or ids.decode("user", user)
            found.append(regular(self.of or "activity", name, who) if known_one else NOTHING)
        if bounds := self._bounds():
            found.append(regular(self.of or "activity", by, {"type": "moment_range", **bounds}))
        if option := self.data.get("option"):
            found.append(self._option(option))
        return found

    @property
    def problem(self) -> str:  # type: ignore[override]
        try:
            ZoneInfo(self.data["zone"]) if self.data.get("zone") else None
            for key in ("from", "to"):
                if self.data.get(key):
                    datetime.combine(date.fromisoformat(self.data[key]) + timedelta(days=1), time.min, self.zone)
        except (ValueError, ZoneInfoNotFoundError, OverflowError, OSError):
            return "A day is written as 2026-01-31, a zone as Europe/Berlin."
        return ""

    def _bounds(self) -> Tree:
        if self.problem:
            return {}
        found: Tree = {}
        for key, bound, which in (("from", "on_or_after", "start"), ("to", "before", "end")):
            if self.data.get(key):
                found[bound] = {"type": "fixed_local_date", "value": self.data[key], "which": which}
        return found

    def _option(self, text: str) -> Tree:
        field, _, option = text.partition(":")
        if not (field.isdigit() and option.isdigit() and len(text) < 40):
            return NOTHING
        known: Any = catalog(self.actor.organization).fields.get(int(field))
        source = source_named(self.actor, self.of or "activity")
        # A filter must not tell what a card would hide.
        if known is None or source is None or source.custom_field(self.actor, known.public_id) is None:
            return NOTHING
        return {
            "type": "field_condition",
            "field": {"type": "custom_field", "custom_field_id": known.public_id},
            "condition": {"type": "term", "values": [ids.encode("opt", int(option))]},
        }
