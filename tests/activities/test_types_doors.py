"""What the API refuses about types, fields and restricted activities leaves the database as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from activities.models import Activity, ActivityType
from activities.services.types import archive_type, update_type
from crm import events
from crm.customfields import services
from crm.models import CustomField, Event, FieldOption, FieldUse, Role, UsageCounter
from crm.tenancy import scope
from tests.api.conftest import Api
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def everything() -> Any:
    tables = (ActivityType, CustomField, FieldUse, FieldOption, Activity, UsageCounter)
    return [list(table.unscoped.order_by("pk").values()) for table in tables], Event.unscoped.count()


def writes(tenant: Tenant) -> list[tuple[str, str, Any]]:
    """Return every call that changes a type or a field, with what would do something."""
    kind, crm = tenant.type_row.public_id, tenant.fields["CRM"]
    new = {"name": "New", "type": "text"}
    return [
        ("POST", "custom_activity/", {"name": "Another"}),
        ("PUT", f"custom_activity/{kind}/", {"name": "Renamed"}),
        ("PUT", f"custom_activity/{kind}/", {"is_archived": True}),
        ("PUT", f"custom_activity/{kind}/", {"fields": [{"id": crm}]}),
        ("DELETE", f"custom_activity/{kind}/", None),
        ("POST", "custom_field/activity/", {**new, "custom_activity_type_id": kind}),
        ("POST", "custom_field/lead/", new),
        ("POST", "custom_field/contact/", new),
        ("PUT", f"custom_field/activity/{crm}/", {"choices": ["Only"]}),
        ("DELETE", f"custom_field/activity/{crm}/", None),
        ("PUT", f"custom_field_schema/activity/{kind}/", {"fields": [{"id": crm}]}),
    ]


@pytest.mark.parametrize("role", ["user", "restricted"])
def test_who_does_not_manage_customizations_changes_nothing(ours: Tenant, role: str) -> None:
    api = Api(getattr(ours, role))
    before = everything()
    for method, path, body in writes(ours):
        answer = api.call(method, path, body, status=403)
        assert "manage customizations" in str(answer), (method, path)
    assert everything() == before


def test_another_organizations_types_and_fields_are_not_there(ours: Tenant, world: World) -> None:
    api = Api(ours.admin)
    with scope(world.theirs.organization):
        theirs = [
            call for call in writes(world.theirs) if world.theirs.type_row.public_id in call[1] or "cf_" in call[1]
        ]
    before = everything()
    for method, path, body in theirs:
        api.call(method, path, body, status=404)
    assert everything() == before


def test_the_fifty_first_field_is_refused_with_400(ours: Tenant) -> None:
    kind, fieldset = ours.type_row.public_id, ours.type_row.fieldset
    for number in range(46):
        services.create_field(ours.admin, fieldset, name=f"F{number}", kind="text")
    api, before = Api(ours.admin), everything()
    body = {"name": "One more", "type": "text", "custom_activity_type_id": kind}
    answer = api.post("custom_field/activity/", body, status=400)
    assert "There are 50 fields already; 50 is the most." in str(answer)
    assert everything() == before


def test_restrictions_hold_at_this_door_too(ours: Tenant) -> None:
    """A type for Users, a field for nobody but Super Users, a type that is archived: refused, seen or hidden as each says."""
    roles = {role.slug: role.pk for role in Role.objects.all()}
    kind, users = ours.type_row.public_id, ours.fields["Users"]
    activity, lead = ours.activities[0].public_id, ours.leads[0].public_id
    row = CustomField.objects.get(pk=ours.use("Users").field.id)
    services.update_field(ours.admin, ours.type_row.fieldset, row, {"edit_roles": [roles["superuser"]]})
    update_type(ours.admin, ours.type_row, {"edit_roles": [roles["user"]]})
    user, restricted = Api(ours.user), Api(ours.restricted)
    new = {"lead_id": lead, "custom_activity_type_id": kind}
    before = everything()
    assert "other roles only" in str(restricted.post("activity/custom/", new, status=403))
    for method, body in (("PUT", {"pinned": True}), ("DELETE", None)):
        restricted.call(method, f"activity/custom/{activity}/", body, status=403)
    assert restricted.get(f"activity/custom/{activity}/")["id"] == activity, "restricted to edit, not to see"
    answer = user.put(f"activity/custom/{activity}/", {f"custom.{users}": 9}, status=400)
    assert "Users can be edited by other roles only" in str(answer)
    assert everything() == before

    update_type(ours.admin, ours.type_row, {"view_roles": [roles["user"]]})
    before = everything()
    restricted.get(f"activity/custom/{activity}/", status=404)
    restricted.get(f"custom_activity/{kind}/", status=404)
    assert "There is no such activity type." in str(restricted.post("activity/custom/", new, status=400))
    assert everything() == before

    archive_type(ours.admin, ours.type_row)
    before = everything()
    assert "is archived" in str(user.post("activity/custom/", new, status=400))
    assert user.get(f"activity/custom/{activity}/")["id"] == activity
    assert everything() == before


def test_over_the_plan_nothing_is_made(ours: Tenant) -> None:
    ours.organization.plan = "base"
    ours.organization.save(update_fields=["plan"])
    api, before = Api(ours.admin), everything()
    answer = api.post("custom_activity/", {"name": "One more"}, status=402)
    assert "The Base plan allows 0 activity types and 1 are in use." in str(answer)
    assert everything() == before
