"""The builder's parts as its templates show them: what can be chosen, what is chosen, what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any

from django.urls import reverse

from crm.customfields.catalog import catalog
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.models import Membership, Team
from crm.permissions import can_view_field
from leads.queries import smart_views_for, statuses
from leads.search.builder import (
    ANY_TEXT,
    HOWS,
    IN_VIEW,
    LAST,
    MATCHES,
    MAX_LEVELS,
    Block,
    Condition,
    Group,
    Part,
    Raw,
    Writer,
    asks_for,
    field_of,
    takes_never,
)  # fmt: skip
from leads.search.figures import Figure
from leads.search.language import CustomValue, parse
from leads.search.named import labels_of, names_of
from leads.search.operators import EMPTY, OPERATORS, PERIODS, UNITS, entry, is_complete, listed, operator
from leads.search.sentences import clause, never
from leads.search.sources import Column, Source, refers_to, source_named, sources
from leads.search.synonyms import synonyms
from leads.views.choices import (
    GROUP,
    RELATED,
    SOUGHT,
    TERMS,
    WHEN,
    WITHOUT,
    Choice,
    Choices,
    choose,
    entries,
    later,
    matching,
    parted,
    with_unknown,
)

_FEW = HOWS[:6]
MOST_SHORT_CUTS = 200
_SHORT_CUTS = {
    "contact": ("name", "title"), "address": ("city", "state", "country", "zipcode", "location"),
    "task": ("text", "due_date", "assigned_to", "is_complete"),
}  # fmt: skip
Lists = Callable[[], tuple[Choices, ...]]


@dataclass
class Shown:
    """A part for its template. `kind`: group, block, condition, raw. `joiner`: the word before it.

    `add`, `whats` and `names` are long lists, made when they are drawn: an answer without the builder pays for none. `find`:
    what a list without scripts was searched for. `never`: the choice to let in records without a moment; without it,
    `left_out` is so. `waiting`: it needs a value, and is in no search until then.
    """

    kind: str
    path: str
    joiner: str
    error: str
    is_new: bool
    children: list[Shown] = field(default_factory=list)
    match: str = "all"
    matches: tuple[Choice, ...] = ()
    add: Lists = tuple
    find: str | None = None
    what: str = ""
    whats: Lists = tuple
    how: str = ""
    hows: tuple[Choice, ...] = ()
    number: str = ""
    counted: bool = False
    name: str = ""
    names: Lists = tuple
    op: str = ""
    ops: tuple[Choices, ...] = ()
    never: Choice | None = None
    left_out: str = ""
    editor: str = ""
    values: tuple[str, ...] = ()
    options: tuple[Choice, ...] = ()
    pick_url: str = ""
    picked: str = ""
    waiting: bool = False
    words: str = ""
    raw: str = ""
    label: str = ""
    unit: str = ""
    can_wrap: bool = False

    @property
    def dom(self) -> str:
        """The path as part of an element's id."""
        return self.path.replace(".", "-")

    @property
    def below(self) -> list[Shown]:
        """Every part inside this one."""
        return [found for child in self.children for found in (child, *child.below)]


class Painter:
    """Makes parts ready for display. `types`: the activity types the actor may search by. `given`: the form, for what its
    lists were searched for where no script runs.
    """

    def __init__(
        self, actor: Membership, lists: str, types: Sequence[Any], view_id: str = "", lookups: Lookups | None = None,
        given: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.given = given
        self.lookups = lookups or Lookups(actor.organization)
        self.actor, self.lists, self.types, self.view_id = actor, lists, types, view_id
        self.type_names = {kind.public_id: kind.name for kind in types}
        self.object_types = {kind.public_id: kind.object_type for kind in types}

    # --- lists loaded once --------------------------------------------------------------------------------------------
    @cached_property
    def people(self) -> list[tuple[str, str]]:
        members = self.lookups.members
        teams = [(team.public_id, f"Team {team.name}") for team in Team.objects.order_by("name")]
        now = [(ref.public_id, ref.name) for ref in members if not ref.former]
        former = [(ref.public_id, f"{ref.name} (former member)") for ref in members if ref.former]
        return [("me", "Me"), *teams, *now, ("former", "Any former member"), *former]

    @cached_property
    def views(self) -> list[tuple[str, str]]:
        found = smart_views_for(self.actor, self.lists)
        return [(view.public_id, view.name) for view in found if view.public_id != self.view_id]

    @cached_property
    def statuses(self) -> list[tuple[str, str]]:
        return [(row.public_id, row.label) for row in statuses()]

    # --- parts --------------------------------------------------------------------------------------------------------
    def root(self, root: Group, source: Source) -> Shown:
        return self.group(root, source, "")

    def part(self, part: Part, source: Source, joiner: str) -> Shown:
        painters: dict[type[Part], Any] = {
            Group: self.group, Block: self.block, Condition: self.condition, Raw: self.raw,
        }  # fmt: skip
        shown: Shown = painters[type(part)](part, source, joiner)
        shown.can_wrap = part.path.count(".") < MAX_LEVELS - 2
        return shown

    def _plain(self, kind: str, part: Part, joiner: str) -> Shown:
        return Shown(kind, part.path, joiner, part.error, part.is_new)

    def group(self, part: Group, source: Source, joiner: str) -> Shown:
        shown = self._plain("group", part, joiner)
        word = "or" if part.match in ("any", "none") else "and"
        shown.children = [self.part(child, source, word if i else "") for i, child in enumerate(part.children)]
        shown.match, shown.matches = part.match, choose(MATCHES, [part.match])
        shown.find = None if self.given is None else self.given.get(f"{part.path}-find", "")[:100]
        shown.add = partial(self._found, partial(self._additions, source, part.path.count(".")), shown.find or "")
        return shown

    def _found(self, make: Lists, text: str) -> tuple[Choices, ...]:
        return matching(make(), text)

    def block(self, part: Block, source: Source, joiner: str) -> Shown:
        shown = self._plain("block", part, joiner)
        related = source_named(self.actor, Writer(self.actor, self.object_types).object_type(part)) or source
        uses = self._fields_of(part, related)
        word = "or" if part.match == "any" else "and"
        shown.children = [
            self._inside(child, related, uses, "where" if not i else word) for i, child in enumerate(part.children)
        ]
        shown.match, shown.matches = part.match, choose(MATCHES[:2], [part.match])
        shown.add = partial(self._inner_additions, related, uses, part.path.count("."), part.what)
        last = part.how in ("last", "notlast")
        shown.what, shown.whats = part.what, partial(self._whats, source, part.what, last)
        may_be_last = part.what.startswith(("t:", "r:activity")) and source.object_type == "lead"
        shown.how, shown.hows = part.how, choose(HOWS if may_be_last else _FEW, [part.how])
        shown.number, shown.counted = part.number, part.how in ("gte", "lte", "eq")
        shown.label = self.type_names.get(part.what[2:], related.singular)
        return shown

    def _inside(self, part: Part, source: Source, uses: list[CustomValue], joiner: str) -> Shown:
        """Return a part inside a block: its conditions offer the fields of the block's type only."""
        shown = self.part(part, source, joiner)
        if isinstance(part, Condition):
            shown.names = partial(self._names, source, uses, part.name)
        if isinstance(part, Group):
            word = "or" if part.match in ("any", "none") else "and"
            shown.children = [
                self._inside(child, source, uses, word if i else "") for i, child in enumerate(part.children)
            ]
            shown.find, shown.add = None, partial(self._inner_additions, source, uses, part.path.count("."))
        return shown

    def condition(self, part: Condition, source: Source, joiner: str) -> Shown:
        shown = self._plain("condition", part, joiner)
        searched = field_of(self.actor, source, part.name)
        asks = asks_for(searched, part.name)
        shown.name = part.name
        shown.names = partial(self._names, source, self._fields(source), part.name)
        if not asks:
            shown.label = "the condition"
            shown.error = shown.error or "This field is gone, or you may not see it. Take the condition out."
            return shown
        shown.label = {ANY_TEXT: "Any text", IN_VIEW: "Smart View"}.get(part.name) or searched.label  # type: ignore[union-attr]
        chosen = operator(asks, part.op)
        shown.op, shown.editor = chosen.key, chosen.editor
        at = entry(chosen.key, part.values)
        shown.ops = tuple(Choices(head, choose(ops, [at])) for head, ops in listed(asks, chosen.key, part.values))
        shown.editor = "" if at != chosen.key else chosen.editor
        if takes_never(searched, part.name, chosen.key):
            self._offer_never(shown, source, EMPTY in part.values)
        shown.values = tuple(value for value in part.values if value != EMPTY or chosen.editor == "many")
        shown.waiting = not is_complete(asks, part.op, part.values)
        given = tuple(value for value in part.values if value != EMPTY)
        shown.options = self._options(searched, asks, chosen.editor, given)
        shown.unit = searched.field.unit if isinstance(searched, CustomValue) else ""
        if chosen.key in ("any", "none") and any(one.key == "missing" for one in OPERATORS[asks]):
            shown.options += choose([(EMPTY, "Empty")], part.values)
        if chosen.editor == "records" and searched is not None:
            self._pick(shown, refers_to(searched), [value for value in part.values if value])
        return shown

    def _offer_never(self, shown: Shown, source: Source, taken: bool) -> None:
        """Offer to let in records without a moment, which people often look for, and say what happens without."""
        word = never(shown.label)
        shown.never = Choice(EMPTY, f"or {word}", taken)
        missing = "where it never happened" if word == "never" else f"without a date in {shown.label}"
        shown.left_out = f"{source.plural.capitalize()} {missing} are left out."

    def _pick(self, shown: Shown, target: str, values: list[str]) -> None:
        """Offer contacts or leads: searched for as one types, or named in text boxes where no script runs."""
        shown.values = (*names_of(self.actor, target, values), "")
        shown.picked = json.dumps(labels_of(self.actor, target, values), ensure_ascii=False)
        shown.pick_url = reverse("leads:pick", args=[self.actor.organization.slug, target])

    def raw(self, part: Raw, source: Source, joiner: str) -> Shown:
        shown = self._plain("raw", part, joiner)
        shown.raw = json.dumps(part.tree, ensure_ascii=False, separators=(",", ":"))
        try:
            query = parse({"type": "and", "queries": [part.tree]}, self.actor, source.object_type)
            shown.words = clause(query.conjuncts[0]) if query.conjuncts else "anything"
        except InvalidInput as refused:
            shown.words, shown.error = "A condition from elsewhere", shown.error or refused.message
        return shown

    # --- what can be chosen -------------------------------------------------------------------------------------------
    def _options(
        self, searched: Column | CustomValue | None, asks: str, editor: str, values: Sequence[str]
    ) -> tuple[Choice, ...]:
        if editor == "period":
            named = [(value, value.replace("-", " ")) for value in values if value not in dict(PERIODS)]
            return choose([*PERIODS, *named], values)
        if editor == "span":
            return choose([(unit, unit) for unit in UNITS], values[1:])
        if asks == "view":
            return choose(with_unknown(self.views, [value for value in values if value]), values)
        if editor != "many" or searched is None:
            return ()
        if isinstance(searched, CustomValue) and searched.field.kind.has_options:
            options = searched.field.options
            found = tuple(Choice(o.public_id, o.shown, o.public_id in values, o.color) for o in options)
            return found + choose([(v, v) for v in values if v not in {o.public_id for o in options}], values)
        if asks == "user":
            return choose(with_unknown(self.people, values), values)
        assert isinstance(searched, Column), "custom fields have options or members"
        if searched.refers_to == "status.lead":
            return choose(with_unknown(self.statuses, values), values)
        if searched.refers_to:
            return choose(with_unknown(list(self.type_names.items()), values), values)
        if searched.asks == "label":
            return choose(with_unknown([(term, term) for term in searched.terms], values), values)
        return choose([(term, TERMS.get(term, term)) for term in searched.terms], values)

    def _fields(self, source: Source) -> list[CustomValue]:
        """Return the custom fields people know: what built-in kinds keep out of sight is for API clients."""
        return [one for one in source.custom_fields(self.actor) if not (one.field.kind.hidden and one.field.builtin)]

    def _fields_of(self, part: Block, related: Source) -> list[CustomValue]:
        found = self._fields(related)
        kind = next((kind for kind in self.types if f"t:{kind.public_id}" == part.what), None)
        if kind is None:
            return [one for one in found if related.family != "activity"]
        return [one for one in found if kind.fieldset_id in one.fieldset_ids]

    def _columns(self, source: Source) -> list[tuple[str, str]]:
        found: dict[str, str] = {}
        for column in source.columns:
            found.setdefault(column.label, column.name)
        return [(name, label) for label, name in found.items()]

    def _names(self, source: Source, uses: Sequence[CustomValue], chosen: str) -> tuple[Choices, ...]:
        columns = self._columns(source)
        if chosen in (ANY_TEXT, IN_VIEW):
            columns, uses = [(ANY_TEXT, "Any text"), (IN_VIEW, "Smart View")], ()
        custom = [(one.field.public_id, one.field.name) for one in uses]
        numbers = self._figures(source, chosen) if chosen not in (ANY_TEXT, IN_VIEW) else []
        known = [*columns, *custom, *((choice.value, "") for part in numbers for choice in part.choices)]
        if chosen not in dict(known):
            found = field_of(self.actor, source, chosen)
            columns.append((chosen, found.label if found else "A field that is gone"))
        plain, counts = parted(source, columns)
        groups = [Choices(source.singular.capitalize(), choose(plain, [chosen]))]
        if custom:
            groups.append(Choices("Fields", choose(custom, [chosen])))
        if counts:
            groups.append(Choices("Number of", choose(counts, [chosen])))
        for part in numbers:
            shown = [(one.value, one.label) for one in part.choices]
            plain, counts = parted(source, shown)
            groups += [
                Choices(head, choose(pairs, [chosen]))
                for head, pairs in ((part.label, plain), ("Number of", counts))
                if pairs
            ]
        return tuple(groups)

    def _whats(self, source: Source, chosen: str, activities_only: bool = False) -> tuple[Choices, ...]:
        """Return what a block can be about: types of activities, then everything else that belongs to the record."""
        custom: list[tuple[str, str]] = []
        builtin: list[tuple[str, str]] = []
        for kind in self.types:
            label = f"{kind.name} (archived)" if kind.archived else kind.name
            of = custom if kind.object_type == "activity.custom_activity" else builtin
            of.append((f"t:{kind.public_id}", label))
        related = self._related(source)
        every = [pair for pair in related if pair[0].startswith("r:activity")]
        others = [pair for pair in related if pair not in every and not activities_only]
        if chosen and chosen not in dict([*custom, *builtin, *related]):
            others.append((chosen, "Activities of a type that is gone" if chosen.startswith("t:") else chosen[2:]))
        activities = [*every[-1:], *every[:-1], *custom, *builtin] if activities_only else [*custom, *builtin, *every]
        groups = [Choices("Activities", choose(activities, [chosen]))] if every else []
        return (*groups, *([Choices("What belongs to it", choose(others, [chosen]))] if others else []))

    def _related(self, source: Source) -> list[tuple[str, str]]:
        return [
            (f"r:{one.object_type}", RELATED[one.object_type])
            for one in sources()
            if one.object_type in RELATED and source.family in one.links and one.object_type != LAST
        ]

    def _additions(self, source: Source, level: int) -> tuple[Choices, ...]:
        """Return the *Add* list of a group that is in no block."""
        blocks = self._whats(source, "")
        own = [*self._columns(source), *((u.field.public_id, u.field.name) for u in self._fields(source))]
        groups = [
            Choices(
                part.label, tuple(Choice(f"block={c.value}", c.label, also=self._also(c.value)) for c in part.choices)
            )
            for part in blocks
        ]
        if source.object_type == "lead":
            (last,) = entries([("last", "Last activity was …")])
            groups[-1] = Choices(groups[-1].label, (last, *groups[-1].choices))
        fields = entries((f"field={name}", label) for name, label in own)
        groups.insert(len(blocks) - 1, Choices(f"{source.singular.capitalize()} fields", fields))
        numbers = [
            Choices(part.label, later(((f"field={one.value}", one.label) for one in part.choices), SOUGHT))
            for part in self._figures(source, "")
        ]
        if source.family == "activity":
            groups.insert(0, Choices("When", choose(WHEN, [])))
        elif not level:
            groups.insert(len(blocks), Choices("Fields of activities", self._short_cuts(source)))
            groups.append(Choices("Fields of what belongs to it", self._related_fields(source)))
        named = [(f"without={what}", WITHOUT[what[2:]]) for what, _ in self._related(source) if what[2:] in WITHOUT]
        without = [Choices("Has none", later(named, ()))] if named else []
        more = [(f"field={ANY_TEXT}", "Any text"), (f"field={IN_VIEW}", "In another Smart View")]
        if level < MAX_LEVELS - 3:
            more.insert(0, GROUP)
        return (*groups, *without, *numbers, Choices("More", entries(more)))

    def _also(self, what: str) -> str:
        """Return other words for what a block is about."""
        return synonyms(self.object_types.get(what.removeprefix("t:"), what))

    def _figures(self, source: Source, chosen: str) -> list[Choices]:
        """Return the numbers and dates that are worked out from what belongs to leads."""
        found = [(one.name, one.label) for one in source.figures if isinstance(one, Figure) and one.offered]
        return [Choices("How often, first and last", choose(found, [chosen]))] if found else []

    def _related_fields(self, source: Source) -> tuple[Choice, ...]:
        """Return the fields of contacts, addresses and tasks, for who looks for a field and not for what it is of."""
        related = dict(self._related(source))
        found: list[tuple[str, str]] = []
        for one in sources():
            what, label = f"r:{one.object_type}", RELATED.get(one.object_type, "")
            if what in related and one.object_type in _SHORT_CUTS:
                fields = [(name, column.label) for name in _SHORT_CUTS[one.object_type] if (column := one.column(name))]
                fields += [(custom.field.public_id, custom.field.name) for custom in self._fields(one)]
                found += [(f"in={what}:{name}", f"{label}: {shown}") for name, shown in fields]
        return entries([*found, ("overdue", "Task: overdue")] if "r:task" in related else found)

    def _short_cuts(self, source: Source) -> tuple[Choice, ...]:
        """Return the fields of all types of activities, for who looks for a field and not for its type."""
        if "r:activity" not in dict(self._related(source)):
            return ()
        known = catalog(self.actor.organization)
        uses = ((kind, use) for kind in self.types if not kind.archived for use in known.uses(kind.fieldset_id))
        seen = (pair for pair in uses if not pair[1].field.kind.hidden and can_view_field(self.actor, pair[1]))
        return tuple(
            Choice(f"in=t:{kind.public_id}:{use.field.public_id}", f"{kind.name}: {use.field.name}")
            for kind, use in islice(seen, MOST_SHORT_CUTS)
        )

    def _inner_additions(
        self, source: Source, uses: Sequence[CustomValue], level: int, what: str = ""
    ) -> tuple[Choices, ...]:
        """Return the *Add* list inside a block: fields of the same record. `what` the block is about is not asked again."""
        custom = [(f"field={one.field.public_id}", one.field.name) for one in uses]
        shown = [pair for pair in self._columns(source) if not (what.startswith("t:") and pair[1] == "Type")]
        columns = [(f"field={name}", label) for name, label in shown]
        groups = [Choices("When", choose(WHEN, []))] if source.family == "activity" else []
        groups += [Choices("Fields", choose(custom, []))] if custom else []
        groups.append(Choices(f"About the {source.singular}", entries(columns)))
        if level < MAX_LEVELS - 2:
            groups.append(Choices("More", choose([GROUP], [])))
        return tuple(groups)
