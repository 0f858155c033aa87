"""REST door to changing the organization, and the lead fields it shows (`spec/api.md` 2.3)."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest

from activities.api_schema import field_json
from crm.api import Body, shows
from crm.api_people import get_organization, organization_parts, router
from crm.customfields.catalog import catalog
from crm.errors import NotFound
from crm.organization import update_organization
from crm.permissions import can_view_field
from leads.services import reorder_statuses


class OrganizationBody(Body):
    name: str | None = None
    currency: str | None = None
    lead_statuses: list[dict[str, Any]] | None = None


def _lead_fields(request: HttpRequest) -> dict[str, Any]:
    uses = catalog(request.organization).lead_uses
    return {"lead_custom_fields": [field_json(request, use) for use in uses if can_view_field(request.actor, use)]}


organization_parts.append(_lead_fields)


# The path is the people's; one address has its methods in one router.
@router.put("/organization/{organization_id}/", summary="Change the organization", openapi_extra=shows(
    {"id": "orga_…", "name": "Acme"}, sends={"name": "Acme", "lead_statuses": [{"id": "stat_…"}]}))  # fmt: skip
def put_organization(request: HttpRequest, organization_id: str, body: OrganizationBody) -> Any:
    """`name`, `currency`; `lead_statuses` puts them in this order. Needs *manage organization*, the order *manage customizations*."""
    if organization_id != request.organization.public_id:
        raise NotFound("There is no such organization.")
    given = body.given()
    changes = {key: given[key] for key in ("name", "currency") if given.get(key) is not None}
    with transaction.atomic():
        if changes:
            request.organization = update_organization(request.actor, changes)
        if given.get("lead_statuses") is not None:
            reorder_statuses(request.actor, [str(row.get("id")) for row in given["lead_statuses"]])
    vars(request).pop("lead_statuses", None)
    return get_organization(request, organization_id)
