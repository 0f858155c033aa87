"""Settings > Who sees what, and why: one member, one thing, the gate's own answers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from activities.queries_access import MOST_THINGS, explain, things_meant
from crm.access import member_page
from crm.errors import InvalidInput, NotFound
from crm.htmx import render_page
from crm.members import member_for, members_of
from crm.permissions import Perm


@member_page(Perm.MANAGE_ORGANIZATION)
@require_GET
def access(request: HttpRequest) -> HttpResponse:
    chosen, thing = request.GET.get("member", ""), request.GET.get("thing", "").strip()
    context: dict[str, Any] = {
        "section": "access",
        "members": members_of(request.organization, former=True),
        "chosen": chosen,
        "thing": thing,
    }
    status = 200
    if chosen and thing:
        try:
            member = member_for(request.actor, chosen)
            things = things_meant(request.actor, thing)
            context |= {"member": member, "things": things, "most_things": MOST_THINGS}
            if len(things) == 1:
                context["explanation"] = explain(request.actor, member, things[0].public_id)
        except (InvalidInput, NotFound) as error:
            # The sentence for what is not there is the same as for what is not the actor's to see.
            context["problem"], status = error.message, 422
    return render_page(request, "settings/access.html", context, "settings/_access_answer.html", status=status)
