"""Several at once: leads to log on, cards to delete."""

from __future__ import annotations

from collections import Counter

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from activities import queries
from activities.services import activities as logging
from activities.services import several
from crm import ids
from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page, toast, trigger
from crm.permissions import Perm
from leads.queries import lead_for, search_words, visible_leads

OFFERED = 20


@member_page()
@require_GET
def lead_choices(request: HttpRequest) -> HttpResponse:
    """Leads by words, for pickers: `{"results": [{"value", "text"}]}`."""
    rows = visible_leads(request.actor).order_by("-last_activity_at", "pk")
    if words := request.GET.get("q", "").strip():
        rows = visible_leads(request.actor).filter(search_words(words)).order_by("name_fold", "pk")
    return JsonResponse({"results": [{"value": row.public_id, "text": row.name} for row in rows[:OFFERED]]})


@member_page(Perm.BULK_DELETE)
@require_POST
def delete_selected(request: HttpRequest, lead_id: str) -> HttpResponse:
    """Ask with the count; delete when `confirmed` is that count."""
    actor, lead = request.actor, lead_for(request.actor, lead_id)
    numbers = [ids.decode("acti", value) or 0 for value in request.POST.getlist("activity")]
    rows = list(queries.visible_activities(actor).filter(lead=lead, pk__in=numbers))
    if not rows:
        raise InvalidInput("Choose at least one activity first.")
    refused = several.deletable(actor, rows)
    going = [row for row in rows if row.pk not in refused]
    if not going or request.POST.get("confirmed") != str(len(going)):
        kinds = Counter(logging.type_of(actor, row).name for row in going)
        context = {
            "lead": lead,
            "going": [row.public_id for row in going],
            "kinds": kinds.most_common(),
            "refused": Counter(refused.values()).most_common(),
        }
        return render_page(
            request, "activities/delete_selected.html", context, "activities/_delete_selected.html"
        )  # fmt: skip
    several.delete_activities(actor, going)
    slug = request.organization.slug
    if not request.htmx:
        return redirect_to(request, reverse("leads:page", args=[slug, lead.public_id]))
    words = "1 activity deleted." if len(going) == 1 else f"{len(going)} activities deleted."
    undo = reverse("activities:restore_deleted", args=[slug, request.id])
    return toast(trigger(HttpResponse(), "timeline-changed"), words, undo_url=undo)


@member_page()
@require_POST
def restore_deleted(request: HttpRequest, request_id: str) -> HttpResponse:
    """Undo the deletion of several by the request that did it."""
    back = several.restore_deleted(request.actor, request_id)
    words = "1 activity is back." if len(back) == 1 else f"{len(back)} activities are back."
    if request.htmx:
        return toast(trigger(HttpResponse(status=204), "timeline-changed"), words)
    return redirect("activities:list", slug=request.organization.slug)
