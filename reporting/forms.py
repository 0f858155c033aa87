"""The tile editor: what is counted, how, for whom, and how it is drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from activities.queries import TypeInfo
from crm.customfields.catalog import Field, catalog
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.models import Membership
from crm.permissions import can_view_field
from reporting.filters import MAX_ROWS, FilterRow, shown_row, tree_of
from reporting.goals import PER
from reporting.metrics import MetricCatalogue
from reporting.metrics.catalogue import BUILTIN_WORDS, LEADS_CONTACTED, LEADS_CREATED, MAX_DAYS
from reporting.models import Tile
from reporting.periods import STEPS
from reporting.queries import Asked, asked_of, tuned

_SPECIAL = {
    "all": "All custom activities",
    "leads": "Leads",
    "status": "Status changes",
    "conversion": "Conversion from one activity to another",
    "days_between": "Days from one activity to another",
    "ratio": "Ratio of two numbers",
}
_WIDTHS = [("1", "A third of the line"), ("2", "Half"), ("3", "Two thirds"), ("4", "The whole line")]
Choices = list[tuple[str, Any]]


class TileForm(forms.Form):
    """The fields of the editor. Choices are the editor's; fields that do not apply to `what` are taken out."""

    what = forms.ChoiceField(label="What to count")
    measure = forms.ChoiceField(label="Number")
    first = forms.ChoiceField(label="From")
    then = forms.ChoiceField(label="To")
    days = forms.IntegerField(label="Within how many days", min_value=1, max_value=MAX_DAYS, initial=30)
    top = forms.ChoiceField(label="This number", widget=forms.Select(attrs={"data-enhance": ""}))
    bottom = forms.ChoiceField(label="For each of", widget=forms.Select(attrs={"data-enhance": ""}))
    name = forms.CharField(label="Name", max_length=200, required=False, help_text="Empty: named after the number.")
    who = forms.ChoiceField(label="Counts for", required=False)
    split = forms.ChoiceField(label="Split by", required=False)
    step = forms.ChoiceField(
        label="Bars", required=False, choices=[("", "Automatic"), *((step, f"By {step}") for step in STEPS)]
    )
    width = forms.ChoiceField(label="Width", choices=_WIDTHS, required=False, initial="1")
    goal = forms.DecimalField(label="Goal", required=False, min_value=0, max_digits=14, decimal_places=2)
    goal_per = forms.ChoiceField(label="Reached", required=False, choices=list(PER.items()))


class TileEditor:
    """The editor for one actor. `read` checks what was sent; then `asked` and `width` are what to save."""

    def __init__(self, actor: Membership, given: QueryDict | Mapping[str, Any]) -> None:
        self.actor = actor
        self.known = MetricCatalogue(actor)
        self.given = given
        self.asked: Asked | None = None
        self.width = 1
        whats = [value for _, group in self._whats() for value, _ in group]
        asked_what = given.get("what", "")
        self.what = asked_what if asked_what in whats else (whats[0] if whats else "leads")
        self.kind: TypeInfo | None = self.known.type_named(self.what)
        posted = isinstance(given, QueryDict) and "save" in given
        self.form = TileForm({**_flat(given), "what": self.what} if posted else None, initial=self._initial())
        self._choose()
        self.rows_given = _rows(given)

    @classmethod
    def of_tile(cls, actor: Membership, tile: Tile) -> TileEditor:
        """Return the editor filled from a tile."""
        asked = asked_of(tile)
        given: dict[str, Any] = {
            "name": asked.name, "who": asked.who, "split": asked.split, "step": asked.step, "width": str(tile.width),
            "rows": asked.rows, **_parts(MetricCatalogue(actor), asked.metric),
        }  # fmt: skip
        if asked.goal:
            given |= {"goal": asked.goal.get("number"), "goal_per": asked.goal.get("per")}
        return cls(actor, given)

    @property
    def errors(self) -> Any:
        return self.form.errors if self.form.is_bound else {}

    # --- choices ------------------------------------------------------------------------------------------------------
    def _whats(self) -> list[tuple[str, list[tuple[str, str]]]]:
        groups = [
            ("Custom activities", [(row.public_id, _type_label(row)) for row in self.known.custom]),
            ("Built in", [(row.public_id, row.name) for row in self.known.builtin]),
            ("More", list(_SPECIAL.items())),
        ]
        return [group for group in groups if group[1]]

    def _types(self) -> Choices:
        return [(row.public_id, _type_label(row)) for row in [*self.known.custom, *self.known.builtin]]

    def _measures(self) -> Choices:
        if self.kind is not None:
            keys = [*self.known.builtin_keys(self.kind.builtin)] if self.kind.builtin else []
            keys += [
                key
                for key in self.known.keys_of(self.kind)
                if not (keys and ".created." in key and key.endswith(".count"))
            ]
        elif self.what == "leads":
            keys = [LEADS_CREATED, LEADS_CONTACTED]
        elif self.what == "all":
            keys = [f"custom_activities.{verb}.all.count" for verb in ("created", "occurred", "leads")]
        else:
            keys = [*self.known.status_keys()]
        return [(key, self._measure_label(key)) for key in keys if self.known.metric(key)]

    def _measure_label(self, key: str) -> str:
        metric = self.known.metric(key)
        label = metric.label if metric else key
        if self.kind is not None:
            label = label.removeprefix(f"{self.kind.name}, ")
        return label[:1].upper() + label[1:]

    def _all_measures(self) -> Choices:
        groups: Choices = []
        for row in [*self.known.custom, *self.known.builtin]:
            keys = [key for key in self.known.keys_of(row) if ".share_" not in key]
            groups.append((row.name, [(key, metric.label) for key in keys if (metric := self.known.metric(key))]))
        return [*groups, ("Leads", [(LEADS_CREATED, "Leads created")])]

    def _measured_types(self) -> tuple[TypeInfo, ...]:
        """Return the types the number is about, as far as the form says it."""
        if self.kind is not None:
            return (self.kind,)
        if self.what in ("conversion", "days_between"):
            first = self.known.type_named(str(self._value("first")))
            return (first,) if first else ()
        return ()

    def _choose(self) -> None:
        fields = self.form.fields
        applies = {"what"}
        if self.what in ("conversion", "days_between"):
            applies |= {"first", "then", "days"}
            fields["first"].choices = fields["then"].choices = self._types()
        elif self.what == "ratio":
            applies |= {"top", "bottom"}
            fields["top"].choices = fields["bottom"].choices = self._all_measures()
        else:
            applies.add("measure")
            fields["measure"].choices = self._measures()
        for name in ("measure", "first", "then", "days", "top", "bottom"):
            if name not in applies:
                del fields[name]
        fields["what"].choices = self._whats()
        kinds = self._measured_types()
        uses = self.known.uses(kinds[0]) if kinds else []
        people: Choices = [("", "Who created it")]
        splits: Choices = [("", "Not split"), ("member", "By member")]
        if self.what != "leads":
            people += [("user", "The member it is attributed to")]
        people += [(use.field.public_id, use.field.name) for use in uses if use.field.kind.refers_to == "user"]
        if self.kind is not None:
            splits += [(use.field.public_id, f"By {use.field.name}") for use in uses if use.field.kind.has_options]
        fields["who"].choices, fields["split"].choices = people, splits

    def _initial(self) -> dict[str, Any]:
        return {key: value for key, value in _flat(self.given).items() if key in TileForm.base_fields} | {
            "what": self.what
        }

    def _value(self, name: str) -> Any:
        return self.form.data.get(name) if self.form.is_bound else self.form.initial.get(name)

    # --- the filter ---------------------------------------------------------------------------------------------------
    @property
    def filter_fields(self) -> dict[str, Field]:
        """The fields the number's records can be filtered by, by public id."""
        kinds = self._measured_types()
        if kinds:
            return {use.field.public_id: use.field for use in self.known.uses(kinds[0])}
        if self.what != "leads":
            return {}
        uses = catalog(self.actor.organization).lead_uses
        return {use.field.public_id: use.field for use in uses if can_view_field(self.actor, use)}

    @property
    def rows(self) -> list[FilterRow]:
        """The rows of the filter and an empty one."""
        known = self.filter_fields
        members = [(ref.public_id, ref.name) for ref in Lookups(self.actor.organization).members]
        given = [row for row in self.rows_given if row["field"] in known][:MAX_ROWS]
        return [shown_row(known, row, members) for row in [*given, *([{}] if len(given) < MAX_ROWS else [])]]

    # --- what was sent ------------------------------------------------------------------------------------------------
    @property
    def key(self) -> str:
        """The metric's key that the cleaned form stands for."""
        found = self.form.cleaned_data
        if self.what in ("conversion", "days_between"):
            return f"{self.what}.{found['first']}.{found['then']}.{found['days']}"
        if self.what == "ratio":
            return f"ratio({found['top']},{found['bottom']})"
        return str(found["measure"])

    def read(self) -> bool:
        """Return whether what was sent can be saved; the form has the errors otherwise."""
        if not self.form.is_valid():
            return False
        found = self.form.cleaned_data
        rows = tuple(self.rows_given)
        goal = {"number": str(found["goal"]), "per": found["goal_per"] or "range"} if found.get("goal") else None
        try:
            tree = tree_of(self.filter_fields, rows)
            asked = Asked(
                self.key, found["name"].strip(), found["who"], found["split"], found["step"], tree, rows, goal
            )
            tuned(self.actor, asked)
        except InvalidInput as refused:
            for name, sentence in (refused.fields or {"": refused.message}).items():
                self.form.add_error(name if name in self.form.fields else None, sentence)
            return False
        self.asked, self.width = asked, int(found["width"] or 1)
        return True


def _type_label(row: TypeInfo) -> str:
    return f"{row.name} (archived)" if row.archived else row.name


def _flat(given: Any) -> dict[str, Any]:
    return {key: given.get(key) for key in given if key not in ("field", "op", "value", "rows")}


def _rows(given: Any) -> list[dict[str, str]]:
    """Return the rows that name a field: those of a tile, or the parallel lists of a form."""
    if not isinstance(given, QueryDict):
        return [dict(row) for row in given.get("rows", ())]
    fields, ops, values = given.getlist("field"), given.getlist("op"), given.getlist("value")
    return [
        {"field": name, "op": ops[i] if i < len(ops) else "", "value": values[i] if i < len(values) else ""}
        for i, name in enumerate(fields[:MAX_ROWS])
        if name
    ]


def _parts(known: MetricCatalogue, key: str) -> dict[str, str]:
    """Return what the editor's fields are for a metric's key."""
    if found := re.fullmatch(r"ratio\(([^(),]+),([^(),]+)\)", key):
        return {"what": "ratio", "top": found[1], "bottom": found[2]}
    family, verb, subset, last = (*key.split("."), "", "", "", "")[:4]
    if family in ("conversion", "days_between"):
        return {"what": family, "first": verb, "then": subset, "days": last}
    if family in BUILTIN_WORDS:
        kind = known.types.builtin(BUILTIN_WORDS[family][0])
        return {"what": kind.public_id if kind else "", "measure": key}
    special = {"status_changes": "status", "leads": "leads"}
    return {"what": special.get(family, subset), "measure": key}
