"""The page of an on-publish rule: the search builder on one activity of a type, and rows of actions.

The form is flat and works without JavaScript, as the search builder's is. `do` is the button pressed: the builder's own
(`add:r` …), `action:add`, `action:remove:<n>`; `save` or nothing saves. Inputs of action n are named `a<n>-<part>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms

from activities.lead_page import searchable_types
from activities.models import PublishRule
from activities.queries import TypeInfo
from activities.services.rule_actions import ACTIONS, WHOEVER
from activities.services.rules import MAX_ACTIONS
from crm.customfields.catalog import Use, catalog
from crm.customfields.forms import raw_input, value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.members import members_of
from crm.models import Membership
from crm.permissions import can_edit_field
from leads.queries import statuses
from leads.search.builder import Block, Condition, Part, Writer, apply, every, mark_error, number_paths
from leads.search.forms import from_form, settle
from leads.search.reading import from_tree
from leads.search.sources import Source, source_named
from leads.views.painting import Painter, Shown


@dataclass
class ActionRow:
    """One action as typed, ready for its template: `parts` are its inputs; `raw` and `form` are the value of a lead field."""

    number: int
    do: str
    label: str
    parts: dict[str, str] = field(default_factory=dict)
    raw: Any = ""
    form: forms.Form | None = None
    error: str = ""

    @property
    def prefix(self) -> str:
        return f"a{self.number}"


class RuleForm:
    """What the page of a rule holds: `name`, `enabled`, the conditions as `shown`, `rows` of actions, `errors` by name."""

    def __init__(self, actor: Membership, kind: TypeInfo) -> None:
        self.actor, self.kind = actor, kind
        self.name, self.enabled = "", True
        self.block = Block(what=f"t:{kind.public_id}")
        self.rows: list[ActionRow] = []
        self.errors: dict[str, str] = {}
        self._types = searchable_types(actor)
        self._object_types = {row.public_id: row.object_type for row in self._types}
        self._lookups = Lookups(actor.organization)

    # --- making one ---------------------------------------------------------------------------------------------------
    @classmethod
    def of(cls, actor: Membership, kind: TypeInfo, rule: PublishRule | None) -> RuleForm:
        """Return the form of a rule as it is, or of a new one."""
        form = cls(actor, kind)
        if rule is None:
            return form
        form.name, form.enabled = rule.name, rule.enabled
        if rule.condition:
            root = from_tree(rule.condition, actor, form._source, form._object_types)
            children: list[Part] = list(root.children) if root.match == "all" else [root]
            form.block.children = children
        for action in rule.actions:
            form._add(action.get("do", ""), action)
        return form

    @classmethod
    def read(cls, actor: Membership, kind: TypeInfo, given: Any) -> RuleForm:
        """Return the form as it was sent (a QueryDict), with what its button asks done."""
        form = cls(actor, kind)
        form.name, form.enabled = given.get("name", "")[:1000], bool(given.get("enabled"))
        root = from_form(given)
        form.block.match, form.block.children = root.match, root.children
        do = given.get("do", "")
        for number in range(MAX_ACTIONS):
            if (slug := given.get(f"a{number}-do")) and do != f"action:remove:{number}":
                form._take(number, slug, given)
        if do == "action:add" and given.get("action") in ACTIONS and len(form.rows) < MAX_ACTIONS:
            form._add(given["action"], {})
        apply(form.block, do, given)  # type: ignore[arg-type]
        settle(form.block, actor, source_named(actor, "lead"), form._object_types)
        return form

    @property
    def _source(self) -> Source:
        found = source_named(self.actor, self._object_types.get(self.kind.public_id, "activity"))
        assert found is not None, "every type has a source"
        return found

    # --- for the service ----------------------------------------------------------------------------------------------
    def condition(self) -> dict[str, Any] | None:
        return Writer(self.actor, self._object_types).group(self.block, self._source)

    def require_complete(self) -> None:
        """Raise `InvalidInput` while a condition has no value: without it the rule would run more often than is meant."""
        self.condition()
        waiting = [part for part in every(self.block) if isinstance(part, Condition) and part.emitted is None]
        for part in waiting:
            part.error = "This condition needs a value. Give it one, or take it out."
        if waiting:
            raise InvalidInput("Nothing is saved: a condition needs a value. Without it the rule would run more often.")

    def actions(self) -> list[dict[str, Any]]:
        return [{"do": row.do, **self._given(row)} for row in self.rows]

    def _given(self, row: ActionRow) -> dict[str, Any]:
        given: dict[str, Any] = dict(row.parts)
        if row.do == "set_field":
            given["value"] = row.raw
        return given

    def take(self, error: InvalidInput) -> None:
        """Put each sentence of a refusal beside what it is about; what is about nothing there goes on top."""
        number_paths(self.block)
        for key, sentence in error.fields.items() or {"": error.message}.items():
            if key.startswith("actions.") and (place := int(key.partition(".")[2])) < len(self.rows):
                self.rows[place].error = sentence
            elif not (key.startswith("query") and self._mark(key, sentence)):
                self.errors[key if key in ("name", "actions") else ""] = sentence

    def _mark(self, path: str, sentence: str) -> bool:
        tree = {"queries": [{}, {}, self.condition()]}
        return mark_error(self.block, tree, path.removeprefix("query"), sentence)

    # --- for the page -------------------------------------------------------------------------------------------------
    @property
    def shown(self) -> Shown:
        number_paths(self.block)
        source = source_named(self.actor, "lead")
        assert source is not None
        return Painter(self.actor, "lead", self._types).block(self.block, source, "")

    @property
    def choices(self) -> list[tuple[str, str]]:
        return [(action.slug, action.label) for action in ACTIONS.values()]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        return [(row.public_id, row.label) for row in statuses()]

    @property
    def lead_fields(self) -> list[tuple[str, str]]:
        return [(use.field.public_id, use.field.name) for use in self._lead_uses]

    @property
    def people(self) -> list[tuple[str, str]]:
        present = [(row.public_id, row.user.full_name) for row in members_of(self.actor.organization)]
        return [(WHOEVER, "Whoever logged the activity"), *present]

    # --- parts --------------------------------------------------------------------------------------------------------
    @property
    def _lead_uses(self) -> list[Use]:
        uses = catalog(self.actor.organization).lead_uses
        # Contacts differ from lead to lead, so a rule cannot name one.
        return [use for use in uses if use.field.kind.refers_to != "contact" and can_edit_field(self.actor, use)]

    def _lead_use(self, public_id: str) -> Use | None:
        return next((use for use in self._lead_uses if use.field.public_id == public_id), None)

    def _add(self, slug: str, action: Mapping[str, Any]) -> None:
        """Append an action from its stored form."""
        if slug not in ACTIONS:
            return
        row = ActionRow(len(self.rows), slug, ACTIONS[slug].label)
        for key, value in action.items():
            if key not in ("do", "value"):
                row.parts[key] = "" if value is None else str(value)
        if slug == "set_field":
            self._value_form(row, None, action.get("value", ""))
        self.rows.append(row)

    def _take(self, number: int, slug: str, given: Any) -> None:
        """Append an action from the inputs of row `number`."""
        if slug not in ACTIONS:
            return
        row = ActionRow(len(self.rows), slug, ACTIONS[slug].label)
        for key in ("status_id", "field_id", "text", "due_days", "assignee", "member"):
            if f"a{number}-{key}" in given:
                row.parts[key] = given[f"a{number}-{key}"][:1000]
        if slug == "set_field":
            use = self._lead_use(row.parts.get("field_id", ""))
            raw = raw_input(given, f"a{number}-{use.field.public_id}", use) if use else ""
            self._value_form(row, use, raw)
        self.rows.append(row)

    def _value_form(self, row: ActionRow, use: Use | None, raw: Any) -> None:
        use = use or self._lead_use(row.parts.get("field_id", "")) or next(iter(self._lead_uses), None)
        if use is None:
            return
        row.parts["field_id"], row.raw = use.field.public_id, raw
        row.form = value_form(
            [use], actor=self.actor, lookups=self._lookups, raw={use.field.public_id: raw}, prefix=row.prefix
        )  # fmt: skip
