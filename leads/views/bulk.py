"""Bulk changes: choose, see the exact number, start, watch, cancel."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm import ids
from crm.access import member_page
from crm.customfields.catalog import Use, catalog
from crm.customfields.forms import ValueForm, value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.htmx import redirect_to, render_page
from crm.models import Membership
from crm.permissions import authorize, can_edit_field, has
from leads.models import BulkAction
from leads.queries import statuses
from leads.services import bulk as services
from leads.services.bulk import Selection
from leads.views.kinds import kind_named
from leads.views.search import words_of
from leads.views.state import State, read_state

_VERBS = {"edit": "Edit", "log": "Log an activity on", "delete": "Delete"}


@member_page()
@require_http_methods(["GET", "POST"])
def bulk_start(request: HttpRequest, lists: str, kind: str) -> HttpResponse:
    """The form of a bulk change: what is changed, and how many. `id`: ticked rows; without, everything the search finds."""
    actor, list_kind = request.actor, kind_named(lists)
    if kind not in list_kind.bulk:
        raise NotFound("There is no such bulk change.")
    authorize(has(actor, services.PERMS[kind]))
    given = request.POST if request.method == "POST" else request.GET
    state = read_state(actor, list_kind, QueryDict(given["state"]) if "state" in given else given)
    if state.query is None:
        raise InvalidInput(state.error)
    chosen = [public_id for public_id in given.getlist("id") if ids.decode(state.source.id_prefix, public_id)][:1000]
    selection = _selection(state, chosen)
    form = _Form(actor, state, kind, given, posted=request.method == "POST")
    error, errors = "", {}
    if request.method == "POST":
        try:
            expected = given.get("expected", "")
            bulk = services.start_bulk(
                actor, kind, selection, form.change(), expected=int(expected) if expected.isdecimal() else None
            )
            return redirect_to(request, reverse("leads:bulk_page", args=[request.organization.slug, bulk.public_id]))
        except InvalidInput as refused:
            error, errors = refused.message, refused.fields
            form.show(errors)
    number = services.how_many(actor, selection)
    context = {
        **words_of(state),
        "list": list_kind,
        "kind": kind,
        "verb": _VERBS[kind],
        "number": number,
        "noun": state.source.singular if number == 1 else state.source.plural,
        "chosen": chosen,
        "state": given.get("state") or state.query_string(),
        "back_url": state.url(),
        "form": form,
        "error": error,
    }
    return render_page(request, "leads/bulk.html", context, status=422 if error else 200)


def _selection(state: State, chosen: list[str]) -> Selection:
    only = tuple(number for one in chosen if (number := ids.decode(state.source.id_prefix, one)))
    zone = state.filters.zone
    return Selection(
        state.kind.lists, state.whole, "" if chosen else state.text, state.sort, None, str(zone) if zone else "",
        only if chosen else None,
    )  # fmt: skip


class _Form:
    """What a bulk change needs to be told, by kind. `values`: the form of the fields, made by their kinds."""

    def __init__(self, actor: Membership, state: State, kind: str, given: QueryDict, *, posted: bool) -> None:
        self.actor, self.state, self.kind, self.given = actor, state, kind, given
        known = catalog(actor.organization)
        self.what, self.operation = given.get("what", ""), given.get("operation", "replace")
        self.statuses = statuses() if kind == "edit" and state.source.object_type == "lead" else []
        self.fields: list[Use] = []
        self.types: list[Any] = []
        self.parts = services.change_for(state.kind.lists, kind).parts
        self.part = next((part for part in self.parts if f"part:{part.key}" == self.what), None)
        uses: list[Use] = []
        if kind == "edit":
            self.fields = [
                use for use in _uses(actor, state) if can_edit_field(actor, use) and not use.field.kind.hidden
            ]
            self.fields = [use for use in self.fields if use.field.kind.refers_to != "contact"]
            uses = [use for use in self.fields if use.field.public_id == self.what][:1]
        if kind == "log":
            self.types = [row for row in state.types if not row.archived]
            chosen = next((row for row in self.types if row.public_id == self.what), None)
            uses = list(known.uses(chosen.fieldset_id)) if chosen else []
        self.use = uses[0] if kind == "edit" and uses else None
        self.values: ValueForm = value_form(
            uses, actor=actor, lookups=Lookups(actor.organization), data=given if posted else None
        )
        self.status = given.get("status", "")
        self.value, self.value_error = given.get("value", ""), ""

    @property
    def people(self) -> list[Any]:
        return [ref for ref in Lookups(self.actor.organization).members if not ref.former]

    @property
    def is_ready(self) -> bool:
        """Whether enough is chosen to confirm."""
        return self.kind == "delete" or bool(self.what)

    def change(self) -> dict[str, Any]:
        raw = self.values.raw()
        if self.kind == "edit" and self.what == "status":
            return {"status": self.status}
        if self.part is not None:
            return {"part": self.part.key, "value": None if self.operation == "clear" else self.value}
        if self.kind == "edit":
            return {"field": self.what, "operation": self.operation, "value": raw.get(self.what)}
        return {"type": self.what, "values": raw} if self.kind == "log" else {}

    def show(self, errors: dict[str, str]) -> None:
        if self.part is not None:
            self.value_error = errors.get("value") or errors.get(self.part.key, "")
            return
        self.values.add_errors({self.what if key == "value" else key: text for key, text in errors.items()})


def _uses(actor: Membership, state: State) -> list[Use]:
    known = catalog(actor.organization)
    if state.source.family == "activity":
        found: dict[str, Use] = {}
        for kind in state.types:
            for use in known.uses(kind.fieldset_id):
                found.setdefault(use.field.public_id, use)
        return list(found.values())
    return list(known.lead_uses if state.source.object_type == "lead" else known.contact_uses)


def bulk_for(actor: Membership, public_id: str) -> BulkAction:
    """Return a bulk change of the actor's, or anybody's for who may make such changes; raises `NotFound`."""
    prefix = public_id.partition("_")[0]
    kinds = {"bulkedit": "edit", "bulkdelete": "delete", "bulklog": "log"}
    rows = BulkAction.objects.select_related("membership__user").filter(
        pk=ids.decode(prefix, public_id) if prefix in kinds else None, kind=kinds.get(prefix, "")
    )
    found = rows.first()
    if found is None or (found.membership_id != actor.pk and not has(actor, services.PERMS[found.kind])):
        raise NotFound("There is no such bulk change.")
    return found


@member_page()
@require_GET
def bulk_page(request: HttpRequest, bulk_id: str) -> HttpResponse:
    """How far a bulk change is; asks again every second while it runs."""
    bulk = bulk_for(request.actor, bulk_id)
    context = {
        "bulk": bulk,
        "running": bulk.state in services.RUNNING,
        "title": f"{_VERBS[bulk.kind]} {bulk.n_objects:,} {kind_named(bulk.lists).title.lower()}",
        "left": bulk.n_objects - bulk.n_done,
        "unchanged": bulk.n_done - bulk.n_changed - bulk.n_refused,
        "problem": bulk.change.get("problem", ""),
        "list_url": reverse(kind_named(bulk.lists).url_name, args=[request.organization.slug]),
        "rows": [{**row, "url": _row_url(request, row["id"])} for row in bulk.refused[:200]],
    }
    return render_page(request, "leads/bulk_page.html", context, "leads/_bulk_progress.html")


def _row_url(request: HttpRequest, public_id: str) -> str:
    prefix = public_id.partition("_")[0]
    name = {"lead": "leads:page", "cont": "leads:contact_edit"}.get(prefix, "activities:permalink")
    return reverse(name, args=[request.organization.slug, public_id])


@member_page()
@require_GET
def bulk_list(request: HttpRequest) -> HttpResponse:
    """The latest bulk changes the member may look at."""
    actor = request.actor
    rows = BulkAction.objects.select_related("membership__user").order_by("-pk")[:50]
    seen = [row for row in rows if row.membership_id == actor.pk or has(actor, services.PERMS[row.kind])]
    context = {"rows": [{"bulk": row, "verb": _VERBS[row.kind], "list": kind_named(row.lists).title} for row in seen]}
    return render_page(request, "leads/bulk_list.html", context)


@member_page()
@require_POST
def bulk_cancel(request: HttpRequest, bulk_id: str) -> HttpResponse:
    bulk = services.cancel_bulk(request.actor, bulk_for(request.actor, bulk_id))
    return redirect_to(request, reverse("leads:bulk_page", args=[request.organization.slug, bulk.public_id]))
