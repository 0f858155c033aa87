"""Public forms: a stranger fills in a type on a hosted page; the activity is published as the form's owner.

A form is as good as its owner is now: their role, the type's restrictions, the plan. What a stranger sends finds a lead and
contact by email or creates them; the answer is the same either way, so nothing can be learned about existing leads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import get_random_string

from activities.models import Activity, PublicForm
from activities.queries import TypeInfo, type_catalog, type_for
from activities.services.activities import log_activity
from activities.services.comments import add_comment
from crm import events, ids
from crm.customfields.catalog import Use, catalog
from crm.errors import InvalidInput, NotAllowed, NotFound, PlanLimitReached
from crm.fieldkinds import fold
from crm.models import Membership
from crm.notifications import notify
from crm.permissions import Perm, authorize, can_edit_field, can_enter, can_log, can_view_type, has
from crm.tenancy import scope
from leads.models import Contact, ContactPoint, Lead
from leads.queries import visible_leads
from leads.services import create_contact, create_lead

DOOR = "form"
MAX_FORMS = 100
MAX_INPUT = 10_000
CLOSED = "This form does not take answers at the moment. Please write to whoever sent you here."


@dataclass(frozen=True)
class OpenForm:
    """A form that takes answers: its owner, type and the fields asked, in order."""

    form: PublicForm
    owner: Membership
    kind: TypeInfo
    uses: tuple[Use, ...]


# --- for members ------------------------------------------------------------------------------------------------------
def forms_for(actor: Membership) -> list[PublicForm]:
    """Return the forms of the types the actor sees, newest first, with types and owners loaded."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    rows = PublicForm.objects.select_related("type", "owner__user", "owner__role", "owner__organization").order_by(
        "-pk"
    )
    return [row for row in rows if can_view_type(actor, row.type)]


def form_for(actor: Membership, public_id: str) -> PublicForm:
    """Return a form by its id; raises `NotFound`."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    rows = PublicForm.objects.select_related("type", "owner__user").filter(pk=ids.decode("form", public_id))
    found = rows.first()
    if found is None or not can_view_type(actor, found.type):
        raise NotFound("There is no such form.")
    return found


def askable_uses(owner: Membership, kind: TypeInfo) -> list[Use]:
    """Return the fields a stranger can be asked: what the owner may write, without hidden ones and people of ours."""
    uses = catalog(owner.organization).uses(kind.fieldset_id)
    return [
        use
        for use in uses
        if not use.read_only
        and not use.field.kind.hidden
        and not use.field.kind.refers_to
        and can_edit_field(owner, use)
    ]


def create_form(actor: Membership, type_id: str, given: Mapping[str, Any]) -> PublicForm:
    """Make a form: title, intro, thanks, fields (`cf_` ids in order), enabled, embeddable. The actor owns it.

    Raises `InvalidInput` for a bad title, an unknown field, or a required field that is not asked.
    """
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    kind = type_for(actor, type_id)
    with transaction.atomic(), events.door(DOOR, request_id=events.current_request_id()):
        authorize(can_log(actor, kind))
        if kind.builtin or kind.system:
            raise InvalidInput("Public forms are for activity types of your own.")
        if PublicForm.objects.count() >= MAX_FORMS:
            raise InvalidInput(f"An organization has at most {MAX_FORMS} forms. Delete one first.")
        form = PublicForm.objects.create(
            organization=actor.organization,
            type_id=kind.id,
            owner=actor,
            token=_new_token(),
            **_clean(actor, kind, given),
        )
        events.record(actor, "created", "public_form", form.pk, after=form_state(form))
    return form


def update_form(actor: Membership, form: PublicForm, changes: Mapping[str, Any]) -> PublicForm:
    """Change a form; whoever changes it owns it from now on."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    kind = type_for(actor, ids.encode("actitype", form.type_id))
    with transaction.atomic(), events.door(DOOR, request_id=events.current_request_id()):
        form = PublicForm.objects.select_for_update().get(pk=form.pk)
        before = form_state(form)
        for key, value in _clean(actor, kind, changes).items():
            setattr(form, key, value)
        form.owner, form.date_updated = actor, timezone.now()
        form.save(
            update_fields=["title", "intro", "thanks", "fields", "enabled", "embeddable", "owner", "date_updated"]
        )
        _record_change(actor, form, before)
    return form


def give_new_address(actor: Membership, form: PublicForm) -> PublicForm:
    """Give a form another address; the old one is gone at once."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        form.token, form.date_updated = _new_token(), timezone.now()
        form.save(update_fields=["token", "date_updated"])
        events.record(actor, "updated", "public_form", form.pk, changed=["token"])
    return form


def delete_form(actor: Membership, form: PublicForm) -> None:
    """Delete a form. What came in through it stays."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        before, number = form_state(form), form.pk
        form.delete()
        events.record(actor, "deleted", "public_form", number, before=before)


def form_state(form: PublicForm) -> dict[str, Any]:
    """Return what the event log keeps of a form. JSON-able; the address is a secret and stays out."""
    keys = ("title", "intro", "thanks", "fields", "enabled", "embeddable", "owner_id", "type_id")
    return {key: getattr(form, key) for key in keys}


# --- for strangers ----------------------------------------------------------------------------------------------------
def form_by_token(token: str) -> PublicForm | None:
    """Return the form at an address, with its organization, or None."""
    rows = PublicForm.unscoped.select_related("organization", "owner__user", "owner__role", "owner__organization")
    return rows.filter(token=token).first()


def opened(form: PublicForm) -> OpenForm | None:
    """Return the form ready to be filled in, or None when it takes no answers now. Call it in the form's scope."""
    owner = form.owner
    kind = type_catalog(owner.organization).get(form.type_id)
    if not form.enabled or kind is None or not can_enter(owner):
        return None
    with events.door(DOOR):
        if not can_log(owner, kind):
            return None
        askable = {use.field.id: use for use in askable_uses(owner, kind)}
    asked = [askable[number] for number in form.fields if number in askable]
    return OpenForm(form, owner, kind, tuple(_answerable(asked)))


def _answerable(asked: list[Use]) -> list[Use]:
    """Return the fields without those whose rule is about a field that is not asked: nothing would ever show them."""
    while True:
        there = {use.field.id for use in asked}
        kept = [use for use in asked if not use.show_when or use.show_when["field"] in there]
        if len(kept) == len(asked):
            return kept
        asked = kept


def submit(
    form: PublicForm, *, email: str, name: str, company: str = "", values: Mapping[str, Any], request_id: str = ""
) -> None:
    """Take an answer: find or create lead and contact by email, publish the activity as the form's owner.

    `values`: raw input by `cf_` id. Raises `InvalidInput` by `email`, `name`, `company` and `custom.cf_…`; `NotAllowed`
    with a polite sentence when the form takes no answers. Over the plan's limit the answer is kept as the owner's draft.
    """
    with scope(form.organization), events.door(DOOR, request_id=request_id), transaction.atomic():
        # One answer at a time per form: two from the same new address must not make two leads.
        PublicForm.objects.select_for_update().get(pk=form.pk)
        found = opened(form)
        if found is None:
            raise NotAllowed(CLOSED)
        who = _clean_visitor(email, name, company)
        asked = {use.field.public_id for use in found.uses}
        raw = {key: _bounded(key, value) for key, value in values.items() if key in asked}
        lead, contact = _lead_and_contact(found.owner, **who)
        activity = _log(found, lead, contact, raw)
        if not activity.is_draft and (said := _called_otherwise(lead, contact, who)):
            add_comment(found.owner, activity, said)
        PublicForm.objects.filter(pk=form.pk).update(
            submissions=F("submissions") + 1, last_submission_at=timezone.now()
        )  # fmt: skip


def _called_otherwise(lead: Lead, contact: Contact, who: Mapping[str, str]) -> str:
    """Return what a known person typed of themselves that their contact and lead do not say; they are not changed by it."""
    given = [(who["name"], contact.name), (who["company"], lead.name)]
    other = [typed for typed, known in given if typed and fold(typed) != fold(known)]
    # Without the sign that mentions members: strangers call nobody.
    return f"Filled in as: {', '.join(other)}".replace("@", "") if other else ""


def _log(found: OpenForm, lead: Lead, contact: Contact, raw: dict[str, Any]) -> Activity:
    """Publish the answer, or keep it as a draft over the plan's limit. A problem with a field that was not asked closes the form: the visitor cannot mend it."""
    try:
        try:
            with transaction.atomic():
                return log_activity(found.owner, lead, found.kind, custom=raw, contact=contact)
        except PlanLimitReached as limit:
            draft = log_activity(found.owner, lead, found.kind, custom=raw, contact=contact, status="draft")
            notify([found.owner], "rule", f"{found.form.title}: an answer waits as a draft. {limit.message}",
                   f"activities/{draft.public_id}/")  # fmt: skip
            return draft
    except InvalidInput as error:
        asked = {f"custom.{use.field.public_id}" for use in found.uses}
        if set(error.fields) <= asked:
            raise
        raise NotAllowed(CLOSED) from error


def _lead_and_contact(owner: Membership, email: str, name: str, company: str) -> tuple[Lead, Contact]:
    """Return the oldest contact with this email among the leads the owner sees, unchanged; else make both."""
    points = ContactPoint.objects.filter(channel="email", value=email, lead__in=visible_leads(owner))
    point = points.select_related("contact", "lead").order_by("contact_id").first()
    if point is not None:
        return point.lead, point.contact
    lead = create_lead(owner, name=company or name, source="form")
    return lead, create_contact(owner, lead, name=name, emails=[email])


def _clean_visitor(email: str, name: str, company: str) -> dict[str, str]:
    errors = {}
    email, name, company = email.strip().lower(), _line(name), _line(company)
    try:
        validate_email(email)
    except ValidationError:
        errors["email"] = "Write your email address as name@company.com."
    if len(email) > 254:
        errors["email"] = "This email address is too long."
    if not name:
        errors["name"] = "Please tell us your name."
    for key, text in (("name", name), ("company", company)):
        if len(text) > 200:
            errors[key] = "At most 200 characters, please."
    if errors:
        raise InvalidInput(fields=errors)
    return {"email": email, "name": name, "company": company}


def _line(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())


def _bounded(key: str, value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    if len(parts) > 100 or any(len(str(part)) > MAX_INPUT for part in parts):
        raise InvalidInput(fields={f"custom.{key}": f"At most {MAX_INPUT:,} characters, please."})
    return value


# --- parts ------------------------------------------------------------------------------------------------------------
def _clean(actor: Membership, kind: TypeInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    errors: dict[str, str] = {}
    if "title" in given:
        clean["title"] = _line(str(given["title"] or ""))
        if not 0 < len(clean["title"]) <= 200:
            errors["title"] = "A form needs a title of at most 200 characters."
    for key in ("intro", "thanks"):
        if key in given:
            clean[key] = str(given[key] or "").replace("\x00", "").strip()
            if len(clean[key]) > 2000:
                errors[key] = "At most 2,000 characters."
    if "fields" in given:
        clean["fields"] = _clean_fields(actor, kind, given["fields"], errors)
    clean |= {key: bool(given[key]) for key in ("enabled", "embeddable") if key in given}
    if errors:
        raise InvalidInput(fields=errors)
    return clean


def _clean_fields(actor: Membership, kind: TypeInfo, given: Sequence[str], errors: dict[str, str]) -> list[int]:
    askable = {use.field.public_id: use for use in askable_uses(actor, kind)}
    chosen = [askable[public_id] for public_id in dict.fromkeys(given) if public_id in askable]
    if set(given) - set(askable):
        errors["fields"] = "One of these fields cannot be asked on a public form."
    for use in chosen:
        if use not in _answerable(chosen) and use.show_when:
            decider = catalog(actor.organization).fields.get(use.show_when["field"])
            name = decider.name if decider else "another field"
            errors["fields"] = (
                f"{use.field.name} is shown only for some answers to {name}, so {name} must be asked too."
            )
    uses = catalog(actor.organization).uses(kind.fieldset_id)
    missing = [
        use.field.name for use in uses if use.required and use not in chosen and can_edit_field(actor, use)
    ]  # fmt: skip
    if missing:
        errors["fields"] = (
            f"{', '.join(missing)} must be asked: it is required, so nothing could be published without it."
        )
    return [use.field.id for use in chosen]


def _record_change(actor: Membership, form: PublicForm, before: dict[str, Any]) -> None:
    after = form_state(form)
    if changed := events.diff(before, after):
        events.record(
            actor, "updated", "public_form", form.pk, changed=changed,
            before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
        )  # fmt: skip


def _new_token() -> str:
    return get_random_string(22)
