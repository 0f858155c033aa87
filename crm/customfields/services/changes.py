"""What every change of definitions stands on: fetching, one change at a time, roles, and room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import Max, Q

from crm import ids
from crm.customfields.catalog import Catalog, catalog, touch_schema
from crm.errors import InvalidInput, NotFound, PlanLimitReached
from crm.events import current_door
from crm.fieldkinds import KINDS
from crm.models import CustomField, FieldSet, FieldUse, Membership, Organization, Role
from crm.permissions import Perm, authorize, has, permissions_of
from crm.plans import MAX_FIELDS_PER_TYPE


def field_for(actor: Membership, public_id: str) -> CustomField:
    """Return a field of the organization that is not deleted; raises `NotFound`."""
    number = ids.decode("cf", public_id)
    named = Q(known_as=number) | Q(pk=number, known_as=None)
    found = CustomField.objects.filter(named, deleted_at=None, replaces=None).first() if number else None
    if found is None:
        raise NotFound("There is no such field.")
    return found


def use_for(fieldset: FieldSet, field: CustomField) -> FieldUse:
    """Return a field's use in a field set; raises `NotFound`."""
    found = FieldUse.objects.filter(fieldset=fieldset, field=field).first()
    if found is None:
        raise NotFound("There is no such field.")
    return found


def authorize_definitions(actor: Membership) -> None:
    """Raise `NotAllowed` unless the actor manages customizations."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))


@contextmanager
def schema_change(actor: Membership, field: CustomField | None = None) -> Iterator[Catalog]:
    """One change to an organization's definitions: changes queue up behind each other, all of it holds or none.

    Yields the fields as they are now, also when somebody changed them since the actor was loaded. A refused change
    leaves the actor's organization as it was, so that nothing rolled back is shown. `field`: what changes; it must not
    be in the middle of a conversion.
    """
    organization = actor.organization
    before = organization.schema_version
    try:
        with transaction.atomic():
            now = Organization.objects.select_for_update().get(pk=organization.pk)
            organization.schema_version = now.schema_version
            if field is not None:
                require_settled(field)
            yield catalog(organization)
            touch_schema(organization)
    except BaseException:
        organization.schema_version = before
        raise


def require_settled(field: CustomField) -> None:
    """Raise for a field whose values are being converted, and for one that a conversion took the place of."""
    if staged := CustomField.objects.filter(replaces=field.pk, deleted_at=None).first():
        raise InvalidInput(f"{field.name} is being changed to {staged.kind}. Try again when that is done.")


def require_own(field: CustomField) -> None:
    """Raise for a field that is declared in code."""
    if field.builtin:
        raise InvalidInput(f"{field.name} ships with Touchpoint and cannot be changed.")


def require_room(known: Catalog, fieldset: FieldSet) -> None:
    """Raise when the form is full: a plan's sentence on pages and in imports, 400 over the API."""
    number = len(known.uses(fieldset.pk))
    if number >= MAX_FIELDS_PER_TYPE:
        sentence = f"There are {number} fields already; {MAX_FIELDS_PER_TYPE} is the most. Delete one first."
        raise InvalidInput(sentence) if current_door() == "api" else PlanLimitReached(sentence)


def next_position(fieldset: FieldSet) -> int:
    """Return the position after the last field of a form."""
    last = FieldUse.objects.filter(fieldset=fieldset).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


def clean_roles(key: str, role_ids: Iterable[int]) -> list[int]:
    """Return the roles of a restriction; Admin is always among them. None given: no restriction."""
    chosen = set(role_ids)
    if not chosen:
        return []
    slugs = dict(Role.objects.values_list("pk", "slug"))
    if unknown := chosen - slugs.keys():
        raise InvalidInput(fields={key: f"There is no role with the id {sorted(unknown, key=str)[0]}."})
    return sorted(chosen | {pk for pk, slug in slugs.items() if slug == "admin"})


def require_no_role_sees_by(field: CustomField, key: str) -> None:
    """Raise `InvalidInput` (at `key`) for a field that decides which leads a role sees."""
    if names := [role.name for role in roles_seeing_by(field)]:
        who = f"the role {names[0]} sees" if len(names) == 1 else f"the roles {', '.join(names)} see"
        raise InvalidInput(
            fields={key: f"By {field.name}, {who} the leads assigned to them. Choose another field there first."}
        )


def roles_seeing_by(field: CustomField) -> list[Role]:
    """Return the roles that see only the leads where this field (or another one) holds them.

    Without the field they would see others than before: fewer, or as unassigned those that belong to somebody.
    """
    if KINDS[field.kind].refers_to != "user":
        return []
    rows = Role.objects.order_by("pk")
    return [row for row in rows if field.pk in row.visibility_fields and Perm.VIEW_ALL_LEADS not in permissions_of(row)]
