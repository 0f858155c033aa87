"""The command palette."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import resolve, reverse
from django.views.decorators.http import require_GET

from crm.access import member_page
from crm.fieldkinds import fold
from crm.models import Membership
from crm.permissions import Perm, has
from leads.models import Contact, Lead
from leads.queries import smart_views_for
from leads.search.language import parse
from leads.search.run import run

ALL_LEADS = {"type": "object_type", "object_type": "lead"}
LEADS, CONTACTS, PAGES, LOOKED_AT = 6, 5, 6, 200
# (label, name of the URL, icon, other words people look for it by). Pages of higher apps are reached by name.
DESTINATIONS = (
    ("Leads", "leads:list", "building", ""),
    ("New lead", "leads:create", "plus", "add create company"),
    ("Contacts", "leads:contacts", "users", "people"),
    ("Activities", "activities:list", "clipboard-check", ""),
    ("My tasks", "leads:my_tasks", "list-check", "todo due overdue"),
    ("My drafts", "activities:drafts", "edit", ""),
    ("Activity Overview", "reporting:overview", "chart-bar", "reports"),
    ("Activity Comparison", "reporting:comparison", "table", "reports members"),
    ("Custom Activities", "activities:types", "settings", "settings types fields"),
    ("Lead fields", "activities:lead_fields", "forms", "settings custom fields"),
    ("Contact fields", "activities:contact_fields", "forms", "settings custom fields"),
    ("Lead statuses", "leads:statuses", "tag", "settings"),
    ("Organization", "organization", "building", "settings time zone name"),
    ("Members", "members", "users", "settings invite people"),
    ("Roles & permissions", "roles", "shield", "settings"),
    ("Teams", "teams", "users-group", "settings"),
    ("Plan", "plan", "receipt", "settings limits"),
    ("Import & export", "activities:import_export", "upload", "settings csv download"),
    ("API keys", "api_keys", "key", "settings developer"),
    ("Help", "help", "help", ""),
)


@dataclass(frozen=True)
class PageLink:
    label: str
    url: str
    icon: str
    kind: str = ""


@member_page()
@require_GET
def palette(request: HttpRequest) -> HttpResponse:
    """Leads, contacts, Smart Views and pages that have every word that is typed; a phone number in any writing."""
    actor, slug, text = request.actor, request.organization.slug, request.GET.get("q", "").strip()[:200]
    leads: list[Lead] = []
    contacts: list[Contact] = []
    pages = pages_for(actor, text)
    if text:
        words = _digits(text) or text
        page = run(actor, parse(ALL_LEADS, actor), limit=LEADS, text=words, count="no")
        found = Lead.objects.select_related("status").in_bulk(list(page.ids))
        leads = [found[pk] for pk in page.ids if pk in found]
        rows = Contact.objects.filter(lead_id__in=page.ids).order_by("name", "pk").select_related("lead")[:LOOKED_AT]
        contacts = [row for row in rows if all(word in _words_of(row) for word in fold(words).split())][:CONTACTS]
        pages += [
            PageLink(view.name, reverse("leads:smart_view", args=[slug, view.public_id]), "bookmark", "Smart View")
            for view in smart_views_for(actor)
            if fold(text) in fold(view.name)
        ][:PAGES]
    context: dict[str, Any] = {
        "leads": leads,
        "contacts": contacts,
        "pages": pages[:PAGES] if text else pages,
        "text": text,
        "search_url": f"{reverse('leads:list', args=[slug])}?{urlencode({'q': text})}",
    }
    return render(request, "leads/_palette.html", context)


def pages_for(actor: Membership, text: str) -> list[PageLink]:
    """Return the pages the member may open that the words mean, in the order of the menu."""
    wanted = fold(text).split()
    return [
        PageLink(label, reverse(name, args=[actor.organization.slug]), icon)
        for label, name, icon, more in DESTINATIONS
        if all(word in fold(f"{label} {more}") for word in wanted) and _may_open(actor, name)
    ]


def _may_open(actor: Membership, name: str) -> bool:
    who = _who(name)
    return bool(has(actor, who)) if isinstance(who, Perm) else True


@cache
def _who(name: str) -> Any:
    """Return who may come in, as the view itself says (`crm.access.member_page`)."""
    return resolve(reverse(name, args=["x"])).func.who  # type: ignore[attr-defined]


def _digits(text: str) -> str:
    """Return the digits of what looks like a phone number, as the search text has them; empty for other words."""
    digits = re.sub(r"\D", "", text)
    return digits if len(digits) >= 5 and not re.search(r"[^\d\s()+./-]", text) else ""


def _words_of(contact: Contact) -> str:
    phones = [entry["phone"] for entry in contact.phones]
    parts = [contact.name, *(entry["email"] for entry in contact.emails), *phones]
    return fold(" ".join([*parts, *(re.sub(r"\D", "", phone) for phone in phones)]))
