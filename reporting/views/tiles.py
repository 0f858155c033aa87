"""The tile editor, and what a tile's menu does."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from crm.access import member_page
from crm.errors import InvalidInput, NotFound
from crm.htmx import render_page
from reporting import services
from reporting.forms import TileEditor
from reporting.models import Report, Tile
from reporting.queries import asked_of, tuned
from reporting.views.reports import kind_of, to_report


@member_page()
@require_http_methods(["GET", "POST"])
def new_tile(request: HttpRequest, kind: str) -> HttpResponse:
    """The editor of a new tile; `report` names the report it goes to."""
    kind, report_id = kind_of(kind), request.GET.get("report", "") or request.POST.get("report", "")
    editor = TileEditor(request.actor, request.POST if request.method == "POST" else request.GET)
    if request.method == "POST" and "save" in request.POST and editor.read():
        assert editor.asked is not None
        report = services.report_to_change(request.actor, kind, report_id)
        services.add_tile(request.actor, report, editor.asked, editor.width)
        return to_report(request, report)
    return _editor_page(request, editor, kind, report_id, None)


@member_page()
@require_http_methods(["GET", "POST"])
def edit_tile(request: HttpRequest, tile_id: str) -> HttpResponse:
    tile = services.tile_to_change(request.actor, tile_id)
    given = request.POST if request.method == "POST" else request.GET
    if "what" in given:
        editor = TileEditor(request.actor, given)
    else:
        try:
            tuned(request.actor, asked_of(tile))
        except (InvalidInput, NotFound):
            raise NotFound("There is no such tile.") from None
        editor = TileEditor.of_tile(request.actor, tile)
    if request.method == "POST" and "save" in request.POST and editor.read():
        assert editor.asked is not None
        services.change_tile(request.actor, tile, editor.asked, editor.width)
        return to_report(request, tile.report)
    return _editor_page(request, editor, tile.report.kind, tile.report.public_id, tile)


def _editor_page(
    request: HttpRequest, editor: TileEditor, kind: str, report_id: str, tile: Tile | None
) -> HttpResponse:
    slug = request.organization.slug
    address = (
        reverse("reporting:edit_tile", args=[slug, tile.public_id])
        if tile
        else reverse("reporting:new_tile", args=[slug, kind])
    )
    back = reverse(f"reporting:{kind}", args=[slug]) + (f"?report={report_id}" if report_id else "")
    context = {
        "editor": editor, "kind": kind, "report_id": report_id, "tile": tile, "address": address, "back": back,
        "is_overview": kind == Report.Kind.OVERVIEW,
    }  # fmt: skip
    status = 422 if editor.errors else 200
    return render_page(request, "reporting/edit.html", context, "reporting/_editor.html", status=status)


@member_page()
@require_POST
def duplicate_tile(request: HttpRequest, tile_id: str) -> HttpResponse:
    tile = services.tile_to_change(request.actor, tile_id)
    services.duplicate_tile(request.actor, tile)
    return to_report(request, tile.report)


@member_page()
@require_POST
def remove_tile(request: HttpRequest, tile_id: str) -> HttpResponse:
    tile = services.tile_to_change(request.actor, tile_id)
    services.remove_tile(request.actor, tile.report, tile.public_id)
    return to_report(request, tile.report)


@member_page()
@require_POST
def resize_tile(request: HttpRequest, tile_id: str) -> HttpResponse:
    tile = services.tile_to_change(request.actor, tile_id)
    width = request.POST.get("width", "")
    services.resize_tile(request.actor, tile, int(width) if width.isdigit() else 0)
    return HttpResponse(status=204) if request.htmx else to_report(request, tile.report)


@member_page()
@require_POST
def order_tiles(request: HttpRequest, kind: str) -> HttpResponse:
    """Put tiles in the order of `order`; `columns` is the same in one value, as the button of a column sends it."""
    report = services.report_to_change(request.actor, kind_of(kind), request.GET.get("report", ""))
    if columns := request.POST.get("columns"):
        services.reorder_tiles(request.actor, report, columns.split(","))
        return to_report(request, report)
    services.reorder_tiles(request.actor, report, request.POST.getlist("order"))
    return HttpResponse(status=204)
