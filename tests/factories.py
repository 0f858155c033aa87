"""Two organizations with identical data: a leak shows as a doubled count."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import factory
from django.db import connection, transaction
from psycopg.types.json import Jsonb

from activities.models import Activity, ActivityType
from activities.queries import TypeInfo, type_catalog
from activities.services.activities import log_activity
from activities.services.drafts import save_draft
from activities.services.types import create_type
from crm import events
from crm.customfields.catalog import Use, catalog
from crm.customfields.services import create_field, update_field
from crm.management.provision import join, provision_organization
from crm.models import CustomField, Membership, Organization, Role, User
from crm.tenancy import scope
from leads.models import Lead
from leads.services import create_lead

PASSWORD = "correct horse battery"


class UserFactory(factory.django.DjangoModelFactory):
    """A person who can sign in with `PASSWORD`."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    first_name = "Pat"
    last_name = factory.Sequence(lambda n: f"Person{n}")
    password = factory.django.Password(PASSWORD)


@dataclass
class Tenant:
    """One of the two organizations: a member per role, three leads, a type with four fields, logged once on each lead."""

    organization: Organization
    admin: Membership
    superuser: Membership
    user: Membership
    restricted: Membership
    leads: list[Lead] = field(default_factory=list)
    type_row: ActivityType | None = None
    activities: list[Activity] = field(default_factory=list)
    draft: Activity | None = None

    @property
    def call(self) -> TypeInfo:
        """The custom type *Qualifying call*, as it is now."""
        found = type_catalog(Organization.objects.get(pk=self.organization.pk)).by_public_id(self.type_row.public_id)
        assert found is not None
        return found

    @property
    def fields(self) -> dict[str, str]:
        """`cf_` ids of the type's fields by name."""
        fresh = Organization.objects.get(pk=self.organization.pk)
        return {use.field.name: use.field.public_id for use in catalog(fresh).uses(self.type_row.fieldset_id)}

    def use(self, name: str) -> Use:
        fresh = Organization.objects.get(pk=self.organization.pk)
        return next(use for use in catalog(fresh).uses(self.type_row.fieldset_id) if use.field.name == name)

    @property
    def members(self) -> list[Membership]:
        return [self.admin, self.superuser, self.user, self.restricted]


@dataclass
class World:
    ours: Tenant
    theirs: Tenant


def make_world() -> World:
    """Return the two organizations, filled the same way, through the services.

    They are made once per process; where the database is empty afterwards, the very rows are put back, which takes a
    twentieth of the time.
    """
    if User.objects.exists() or Organization.objects.exists():
        return _built()
    if _kept:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement, rows in _kept.rows:
                cursor.executemany(statement, rows)
        return pickle.loads(_kept.world)
    filled = {table for table in connection.introspection.table_names() if _rows_of(table)[1]}
    world = _built()
    for table in set(connection.introspection.table_names()) - filled:
        columns, rows = _rows_of(table)
        if rows:
            names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join(["%s"] * len(columns))
            _kept.rows.append((f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows))
    _kept.world = pickle.dumps(world)
    return pickle.loads(_kept.world)


@dataclass
class _Kept:
    """The rows of the world by table, and its objects as they were when it was made."""

    rows: list[tuple[str, list[tuple[Any, ...]]]] = field(default_factory=list)
    world: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.world)


_kept = _Kept()


def _rows_of(table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return columns and rows of a table, as the database takes them back."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{table}"')
        assert cursor.description is not None
        columns = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    if connection.vendor == "postgresql":
        rows = [tuple(Jsonb(cell) if isinstance(cell, dict | list) else cell for cell in row) for row in rows]
    return columns, rows


def _built() -> World:
    return World(make_tenant("ours"), make_tenant("theirs"))


def make_tenant(slug: str, plan: str = "unlimited") -> Tenant:
    admin = provision_organization(
        slug.title(), slug, f"admin@{slug}.example", plan=plan, first_name="Ada", last_name="Admin"
    )
    organization = admin.organization
    with scope(organization):
        roles = {role.slug: role for role in Role.objects.all()}
        others = [
            join(organization, f"{key}@{slug}.example", roles[key], first_name=first, last_name=last)
            for key, first, last in (
                ("superuser", "Sue", "Super"), ("user", "Uma", "User"), ("restricteduser", "Rex", "Restricted"),
            )
        ]  # fmt: skip
        for member in (admin, *others):
            member.user.set_password(PASSWORD)
            member.user.save(update_fields=["password"])
        # One object for all members, so that a change of its schema version is seen by each.
        for member in others:
            member.organization = organization
        tenant = Tenant(organization, admin, *others)
        with events.door("page", request_id="req_fixture"):
            _fill(tenant)
    return tenant


def _fill(tenant: Tenant) -> None:
    row = create_type(tenant.admin, name="Qualifying call", description="Is there a fit?", icon="phone")
    tenant.type_row = row
    add: Any = lambda name, kind, **more: create_field(tenant.admin, row.fieldset, name=name, kind=kind, **more)  # noqa: E731
    add("Qualified", "text")
    add("CRM", "choices", options=["HubSpot", "Salesforce", "None"])
    add("Users", "number", settings={"minimum": "0"})
    add("Next step", "textarea")
    for number, name in enumerate(("Acme", "Bluth", "Cyberdyne"), start=1):
        lead = create_lead(
            tenant.user, name=name,
            contacts=[{"name": f"Contact of {name}", "emails": [f"hello@{name.lower()}.example"], "phones": [f"+1202555010{number}"]}],
        )  # fmt: skip
        tenant.leads.append(lead)
        tenant.activities.append(
            log_activity(
                tenant.user, lead, tenant.call,
                custom={"Qualified": "yes", "CRM": "HubSpot" if number < 3 else "Salesforce", "Users": str(number * 25)},
            )
        )  # fmt: skip
    tenant.draft = save_draft(tenant.user, tenant.leads[0], tenant.call, {tenant.fields["Users"]: "12."})


def change_field(tenant: Tenant, name: str, changes: dict[str, Any]) -> CustomField:
    """Change a field of the custom type by name, as the admin."""
    row = CustomField.objects.get(pk=tenant.use(name).field.id)
    return update_field(tenant.admin, tenant.type_row.fieldset, row, changes)
