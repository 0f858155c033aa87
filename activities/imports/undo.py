"""Taking a run back: created records go, overwritten values return, what somebody changed since is kept and listed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from activities.imports.pace import Pace
from activities.imports.runs import UNDO_DAYS, State, can_undo
from activities.models import Activity
from activities.services.activities import update_activity
from activities.services.bulk import delete_many
from crm import events
from crm.customfields.catalog import Use, catalog
from crm.customfields.lookups import Lookups
from crm.errors import Conflict, NotAllowed, TouchpointError
from crm.imports.resource import CREATE, UPDATE
from crm.jobs import enqueue
from crm.models import ImportRow, ImportRun, Membership, User
from crm.permissions import Perm, authorize, has
from crm.tenancy import scope
from leads.models import Contact, Lead, Task
from leads.services import delete_contact, delete_lead, update_contact, update_lead

BATCH = 500
SECONDS_A_JOB = 20
CHANGED = "It was changed after the import."


def begin_undo(actor: Membership, run: ImportRun) -> None:
    """Take a run back in the background, as the actor."""
    authorize(has(actor, Perm.BULK_IMPORT))
    if not can_undo(run):
        raise Conflict(f"This import cannot be undone: it wrote nothing, is undone, or is older than {UNDO_DAYS} days.")
    with transaction.atomic():
        run.options["undo_by"] = actor.pk
        run.save(update_fields=["options"])
        events.record(actor, "updated", "import", run.pk, changed=["state"], after={"state": "undoing"})
        enqueue("activities.imports.undo_work", run.organization_id, run.pk)


def rows_to_undo(run: ImportRun) -> int:
    """Return how many written rows are still to be taken back."""
    return ImportRow.objects.filter(run=run, verdict__in=(CREATE, UPDATE)).count()


def undo_work(organization_id: int, run_id: int) -> None:
    """The job of an undo; hands over to the next one when its time is up."""
    with scope(organization_id), events.door("import"):
        run = ImportRun.objects.filter(pk=run_id, options__has_key="undo_by").first()
        if run is None:
            return
        members = Membership.objects.select_related("user", "organization", "role")
        actor = members.filter(pk=run.options["undo_by"], removed_at=None).first()
        try:
            if actor is None:
                raise NotAllowed("The member who asked for the undo was removed.")
            if not _take_back(actor, run, time.monotonic() + SECONDS_A_JOB):
                enqueue("activities.imports.undo_work", organization_id, run_id)
        except TouchpointError as error:
            run.options.pop("undo_by", None)
            run.message = error.message
            run.save(update_fields=["options", "message"])


def undo_run(actor: Membership, run: ImportRun) -> ImportRun:
    """Take a run back here and now, without a worker."""
    authorize(has(actor, Perm.BULK_IMPORT))
    if run.state == State.RUNNING:
        raise Conflict("Pause or cancel the import first.")
    _take_back(actor, run, float("inf"))
    return run


def _take_back(actor: Membership, run: ImportRun, deadline: float) -> bool:
    """Undo rows from the last to the first; return False when the time is up, True when all are done."""
    authorize(has(actor, Perm.BULK_IMPORT))
    written = ImportRow.objects.filter(run=run, verdict__in=(CREATE, UPDATE)).order_by("-number")
    undo = _Undo(actor, run)
    pace = Pace(BATCH, first=50)
    while rows := list(written[: pace.size]):
        began = time.monotonic()
        with transaction.atomic():
            made = [row for row in rows if row.verdict == CREATE and row.object_type == "activity"]
            errors = undo.made_activities(made)
            plain = [row.pk for row in made if not errors[row.pk]]
            ImportRow.objects.filter(pk__any=plain).update(verdict="undone", error="")
            others = [row for row in rows if row.pk not in set(plain)]
            for row in others:
                row.error = errors[row.pk] if row.pk in errors else undo.row(row)
                row.verdict = "kept" if row.error else "undone"
            ImportRow.objects.bulk_update(others, ["verdict", "error", "before"])
        if time.monotonic() > deadline:
            return False
        _rest(pace, len(rows), began, deadline)
    if not _remove_empty_leads(actor, run, deadline):
        return False
    with transaction.atomic():
        kept = ImportRow.objects.filter(run=run, verdict="kept").count()
        run.state = State.UNDONE
        run.message = _kept_message(kept)
        run.options.pop("undo_by", None)
        run.options.pop("undone_leads", None)
        run.save(update_fields=["state", "message", "options"])
        events.record(actor, "updated", "import", run.pk, changed=["state"], after={"state": "undone"})
    return True


def _kept_message(kept: int) -> str:
    if not kept:
        return ""
    return f"{kept:,} {'record was' if kept == 1 else 'records were'} changed after the import and {'is' if kept == 1 else 'are'} kept."


def _rest(pace: Pace, rows: int, began: float, deadline: float) -> None:
    pace.note(rows, time.monotonic() - began)
    if deadline != float("inf"):
        pace.breathe()


def _remove_empty_leads(actor: Membership, run: ImportRun, deadline: float) -> bool:
    """Remove the leads that rows of activities made, where nothing has come to them since; False when the time is up."""
    rows = ImportRow.objects.filter(run=run, before__has_key="lead_created")
    made = sorted(
        pk for pk in rows.values_list("before__lead_created", flat=True) if pk > run.options.get("undone_leads", 0)
    )
    pace = Pace(BATCH, first=50)
    while made:
        began = time.monotonic()
        batch, made = made[: pace.size], made[pace.size :]
        with transaction.atomic():
            for lead in Lead.objects.filter(pk__any=batch):
                if not _in_use(lead) and not lead.contacts_count:
                    delete_lead(actor, lead)
            run.options["undone_leads"] = batch[-1]
            run.save(update_fields=["options"])
        if made and time.monotonic() > deadline:
            return False
        _rest(pace, len(batch), began, deadline)
    return True


def _in_use(lead: Lead) -> bool:
    activities = Activity.with_drafts.filter(lead=lead, type__system=False)
    return activities.exists() or Task.objects.filter(lead=lead).exists()


class _Undo:
    """Takes rows back, last one first. Two rows may have changed one record: the earlier finds what the later left.

    `before` of an undone row keeps `now`: what the record's stamp (revision or date_updated) is after the undo, and
    `then`: what it was before the row was written. An earlier row of the record may be undone when it wrote `then`.
    """

    def __init__(self, actor: Membership, run: ImportRun) -> None:
        self.actor = actor
        self.known = catalog(actor.organization)
        self.lookups = Lookups(actor.organization)
        self.left: dict[tuple[str, int], tuple[Any, Any]] = {}
        for row in ImportRow.objects.filter(run=run, verdict="undone", before__has_key="left").order_by("-number"):
            for kind, pk, now, then in (row.before or {})["left"]:
                self.left[kind, pk] = (now, then)

    def row(self, row: ImportRow) -> str:
        """Take one row back; returns why it is kept, or an empty text."""
        undo = self._activity if row.object_type == "activity" else self._lead
        try:
            with transaction.atomic():
                return undo(row)
        except TouchpointError as error:
            return error.message

    def made_activities(self, rows: Sequence[ImportRow]) -> dict[int, str]:
        """Take back the activities that rows made, together; returns why each row is kept, or an empty text."""
        made = [row.object_id for row in rows]
        now = dict(
            Activity.with_drafts.select_for_update().filter(pk__any=made).order_by("pk").values_list("pk", "revision")
        )
        ours = {pk for pk, revision in now.items() if self._untouched("activity", pk, revision, 1)}
        refused = delete_many(self.actor, sorted(ours)) if ours else {}
        return {
            row.pk: refused.get(row.object_id or 0, "")
            if row.object_id in ours or row.object_id not in now
            else CHANGED
            for row in rows
        }

    def _untouched(self, kind: str, pk: int, stamp: Any, written: Any) -> bool:
        """Return whether the record is as this row wrote it, but for later rows that were taken back."""
        now, then = self.left.get((kind, pk), (None, None))
        return bool(stamp == written or (stamp == now and then == written))

    def _leave(self, row: ImportRow, kind: str, pk: int, now: Any, then: Any) -> None:
        self.left[kind, pk] = (now, then)
        row.before = {**(row.before or {}), "left": [*(row.before or {}).get("left", []), [kind, pk, now, then]]}

    # --- activities -------------------------------------------------------------------------------------------------
    def _activity(self, row: ImportRow) -> str:
        activity = Activity.with_drafts.filter(pk=row.object_id).first()
        if activity is None:
            return "The activity was deleted since."
        written = (row.before or {})["revision"]
        if not self._untouched("activity", activity.pk, activity.revision, written):
            return CHANGED
        old = dict((row.before or {})["values"])
        changes: dict[str, Any] = {}
        if "user" in old:
            changes["user"] = User.objects.get(pk=old.pop("user"))
        if "contact" in old:
            contact_id = old.pop("contact")
            changes["contact"] = Contact.objects.filter(pk=contact_id).first() if contact_id else None
        if "activity_at" in old:
            changes["activity_at"] = datetime.fromisoformat(old.pop("activity_at"))
        if "pinned" in old:
            changes["pinned"] = old.pop("pinned")
        uses = {use.field.public_id: use for use in self._uses_of(activity)}
        custom = {key: self._raw(uses[key], stored) for key, stored in old.items() if key in uses}
        updated = update_activity(self.actor, activity, custom=custom, **changes)
        self._leave(row, "activity", activity.pk, updated.revision, written - 1)
        return ""

    def _uses_of(self, activity: Activity) -> tuple[Use, ...]:
        return self.known.uses(activity.type.fieldset_id)

    def _raw(self, use: Use, stored: Any) -> Any:
        """Return the input that becomes the stored value again."""
        return None if stored is None else use.field.kind.to_csv(stored, use.field, self.lookups)

    # --- leads --------------------------------------------------------------------------------------------------------
    def _lead(self, row: ImportRow) -> str:
        lead, before = Lead.objects.filter(pk=row.object_id).first(), row.before or {}
        if lead is None:
            return "" if row.verdict == CREATE else "The lead was deleted since."
        if row.verdict == CREATE:
            return self._made_lead(lead, before)
        if reason := self._contact(row, lead, before):
            return reason
        if "state" not in before:
            return ""
        if not self._untouched("lead", lead.pk, lead.date_updated.isoformat(), before["date_updated"]):
            return CHANGED
        changes = self._changes(before["state"], {str(use.field.id): use for use in self.known.lead_uses})
        if "status_id" in changes:
            changes["status"] = changes.pop("status_id")
        updated = update_lead(self.actor, lead, changes)
        self._leave(row, "lead", lead.pk, updated.date_updated.isoformat(), before["was"])
        return ""

    def _made_lead(self, lead: Lead, before: dict[str, Any]) -> str:
        if _in_use(lead) or not self._untouched("lead", lead.pk, lead.date_updated.isoformat(), before["date_updated"]):
            return CHANGED
        for contact in Contact.objects.filter(lead=lead):
            written = before["contacts"].get(str(contact.pk))
            if written is None or not self._untouched("contact", contact.pk, contact.date_updated.isoformat(), written):
                return CHANGED
        delete_lead(self.actor, lead)
        return ""

    def _contact(self, row: ImportRow, lead: Lead, before: dict[str, Any]) -> str:
        """Take back what the row did to a contact."""
        pk = before.get("contact_created") or before.get("contact")
        contact = Contact.objects.filter(pk=pk, lead=lead).first() if pk else None
        if contact is None:
            return ""
        if not self._untouched("contact", contact.pk, contact.date_updated.isoformat(), before["contact_date"]):
            return CHANGED
        if "contact_created" in before:
            delete_contact(self.actor, contact)
            return ""
        changes = self._changes(before["contact_state"], {str(use.field.id): use for use in self.known.contact_uses})
        updated = update_contact(self.actor, contact, changes)
        self._leave(row, "contact", contact.pk, updated.date_updated.isoformat(), before["contact_was"])
        return ""

    def _changes(self, state: dict[str, Any], uses: dict[str, Use]) -> dict[str, Any]:
        """Return what a service takes to bring these stored parts back."""
        changes: dict[str, Any] = {"custom": {}}
        for key, stored in state.items():
            if not key.startswith("custom."):
                changes[key] = stored
            elif use := uses.get(key.removeprefix("custom.")):
                changes["custom"][use.field.public_id] = self._raw(use, stored)
        return changes
