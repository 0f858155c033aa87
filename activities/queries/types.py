"""Activity types as pages and services need them: one catalogue per organization, kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from activities.builtin import BUILTINS
from activities.models import ActivityType
from crm import ids
from crm.customfields.catalog import catalog
from crm.errors import NotFound
from crm.models import Membership, Organization
from crm.permissions import (
    can_log,
    can_view_field,
    can_view_type,
)


@dataclass(frozen=True)
class TypeInfo:
    """An activity type as pages and services need it; `fieldset_id` leads to its fields in the catalog."""

    id: int
    public_id: str
    name: str
    description: str
    icon: str
    color: str
    position: int
    builtin: str
    system: bool
    archived: bool
    api_only: bool
    edit_roles: tuple[int, ...]
    view_roles: tuple[int, ...]
    fieldset_id: int

    @property
    def is_custom(self) -> bool:
        return not self.builtin

    @property
    def event_type(self) -> str:
        """The object type of events about activities of this type."""
        return BUILTINS[self.builtin].event_type if self.builtin else "activity.custom_activity"


@dataclass(frozen=True)
class TypeCatalog:
    """All types of an organization, archived ones included, in menu order."""

    types: tuple[TypeInfo, ...]
    _by_id: Mapping[int, TypeInfo] = field(repr=False, compare=False)
    _by_fieldset: Mapping[int, TypeInfo] = field(repr=False, compare=False)

    @property
    def custom(self) -> list[TypeInfo]:
        return [row for row in self.types if row.is_custom]

    def get(self, type_id: int) -> TypeInfo | None:
        return self._by_id.get(type_id)

    def of_fieldset(self, fieldset_id: int) -> TypeInfo | None:
        return self._by_fieldset.get(fieldset_id)

    def builtin(self, slug: str) -> TypeInfo | None:
        return next((row for row in self.types if row.builtin == slug), None)

    def by_public_id(self, public_id: Any) -> TypeInfo | None:
        number = ids.decode("actitype", public_id)
        return self._by_id.get(number) if number else None

    def by_name(self, name: str) -> TypeInfo | None:
        wanted = name.strip().casefold()
        return next((row for row in self.types if row.name.casefold() == wanted), None)


_cache: OrderedDict[tuple[int, str], TypeCatalog] = OrderedDict()
_lock = Lock()


def type_catalog(organization: Organization) -> TypeCatalog:
    """Return the organization's types; one query when its schema changed since the last call, else none."""
    key = (organization.pk, organization.schema_version)
    with _lock:
        if found := _cache.get(key):
            return found
    rows = ActivityType.unscoped.filter(organization=organization)
    types = tuple(
        TypeInfo(
            id=row.pk,
            public_id=row.public_id,
            name=row.name,
            description=row.description,
            icon=row.icon,
            color=row.color,
            position=row.position,
            builtin=row.builtin,
            system=row.system,
            archived=row.archived_at is not None,
            api_only=row.api_only,
            edit_roles=tuple(row.edit_roles),
            view_roles=tuple(row.view_roles),
            fieldset_id=row.fieldset_id,
        )
        for row in sorted(rows, key=lambda row: (row.system, not row.builtin, row.position, row.pk))
    )
    found = TypeCatalog(
        types, {row.id: row for row in types}, {row.fieldset_id: row for row in types if row.fieldset_id}
    )
    with _lock:
        _cache[key] = found
        while len(_cache) > 200:
            _cache.popitem(last=False)
    return found


def forget_types() -> None:
    """Drop the types kept in this process."""
    with _lock:
        _cache.clear()


def active_types(actor: Membership) -> list[TypeInfo]:
    """Return the types the actor may log here, in menu order: none archived, API-only, system or restricted."""
    return [row for row in type_catalog(actor.organization).types if not row.system and can_log(actor, row)]


def visible_types(actor: Membership) -> list[TypeInfo]:
    """Return the types whose activities the actor may see, archived and system ones included."""
    return [row for row in type_catalog(actor.organization).types if can_view_type(actor, row)]


def type_for(actor: Membership, public_id: str) -> TypeInfo:
    """Return a type the actor may see; raises `NotFound`."""
    found = type_catalog(actor.organization).by_public_id(public_id)
    if found is None or not can_view_type(actor, found):
        raise NotFound("There is no such activity type.")
    return found


def has_nothing_to_fill_in(actor: Membership, kind: TypeInfo) -> bool:
    """Is the type's form empty for the actor? Then choosing it logs it at once."""
    uses = catalog(actor.organization).uses(kind.fieldset_id)
    return not any(not use.field.kind.hidden and can_view_field(actor, use) for use in uses)
