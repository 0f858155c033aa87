"""The simple filters of lists: django-filter reads them off the query string, the search language runs them."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import django_filters
from django.forms import Form

from crm import ids
from crm.customfields.lookups import Lookups
from crm.models import Membership
from leads.models import Contact, Lead
from leads.queries import statuses
from leads.search.operators import PERIODS
from leads.search.sources import source_named

Tree = dict[str, Any]
CREATED = (*[(key, f"Created {words}") for key, words in PERIODS if "next" not in key and key != "tomorrow"],
           ("last-7-days", "Created in the last 7 days"), ("last-30-days", "Created in the last 30 days"))  # fmt: skip


def regular(of: str, name: str, condition: Tree) -> Tree:
    """Return a condition on a column."""
    field = {"type": "regular_field", "object_type": of, "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition}


def within(period: str) -> Tree:
    """Return the condition of a named stretch of days."""
    ends = [
        {"type": "start_end_of_predefined_relative_period", "range": period, "which": which}
        for which in ("start", "end")
    ]
    return {"type": "moment_range", "on_or_after": ends[0], "before": ends[1]}


class ListFilter(django_filters.FilterSet):
    """Filters of one list for one member. `conditions()` are what they ask, in the search language."""

    zone: ClassVar[Any] = None
    problem: ClassVar[str] = ""  # what cannot be read in the address, as a sentence
    of: str = ""  # the object type of the list, when it is not the filter's own

    def __init__(self, given: Any, actor: Membership) -> None:
        super().__init__(given, queryset=self._meta.model.objects.none())
        self.actor = actor
        self.lookups = Lookups(actor.organization)
        self.set_choices()
        for name, field in self.form.fields.items():
            field.widget.attrs.update({"class": "form-select", "aria-label": self.labels.get(name, name)})

    labels: ClassVar[dict[str, str]] = {}
    _classes: ClassVar[dict[tuple[Any, ...], type[Form]]] = {}

    def get_form_class(self) -> type[Form]:
        """Return the form's class, made once for these filters. It knows no choices: those are the member's own."""
        key = (type(self), *self.filters)
        if key not in self._classes:
            plain = copy.deepcopy({name: self.base_filters[name] for name in self.filters})
            for one in plain.values():
                one.model = self._meta.model
            fields = {name: one.field for name, one in plain.items()}
            self._classes[key] = type(f"{type(self).__name__}Form", (self._meta.form,), fields)
        return self._classes[key]

    @property
    def form(self) -> Form:
        if not hasattr(self, "_form"):
            self._form = self.get_form_class()(self.data, prefix=self.form_prefix)
            for name, found in self.filters.items():
                if "choices" in found.extra:
                    field: Any = self._form.fields[name]
                    field.choices = found.extra["choices"]
        return self._form

    def set_choices(self) -> None:
        """Fill in what this member can choose."""

    def given(self) -> dict[str, Any]:
        """Return the filters in use. Unreadable ones are left to the form's errors."""
        self.form.is_valid()
        return {name: value for name, value in self.form.cleaned_data.items() if value}

    def parameters(self) -> dict[str, str]:
        """Return the filters in use as the address has them."""
        return {name: self.data.get(name) for name in self.given() if self.data.get(name)}

    def conditions(self) -> list[Tree]:
        raise NotImplementedError


class LeadFilter(ListFilter):
    """`status`: a status's id. `assignee`: `me`, a member or `nobody`, in any user field of leads. `created`: a period."""

    status = django_filters.ChoiceFilter(empty_label="Any status")
    assignee = django_filters.ChoiceFilter(empty_label="Anybody's")
    created = django_filters.ChoiceFilter(empty_label="Created any time", choices=CREATED)
    labels: ClassVar = {"status": "Status", "assignee": "Assigned to", "created": "Created"}

    class Meta:
        model = Lead
        fields: tuple[str, ...] = ()

    def set_choices(self) -> None:
        self.filters["status"].extra["choices"] = [(row.public_id, row.label) for row in statuses()]
        source = source_named(self.actor, "lead")
        found = source.custom_fields(self.actor) if source else []
        self.user_fields = [one.field.public_id for one in found if one.field.kind.refers_to == "user"]
        members = [(ref.public_id, ref.name) for ref in self.lookups.members if not ref.former]
        self.filters["assignee"].extra["choices"] = [("me", "Mine"), ("nobody", "Nobody's"), *members]
        if not self.user_fields:
            del self.filters["assignee"]

    def conditions(self) -> list[Tree]:
        given, found = self.given(), []
        if "status" in given:
            found.append(regular("lead", "status_id", {"type": "term", "values": [given["status"]]}))
        if "assignee" in given:
            found.append(self._assigned(given["assignee"]))
        if "created" in given:
            found.append(regular("lead", "date_created", within(given["created"])))
        return found

    def _assigned(self, who: str) -> Tree:
        condition: Tree = {"type": "reference", "reference_type": "user", "object_ids": [who]}
        if who in ("me", "nobody"):
            condition = {"type": "current_user"} if who == "me" else {"type": "exists"}
        held: list[Tree] = [
            {"type": "field_condition", "field": {"type": "custom_field", "custom_field_id": name}, "condition": condition}
            for name in self.user_fields
        ]  # fmt: skip
        tree = held[0] if len(held) == 1 else {"type": "or", "queries": held}
        return {**tree, "negate": True} if who == "nobody" else tree


class ContactFilter(ListFilter):
    """`status`: the id of the lead's status. `created`: a period."""

    status = django_filters.ChoiceFilter(empty_label="Leads of any status")
    created = django_filters.ChoiceFilter(empty_label="Created any time", choices=CREATED)
    labels: ClassVar = {"status": "Status of the lead", "created": "Created"}

    class Meta:
        model = Contact
        fields: tuple[str, ...] = ()

    def set_choices(self) -> None:
        self.filters["status"].extra["choices"] = [(row.public_id, row.label) for row in statuses()]

    def conditions(self) -> list[Tree]:
        given, found = self.given(), []
        if "status" in given and ids.decode("stat", given["status"]):
            query = regular("lead", "status_id", {"type": "term", "values": [given["status"]]})
            found.append({"type": "has_related", "this_object_type": "contact", "related_object_type": "lead",
                          "related_query": query})  # fmt: skip
        if "created" in given:
            found.append(regular("contact", "date_created", within(given["created"])))
        return found
