"""Logging, changing, publishing and deleting activities: one road for page, API and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.utils import timezone

from activities.models import Activity, Comment
from activities.queries import TypeInfo, type_catalog
from activities.services.facts import count_published, refresh_facts
from activities.services.milestones import milestones
from activities.services.rules import run_rules
from activities.services.typed import about_of, start_of
from crm import events
from crm.customfields.catalog import Catalog, catalog
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups
from crm.customfields.values import delete_index, index_rows, insert_index_many, replace_index
from crm.errors import Conflict, InvalidInput, NotFound
from crm.models import Event, Membership, Organization, User
from crm.permissions import authorize, can_delete_activity, can_edit_activity, can_log, can_view_draft
from crm.plans import count_first_publishes
from leads.models import Contact, Lead
from leads.queries import visible_leads

PUBLISHED, DRAFT = Activity.Status.PUBLISHED, Activity.Status.DRAFT
UNSET: Any = object()


def type_of(actor: Membership, activity: Activity) -> TypeInfo:
    """Return the type of an activity from the catalog."""
    found = type_catalog(actor.organization).get(activity.type_id)
    if found is None:
        raise NotFound("There is no such activity type.")
    return found


def event_type(kind: TypeInfo) -> str:
    """Return the object type of events about activities of this type."""
    return kind.event_type


def raw_by_id(known: Catalog, kind: TypeInfo, custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return raw input keyed by `cf_` id. Keys may be `cf_` ids, exact names, or keys of built-in fields.

    Raises `InvalidInput` naming each key that is not a field of the type.
    """
    uses = known.uses(kind.fieldset_id)
    by_key: dict[str, str] = {}
    for use in uses:
        by_key.setdefault(use.field.name, use.field.public_id)
        if use.field.builtin:
            by_key[use.field.builtin.partition(".")[2]] = use.field.public_id
    by_key |= {use.field.public_id: use.field.public_id for use in uses}
    found, errors = {}, {}
    for key, value in custom.items():
        if key in by_key:
            found[by_key[key]] = value
        else:
            errors[f"custom.{key}"] = f"{kind.name} has no field “{key}”."
    if errors:
        raise InvalidInput(fields=errors)
    return found


def local_day(moment: datetime, organization: Organization) -> Any:
    """Return the day a moment falls on in the organization's zone."""
    return moment.astimezone(ZoneInfo(organization.timezone)).date()


def log_activity(
    actor: Membership,
    lead: Lead,
    kind: TypeInfo,
    *,
    custom: Mapping[str, Any] | None = None,
    status: str = PUBLISHED,
    user: User | None = None,
    contact: Contact | None = None,
    activity_at: datetime | None = None,
    date_created: datetime | None = None,
    created_by: User | None = None,
    pinned: bool = False,
    external_id: str | None = None,
) -> Activity:
    """Log an activity on a lead and return it.

    `custom`: raw input by `cf_` id. Drafts check each value but not what is required. `date_created` may lie in the
    past. Without `activity_at`, a meeting happens when it starts, all else when it was recorded. Raises `InvalidInput` with all problems, `NotAllowed`, `PlanLimitReached` (custom
    types, first publish) or `Conflict` for an `external_id` that is taken.
    """
    authorize(can_log(actor, kind))
    now = timezone.now()
    created = date_created or now
    with transaction.atomic():
        known = catalog(actor.organization)
        _check_contact(lead, contact)
        values = clean_values(
            actor, known.uses(kind.fieldset_id), raw_by_id(known, kind, custom or {}), current={},
            lookups=Lookups(actor.organization, lead.pk), require=status == PUBLISHED, partial=True,
        )  # fmt: skip
        if status == PUBLISHED and kind.is_custom:
            count_first_publishes(actor.organization)
        try:
            # Only an external id can be taken, so only then something has to be undone without the whole.
            with transaction.atomic() if external_id else nullcontext():
                activity = Activity.unscoped.create(
                    organization=actor.organization, lead=lead, type_id=kind.id, status=status, values=values,
                    user=user or actor.user, contact=contact, created_by=created_by or actor.user, updated_by=actor.user,
                    date_created=created, date_updated=now, activity_at=activity_at or start_of(known, kind, values) or created,
                    published_at=now if status == PUBLISHED else None,
                    created_on=local_day(created, actor.organization), pinned_at=now if pinned else None,
                    external_id=external_id or None,
                )  # fmt: skip
        except IntegrityError:
            if not external_id:
                raise
            raise Conflict(f"There is an activity with the external id “{external_id}” already.") from None
        if status == PUBLISHED:
            insert_index_many(index_rows(known, lead.pk, activity.pk, values))
            count_published([(activity.type_id, activity.lead_id, activity.activity_at)])
        state = activity_state(activity)
        told = [events.EventRow("created", event_type(kind), activity.pk, lead.pk, after=state)]
        if status == PUBLISHED and kind.is_custom:
            told.append(events.EventRow("published", event_type(kind), activity.pk, lead.pk))
        happens = (activity.activity_at, activity.activity_at)
        passed = milestones(actor, known, kind, now, None, None if activity.is_draft else values, happens)
        told += [events.EventRow(action, event_type(kind), activity.pk, lead.pk) for action in passed]
        events.record_many(actor, told)
        if status == PUBLISHED:
            run_rules(actor, [(activity.pk, kind.id)])
    return activity


def update_activity(
    actor: Membership,
    activity: Activity,
    *,
    custom: Mapping[str, Any] | None = None,
    status: str | None = None,
    user: User | None = UNSET,
    contact: Contact | None = UNSET,
    activity_at: datetime | None = None,
    by_start: bool = False,
    pinned: bool | None = None,
    external_id: str | None = UNSET,
    revision: int | None = None,
    partial: bool = True,
) -> Activity:
    """Change an activity; `status` publishes or takes back to draft. Returns it as it is now.

    Without `activity_at`, a meeting whose start changes moves along, unless somebody said otherwise when it happened;
    `by_start` takes that back.
    `revision`: the one the actor saw; another one raises `Conflict`. Without `partial`, fields absent from `custom` are
    emptied. Nothing that differs, nothing written. Raises `Conflict` for an `external_id` that is taken.
    """
    with transaction.atomic():
        activity = _locked(activity)
        kind = type_of(actor, activity)
        authorize(can_edit_activity(actor, activity, kind))
        if activity.is_draft:
            authorize(can_view_draft(actor, activity))
        _check_revision(activity, revision)
        known = catalog(actor.organization)
        before, old_values, was_published = activity_state(activity), dict(activity.values), not activity.is_draft
        happened = activity.activity_at
        target = status or activity.status
        publishing = target == PUBLISHED and not was_published
        if publishing:
            authorize(can_log(actor, kind))
        if custom is not None or publishing:
            raw = raw_by_id(known, kind, custom or {})
            if publishing and activity.draft_data and partial:
                about = about_of(actor, activity)
                activity_at = activity_at or about.activity_at
                contact = about.contact if contact is UNSET and about.contact else contact
                user = about.user if user is UNSET and about.user else user
                typed = {key: value for key, value in activity.draft_data.items() if key.startswith("cf_")}
                raw = {key: value for key, value in typed.items() if _is_field(known, kind, key)} | raw
            activity.values = clean_values(
                actor, known.uses(kind.fieldset_id), raw, current=old_values, require=target == PUBLISHED,
                lookups=Lookups(actor.organization, activity.lead_id), partial=partial,
            )  # fmt: skip
        if contact is not UNSET:
            _check_contact(activity.lead, contact)
            activity.contact = contact
        if user is not UNSET:
            activity.user = user or actor.user
        starts, started = start_of(known, kind, activity.values), start_of(known, kind, old_values)
        if activity_at is not None:
            activity.activity_at = activity_at
        elif starts and (
            by_start
            or (starts != started and activity.activity_at in (started, activity.date_created, activity.published_at))
        ):
            activity.activity_at = starts
        if pinned is not None and pinned != (activity.pinned_at is not None):
            activity.pinned_at = timezone.now() if pinned else None
        if external_id is not UNSET:
            _check_external_id(activity, external_id)
            activity.external_id = external_id or None
        first_publish = publishing and activity.published_at is None
        if first_publish and kind.is_custom:
            count_first_publishes(actor.organization)
        if first_publish:
            activity.published_at = timezone.now()
            if (
                activity.draft_data is not None
                and activity_at is None
                and before["activity_at"] == before["date_created"]
            ):
                activity.activity_at = starts or activity.published_at
        activity.status = target
        if target == PUBLISHED:
            activity.draft_data = None
        after = activity_state(activity)
        changed = events.diff(before, after)
        if not changed:
            return activity
        activity.updated_by, activity.date_updated = actor.user, timezone.now()
        activity.revision += 1
        activity.save(
            update_fields=[
                "values", "contact", "user", "activity_at", "pinned_at", "published_at", "status", "draft_data",
                "external_id", "updated_by", "date_updated", "revision",
            ]
        )  # fmt: skip
        _index(activity, known, old_values if was_published else {})
        if was_published != (target == PUBLISHED) or before["activity_at"] != after["activity_at"]:
            refresh_facts([activity.lead_id], [activity.type_id])
        events.record(
            actor, "updated", event_type(kind), activity.pk, lead_id=activity.lead_id, changed=changed,
            before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
        )  # fmt: skip
        if first_publish and kind.is_custom:
            events.record(actor, "published", event_type(kind), activity.pk, lead_id=activity.lead_id)
        for action in milestones(
            actor, known, kind, activity.date_updated, old_values if was_published else None,
            None if activity.is_draft else activity.values, (happened, activity.activity_at),
        ):  # fmt: skip
            events.record(actor, action, event_type(kind), activity.pk, lead_id=activity.lead_id)
        if first_publish:
            run_rules(actor, [(activity.pk, kind.id)])
    return activity


def set_pinned(actor: Membership, activity: Activity, pinned: bool) -> Activity:
    """Pin an activity to the top of its lead's timeline, or let it go."""
    return update_activity(actor, activity, pinned=pinned)


def delete_activity(actor: Membership, activity: Activity) -> Event:
    """Delete an activity. The event that is returned keeps everything needed to bring it back."""
    with transaction.atomic():
        activity = _locked(activity)
        kind = type_of(actor, activity)
        authorize(can_delete_activity(actor, activity, kind))
        if activity.is_draft:
            authorize(can_view_draft(actor, activity))
        state = activity_state(activity)
        state["comments"] = comment_states([activity.pk]).get(activity.pk, [])
        event = events.record(actor, "deleted", event_type(kind), activity.pk, lead_id=activity.lead_id, before=state)
        known = catalog(actor.organization)
        delete_index(activity.lead_id, [use.field.id for use in known.uses(kind.fieldset_id)], [activity.pk])
        lead_id, type_id, published = activity.lead_id, activity.type_id, not activity.is_draft
        activity.delete()
        if published:
            refresh_facts([lead_id], [type_id])
    return event


def restore_activity(actor: Membership, event: Event) -> Activity:
    """Bring a deleted activity back with its id, values and comments (undo). Raises `Conflict` when it is back already."""
    state = event.before or {}
    if event.action != "deleted" or "type_id" not in state:
        raise NotFound("There is nothing to bring back.")
    with transaction.atomic():
        kind = type_catalog(actor.organization).get(state["type_id"])
        lead = visible_leads(actor).filter(pk=event.lead_id).first()
        if kind is None or lead is None:
            raise NotFound("The lead or the type of this activity is gone, so it cannot come back.")
        authorize(can_edit_activity(actor, _Authored(state), kind))
        if state["status"] == DRAFT:
            authorize(can_view_draft(actor, _Authored(state)))
        if Activity.unscoped.filter(pk=event.object_id).exists():
            raise Conflict("This activity is back already.")
        external_id = state["external_id"]
        if external_id and Activity.with_drafts.filter(external_id=external_id).exists():
            raise Conflict(
                f"Another activity has the external id “{external_id}” by now, so this one cannot come back."
            )
        moments = {
            key: datetime.fromisoformat(state[key]) if state[key] else None
            for key in ("date_created", "activity_at", "published_at", "pinned_at")
        }
        known = catalog(actor.organization)
        values = {key.removeprefix("custom."): value for key, value in state.items() if key.startswith("custom.")}
        contact = Contact.objects.filter(pk=state["contact_id"], lead=lead).first() if state["contact_id"] else None
        activity = Activity.unscoped.create(
            pk=event.object_id, organization=actor.organization, lead=lead, type_id=kind.id, status=state["status"],
            values=values, draft_data=state["draft_data"], user_id=state["user_id"], contact=contact,
            created_by_id=state["created_by_id"], updated_by=actor.user, external_id=external_id,
            created_on=local_day(moments["date_created"] or timezone.now(), actor.organization), **moments,
        )  # fmt: skip
        Comment.unscoped.bulk_create(
            Comment(
                organization=actor.organization, activity=activity, author_id=row["author_id"], text=row["text"],
                date_created=datetime.fromisoformat(row["date_created"]),
                date_updated=datetime.fromisoformat(row.get("date_updated") or row["date_created"]),
            )
            for row in state.get("comments", [])
        )  # fmt: skip
        if not activity.is_draft:
            insert_index_many(index_rows(known, lead.pk, activity.pk, values))
            refresh_facts([lead.pk], [kind.id])
        events.record(
            actor, "created", event_type(kind), activity.pk, lead_id=lead.pk,
            after=activity_state(activity), meta={"restored_from": event.public_id},
        )  # fmt: skip
    return activity


class _Authored:
    """The authorship of a deleted activity, for the gate."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.created_by_id, self.user_id = state["created_by_id"], state["user_id"]


def activity_state(activity: Any) -> dict[str, Any]:
    """Return what the event log keeps of an activity (or its `bulk.Row`): everything needed to bring it back. JSON-able."""
    return {
        "type_id": activity.type_id,
        "status": str(activity.status),
        "user_id": activity.user_id,
        "contact_id": activity.contact_id,
        "created_by_id": activity.created_by_id,
        "date_created": activity.date_created.isoformat(),
        "activity_at": activity.activity_at.isoformat(),
        "published_at": activity.published_at.isoformat() if activity.published_at else None,
        "pinned_at": activity.pinned_at.isoformat() if activity.pinned_at else None,
        "external_id": activity.external_id,
        "draft_data": activity.draft_data,
        **{f"custom.{key}": value for key, value in activity.values.items()},
    }


def comment_states(activity_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Return what the log of a deleted activity keeps of its comments, oldest first, by the activity's id."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in Comment.objects.filter(activity_id__in=activity_ids).order_by("pk"):
        found.setdefault(row.activity_id, []).append(comment_state(row))
    return found


def comment_state(comment: Comment) -> dict[str, Any]:
    """Return what the event log keeps of a comment. JSON-able."""
    return {
        "author_id": comment.author_id,
        "text": comment.text,
        "date_created": comment.date_created.isoformat(),
        "date_updated": comment.date_updated.isoformat(),
    }


# --- parts ------------------------------------------------------------------------------------------------------------
def _locked(activity: Activity) -> Activity:
    found = (
        Activity.with_drafts.select_for_update(of=("self",)).select_related("lead", "contact").filter(pk=activity.pk)
    )
    row = found.first()
    if row is None:
        raise NotFound("There is no such activity.")
    return row


def _check_revision(activity: Activity, revision: int | None) -> None:
    if revision is not None and revision != activity.revision:
        raise Conflict(
            "Somebody saved this activity after you opened it. Both versions are kept: choose which one to use."
        )


def _check_external_id(activity: Activity, external_id: str | None) -> None:
    if not external_id or external_id == activity.external_id:
        return
    # Two that want the same one wait for each other.
    Organization.objects.select_for_update().get(pk=activity.organization_id)
    if Activity.with_drafts.filter(external_id=external_id).exclude(pk=activity.pk).exists():
        raise Conflict(f"There is an activity with the external id “{external_id}” already.")


def _check_contact(lead: Lead, contact: Contact | None) -> None:
    if contact is not None and contact.lead_id != lead.pk:
        raise InvalidInput(fields={"contact_id": f"{contact} is not a contact of {lead.name}."})


def _is_field(known: Catalog, kind: TypeInfo, public_id: str) -> bool:
    field = known.field_by_public_id(public_id)
    return field is not None and known.use(kind.fieldset_id, field.id) is not None


def _index(activity: Activity, known: Catalog, indexed: Mapping[str, Any]) -> None:
    wanted = {} if activity.is_draft else activity.values
    replace_index(activity.lead_id, activity.pk, known, indexed, wanted)
