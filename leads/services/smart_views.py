"""Writing Smart Views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from crm import events
from crm.errors import InvalidInput
from crm.models import Membership
from crm.permissions import Perm, authorize, has
from leads.models import SmartView


def save_smart_view(
    actor: Membership, *, name: str, query: Mapping[str, Any], text: str = "", lists: str = "lead", shared: bool = False,
    description: str = "", sort: str = "", columns: Sequence[str] = (),
) -> SmartView:  # fmt: skip
    """Save a search. Sharing needs *manage team smart views*. The caller has validated `query` as the actor."""
    name = " ".join(name.split())
    if not name or len(name) > 200:
        raise InvalidInput(fields={"name": "A Smart View needs a name of at most 200 characters."})
    if shared:
        authorize(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS))
    with transaction.atomic():
        view = SmartView.objects.create(
            organization=actor.organization, owner=actor.user, name=name, query=dict(query), text=text, lists=lists,
            shared=shared, description=description[:500], sort=sort, columns=list(columns),
        )  # fmt: skip
        events.record(actor, "created", "saved_search", view.pk, after={"name": name, "query": dict(query)})
    return view


def delete_smart_view(actor: Membership, view: SmartView) -> None:
    """Delete a Smart View: own ones, or others' with *manage team smart views*."""
    if view.owner_id != actor.user_id:
        authorize(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS))
    with transaction.atomic():
        events.record(actor, "deleted", "saved_search", view.pk, before={"name": view.name, "query": view.query})
        view.delete()
