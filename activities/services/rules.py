"""On-publish rules: when an activity of a type is published for the first time, something follows on its lead.

They run in the transaction of the publish, with the rights of the rule's owner: whoever saved it last, as they are now.
A rule that fails is undone alone, says so on its page and to its owner; the publish stands. Rules set off no rules.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from activities.models import Activity, PublishRule
from activities.queries import TypeInfo, type_catalog, type_for
from activities.services.rule_actions import ACTIONS, Followup
from crm import events, ids
from crm.customfields.catalog import touch_schema
from crm.errors import InvalidInput, NotFound, TouchpointError
from crm.models import Membership, Notification, Organization
from crm.notifications import notify
from crm.permissions import Perm, authorize, can_enter, can_view_lead, can_view_type, has
from crm.refusals import refused_in_words
from leads.search.language import parse
from leads.search.run import id_subquery
from leads.services import update_lead

logger = logging.getLogger("touchpoint.rules")

MAX_RULES_PER_TYPE = 20
MAX_ACTIONS = 10
_KEPT = 200


# --- reading ----------------------------------------------------------------------------------------------------------
def rules_for(actor: Membership) -> list[PublishRule]:
    """Return the rules of the types the actor sees, by type and age, with types and owners loaded."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    rows = PublishRule.objects.select_related("type", "owner__user").order_by("type__position", "type_id", "pk")
    return [row for row in rows if can_view_type(actor, row.type)]


def rule_for(actor: Membership, public_id: str) -> PublishRule:
    """Return a rule by its id; raises `NotFound`."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    rows = PublishRule.objects.select_related("type", "owner__user", "owner__role")
    found = rows.filter(pk=ids.decode("rule", public_id)).first()
    if found is None or not can_view_type(actor, found.type):
        raise NotFound("There is no such rule.")
    return found


def action_words(actor: Membership, rule: PublishRule) -> list[str]:
    """Return what a rule does, one sentence part an action."""
    return [ACTIONS[action["do"]].words(actor, action) for action in rule.actions if action.get("do") in ACTIONS]


def condition_tree(type_id: str, condition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search for the activities of a type for which a condition holds."""
    regular = {"type": "regular_field", "object_type": "activity", "field_name": "custom_activity_type_id"}
    of_type = {"type": "field_condition", "field": regular, "condition": {"type": "term", "values": [type_id]}}
    return {"type": "and", "queries": [{"type": "object_type", "object_type": "activity"}, of_type, dict(condition)]}


# --- writing ----------------------------------------------------------------------------------------------------------
def create_rule(
    actor: Membership,
    type_id: str,
    *,
    name: str,
    condition: Mapping[str, Any] | None = None,
    actions: Sequence[Mapping[str, Any]] = (),
    enabled: bool = True,
) -> PublishRule:
    """Make a rule for a type; it runs with the rights of the actor, live.

    `condition`: a node of the query language about the activity, or None. Raises `InvalidInput` for anything that could
    not run.
    """
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    kind = type_for(actor, type_id)
    if kind.system:
        raise InvalidInput(fields={"type": f"{kind.name} entries are written by Touchpoint and set off no rules."})
    given = {"name": name, "condition": condition, "actions": actions, "enabled": enabled}
    with transaction.atomic():
        _lock(actor)
        if PublishRule.objects.filter(type_id=kind.id).count() >= MAX_RULES_PER_TYPE:
            raise InvalidInput(f"A type has at most {MAX_RULES_PER_TYPE} rules.")
        rule = PublishRule.objects.create(
            organization=actor.organization, type_id=kind.id, owner=actor, **_clean(actor, kind, given)
        )
        touch_schema(actor.organization)
        events.record(actor, "created", "publish_rule", rule.pk, after=rule_state(rule))
    return rule


def update_rule(actor: Membership, rule: PublishRule, changes: Mapping[str, Any]) -> PublishRule:
    """Change name, condition, actions or enabled. Whoever changes what it does becomes its owner; a stored error is forgotten."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    kind = type_for(actor, ids.encode("actitype", rule.type_id))
    with transaction.atomic():
        rule = PublishRule.objects.select_for_update().get(pk=rule.pk)
        before = rule_state(rule)
        # What another member left must hold for the new owner as well.
        whole = {"condition": rule.condition, "actions": rule.actions, **changes}
        for key, value in _clean(
            actor, kind, whole if changes.keys() & {"condition", "actions", "enabled"} else changes
        ).items():
            setattr(rule, key, value)
        rule.owner, rule.last_error, rule.date_updated = actor, "", timezone.now()
        rule.save(
            update_fields=["name", "condition", "actions", "enabled", "owner", "last_error", "date_updated"]
        )  # fmt: skip
        touch_schema(actor.organization)
        after = rule_state(rule)
        if changed := events.diff(before, after):
            events.record(
                actor, "updated", "publish_rule", rule.pk, changed=changed,
                before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
            )  # fmt: skip
    return rule


def delete_rule(actor: Membership, rule: PublishRule) -> None:
    """Delete a rule. What it did stays."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        before, number = rule_state(rule), rule.pk
        rule.delete()
        touch_schema(actor.organization)
        events.record(actor, "deleted", "publish_rule", number, before=before)


def rule_state(rule: PublishRule) -> dict[str, Any]:
    """Return what the event log keeps of a rule. JSON-able."""
    return {
        "name": rule.name, "type_id": rule.type_id, "condition": rule.condition, "actions": rule.actions,
        "enabled": rule.enabled, "owner_id": rule.owner_id,
    }  # fmt: skip


def _clean(actor: Membership, kind: TypeInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored of what was given; raises `InvalidInput` that names everything wrong at once."""
    clean: dict[str, Any] = {}
    errors: dict[str, str] = {}
    if "name" in given:
        clean["name"] = " ".join(str(given["name"] or "").split())
        if not 0 < len(clean["name"]) <= 200:
            errors["name"] = "A rule needs a name of at most 200 characters."
    if "condition" in given:
        clean["condition"] = dict(given["condition"]) if given["condition"] else None
        if clean["condition"]:
            try:
                parse(condition_tree(ids.encode("actitype", kind.id), clean["condition"]), actor)
            except InvalidInput as error:
                errors |= error.fields or {"condition": error.message}
    if "actions" in given:
        try:
            clean["actions"] = _clean_actions(actor, given["actions"])
        except InvalidInput as error:
            errors |= error.fields
    if "enabled" in given:
        clean["enabled"] = bool(given["enabled"])
    if errors:
        raise InvalidInput(fields=errors)
    return clean


def _clean_actions(actor: Membership, given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    errors: dict[str, str] = {}
    given = list(given)
    if not 0 < len(given) <= MAX_ACTIONS:
        raise InvalidInput(fields={"actions": f"Say under “Then” what the rule does: one to {MAX_ACTIONS} things."})
    for number, row in enumerate(given):
        action = ACTIONS.get(str(row.get("do")))
        try:
            if action is None:
                raise InvalidInput("Choose what to do.")
            found.append({"do": action.slug, **action.clean(actor, row)})
        except TouchpointError as error:
            errors[f"actions.{number}"] = error.message
    if errors:
        raise InvalidInput(fields=errors)
    return found


def _lock(actor: Membership) -> None:
    Organization.objects.select_for_update().get(pk=actor.organization_id)


# --- running ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Known:
    """A rule as it runs."""

    id: int
    name: str
    type_id: int
    condition: Mapping[str, Any] | None
    actions: tuple[Mapping[str, Any], ...]
    owner_id: int


_cache: OrderedDict[tuple[int, str], dict[int, tuple[_Known, ...]]] = OrderedDict()
_cache_lock = Lock()
_running: ContextVar[bool] = ContextVar("rules_running", default=False)


def run_rules(actor: Membership, published: Iterable[tuple[int, int]]) -> None:
    """Run the rules of these activities, (id, type's row id) each, which were published just now for the first time.

    Call it last in the publishing transaction. No query where no rule is for the types. Never raises for a rule's sake.
    """
    known = _rules_of(actor.organization)
    if not known or _running.get():
        return
    by_type: dict[int, list[int]] = {}
    for activity_id, type_id in published:
        if type_id in known:
            by_type.setdefault(type_id, []).append(activity_id)
    token = _running.set(True)
    try:
        with events.door("system", request_id=events.current_request_id()):
            for type_id, activity_ids in by_type.items():
                for rule in known[type_id]:
                    _run(rule, activity_ids)
    finally:
        _running.reset(token)


def _rules_of(organization: Organization) -> dict[int, tuple[_Known, ...]]:
    """Return the enabled rules by type; one query when the schema changed since the last call, else none."""
    key = (organization.pk, organization.schema_version)
    with _cache_lock:
        if (found := _cache.get(key)) is not None:
            _cache.move_to_end(key)
            return found
    by_type: dict[int, list[_Known]] = {}
    for row in PublishRule.objects.filter(enabled=True).order_by("pk"):
        rule = _Known(row.pk, row.name, row.type_id, row.condition, tuple(row.actions), row.owner_id)
        by_type.setdefault(row.type_id, []).append(rule)
    found = {type_id: tuple(rows) for type_id, rows in by_type.items()}
    with _cache_lock:
        _cache[key] = found
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return found


def _run(rule: _Known, activity_ids: Sequence[int]) -> None:
    """Run one rule on these activities. Each lead is on its own: one that fails leaves the others done."""
    error = ""
    try:
        with transaction.atomic():
            owner = Membership.objects.select_related("user", "role", "organization").get(pk=rule.owner_id)
            authorize(can_enter(owner))
            authorize(has(owner, Perm.MANAGE_CUSTOMIZATIONS))
            matching = _matching(owner, rule, activity_ids)
    except (TouchpointError, DatabaseError) as problem:
        error = _sentence(problem)
        matching = []
    for activity_id in matching:
        try:
            with transaction.atomic():
                _follow(owner, rule, activity_id)
        except (TouchpointError, DatabaseError, LookupError, TypeError, ValueError) as problem:
            # Whatever a rule stumbles over, the publish that set it off stands: its own savepoint is undone.
            error = _sentence(problem)
    if error or matching:
        changed = PublishRule.objects.filter(pk=rule.id).exclude(last_error=error).update(last_error=error)
        if error and changed:
            _tell_owner(rule, error)


def _tell_owner(rule: _Known, error: str) -> None:
    """Let its owner know that a rule fails, once until they have read it."""
    owner = Membership.objects.filter(pk=rule.owner_id).first()
    path = f"settings/rules/{ids.encode('rule', rule.id)}/"
    if owner and not Notification.objects.filter(membership=owner, path=path, read_at=None).exists():
        notify([owner], "rule", f"The rule “{rule.name}” failed: {error}", path)


def _sentence(problem: Exception) -> str:
    if isinstance(problem, TouchpointError):
        return problem.message[:500]
    logger.error("A rule failed", exc_info=problem)
    return "It failed for a reason of ours; the server's log says more."


def _matching(owner: Membership, rule: _Known, activity_ids: Sequence[int]) -> list[int]:
    """Return the activities for which the condition holds, as the owner sees them."""
    tree = condition_tree(ids.encode("actitype", rule.type_id), rule.condition or {"type": "match_all"})
    sql, params = id_subquery(owner, parse(tree, owner))
    found: list[int] = []
    with refused_in_words(), connection.cursor() as cursor:
        for start in range(0, len(activity_ids), 500):
            part = activity_ids[start : start + 500]
            marks = ", ".join(["%s"] * len(part))
            statement = f"SELECT s.id FROM ({sql}) s WHERE s.id IN ({marks}) ORDER BY s.id"  # noqa: S608 (compiled SQL)
            cursor.execute(statement, (*params, *part))
            found += [row[0] for row in cursor.fetchall()]
    return found


def _follow(owner: Membership, rule: _Known, activity_id: int) -> None:
    """Do what the rule says for one activity, and put an entry on the timeline."""
    from activities.services.observer import log_system

    activity = Activity.objects.select_related("lead").get(pk=activity_id)
    kind = type_catalog(owner.organization).get(activity.type_id)
    if kind is None:
        raise NotFound("The type of this activity is gone.")
    authorize(can_view_lead(owner, activity.lead))
    followup = Followup(owner, activity, kind)
    for action in rule.actions:
        ACTIONS[action["do"]].plan(action, followup)
    if followup.changes:
        update_lead(owner, activity.lead, followup.changes)
    for step in followup.later:
        step(activity.lead)
    done = ", ".join(followup.words)
    log_system(owner, activity.lead, "rule", {"rule": rule.name, "done": done[:1].upper() + done[1:]})
