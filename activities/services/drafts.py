"""Autosaved drafts: what was typed is kept as typed, guarded by a revision number."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from activities.models import Activity
from activities.queries import TypeInfo
from activities.services.activities import activity_state, event_type, local_day, type_of
from crm import events
from crm.errors import Conflict, InvalidInput, NotFound
from crm.fieldkinds import is_blank
from crm.models import Event, Membership
from crm.permissions import authorize, can_edit_activity, can_log, can_view_draft
from leads.models import Lead

MAX_DRAFT = 2_000_000


class DraftConflict(Conflict):
    """Another tab or device saved the draft in between. `theirs` is the draft as it is now."""

    def __init__(self, theirs: Activity) -> None:
        super().__init__(
            "This draft was saved somewhere else in between. Both versions are kept: choose which one to use."
        )
        self.theirs = theirs


def save_draft(
    actor: Membership,
    lead: Lead,
    kind: TypeInfo,
    raw: Mapping[str, Any],
    *,
    draft: Activity | None = None,
    revision: int | None = None,
    form: str = "",
    sequence: int = 0,
) -> Activity | None:
    """Keep what was typed and return the draft; None when there is nothing to keep.

    `raw`: text or lists by `cf_` id, and `activity_at`, `contact`, `user` as typed. Nothing is validated beyond size. The
    same text again writes nothing. Raises `DraftConflict` when `revision` is not the draft's.

    `form` names one opened form and `sequence` counts its saves: saves that overtake each other (a tab closes while one is
    under way) make one draft, the latest text wins, and a form is never in conflict with itself.
    """
    typed = {key: value for key, value in raw.items() if not is_blank(value)}
    if sum(len(str(value)) for value in typed.values()) > MAX_DRAFT:
        raise InvalidInput("The draft is too long to keep: two million characters fit.")
    typed = _without_nul(typed)
    mark = {"form": form, "seq": str(sequence)} if form else {}
    with transaction.atomic():
        if draft is None:
            authorize(can_log(actor, kind))
            if not typed:
                return None
            if form:
                # Two first saves of one form wait for each other here.
                list(Membership.objects.select_for_update().filter(pk=actor.pk).values_list("pk"))
                draft = draft_of_form(actor, lead, kind, form)
        if draft is None:
            now = timezone.now()
            draft = Activity.unscoped.create(
                organization=actor.organization, lead=lead, type_id=kind.id, status=Activity.Status.DRAFT,
                user=actor.user, created_by=actor.user, updated_by=actor.user, date_created=now, date_updated=now,
                activity_at=now, created_on=local_day(now, actor.organization), draft_data=typed | mark,
            )  # fmt: skip
            events.record(actor, "created", event_type(kind), draft.pk, lead_id=lead.pk, after=activity_state(draft))
            return draft
        draft = _locked_draft(actor, draft)
        authorize(can_view_draft(actor, draft))
        authorize(can_edit_activity(actor, draft, kind))
        held = draft.draft_data or {}
        from_here = bool(form) and held.get("form") == form
        if from_here and sequence <= int(held["seq"]):
            return draft
        if typed_in(draft) == typed:
            return draft
        if not from_here and revision is not None and revision != draft.revision:
            raise DraftConflict(draft)
        draft.draft_data, draft.updated_by, draft.date_updated = typed | mark, actor.user, timezone.now()
        draft.revision += 1
        draft.save(update_fields=["draft_data", "updated_by", "date_updated", "revision"])
        _record_saving(actor, draft, kind)
    return draft


def typed_in(draft: Activity) -> dict[str, Any]:
    """Return what a person typed into a draft, without the marks of the form it was typed in."""
    return {key: value for key, value in (draft.draft_data or {}).items() if key not in ("form", "seq")}


def draft_of_form(actor: Membership, lead: Lead, kind: TypeInfo, form: str) -> Activity | None:
    """Return the actor's draft that an opened form has made already, if any."""
    if not form:
        return None
    rows = Activity.with_drafts.filter(
        status=Activity.Status.DRAFT, created_by=actor.user_id, lead=lead, type_id=kind.id
    )
    return rows.select_related("lead", "contact").filter(draft_data__form=form).order_by("pk").first()


def discard_draft(actor: Membership, draft: Activity) -> None:
    """Throw a draft away: own ones, whatever became of their type."""
    with transaction.atomic():
        draft = _locked_draft(actor, draft)
        authorize(can_view_draft(actor, draft))
        kind = type_of(actor, draft)
        events.record(actor, "deleted", event_type(kind), draft.pk, lead_id=draft.lead_id, before=activity_state(draft))
        draft.delete()


def _locked_draft(actor: Membership, draft: Activity) -> Activity:
    row = Activity.with_drafts.select_for_update().filter(pk=draft.pk).first()
    if row is None:
        raise NotFound("There is no such draft.")
    if not row.is_draft:
        raise Conflict("This activity is published already. Open it on the timeline to change it.")
    return row


def _record_saving(actor: Membership, draft: Activity, kind: TypeInfo) -> None:
    """One event per save would drown the log: the last one of the same author within ten minutes is carried on."""
    recent = Event.objects.filter(
        object_type=event_type(kind), object_id=draft.pk, user_id=actor.user_id,
        date_created__gte=timezone.now() - timedelta(minutes=10),
    ).order_by("-pk").first()  # fmt: skip
    if recent and recent.action in ("created", "updated") and recent.after and "draft_data" in recent.after:
        recent.after = {**recent.after, "draft_data": draft.draft_data}
        recent.save(update_fields=["after"])
        return
    events.record(
        actor, "updated", event_type(kind), draft.pk, lead_id=draft.lead_id,
        changed=["draft_data"], after={"draft_data": draft.draft_data},
    )  # fmt: skip


def _without_nul(typed: dict[str, Any]) -> dict[str, Any]:
    """PostgreSQL's JSON cannot hold NUL characters; nobody can type one."""
    return {
        key: [str(item).replace("\x00", "") for item in value]
        if isinstance(value, list)
        else str(value).replace("\x00", "")
        for key, value in typed.items()
    }
