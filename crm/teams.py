"""Services for teams: named sets of members. A member sees the leads of their team mates where their role is limited."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Prefetch

from crm import events, ids
from crm.errors import InvalidInput, NotFound
from crm.models import Membership, Organization, Team, User
from crm.permissions import Perm, authorize, has

MAX_TEAMS = 500


def teams_of(actor: Membership) -> list[Team]:
    """Return the teams by name, each with its members in memory, by name."""
    people = Prefetch("members", queryset=User.objects.order_by("first_name", "last_name", "email"))
    return sorted(Team.objects.prefetch_related(people), key=lambda team: team.name.casefold())


def team_for(actor: Membership, public_id: str) -> Team:
    """Return a team by its `group_` id; raises `NotFound`."""
    team = Team.objects.filter(pk=ids.decode("group", public_id)).first()
    if team is None:
        raise NotFound("There is no such group.")
    return team


def create_team(actor: Membership, name: str, members: Iterable[Membership] = ()) -> Team:
    """Make a team. Raises `InvalidInput` for a bad or taken name."""
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    with transaction.atomic():
        _lock(actor)
        if Team.objects.count() >= MAX_TEAMS:
            raise InvalidInput(f"An organization has at most {MAX_TEAMS} teams.")
        team = Team.objects.create(organization=actor.organization, name=_clean_name(name))
        team.members.set([member.user_id for member in members if member.removed_at is None])
        events.record(actor, "created", "group", team.pk, after=team_state(team))
    return team


def rename_team(actor: Membership, team: Team, name: str) -> Team:
    """Give a team another name."""
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    with transaction.atomic():
        _lock(actor)
        before, team.name = team.name, _clean_name(name, team)
        if before != team.name:
            team.save(update_fields=["name"])
            events.record(
                actor, "updated", "group", team.pk,
                changed=["name"], before={"name": before}, after={"name": team.name},
            )  # fmt: skip
    return team


def delete_team(actor: Membership, team: Team) -> None:
    """Delete a team. Its members stay members."""
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    with transaction.atomic():
        before, number = team_state(team), team.pk
        team.delete()
        events.record(actor, "deleted", "group", number, before=before)


def add_to_team(actor: Membership, team: Team, member: Membership) -> None:
    """Put a present member into a team; one who is in it already changes nothing."""
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    if member.removed_at is not None:
        raise InvalidInput(f"{member.user.full_name} is a former member and cannot join a team.")
    _set(actor, team, member, there=True)


def remove_from_team(actor: Membership, team: Team, member: Membership) -> None:
    """Take a member out of a team; one who is not in it changes nothing."""
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    _set(actor, team, member, there=False)


def team_state(team: Team) -> dict[str, object]:
    """Return what the event log keeps of a team. JSON-able."""
    return {"name": team.name, "members": sorted(team.members.values_list("pk", flat=True))}


def _set(actor: Membership, team: Team, member: Membership, *, there: bool) -> None:
    with transaction.atomic():
        # Two requests for one team wait for each other, so that each event tells the truth.
        Team.objects.select_for_update().get(pk=team.pk)
        before = team_state(team)
        if there:
            team.members.add(member.user_id)
        else:
            team.members.remove(member.user_id)
        after = team_state(team)
        if before != after:
            events.record(
                actor, "updated", "group", team.pk,
                changed=["members"], before={"members": before["members"]}, after={"members": after["members"]},
            )  # fmt: skip


def _clean_name(name: str, team: Team | None = None) -> str:
    name = " ".join(str(name or "").split())
    if not name:
        raise InvalidInput(fields={"name": "A team needs a name."})
    if len(name) > 100:
        raise InvalidInput(fields={"name": "A team's name has at most 100 characters."})
    if Team.objects.filter(name__iexact=name).exclude(pk=team.pk if team else None).exists():
        raise InvalidInput(fields={"name": f"There is a team named “{name}” already."})
    return name


def _lock(actor: Membership) -> None:
    Organization.objects.select_for_update().get(pk=actor.organization_id)
