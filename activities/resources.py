"""Activities as CSV rows: the same resource serves import runs, the API and the staff admin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.utils import timezone

from activities.models import Activity
from activities.queries import TypeInfo, type_catalog, visible_activities, visible_types
from activities.services.activities import update_activity
from activities.services.bulk import Prepared, log_many
from activities.services.missing_options import add_missing_options
from activities.services.typed import start_of
from crm import ids
from crm.customfields.catalog import Catalog, Use, catalog
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups, UserRef
from crm.errors import InvalidInput, NotAllowed
from crm.fieldkinds import fold
from crm.imports.cleaning import RowCleaner
from crm.imports.files import Row
from crm.imports.resource import CLEARED, CREATE, SKIP, UPDATE, SettledResource, Verdict
from crm.models import User
from crm.permissions import can_edit_activity, can_edit_field, can_log, can_view_field
from crm.phones import normal_phone
from leads.models import Contact, ContactPoint
from leads.queries import visible_leads
from leads.services import create_lead

COLUMNS = (
    "custom_activity_type", "lead_id", "lead_name", "lead_email", "lead_phone", "user", "contact", "date_created",
    "activity_at", "external_id", "id", "pinned",
)  # fmt: skip
LEAD_COLUMNS = ("lead_id", "lead_name", "lead_email", "lead_phone")


class ActivityResource(SettledResource):
    """Creates activities, or updates those whose `id` is given. Runs in the caller's transaction and scope."""

    columns = COLUMNS
    exact = True
    aliases = {
        "activity_type": "custom_activity_type",
        "type": "custom_activity_type",
        "custom_activity_id": "id",
        "activity_id": "id",
        "contact_id": "contact",
        "user_email": "user",
    }
    never_imported = (
        "status", "organization", "organization_id", "org", "created_by", "updated_by", "date_updated",
        "created_by_email", "contact_name", "user_name", "revision",
    )  # fmt: skip
    never_cleared = tuple(column for column in COLUMNS if column != "contact")
    words = {
        "company": "lead_name", "company name": "lead_name", "customer": "lead_name", "account": "lead_name",
        "lead": "lead_name", "email": "lead_email", "e-mail": "lead_email", "phone": "lead_phone",
        "owner": "user", "rep": "user", "date": "date_created", "when": "date_created",
    }  # fmt: skip

    class Meta:
        model = Activity

    # --- columns ----------------------------------------------------------------------------------------------------
    @property
    def constant_type(self) -> TypeInfo | None:
        return type_catalog(self.actor.organization).by_public_id(self.options.type_id)

    def field_names(self) -> dict[str, str]:
        """Return `custom.<name>` → `custom.<cf_ id>` (or the name again where types share it) for importable fields."""
        found: dict[str, str] = {}
        for use in self._uses():
            name = f"custom.{use.field.name}"
            # Two types may each have a field of this name; the name is then looked up row by row.
            found[name] = name if name in found else f"custom.{use.field.public_id}"
            found[f"custom.{use.field.public_id}"] = f"custom.{use.field.public_id}"
        return found

    def writable_names(self) -> dict[str, str]:
        names = self.field_names()
        found = [use.field.name for use in self._uses() if can_edit_field(self.actor, use)]
        return {name: names[f"custom.{name}"] for name in dict.fromkeys(found)}

    def _uses(self) -> Iterable[Use]:
        known = catalog(self.actor.organization)
        kinds = [self.constant_type] if self.constant_type else visible_types(self.actor)
        return (use for kind in kinds if not kind.system for use in known.uses(kind.fieldset_id))

    # --- rows -------------------------------------------------------------------------------------------------------
    def settle(self, rows: Sequence[Row]) -> list[Verdict]:
        cells = {row.number: {} if row.problem else self.read(row) for row in rows}
        chunk = _Chunk(self, list(cells.values()))
        to_log: list[tuple[Verdict, Prepared]] = []

        def one(verdict: Verdict, given: dict[str, str]) -> None:
            if "id" in given:
                chunk.update(verdict, given)
            elif prepared := chunk.create(verdict, given):
                to_log.append((verdict, prepared))

        verdicts = self.judge(rows, one, cells)
        logged = log_many(self.actor, [prepared for _, prepared in to_log])
        for (verdict, _), activity_id in zip(to_log, logged, strict=True):
            verdict.object_id = activity_id
        return verdicts


class _Chunk:
    """Some rows and everything they refer to, loaded with a fixed number of queries."""

    def __init__(self, resource: ActivityResource, given: Sequence[Mapping[str, str]]) -> None:
        self.resource, self.actor, self.options = resource, resource.actor, resource.options
        if self.options.add_options:
            add_missing_options(self.actor, resource.constant_type, given)
        self.types = type_catalog(self.actor.organization)
        self.known: Catalog = catalog(self.actor.organization)
        self.lookups = Lookups(self.actor.organization)
        self.constant = resource.constant_type
        self._visible = {kind.id for kind in visible_types(self.actor)}
        self._fields: dict[int, dict[str, Use]] = {}
        self._types: dict[str, TypeInfo] = {}
        self._users: dict[str, UserRef] = {}
        self._may_log: dict[int, str] = {}
        self._moments: dict[str, datetime] = {}
        self._leads: dict[tuple[str, str], int] = {}
        self._cleaners: dict[int, RowCleaner] = {}
        self._load_activities(given)
        self._load_leads(given)

    # --- what rows refer to -----------------------------------------------------------------------------------------
    def _load_activities(self, given: Sequence[Mapping[str, str]]) -> None:
        numbers = {ids.decode("acti", row["id"].strip()) for row in given if "id" in row} - {None}
        found = visible_activities(self.actor).select_related("lead", "contact").filter(pk__any=numbers)
        self.activities = {row.pk: row for row in found} if numbers else {}
        externals = {row["external_id"].strip() for row in given if "external_id" in row and "id" not in row}
        taken = Activity.unscoped.filter(organization=self.actor.organization, external_id__any=externals)
        self.taken = dict(taken.values_list("external_id", "pk")) if externals else {}

    def _load_leads(self, given: Sequence[Mapping[str, str]]) -> None:
        def texts(column: str) -> set[str]:
            return {row[column].strip() for row in given if column in row}

        numbers = {ids.decode("lead", text) for text in texts("lead_id")} - {None}
        names = {fold(text) for text in texts("lead_name")}
        points = {("email", text.lower()) for text in texts("lead_email")}
        points |= {("phone", normal_phone(text)) for text in texts("lead_phone")}
        self.by_point: dict[tuple[str, str], list[int]] = {}
        if points:
            rows = ContactPoint.objects.filter(
                channel__in=("email", "phone"), value__any={value for _, value in points}
            ).values_list("channel", "value", "lead_id")
            for channel, value, lead_id in rows:
                self.by_point.setdefault((channel, value), []).append(lead_id)
        wanted = numbers | {pk for found in self.by_point.values() for pk in found}
        # Two statements, each by its index: PostgreSQL reads all leads for one that asks either.
        which = [Q(pk__any=wanted)] if wanted else []
        which += [Q(name_fold__any=names)] if names else []
        self.leads: dict[int, str] = {}
        for one in which:
            self.leads |= dict(visible_leads(self.actor).filter(one).values_list("pk", "name"))
        self.by_name: dict[str, list[int]] = {}
        for pk, name in self.leads.items():
            self.by_name.setdefault(fold(name), []).append(pk)
        if any("contact" in row or self._contact_fields & row.keys() for row in given):
            self.lookups.preload_leads([*self.leads, *(row.lead_id for row in self.activities.values())])

    @cached_property
    def _contact_fields(self) -> set[str]:
        """The targets of fields that hold contacts."""
        fields = [field for field in self.known.fields.values() if field.kind.refers_to == "contact"]
        return {f"custom.{name}" for field in fields for name in (field.name, field.public_id)}

    def lead(self, given: Mapping[str, str]) -> int | None:
        """Return the lead a row names; None when it is to be made. Raises `InvalidInput` when none or several match."""
        asked = [(column, given[column]) for column in LEAD_COLUMNS if column in given]
        if asked and (known := self._leads.get(asked[0])):
            return known
        asked = [(column, text.strip()) for column, text in asked]
        if not asked:
            raise InvalidInput("The row names no lead. Fill in lead_id, lead_name, lead_email or lead_phone.")
        for column, text in asked:
            found = self._leads_named(column, text)
            if len(found) > 1:
                candidates = ", ".join(f"{self.leads[pk]} ({ids.encode('lead', pk)})" for pk in found[:5])
                raise InvalidInput(fields={column: f"“{text}” fits {len(found)} leads: {candidates}. Use lead_id."})
            if found:
                if column == asked[0][0]:
                    self._leads[column, given[column]] = found[0]
                return found[0]
        if "lead_name" in given and self.options.create_leads:
            return None
        column, text = asked[0]
        raise InvalidInput(fields={column: f"There is no lead “{text}”."})

    def make_lead(self, verdict: Verdict, name: str) -> int:
        """Create the lead of a row whose other cells are in order."""
        lead = create_lead(self.actor, name=name, source="import")
        self.leads[lead.pk] = lead.name
        self.by_name.setdefault(fold(lead.name), []).append(lead.pk)
        verdict.before = {"lead_created": lead.pk}
        return lead.pk

    def _leads_named(self, column: str, text: str) -> list[int]:
        if column == "lead_id":
            number = ids.decode("lead", text)
            return [number] if number in self.leads else []
        if column == "lead_name":
            found = self.by_name.get(fold(text), [])
            exact = [pk for pk in found if self.leads[pk] == text]
            return exact if len(exact) == 1 else found
        point = ("email", text.lower()) if column == "lead_email" else ("phone", normal_phone(text))
        return [pk for pk in dict.fromkeys(self.by_point.get(point, [])) if pk in self.leads]

    def type(self, given: Mapping[str, str]) -> TypeInfo:
        """Return the type a row names, or the one chosen for the whole file; the actor may log it."""
        text = given.get("custom_activity_type", "").strip()
        kind = self._types.get(text)
        if kind is None:
            kind = self._types[text] = self._type_named(text)
        if kind.id not in self._may_log:
            decision = can_log(self.actor, kind)
            self._may_log[kind.id] = "" if decision else decision.reason
        if self._may_log[kind.id]:
            raise NotAllowed(self._may_log[kind.id])
        return kind

    def _type_named(self, text: str) -> TypeInfo:
        if not text and self.constant:
            return self.constant
        if not text:
            raise InvalidInput(fields={"custom_activity_type": "The row names no activity type."})
        found = self.types.by_public_id(text) or self.types.by_name(text)
        if found is None or found.id not in self._visible:
            raise InvalidInput(fields={"custom_activity_type": f"There is no activity type “{text[:100]}”."})
        return found

    def user(self, given: Mapping[str, str]) -> UserRef | None:
        text = given.get("user", "").strip()
        if not text:
            return None
        if text not in self._users:
            found = self.lookups.find_users(text)
            if len(found) != 1:
                reason = "is not a member" if not found else f"fits {len(found)} members"
                raise InvalidInput(fields={"user": f"“{text[:100]}” {reason}. Use an email, an exact name or an id."})
            self._users[text] = found[0]
        return self._users[text]

    def contact(self, lead_id: int | None, text: str) -> int | None:
        if text == CLEARED:
            return None
        found = self.lookups.at(lead_id).find_contacts(text)
        if len(found) != 1:
            raise InvalidInput(fields={"contact": f"“{text[:100]}” is not one contact of this lead."})
        return found[0].id

    def fields_by_key(self, kind: TypeInfo) -> dict[str, Use]:
        """Return the fields of a type by name and by `cf_` id."""
        if kind.id not in self._fields:
            uses = self.known.uses(kind.fieldset_id)
            self._fields[kind.id] = {use.field.name: use for use in uses} | {use.field.public_id: use for use in uses}
        return self._fields[kind.id]

    def raw(self, kind: TypeInfo, given: Mapping[str, str]) -> dict[str, Any]:
        """Return a row's filled cells by `cf_` id, as the file writes them; `(clear)` becomes None."""
        fields = self.fields_by_key(kind)
        found: dict[str, Any] = {}
        for target, cell in given.items():
            if not target.startswith("custom."):
                continue
            use = fields.get(target[7:])
            if use is None:
                raise InvalidInput(fields={target: f"{kind.name} has no such field."})
            found[use.field.public_id] = None if cell is CLEARED else cell
        return found

    # --- writing ------------------------------------------------------------------------------------------------------
    def create(self, verdict: Verdict, given: Mapping[str, str]) -> Prepared | None:
        """Return the activity of a row ready to be logged, or None when the row was imported before."""
        external = given.get("external_id", "").strip()
        if external:
            if len(external) > 200:
                raise InvalidInput(fields={"external_id": "An external id has at most 200 characters."})
            memory = self.resource.memory
            if external in self.taken or external in memory.new_externals or external in memory.externals:
                verdict.verdict, verdict.object_id = SKIP, self.taken.get(external)
                verdict.object_type = "activity"
                verdict.error = f"An activity with the external id “{external}” is there already."
                return None
        kind = self.type(given)
        user = self.user(given)
        created, happened = self._moment(given, "date_created"), self._moment(given, "activity_at")
        lead_id = self.lead(given)
        contact_id = self.contact(lead_id, given["contact"].strip()) if "contact" in given else None
        cleaner = self.cleaner(kind)
        values = cleaner.clean_quickly(given, lead_id)
        if values is None:
            values = cleaner.clean(self.raw(kind, given), lead_id)
        if lead_id is None:
            lead_id = self.make_lead(verdict, given["lead_name"].strip())
        recorded = created or happened or timezone.now()
        # A file's `date_created` is when it occurred; without it a meeting happens when it starts.
        happened = happened or created or start_of(self.known, kind, values) or recorded
        verdict.verdict, verdict.object_type, verdict.counts = CREATE, "activity", kind.is_custom
        verdict.label, verdict.key = f"{kind.name} · {self.leads.get(lead_id, '')}", external
        if external:
            memory.new_externals.add(external)
        return Prepared(
            lead_id=lead_id, kind=kind, values=values, user_id=user.id if user else self.actor.user_id,
            created_by_id=self.actor.user_id, date_created=recorded,
            activity_at=happened, contact_id=contact_id, external_id=external or None,
            pinned=_yes(given.get("pinned", "")),
        )  # fmt: skip

    def _moment(self, given: Mapping[str, str], column: str) -> datetime | None:
        if (text := given.get(column)) is None:
            return None
        if text not in self._moments:
            self._moments[text] = self.resource.moment(text, column)
        return self._moments[text]

    def update(self, verdict: Verdict, given: Mapping[str, str]) -> None:
        """Change the activity a row names; empty cells leave it alone, `(clear)` empties a field."""
        text = given["id"].strip()
        activity = self.activities.get(ids.decode("acti", text) or 0)
        if activity is None:
            raise InvalidInput(fields={"id": f"There is no activity “{text[:60]}”."})
        kind = self.types.get(activity.type_id)
        assert kind is not None, "a type is never deleted while it has activities"
        if not (decision := can_edit_activity(self.actor, activity, kind)):
            raise NotAllowed(decision.reason)
        self._refuse_another_lead_or_type(activity, kind, given)
        changes: dict[str, Any] = {}
        raw = self.cleaner(kind).read_all(self.raw(kind, given))
        # What is required is asked for when something changes: a file that changes nothing is no reason to complain.
        values = self._clean(kind, raw, activity)
        before: dict[str, Any] = {}
        for use in self.known.uses(kind.fieldset_id):
            key = str(use.field.id)
            if values.get(key) != activity.values.get(key):
                before[use.field.public_id] = activity.values.get(key)
                verdict.changes.append(
                    (use.field.name, self._show(use, activity.values.get(key)), self._show(use, values.get(key)))
                )
        if before:
            changes["custom"] = {key: raw.get(key) for key in raw}
        if (user := self.user(given)) and user.id != activity.user_id:
            changes["user"] = User.objects.get(pk=user.id)
            before["user"] = activity.user_id
        if "contact" in given:
            contact_id = self.contact(activity.lead_id, given["contact"].strip())
            if contact_id != activity.contact_id:
                changes["contact"] = Contact.objects.get(pk=contact_id) if contact_id else None
                before["contact"] = activity.contact_id
        if (at := self._moment(given, "activity_at")) and at != activity.activity_at:
            changes["activity_at"] = at
            before["activity_at"] = activity.activity_at.isoformat()
        if "pinned" in given and _yes(given["pinned"]) != (activity.pinned_at is not None):
            changes["pinned"] = _yes(given["pinned"])
            before["pinned"] = activity.pinned_at is not None
        verdict.object_type, verdict.object_id = "activity", activity.pk
        verdict.error = self._left_alone(activity, given)
        if not changes:
            verdict.verdict, verdict.error = SKIP, f"Nothing differs. {verdict.error}".strip()
            return
        updated = update_activity(self.actor, activity, **changes)
        self.activities[activity.pk] = updated
        verdict.verdict = UPDATE
        verdict.before = {"revision": updated.revision, "values": before}

    def cleaner(self, kind: TypeInfo) -> RowCleaner:
        """Return what cleans the rows that become activities of a type."""
        if kind.id not in self._cleaners:
            uses = self.known.uses(kind.fieldset_id)
            self._cleaners[kind.id] = RowCleaner(
                self.actor, uses, self.lookups, self.resource.zone, self.resource.field_cell
            )
        return self._cleaners[kind.id]

    def _clean(self, kind: TypeInfo, raw: Mapping[str, Any], activity: Activity) -> dict[str, Any]:
        return clean_values(
            self.actor, self.known.uses(kind.fieldset_id), raw, current=activity.values,
            lookups=self.lookups.at(activity.lead_id), require=False, partial=True, zone=self.resource.zone,
        )  # fmt: skip

    def _refuse_another_lead_or_type(self, activity: Activity, kind: TypeInfo, given: Mapping[str, str]) -> None:
        named = given.get("lead_id", "").strip()
        if named and ids.decode("lead", named) != activity.lead_id:
            raise InvalidInput(fields={"lead_id": "The lead of an activity cannot change. Leave the cell empty."})
        text = given.get("custom_activity_type", "").strip()
        if text and text != kind.public_id and text.casefold() != kind.name.casefold():
            raise InvalidInput(fields={"custom_activity_type": "The type of an activity cannot change."})

    def _left_alone(self, activity: Activity, given: Mapping[str, str]) -> str:
        """Return what to tell of columns that differ and that an update does not change."""
        told = [
            f"{self.resource.header_of(column)} was left as it is: the lead of an activity cannot change."
            for column in LEAD_COLUMNS[1:]
            if column in given and activity.lead_id not in self._leads_named(column, given[column].strip())
        ]
        created = self._moment(given, "date_created")
        if created and created != activity.date_created:
            header = self.resource.header_of("date_created")
            told.append(f"{header} was left as it is: activity_at says when an activity happened.")
        external = given.get("external_id", "").strip()
        if external and external != activity.external_id:
            header = self.resource.header_of("external_id")
            told.append(f"{header} was left as it is: it is given once, when an activity is made.")
        return " ".join(told)

    def _show(self, use: Use, stored: Any) -> str:
        return use.field.kind.written(stored, use.field, self.lookups) if can_view_field(self.actor, use) else "…"


def _yes(text: str) -> bool:
    return text.strip().casefold() in ("yes", "true", "1", "y", "x")
