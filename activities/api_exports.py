"""REST door to exports: asked for by POST, polled, and fetched from a signed address, written while it is sent.

An export is remembered by the event that records it; nothing is kept on disk, and rights are read again when the file is
fetched.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from ninja import Router

from activities import exports
from activities.api_objects import activities_json
from activities.queries import type_catalog, type_for, visible_activities
from activities.views_exports import download
from crm import events, ids
from crm.access import public_page
from crm.api import Body, listing, refuse, shows, stamp
from crm.errors import InvalidInput, NotFound, TouchpointError
from crm.imports.files import csv_text
from crm.imports.formula import neutralise_all
from crm.models import Event, Membership
from crm.permissions import Perm, authorize, has
from crm.refusals import refused_in_words
from crm.tenancy import scope
from leads.api_figures import add_figures
from leads.api_objects import leads_json
from leads.api_smart_views import limit_given, search_given, sort_given
from leads.legacy import legacy_leads
from leads.queries import visible_leads
from leads.search.order import sort_by
from leads.search.run import count, parse, run

router = Router(tags=["Import and export"])
LINK_SECONDS = 24 * 3600
PAGE = 500

EXPORT = {
    "id": "exp_9f…", "status": "done", "what": "Qualifying call", "format": "csv", "n_docs": 1204,
    "download_url": "https://crm.example.com/api/v1/export/file/eyJv…/", "date_created": "2024-01-31T14:30:00+00:00",
}  # fmt: skip


class ActivityExportBody(Body):
    type: str = "all"


class LeadExportBody(Body):
    format: str = "csv"
    type: str = "leads"
    s_query: dict[str, Any] | None = None
    query: str | dict[str, Any] | None = None
    results_limit: int | None = None
    sort: list[dict[str, Any]] | None = None
    fields: list[str] | None = None
    include_activities: bool = False
    include_smart_fields: bool = False


# --- asking ---------------------------------------------------------------------------------------------------------------
@router.post(
    "/export/activities/",
    summary="Export activities",
    openapi_extra=shows(EXPORT, sends={"type": "actitype_…"}),
)
def export_activities(request: HttpRequest, body: ActivityExportBody) -> Any:
    """`type`: an activity type, or `all` for a zip with one CSV per type and one of leads."""
    authorize(has(request.actor, Perm.EXPORT))
    if body.type == "all":
        number = visible_activities(request.actor).filter(type__system=False).count()
        event = exports.note_export(request.actor, "everything", {"file": "all", "format": "zip", "n_docs": number})
    else:
        kind = type_for(request.actor, body.type)
        number = visible_activities(request.actor).filter(type_id=kind.id).count()
        asked = {"file": "type", "type_id": kind.public_id, "format": "csv", "n_docs": number}
        event = exports.note_export(request.actor, kind.name, asked)
    return export_json(request, event)


class OpportunityExportBody(Body):
    format: str = "csv"
    fields: list[str] | None = None


@router.post(
    "/export/opportunity/",
    summary="Export opportunities: always empty",
    openapi_extra=shows(EXPORT, sends={"format": "csv"}),
)
def export_opportunities(request: HttpRequest, body: OpportunityExportBody) -> Any:
    """There are none here: the file has a header, or is an empty list. Kept so that scripts that export everything run."""
    authorize(has(request.actor, Perm.EXPORT))
    _check_format(body.format)
    asked = {"file": "opportunities", "format": body.format, "fields": body.fields or ["id"], "n_docs": 0}
    return export_json(request, exports.note_export(request.actor, "opportunities", asked))


def _check_format(name: str) -> None:
    if name not in ("csv", "json"):
        raise InvalidInput(fields={"format": "Use csv or json."})


@router.post("/export/lead/", summary="Export leads", openapi_extra=shows(EXPORT, sends={
    "format": "csv", "type": "leads", "s_query": {"query": {"type": "match_all"}}, "fields": ["id", "name"]}))  # fmt: skip
def export_leads(request: HttpRequest, body: LeadExportBody) -> Any:
    """`format`: csv or json. `s_query`: a search as of `/data/search/`; or `query`: the text language. Without: all leads.

    JSON has a lead each, with what is worked out of it where `fields` names it or `include_smart_fields` is true, and with its
    activities where `include_activities` is; CSV a row per contact. Moments are ISO 8601, whatever `date_format` says.
    """
    authorize(has(request.actor, Perm.EXPORT))
    _check_format(body.format)
    if body.type not in ("leads", "contacts", "lead_opps"):
        raise InvalidInput(fields={"type": "Use leads or contacts."})
    query = body.query if isinstance(body.query, str) else ""
    wanted = search_given(body.query if isinstance(body.query, dict) else body.s_query)
    if wanted and not (isinstance(wanted.get("query"), Mapping) and wanted["query"]):
        raise InvalidInput(fields={"s_query": "A search node is an object with a type, as in /data/search/."})
    asked = {
        "file": "leads", "format": body.format, "type": body.type, "text": query, "tree": wanted.get("query"),
        "sort": sort_given(body.sort or wanted.get("sort")), "results_limit": limit_given(body.results_limit, wanted.get("results_limit")),
        "fields": body.fields or [], "include_activities": body.include_activities,
        "include_smart_fields": body.include_smart_fields,
    }  # fmt: skip
    asked["n_docs"] = _count(request.actor, asked, request.zone)
    return export_json(request, exports.note_export(request.actor, "leads", asked))


def _count(actor: Membership, asked: dict[str, Any], zone: Any) -> int:
    """Return how many leads an export will hold; refuses a search that cannot be read."""
    if asked["tree"]:
        query = parse(asked["tree"], actor)
        sort_by(actor, query, asked["sort"])
        found = count(actor, query)
    else:
        found = legacy_leads(actor, visible_leads(actor), asked["text"], zone)[0].count()
    limit = asked["results_limit"]
    return found if limit is None else min(found, max(0, limit))


# --- polling --------------------------------------------------------------------------------------------------------------
@router.get("/export/", summary="List exports", openapi_extra=shows({"data": [EXPORT], "has_more": False}))
def list_exports(request: HttpRequest) -> Any:
    """Your own exports through the API, newest first."""
    authorize(has(request.actor, Perm.EXPORT))
    rows = _mine(request.actor).order_by("-pk")
    return listing(request, rows, lambda page: [export_json(request, row) for row in page])


@router.get("/export/{export_id}/", summary="Fetch the state of an export", openapi_extra=shows(EXPORT))
def get_export(request: HttpRequest, export_id: str) -> Any:
    """It is `done` at once: the file is written while it is fetched. `download_url` is good for a day."""
    authorize(has(request.actor, Perm.EXPORT))
    event = _mine(request.actor).filter(pk=ids.decode("exp", export_id)).first()
    if event is None:
        raise NotFound("There is no such export.")
    return export_json(request, event)


def _mine(actor: Membership) -> Any:
    return Event.objects.filter(object_type="export", user=actor.user, after__has_key="file")


def export_json(request: HttpRequest, event: Event) -> dict[str, Any]:
    asked = event.after or {}
    token = signing.dumps({"o": event.organization_id, "e": event.pk, "m": request.actor.pk}, salt="export")
    return {
        "id": ids.encode("exp", event.pk),
        "status": "done",
        "what": asked["what"],
        "format": asked["format"],
        "n_docs": asked["n_docs"],
        "download_url": f"{settings.BASE_URL}{reverse('export_file', args=[token])}",
        "date_created": stamp(event.date_created),
    }


# --- fetching -------------------------------------------------------------------------------------------------------------
@public_page
def export_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """The file behind a signed address. The member who asked for it must still be allowed to export."""
    try:
        named = signing.loads(token, salt="export", max_age=LINK_SECONDS)
    except signing.BadSignature:
        return refuse(404, "This address is not valid, or older than a day. Fetch the export again for a new one.")
    with scope(named["o"]), events.door("api"):
        event = Event.objects.filter(pk=named["e"], object_type="export").first()
        members = Membership.objects.select_related("user", "organization", "role")
        actor = members.filter(pk=named["m"], removed_at=None).first()
        if event is None or actor is None:
            return refuse(404, "There is no such export.")
        try:
            authorize(has(actor, Perm.EXPORT))
            request.actor, request.organization, request.zone = actor, actor.organization, actor.zone
            with refused_in_words():
                return _answer(request, event.after or {})
        except TouchpointError as error:
            return refuse(error.status, error.message)


def _answer(request: HttpRequest, asked: dict[str, Any]) -> StreamingHttpResponse:
    """Answer with the file: a zip, or compressed as Close's are, whatever the client says that it accepts."""
    response = _file(request, asked)
    if response["Content-Type"] != "application/zip":
        parts = iter(response)
        # The first rows before the answer begins: what refuses the search can still be told.
        first = list(islice(parts, 2))
        response.streaming_content = _compressed(chain(first, parts))
        response["Content-Encoding"] = "gzip"
    return response


def _compressed(parts: Iterator[bytes]) -> Iterator[bytes]:
    gzip = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for part in parts:
        if packed := gzip.compress(part):
            yield packed
    yield gzip.flush()


def _file(request: HttpRequest, asked: dict[str, Any]) -> StreamingHttpResponse:
    actor = request.actor
    if asked["file"] == "all":
        response = StreamingHttpResponse(exports.export_everything(actor), content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="{request.organization.slug}.zip"'
        return response
    if asked["file"] == "type":
        kind = type_for(actor, asked["type_id"])
        return download(exports.export_activities(actor, kind), exports.file_name_of(kind))

    if asked["file"] == "opportunities" and asked["format"] == "csv":
        return download([csv_text([neutralise_all(asked["fields"])])], "opportunities.csv")
    if asked["file"] == "opportunities":
        return StreamingHttpResponse(["[]"], content_type="application/json")

    def pages(actor: Membership) -> Iterator[list[int]]:
        return _lead_ids(actor, asked)

    if asked["format"] == "csv":
        return download(exports.export_leads(actor, pages, asked["fields"]), "leads.csv")
    response = StreamingHttpResponse(_json(request, asked, pages(actor)), content_type="application/json")
    response["Content-Disposition"] = 'attachment; filename="leads.json"'
    return response


def _lead_ids(actor: Membership, asked: dict[str, Any]) -> Iterator[list[int]]:
    """Yield the ids of an export's leads, page by page, in the order that was asked for."""
    left = asked["results_limit"] if asked["results_limit"] is not None else float("inf")
    if asked["tree"]:
        query, cursor = parse(asked["tree"], actor), ""
        while left > 0:
            page = run(actor, query, sort=asked["sort"] or "", limit=PAGE, cursor=cursor, count="no")
            yield list(page.ids[: int(min(left, PAGE))])
            left, cursor = left - len(page.ids), page.next_cursor
            if not cursor:
                return
    rows_asked = legacy_leads(actor, visible_leads(actor), asked["text"], actor.zone)[0]
    last = 0
    while left > 0:
        rows = rows_asked.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)
        found = list(rows[: int(min(left, PAGE))])
        if not found:
            return
        last, left = found[-1], left - len(found)
        yield found


def _json(request: HttpRequest, asked: dict[str, Any], pages: Iterator[list[int]]) -> Iterator[str]:
    yield "["
    first = True
    request.fields_searched = ["_all"] if asked.get("include_smart_fields") else asked["fields"]
    while True:
        with scope(request.organization), events.door("api"):
            found = next(pages, None)
            if found is None or not exports.still_allowed(request.actor):
                break
            by_id = visible_leads(request.actor).in_bulk(found)
            leads = [by_id[pk] for pk in found if pk in by_id]
            rows = add_figures(request, leads, leads_json(request, leads))
            if asked["include_activities"]:
                _add_activities(request, rows)
        for row in rows:
            kept = {key: row[key] for key in asked["fields"] if key in row} if asked["fields"] else row
            yield ("" if first else ",") + json.dumps(kept, ensure_ascii=False, default=str)
            first = False
    yield "]"


def _add_activities(request: HttpRequest, rows: list[dict[str, Any]]) -> None:
    """Give each lead its published activities."""
    by_lead: dict[str, list[Any]] = {row["id"]: [] for row in rows}
    numbers = [ids.decode("lead", public_id) for public_id in by_lead]
    system = [kind.id for kind in type_catalog(request.organization).types if kind.system]
    found = visible_activities(request.actor).filter(lead_id__in=numbers).exclude(type_id__in=system).order_by("pk")
    for activity in activities_json(request, found):
        by_lead[activity["lead_id"]].append(activity)
    for row in rows:
        row["activities"] = by_lead[row["id"]]
