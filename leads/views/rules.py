"""Which custom fields of a lead's or contact's form are shown, with what is typed now."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from crm.access import member_page
from crm.customfields.catalog import catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from leads import queries


@member_page()
@require_POST
def lead_rules(request: HttpRequest) -> HttpResponse:
    """Answer `{shown, hidden}`; `of`: the lead that is edited, none for a new one. Writes nothing."""
    actor, of = request.actor, request.POST.get("of")
    lead = queries.lead_for(actor, of) if of else None
    form = value_form(
        catalog(actor.organization).lead_uses, actor=actor, data=request.POST, initial=lead.values if lead else None,
        lookups=Lookups(actor.organization, lead.pk if lead else None),
    )  # fmt: skip
    return JsonResponse(form.visibility())


@member_page()
@require_POST
def contact_rules(request: HttpRequest, lead_id: str) -> HttpResponse:
    """Answer `{shown, hidden}`; `of`: the contact that is edited, none for a new one. Writes nothing."""
    actor, of = request.actor, request.POST.get("of")
    lead, contact = queries.lead_for(actor, lead_id), queries.contact_for(actor, of) if of else None
    form = value_form(
        catalog(actor.organization).contact_uses, actor=actor, data=request.POST, prefix="c",
        initial=contact.values if contact else None, lookups=Lookups(actor.organization, lead.pk),
    )  # fmt: skip
    return JsonResponse(form.visibility())
