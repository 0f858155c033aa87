"""Tenants are sealed: every query is scoped to one organization, or it raises.

`TenantModel.objects` adds `organization_id = <the current one>` when the SQL is compiled, not when the queryset is made,
so a queryset built at import time is safe. Outside `scope()` compiling it raises `OutOfScope`.
`TenantModel.unscoped` is the visible exception; composite foreign keys guard what a manager cannot see
(joins, `bulk_create`, `update()`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from django.db import models
from django.db.models.expressions import Expression

_current: ContextVar[int | None] = ContextVar("organization_id", default=None)


class OutOfScope(RuntimeError):
    """A tenant's table was asked outside `scope(organization)`."""


@contextmanager
def scope(organization: models.Model | int) -> Iterator[None]:
    """Everything inside reads and writes this organization's rows only. Nested scopes restore the outer one."""
    token = _current.set(organization if isinstance(organization, int) else organization.pk)
    try:
        yield
    finally:
        _current.reset(token)


def current_organization_id() -> int:
    """Return the id of the organization in scope; raises `OutOfScope` without one."""
    organization_id = _current.get()
    if organization_id is None:
        raise OutOfScope("No organization in scope. Wrap the call in crm.tenancy.scope(organization).")
    return organization_id


class CurrentOrganization(Expression):
    """The organization in scope, looked up when the SQL is written."""

    output_field: models.Field = models.BigIntegerField()

    def __init__(self) -> None:
        super().__init__(output_field=models.BigIntegerField())

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[int]]:
        return "%s", [current_organization_id()]


# By manager's class, model and database: the querysets that managers begin with. Never evaluated, only copied: they name no
# organization before their SQL is written, and each request asks for dozens.
_begun: dict[tuple[Any, ...], models.QuerySet] = {}


class TenantManager(models.Manager):
    """The default manager of tenant tables: rows of the organization in scope that meet `conditions`."""

    conditions: ClassVar[dict[str, Any]] = {}

    def get_queryset(self) -> models.QuerySet:
        key = (type(self), self.model, self._db)
        found = _begun.get(key)
        if found is None:
            found = super().get_queryset().filter(organization_id=CurrentOrganization(), **self.conditions)
            _begun[key] = found
        return found.all()


class TenantModel(models.Model):
    """A row that belongs to exactly one organization."""

    organization = models.ForeignKey("crm.Organization", on_delete=models.CASCADE, related_name="+", db_index=False)

    objects = TenantManager()
    unscoped = models.Manager()

    class Meta:
        abstract = True
        default_manager_name = "objects"
        base_manager_name = "unscoped"
