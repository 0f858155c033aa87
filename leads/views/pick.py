"""Contacts and leads for pickers: found as one types, by name, email, phone or domain."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from crm.access import member_page
from crm.errors import NotFound, TooMuch
from leads.search.columns import records
from leads.search.language import parse
from leads.search.named import label
from leads.search.run import run
from leads.search.sources import source_named

MOST = 20


@member_page()
@require_GET
def pick(request: HttpRequest, what: str) -> JsonResponse:
    """The first leads or contacts that a few typed words (`q`) find, by name."""
    source = source_named(request.actor, what) if what in ("lead", "contact") else None
    if source is None:
        raise NotFound("There is nothing to choose from here.")
    words = request.GET.get("q", "")[:200].replace("\x00", "")
    try:
        query = parse({"type": "match_all"}, request.actor, what)
        numbers = run(request.actor, query, sort="name", limit=MOST, text=words, count="no").ids
    except TooMuch:
        numbers = ()
    found = [{"value": row.public_id, "text": label(row)} for row in records(source, numbers)]
    return JsonResponse({"results": found})
