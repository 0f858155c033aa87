"""Every permission decision, and its reason in words. Services call `authorize`; templates get booleans made here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q

from crm.errors import NotAllowed
from crm.events import current_door

if TYPE_CHECKING:
    from crm.models import Membership, Role


class Perm(StrEnum):
    """What a role may allow."""

    MANAGE_ORGANIZATION = "manage_organization"
    MANAGE_CUSTOMIZATIONS = "manage_customizations"
    MANAGE_TEAM_SMART_VIEWS = "manage_team_smart_views"
    MANAGE_TEAM_REPORTS = "manage_team_reports"
    BULK_EDIT = "bulk_edit"
    BULK_DELETE = "bulk_delete"
    BULK_IMPORT = "bulk_import"
    EXPORT = "export"
    MERGE_LEADS = "merge_leads"
    DELETE_LEADS = "delete_leads"
    MANAGE_OTHERS_ACTIVITIES = "manage_others_activities"
    MANAGE_OTHERS_TASKS = "manage_others_tasks"
    DELETE_OWN_ACTIVITIES = "delete_own_activities"
    DELETE_OWN_TASKS = "delete_own_tasks"
    VIEW_ALL_LEADS = "view_all_leads"

    @property
    def words(self) -> str:
        """What people call it: the value as words."""
        return self.value.replace("_", " ").replace("others ", "others’ ").replace("smart views", "Smart Views")


# What each permission lets a member do, in the words of the Roles page.
PERM_WORDS: dict[Perm, str] = {
    Perm.MANAGE_ORGANIZATION: "Members, roles, teams, plan and everybody’s API keys",
    Perm.MANAGE_CUSTOMIZATIONS: "Activity types, fields, statuses, on-publish rules and public forms",
    Perm.MANAGE_TEAM_SMART_VIEWS: "Create and change Smart Views that others see",
    Perm.MANAGE_TEAM_REPORTS: "Create and change reports that others see",
    Perm.BULK_EDIT: "Change many leads at once",
    Perm.BULK_DELETE: "Delete many leads at once",
    Perm.BULK_IMPORT: "Import CSV files",
    Perm.EXPORT: "Download leads, activities and reports",
    Perm.MERGE_LEADS: "Merge two leads into one",
    Perm.DELETE_LEADS: "Delete leads with everything under them",
    Perm.MANAGE_OTHERS_ACTIVITIES: "Change and delete what others logged, and see their drafts",
    Perm.MANAGE_OTHERS_TASKS: "Change and delete tasks of others",
    Perm.DELETE_OWN_ACTIVITIES: "Delete activities of one’s own",
    Perm.DELETE_OWN_TASKS: "Delete tasks of one’s own",
    Perm.VIEW_ALL_LEADS: "See every lead; without it, assigned ones only",
}

_RESTRICTED = frozenset({Perm.DELETE_OWN_ACTIVITIES, Perm.DELETE_OWN_TASKS, Perm.VIEW_ALL_LEADS})
_USER = _RESTRICTED | {Perm.MERGE_LEADS, Perm.DELETE_LEADS}
_ADMIN = frozenset(Perm)

# slug → (name, permissions). The order is the order of the matrix.
DEFAULT_ROLES: dict[str, tuple[str, frozenset[Perm]]] = {
    "admin": ("Admin", _ADMIN),
    "superuser": ("Super User", _ADMIN - {Perm.MANAGE_ORGANIZATION}),
    "user": ("User", _USER),
    "restricteduser": ("Restricted User", _RESTRICTED),
}


@dataclass(frozen=True)
class Decision:
    """Yes or no, and why. Truthy when allowed."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


def yes(reason: str) -> Decision:
    return Decision(True, reason)


def no(reason: str) -> Decision:
    return Decision(False, reason)


def authorize(decision: Decision) -> None:
    """Return when allowed; raise `NotAllowed` with the reason otherwise."""
    if not decision:
        raise NotAllowed(decision.reason)


def permissions_of(role: Role) -> frozenset[Perm]:
    """Return what a role allows: from code for built-in roles, from its row for cloned ones."""
    if role.slug:
        return DEFAULT_ROLES[role.slug][1]
    return frozenset(Perm(value) for value in role.permissions if value in Perm._value2member_map_)


def can_enter(actor: Membership) -> Decision:
    """Is the actor a member at all?"""
    if actor.removed_at is not None or not actor.user.is_active:
        return no("You are no longer a member of this organization.")
    return yes(f"You are a member with the role {actor.role.name}.")


def has(actor: Membership, perm: Perm) -> Decision:
    """May the actor's role do this anywhere in the organization?"""
    if not (member := can_enter(actor)):
        return member
    words = perm.words
    if perm in permissions_of(actor.role):
        return yes(f"Your role {actor.role.name} includes “{words}”.")
    return no(f"Your role {actor.role.name} does not include “{words}”. Ask an admin.")


def can_grant(actor: Membership, role: Role) -> Decision:
    """May the actor hand out, change or take away this role? Nobody gives or touches rights they do not have themselves."""
    if not (manages := has(actor, Perm.MANAGE_ORGANIZATION)):
        return manages
    return can_grant_permissions(actor, permissions_of(role))


def can_grant_permissions(actor: Membership, permissions: frozenset[Perm]) -> Decision:
    """May the actor give these rights to somebody?"""
    if missing := sorted(perm.words for perm in permissions - permissions_of(actor.role)):
        return no(f"Your role {actor.role.name} does not have these rights itself: {', '.join(missing)}. Ask an admin.")
    return yes(f"Your role {actor.role.name} has these rights itself.")


def _role_listed(actor: Membership, roles: Any) -> bool:
    return not roles or actor.role_id in roles


def can_view_type(actor: Membership, activity_type: Any) -> Decision:
    """Are activities of this type visible to the actor anywhere (timeline, search, reports, exports, API)?"""
    if _role_listed(actor, activity_type.view_roles):
        return yes(f"{activity_type.name} is visible to your role.")
    return no(f"{activity_type.name} is visible to other roles only.")


def can_edit_type_activities(actor: Membership, activity_type: Any) -> Decision:
    """May the actor's role add, edit or delete activities of this type at all?"""
    if not (visible := can_view_type(actor, activity_type)):
        return visible
    if activity_type.system:
        return no(f"{activity_type.name} entries are written by Touchpoint and cannot be changed.")
    if not _role_listed(actor, activity_type.edit_roles):
        return no(f"{activity_type.name} can be logged and edited by other roles only. Your role is {actor.role.name}.")
    return yes(f"Your role may log {activity_type.name}.")


def can_log(actor: Membership, activity_type: Any) -> Decision:
    """May the actor create activities of this type through the current door?"""
    if not (editable := can_edit_type_activities(actor, activity_type)):
        return editable
    if _is_archived(activity_type):
        return no(f"{activity_type.name} is archived. Existing activities stay; new ones cannot be logged.")
    if activity_type.api_only and current_door() == "page":
        return no(f"{activity_type.name} is created through the API only.")
    return editable


def can_edit_activity(actor: Membership, activity: Any, activity_type: Any) -> Decision:
    """May the actor change this activity? Own activities: yes; others': with *manage others’ activities*."""
    if not (editable := can_edit_type_activities(actor, activity_type)):
        return editable
    if actor.user_id in (activity.created_by_id, activity.user_id):
        return yes("It is yours.")
    return has(actor, Perm.MANAGE_OTHERS_ACTIVITIES)


def can_delete_activity(actor: Membership, activity: Any, activity_type: Any) -> Decision:
    """May the actor delete this activity?"""
    if not (editable := can_edit_type_activities(actor, activity_type)):
        return editable
    if actor.user_id in (activity.created_by_id, activity.user_id):
        return has(actor, Perm.DELETE_OWN_ACTIVITIES)
    return has(actor, Perm.MANAGE_OTHERS_ACTIVITIES)


def can_view_draft(actor: Membership, activity: Any) -> Decision:
    """Drafts are private to their author, and to members who manage others' activities."""
    if actor.user_id == activity.created_by_id:
        return yes("It is your draft.")
    return has(actor, Perm.MANAGE_OTHERS_ACTIVITIES)


def can_view_field(actor: Membership, use: Any) -> Decision:
    """May the actor see values of this field, anywhere and in any aggregate?"""
    if _role_listed(actor, use.view_roles):
        return yes("The field is visible to your role.")
    return no("The field is visible to other roles only.")


def can_edit_field(actor: Membership, use: Any) -> Decision:
    """May the actor write this field through the current door?"""
    if not (visible := can_view_field(actor, use)):
        return visible
    if use.field.converting_to:
        return no(f"{use.field.name} is being changed to {use.field.converting_to}. Try again in a moment.")
    if use.read_only and current_door() == "page":
        return no(f"{use.field.name} is read-only here: it is written through the API and imports.")
    if not _role_listed(actor, use.edit_roles):
        return no(f"{use.field.name} can be edited by other roles only. Your role is {actor.role.name}.")
    return yes("Your role may edit the field.")


@dataclass(frozen=True)
class LeadVisibility:
    """Which leads an actor sees: everything, or those where a user field (ids) holds one of `user_ids`."""

    everything: bool
    field_ids: tuple[int, ...] = ()
    user_ids: tuple[int, ...] = ()
    unassigned: bool = False


def lead_visibility(actor: Membership) -> LeadVisibility:
    """Return the actor's visibility rule; one query for team mates when the role is limited.

    Fields that were deleted count no longer. A role that is left without any sees no leads, whatever its switch says.
    """
    if Perm.VIEW_ALL_LEADS in permissions_of(actor.role):
        return LeadVisibility(everything=True)
    from crm.customfields.catalog import catalog
    from crm.models import Team, User

    known = catalog(actor.organization).fields
    field_ids = tuple(field_id for field_id in actor.role.visibility_fields if field_id in known)
    mates = User.objects.filter(teams__in=Team.objects.filter(members=actor.user)).values_list("pk", flat=True)
    return LeadVisibility(
        everything=False,
        field_ids=field_ids,
        user_ids=(actor.user_id, *sorted(set(mates) - {actor.user_id})),
        unassigned=actor.role.sees_unassigned and bool(field_ids),
    )


def visible_lead_filter(actor: Membership, lead: str = "pk") -> Q | None:
    """Return the condition on leads the actor sees, or None for all. `lead`: the path to the lead's id."""
    from crm.models import ValueRef

    rule = lead_visibility(actor)
    if rule.everything:
        return None
    held = ValueRef.objects.filter(lead_id=OuterRef(lead), record_key=0, field_id__in=rule.field_ids)
    condition = Q(Exists(held.filter(v__in=rule.user_ids)))
    return condition | ~Q(Exists(held)) if rule.unassigned else condition


def can_view_lead(actor: Membership, lead: Any) -> Decision:
    """Say about one lead what `visible_lead_filter` says about all, with the reason."""
    from crm.customfields.catalog import catalog
    from crm.models import User, ValueRef

    if not (member := can_enter(actor)):
        return member
    rule = lead_visibility(actor)
    if rule.everything:
        return has(actor, Perm.VIEW_ALL_LEADS)
    role = f"Your role {actor.role.name} sees assigned leads only"
    if not rule.field_ids:
        return no(f"{role}, and no field says who a lead is assigned to.")
    known = catalog(actor.organization).fields
    names = " or ".join(known[field_id].name for field_id in rule.field_ids)
    held = list(
        ValueRef.objects.filter(lead_id=lead.pk, record_key=0, field_id__in=rule.field_ids).values_list("field_id", "v")
    )
    for field_id, user_id in held:
        if user_id == actor.user_id:
            return yes(f"{role}, and {known[field_id].name} holds you.")
    for field_id, user_id in held:
        if user_id in rule.user_ids:
            mate = User.objects.get(pk=user_id).full_name
            return yes(f"{role}, and {known[field_id].name} holds {mate}, who is in a team of yours.")
    if held:
        return no(f"{role}, and {names} holds neither you nor anybody of your teams.")
    if rule.unassigned:
        return yes(f"Nobody is in {names}, and your role {actor.role.name} sees such leads.")
    return no(f"{role}, and nobody is in {names}.")


def _is_archived(activity_type: Any) -> bool:
    archived = getattr(activity_type, "archived", None)
    return bool(archived if archived is not None else activity_type.archived_at)
