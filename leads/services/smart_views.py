"""Writing Smart Views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm import events
from crm.errors import InvalidInput
from crm.models import Membership, Team
from crm.permissions import Decision, Perm, authorize, has, yes
from leads.models import SmartView
from leads.search.language import object_type_of, parse
from leads.search.sources import source_named

PARTS = ("name", "description", "query", "text", "columns", "sort", "shared", "teams")
MAX_PINNED = 30


def save_smart_view(
    actor: Membership, *, name: str, query: Mapping[str, Any], text: str = "", lists: str = "lead", shared: bool = False,
    teams: Sequence[int] = (), description: str = "", sort: str = "", columns: Sequence[str] = (), pin: bool = True,
) -> SmartView:  # fmt: skip
    """Save a search and pin it for its owner. `teams`: row ids. Sharing needs *manage team smart views*.

    The search is checked as the actor; it must list the records `lists` says. Raises `InvalidInput`.
    """
    clean = _clean({
        "name": name, "description": description, "query": query, "text": text, "sort": sort, "columns": columns,
        "shared": shared, "teams": teams,
    })  # fmt: skip
    if clean["shared"] or clean["teams"]:
        authorize(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS))
    _check_query(actor, clean["query"], lists)
    with transaction.atomic():
        view = SmartView.objects.create(organization=actor.organization, owner=actor.user, lists=lists, **clean)
        events.record(actor, "created", "saved_search", view.pk, after=view_state(view))
        if pin:
            set_pinned_views(actor, [*actor.pinned_views, view.public_id])
    return view


def update_smart_view(actor: Membership, view: SmartView, changes: Mapping[str, Any]) -> SmartView:
    """Change parts of a Smart View (`PARTS`). Others' views, and sharing, need *manage team smart views*."""
    authorize(_owns(actor, view))
    clean = _clean({key: changes[key] for key in PARTS if key in changes})
    with transaction.atomic():
        view = SmartView.objects.select_for_update().get(pk=view.pk)
        before = view_state(view)
        for key, value in clean.items():
            setattr(view, key, value)
        after = view_state(view)
        changed = events.diff(before, after)
        if {"shared", "teams"} & set(changed):
            authorize(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS))
        if "query" in changed:
            _check_query(actor, view.query, view.lists, view.pk)
        if changed:
            view.date_updated = timezone.now()
            view.save(update_fields=[*clean, "date_updated"])
            events.record(
                actor, "updated", "saved_search", view.pk, changed=changed,
                before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
            )  # fmt: skip
    return view


def duplicate_smart_view(actor: Membership, view: SmartView) -> SmartView:
    """Save a private copy of a Smart View the actor may open."""
    name = f"{view.name[:190]} (copy)"
    return save_smart_view(
        actor, name=name, query=view.query, text=view.text, lists=view.lists, description=view.description,
        sort=view.sort, columns=view.columns,
    )  # fmt: skip


def delete_smart_view(actor: Membership, view: SmartView) -> None:
    """Delete a Smart View: own ones, or others' with *manage team smart views*."""
    authorize(_owns(actor, view))
    with transaction.atomic():
        events.record(actor, "deleted", "saved_search", view.pk, before=view_state(view))
        view.delete()


def set_pinned_views(actor: Membership, public_ids: Sequence[str]) -> list[str]:
    """Pin these Smart Views to the actor's sidebar, in this order. Those the actor cannot open are left out."""
    from leads.queries import smart_views_for

    known = {view.public_id for view in smart_views_for(actor)}
    pinned = [one for one in dict.fromkeys(public_ids) if one in known]
    if len(pinned) > MAX_PINNED:
        raise InvalidInput(f"At most {MAX_PINNED} Smart Views can be pinned. Take one off first.")
    actor.pinned_views, actor.date_updated = pinned, timezone.now()
    actor.save(update_fields=["pinned_views", "date_updated"])
    return pinned


def may_change(actor: Membership, view: SmartView) -> bool:
    return bool(_owns(actor, view))


def may_share(actor: Membership) -> bool:
    return bool(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS))


def view_state(view: SmartView) -> dict[str, Any]:
    """Return what the event log keeps of a Smart View."""
    return {key: getattr(view, key) for key in PARTS}


def _owns(actor: Membership, view: SmartView) -> Decision:
    return yes("It is yours.") if view.owner_id == actor.user_id else has(actor, Perm.MANAGE_TEAM_SMART_VIEWS)


def _check_query(actor: Membership, query: Mapping[str, Any], lists: str, within: int | None = None) -> None:
    if lists not in SmartView.Lists.values:
        raise InvalidInput(
            fields={"type": f"“{lists}” cannot be saved. Use one of: {', '.join(SmartView.Lists.values)}."}
        )
    source = source_named(actor, lists)
    found = parse(query, actor, object_type_of(query) or lists, within=within).source
    assert source is not None, "every list has a source"
    if found.family != source.family:
        raise InvalidInput(fields={"query": f"This search selects {found.plural}, not {source.plural}."})


def _clean(given: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = dict(given)
    errors: dict[str, str] = {}
    for key, limit in (("name", 200), ("description", 500), ("text", 500), ("sort", 100)):
        if key in clean:
            clean[key] = " ".join(str(clean[key] or "").replace("\x00", "").split())
            if len(clean[key]) > limit:
                errors[key] = f"The {key} is {len(clean[key])} characters long; at most {limit} fit."
    if "name" in clean and not clean["name"]:
        errors["name"] = "A Smart View needs a name."
    if "columns" in clean:
        clean["columns"] = [str(key)[:200] for key in clean["columns"]][:30]
    if "query" in clean:
        clean["query"] = dict(clean["query"])
    if "shared" in clean:
        clean["shared"] = bool(clean["shared"])
    if clean.get("teams"):
        clean["teams"] = sorted(Team.objects.filter(pk__in=list(clean["teams"])).values_list("pk", flat=True))
    elif "teams" in clean:
        clean["teams"] = []
    if errors:
        raise InvalidInput(fields=errors)
    return clean
