"""Settings > Import & export: downloads of activities and leads, and templates to fill in."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from activities import exports
from activities.queries import type_for
from crm.access import member_page
from crm.permissions import Perm


@member_page(Perm.EXPORT)
@require_GET
def export_type(request: HttpRequest, type_id: str) -> StreamingHttpResponse:
    kind = type_for(request.actor, type_id)
    exports.note_export(request.actor, kind.name)
    return download(exports.export_activities(request.actor, kind), exports.file_name_of(kind))


@member_page(Perm.EXPORT)
@require_GET
def export_leads(request: HttpRequest) -> StreamingHttpResponse:
    exports.note_export(request.actor, "leads")
    return download(exports.export_leads(request.actor), "leads.csv")


@member_page(Perm.EXPORT)
@require_GET
def export_all(request: HttpRequest) -> StreamingHttpResponse:
    exports.note_export(request.actor, "everything")
    response = StreamingHttpResponse(exports.export_everything(request.actor), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{request.organization.slug}.zip"'
    return response


@member_page(Perm.BULK_IMPORT)
@require_GET
def import_template(request: HttpRequest, type_id: str) -> StreamingHttpResponse:
    if type_id == "leads":
        return download([exports.template_of_leads(request.actor)], "template-leads.csv")
    kind = type_for(request.actor, type_id)
    return download([exports.template_of(request.actor, kind)], f"template-{exports.file_name_of(kind)}")


def download(lines: Iterable[str], name: str) -> StreamingHttpResponse:
    """Answer with a CSV file that is written while it is sent."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_. ") else "-" for char in name)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{safe}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
