"""The command palette."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from crm.access import member_page
from crm.fieldkinds import fold
from leads.models import Contact
from leads.search.language import parse
from leads.search.run import run
from leads.views.tables import rows_of

ALL_LEADS = {"type": "object_type", "object_type": "lead"}


@member_page()
@require_GET
def palette(request: HttpRequest) -> HttpResponse:
    """Leads, contacts and pages whose words begin with what is typed."""
    actor, slug, text = request.actor, request.organization.slug, request.GET.get("q", "").strip()
    pages = [
        ("Leads", reverse("leads:list", args=[slug]), "building"),
        ("New lead", reverse("leads:create", args=[slug]), "plus"),
        ("Contacts", reverse("leads:contacts", args=[slug]), "users"),
        ("Activities", reverse("activities:list", args=[slug]), "clipboard-check"),
        ("My drafts", reverse("activities:drafts", args=[slug]), "edit"),
        ("Activity Overview", reverse("reporting:overview", args=[slug]), "chart-bar"),
        ("Activity Comparison", reverse("reporting:comparison", args=[slug]), "table"),
        ("Custom Activities", reverse("activities:types", args=[slug]), "settings"),
        ("Members", reverse("members", args=[slug]), "users"),
        ("Import & export", reverse("activities:import_export", args=[slug]), "upload"),
        ("API keys", reverse("api_keys", args=[slug]), "key"),
    ]
    leads, contacts = [], []
    if text:
        page = run(actor, parse(ALL_LEADS, actor), limit=6, text=text, count="no")
        leads = rows_of(page.ids)
        words = fold(text)
        contacts = [
            contact
            for contact in Contact.objects.filter(lead_id__in=page.ids).select_related("lead")[:200]
            if words in fold(f"{contact.name} {' '.join(entry['email'] for entry in contact.emails)}")
        ][:5]
    context = {
        "leads": leads,
        "contacts": contacts,
        "pages": [page for page in pages if fold(text) in fold(page[0])][: 6 if text else 20],
        "text": text,
        "search_url": f"{reverse('leads:list', args=[slug])}?{urlencode({'q': text})}",
    }
    return render(request, "leads/_palette.html", context)
