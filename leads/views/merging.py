"""Merging two leads: find the other one, see what will happen, do it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from crm.access import member_page
from crm.errors import NotFound
from crm.htmx import redirect_to, render_page
from crm.models import Membership
from crm.permissions import Perm
from leads import queries, services
from leads.models import Lead
from leads.search.language import parse
from leads.search.run import run

FOUND = 8
ALL_LEADS = {"type": "object_type", "object_type": "lead"}


@member_page(Perm.MERGE_LEADS)
@require_http_methods(["GET", "POST"])
def lead_merge(request: HttpRequest, lead_id: str) -> HttpResponse:
    """Without `with`: choose the lead that goes. With it: the preview; posted: the merge. The lead of the URL stays.

    One of the two that was merged before, as in another tab, leads to the lead it became part of.
    """
    actor = request.actor
    other_id = request.POST.get("with") or request.GET.get("with")
    try:
        lead = queries.lead_for(actor, lead_id)
        other = queries.lead_for(actor, other_id) if other_id else None
    except NotFound:
        survivor = queries.survivor_of(actor, lead_id) or queries.survivor_of(actor, other_id or "")
        if survivor is None:
            raise
        messages.info(request, f"Nothing was merged now: one of the two is part of {survivor.name} already.")
        return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, survivor.public_id]))
    if other is None:
        text = request.GET.get("q", "").strip()
        context = {"lead": lead, "text": text, "found": _found(actor, lead, text)}
        return render_page(request, "leads/merge.html", context, "leads/_merge_found.html")
    if request.method == "POST":
        services.merge_leads(actor, other, lead)
        messages.success(request, f"{other.name} was merged into this lead.")
        return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    plan = services.plan_merge(actor, other, lead)
    context = {
        "lead": lead,
        "other": other,
        "plan": plan,
        "differences": plan.visible_differences(actor),
        "ours": queries.contents_of(lead),
        "theirs": queries.contents_of(other),
        "addresses": len(plan.changes["addresses"]) - len(lead.addresses),
    }
    return render_page(request, "leads/merge_preview.html", context)


def _found(actor: Membership, lead: Lead, text: str) -> list[Lead]:
    """Return the leads these words find; without words those that look like the same one."""
    if not text:
        return [row.lead for row in queries.twins_of(actor, lead)][:FOUND]
    page = run(actor, parse(ALL_LEADS, actor), limit=FOUND + 1, text=text, count="no")
    rows = Lead.objects.select_related("status").in_bulk([pk for pk in page.ids if pk != lead.pk])
    return [rows[pk] for pk in page.ids if pk in rows][:FOUND]
