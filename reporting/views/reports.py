"""Saved reports: made, renamed, shared, copied, deleted, and their filters kept."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from crm.access import member_page
from reporting import services
from reporting.models import Report
from reporting.queries import report_for
from reporting.views.shown import given_of


def kind_of(kind: str) -> str:
    if kind not in Report.Kind.values:
        raise Http404
    return kind


def to_report(request: HttpRequest, report: Report) -> HttpResponse:
    address = reverse(f"reporting:{report.kind}", args=[request.organization.slug])
    return redirect(f"{address}?report={report.public_id}")


@member_page()
@require_POST
def create(request: HttpRequest, kind: str) -> HttpResponse:
    return to_report(request, services.create_report(request.actor, kind_of(kind), request.POST.get("name", "")))


@member_page()
@require_POST
def keep_default(request: HttpRequest, kind: str) -> HttpResponse:
    """Make the default report the actor's own, to change it."""
    return to_report(request, services.report_to_change(request.actor, kind_of(kind)))


@member_page()
@require_POST
def rename(request: HttpRequest, report_id: str) -> HttpResponse:
    report = report_for(request.actor, report_id)
    services.rename_report(request.actor, report, request.POST.get("name", ""))
    return to_report(request, report)


@member_page()
@require_POST
def share(request: HttpRequest, report_id: str) -> HttpResponse:
    report = report_for(request.actor, report_id)
    services.share_report(request.actor, report, request.POST.get("shared") == "1")
    messages.success(request, "Everybody can open it now." if report.shared else "Only its owner can open it now.")
    if not report.shared and report.owner_id != request.actor.user_id:
        return redirect(f"reporting:{report.kind}", slug=request.organization.slug)
    return to_report(request, report)


@member_page()
@require_POST
def duplicate(request: HttpRequest, report_id: str) -> HttpResponse:
    report = report_for(request.actor, report_id)
    return to_report(request, services.duplicate_report(request.actor, report))


@member_page()
@require_POST
def delete(request: HttpRequest, report_id: str) -> HttpResponse:
    report = report_for(request.actor, report_id)
    services.delete_report(request.actor, report)
    messages.success(request, f"{report.name} is deleted.")
    return redirect(f"reporting:{report.kind}", slug=request.organization.slug)


@member_page()
@require_POST
def keep_filters(request: HttpRequest, report_id: str) -> HttpResponse:
    """Keep the filters of the address with the report."""
    report = report_for(request.actor, report_id)
    services.keep_filters(request.actor, report, given_of(request))
    messages.success(request, "The filters are kept with the report.")
    return to_report(request, report)
