"""The search language: a JSON tree (`spec/api.md` 2.18) read into frozen dataclasses, checked as the actor who asks.

A node selects records of one object type. `negate` turns any node around; a negated condition on a value also selects
records without a value. Conditions inside one `has_related` hold on the same related record. `count` on `has_related`
is ours: {"gte": 2}, {"lte": 0}, {"eq": 1} related records instead of at least one. So are {"type": "saved_search",
"saved_search_id": "save_…"} (in another Smart View) and the condition {"type": "former_user"} (a member who has left).

Only fields and operators that the sources offer to this actor exist; anything else is an `InvalidInput` whose keys are
paths into the tree (`query.queries[1].condition.values`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from crm import ids
from crm.customfields.catalog import Field
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.fieldkinds import INDEXED_TEXT, fold
from crm.models import Membership, Team
from leads.search.moments import Moment, parse_moment

if TYPE_CHECKING:
    from leads.search.sources import Column, Source

MAX_DEPTH = 12
MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_TEXT = 500
MAX_VIEWS = 5  # how deep Smart Views may refer to each other
MODES = ("full_words", "phrase", "beginning_of_words", "exact_value")


# --- conditions -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TextIs:
    """`words`: the folded text, split for the modes that look at words. `shown`: as typed."""

    mode: str
    words: tuple[str, ...]
    shown: str


@dataclass(frozen=True)
class OneOf:
    """Any of these stored values. `labels` say them in words."""

    values: tuple[int | str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class NumberIn:
    """Bounds as (operator, number): `>`, `>=`, `<`, `<=`."""

    bounds: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True)
class MomentIn:
    """From `start` (included) to `before` (excluded); either may be missing."""

    start: Moment | None
    before: Moment | None


@dataclass(frozen=True)
class Exists:
    """There is a value. Empty means no row, null and "" alike."""


Condition = TextIs | OneOf | NumberIn | MomentIn | Exists


# --- fields -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CustomValue:
    """A custom field as this actor may search it. `fieldset_ids`: where it is visible; `guarded`: hidden elsewhere."""

    field: Field
    fieldset_ids: frozenset[int]
    guarded: bool

    @property
    def label(self) -> str:
        return self.field.name


# --- nodes ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Everything:
    negate: bool = False


@dataclass(frozen=True)
class All:
    nodes: tuple[Node, ...]
    negate: bool = False


@dataclass(frozen=True)
class InView(All):
    """In another Smart View: its conditions, read again as the actor, under its name."""

    name: str = ""


@dataclass(frozen=True)
class AnyOf:
    nodes: tuple[Node, ...]
    negate: bool = False


@dataclass(frozen=True)
class IdIs:
    number: int
    negate: bool = False


@dataclass(frozen=True)
class Words:
    """Text of the record and of what belongs to it."""

    condition: TextIs
    negate: bool = False


@dataclass(frozen=True)
class FreeText:
    """The free-text box: every one of these folded words is somewhere in the lead's names, emails, phones or domain."""

    words: tuple[str, ...]
    negate: bool = False


@dataclass(frozen=True)
class Where:
    field: Column | CustomValue
    condition: Condition
    negate: bool = False


@dataclass(frozen=True)
class Count:
    """How many related records: at least, at most, or exactly `number`."""

    operator: str
    number: int


@dataclass(frozen=True)
class Related:
    """Has a related record (or `count` of them) for which `query` holds."""

    this: Source
    source: Source
    query: Node
    count: Count | None = None
    negate: bool = False


Node = Everything | All | AnyOf | IdIs | Words | FreeText | Where | Related


@dataclass(frozen=True)
class Query:
    """A checked search. `source`: what it selects. `tree` is what was given, for saving and showing again."""

    source: Source
    root: Node

    @property
    def conjuncts(self) -> list[Node]:
        return conjuncts(self.root)


def conjuncts(node: Node) -> list[Node]:
    """Return the nodes that must all hold."""
    if isinstance(node, All) and not node.negate:
        return [inner for child in node.nodes for inner in conjuncts(child)]
    return [] if node == Everything() else [node]


# --- reading ----------------------------------------------------------------------------------------------------------
def wrong(path: str, sentence: str) -> InvalidInput:
    return InvalidInput(fields={path: sentence})


def free_words(text: str) -> tuple[str, ...]:
    """Return the folded words of the free-text box."""
    return tuple(dict.fromkeys(fold(text[:MAX_TEXT]).split()[:10]))


def source_of(actor: Membership, name: str) -> Source | None:
    from leads.search.sources import source_named

    return source_named(actor, name)


def parse(tree: Any, actor: Membership, lists: str = "", *, within: int | None = None) -> Query:
    """Return the checked query. What it selects is its own `object_type` clause, else `lists`, else leads.

    `within`: the row number of the Smart View it is the search of, which it must not lead back to.
    """
    from leads.search.sources import source_named

    reader = _Reader(actor)
    reader.views += [within] if within is not None else []
    name = object_type_of(tree) or lists or "lead"
    source = source_named(actor, name)
    if source is None or not source.listed:
        raise wrong("query", f"Searches cannot list “{name}”.")
    return Query(source, reader.node(tree, source, "query", 1))


def object_type_of(tree: Any) -> str:
    """Return the object type a tree asks for: its own clause or one inside its outer `and`s."""
    if not isinstance(tree, Mapping):
        return ""
    if tree.get("type") == "object_type" and not tree.get("negate"):
        return str(tree.get("object_type"))
    queries = tree.get("queries")
    if tree.get("type") == "and" and isinstance(queries, Sequence) and not tree.get("negate"):
        return next((name for child in queries[:MAX_CONDITIONS] if (name := _object_type_flat(child))), "")
    return ""


def _object_type_flat(tree: Any) -> str:
    return str(tree.get("object_type")) if isinstance(tree, Mapping) and tree.get("type") == "object_type" else ""


class _Reader:
    """Reads one tree; counts its conditions; loads members once."""

    def __init__(self, actor: Membership) -> None:
        self.actor = actor
        self.conditions = 0
        self.views: list[int] = []
        self.lookups = Lookups(actor.organization)

    def node(self, tree: Any, source: Source, path: str, depth: int) -> Node:
        if not isinstance(tree, Mapping):
            raise wrong(path, "A search node is an object with a type, such as {“type”: “and”, “queries”: []}.")
        if depth > MAX_DEPTH:
            raise wrong(path, f"The search is nested more than {MAX_DEPTH} levels deep. Simplify it.")
        reader = self._readers.get(str(tree.get("type")))
        if reader is None:
            known = ", ".join(self._readers)
            raise wrong(f"{path}.type", f"“{tree.get('type')}” is no kind of search node. Use one of: {known}.")
        negate = tree.get("negate") or False
        if not isinstance(negate, bool):
            raise wrong(f"{path}.negate", "Use true or false.")
        found = reader(self, tree, source, path, depth)
        return replace(found, negate=negate) if negate else found

    def _children(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> tuple[Node, ...]:
        queries = tree.get("queries")
        if not isinstance(queries, list | tuple):
            raise wrong(f"{path}.queries", "List the nodes to combine.")
        if len(queries) > MAX_CONDITIONS:
            raise wrong(f"{path}.queries", f"A search has at most {MAX_CONDITIONS} conditions.")
        return tuple(self.node(child, source, f"{path}.queries[{i}]", depth + 1) for i, child in enumerate(queries))

    def _all(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        return All(self._children(tree, source, path, depth))

    def _any(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        return AnyOf(self._children(tree, source, path, depth))

    def _everything(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        return Everything()

    def _same_object(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        if tree.get("object_type") != source.object_type:
            raise wrong(
                f"{path}.object_type",
                f"“{tree.get('object_type')}” does not fit here: this part selects {source.plural}.",
            )
        return Everything()

    def _id(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        self._spend(path)
        number = ids.decode(source.id_prefix, tree.get("value")) if source.id_prefix else None
        if number is None:
            raise wrong(
                f"{path}.value", f"“{str(tree.get('value'))[:80]}” is not the id of one of the {source.plural}."
            )
        return IdIs(number)

    def _words(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        self._spend(path)
        return Words(self._text(tree, path))

    def _where(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        self._spend(path)
        field = self._field(tree.get("field"), source, f"{path}.field")
        return Where(field, self._condition(tree.get("condition"), field, f"{path}.condition"))

    def _related(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        from leads.search.sources import source_named

        self._spend(path)
        this = tree.get("this_object_type", source.object_type)
        if this != source.object_type:
            raise wrong(
                f"{path}.this_object_type", f"This part selects {source.plural} ({source.object_type}), not “{this}”."
            )
        name = str(tree.get("related_object_type"))
        related = source_named(self.actor, name)
        if related is None or source.family not in related.links:
            raise wrong(f"{path}.related_object_type", f"{source.plural.capitalize()} have no related “{name}”.")
        inner = tree.get("related_query") or {"type": "match_all"}
        query = self.node(inner, related, f"{path}.related_query", depth + 1)
        return Related(source, related, query, self._count(tree.get("count"), f"{path}.count"))

    def _saved(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        """Return another Smart View's search. Refuses one that leads back to itself, and one of other records."""
        from leads.queries import smart_view_for

        self._spend(path)
        path = f"{path}.saved_search_id"
        try:
            view = smart_view_for(self.actor, str(tree.get("saved_search_id")))
        except NotFound:
            raise wrong(path, "That Smart View is gone, or not shared with you.") from None
        if view.pk in self.views:
            raise wrong(path, f"The Smart View “{view.name}” refers to itself.")
        if len(self.views) >= MAX_VIEWS:
            raise wrong(path, f"Smart Views refer to each other more than {MAX_VIEWS} deep. Simplify them.")
        asked = object_type_of(view.query)
        listed = source_of(self.actor, asked or view.lists)
        if listed is None or listed.family != source.family or (asked and listed != source):
            raise wrong(path, f"The Smart View “{view.name}” does not list {source.plural}.")
        self.views.append(view.pk)
        try:
            nodes = [self.node(view.query, source, path, depth + 1)]
        except InvalidInput as refused:
            raise wrong(path, f"The Smart View “{view.name}” cannot be used here. {refused.message}") from None
        finally:
            self.views.pop()
        if words := free_words(view.text):
            nodes.append(FreeText(words))
        return InView(tuple(nodes), name=view.name)

    _readers = {
        "saved_search": _saved,
        "and": _all,
        "or": _any,
        "match_all": _everything,
        "object_type": _same_object,
        "id": _id,
        "text": _words,
        "field_condition": _where,
        "has_related": _related,
    }

    def _spend(self, path: str) -> None:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise wrong(path, f"A search has at most {MAX_CONDITIONS} conditions. Take some away.")

    def _count(self, given: Any, path: str) -> Count | None:
        if given is None:
            return None
        if not isinstance(given, Mapping) or len(given) != 1 or not set(given) <= {"gte", "lte", "eq"}:
            raise wrong(path, "Say how many in one way: {“gte”: 2}, {“lte”: 2} or {“eq”: 2}.")
        operator, number = next(iter(given.items()))
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 10_000:
            raise wrong(f"{path}.{operator}", "Use a whole number from 0 to 10,000.")
        return Count(operator, number)

    # --- fields -------------------------------------------------------------------------------------------------------
    def _field(self, given: Any, source: Source, path: str) -> Column | CustomValue:
        if not isinstance(given, Mapping):
            raise wrong(path, "A field is an object with a type: regular_field or custom_field.")
        if given.get("type") == "custom_field":
            found = source.custom_field(self.actor, given.get("custom_field_id"))
            if found is None:
                name = str(given.get("custom_field_id"))[:60]
                raise wrong(f"{path}.custom_field_id", f"{source.plural.capitalize()} have no custom field “{name}”.")
            return found
        if given.get("type") != "regular_field":
            raise wrong(
                f"{path}.type", f"“{given.get('type')}” is no type of field. Use regular_field or custom_field."
            )
        if given.get("object_type", source.object_type) != source.object_type:
            raise wrong(
                f"{path}.object_type", f"“{given['object_type']}” does not fit here: this part selects {source.plural}."
            )
        column = source.column(str(given.get("field_name")))
        if column is None:
            names = ", ".join(column.name for column in source.columns)
            raise wrong(
                f"{path}.field_name",
                f"“{given.get('field_name')}” is no field of {source.plural}. Use one of: {names}.",
            )
        return column

    # --- conditions ---------------------------------------------------------------------------------------------------
    def _condition(self, given: Any, field: Column | CustomValue, path: str) -> Condition:
        from leads.search.sources import accepted

        if not isinstance(given, Mapping):
            raise wrong(path, "A condition is an object with a type, such as {“type”: “exists”}.")
        allowed = accepted(field)
        kind = str(given.get("type"))
        if kind not in allowed:
            raise wrong(f"{path}.type", f"{field.label} cannot be asked “{kind}”. Use one of: {', '.join(allowed)}.")
        return self._conditions[kind](self, given, field, path)

    def _exists(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return Exists()

    def _text_condition(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return self._text(given, path)

    def _text(self, given: Mapping[str, Any], path: str) -> TextIs:
        text, mode = given.get("value"), given.get("mode", "beginning_of_words")
        if not isinstance(text, str) or not text.strip():
            raise wrong(f"{path}.value", "Say which text to look for.")
        if len(text) > MAX_TEXT:
            raise wrong(f"{path}.value", f"The text is longer than {MAX_TEXT} characters.")
        if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise wrong(f"{path}.value", "The text contains broken characters.")
        if mode not in MODES:
            raise wrong(f"{path}.mode", f"“{mode}” is no mode. Use one of: {', '.join(MODES)}.")
        folded = fold(text)[:INDEXED_TEXT]
        if not folded:
            raise wrong(f"{path}.value", "Say which text to look for.")
        whole = mode in ("phrase", "exact_value")
        return TextIs(mode, (folded,) if whole else tuple(dict.fromkeys(folded.split())), text.strip())

    def _number(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        bounds = []
        for key, operator in (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")):
            raw = given.get(key)
            if raw is None:
                continue
            try:
                if isinstance(raw, bool):
                    raise ValueError
                number = Decimal(str(raw))
                if not number.is_finite() or abs(number) >= Decimal(10) ** 18:
                    raise ValueError
            except (InvalidOperation, ValueError):
                raise wrong(f"{path}.{key}", f"“{str(raw)[:40]}” is not a number.") from None
            bounds.append((operator, number))
        if not bounds:
            raise wrong(path, "Give at least one of gt, gte, lt, lte.")
        return NumberIn(tuple(bounds))

    def _moment(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        found: dict[str, Moment] = {}
        for key, side in (("on_or_after", "start"), ("gte", "start"), ("before", "before"), ("lt", "before")):
            if given.get(key) is not None:
                found[side] = parse_moment(given[key], f"{path}.{key}")
        if not found:
            raise wrong(path, "Give on_or_after, before or both.")
        return MomentIn(found.get("start"), found.get("before"))

    def _term(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        from leads.search.sources import resolve_terms

        return self._resolved(
            given.get("values"), f"{path}.values", lambda raw: resolve_terms(self.actor, field, raw), field
        )

    def _reference(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        from leads.search.sources import refers_to

        target = refers_to(field)
        asked = given.get("reference_type", target)
        values = given.get("object_ids")
        if asked == "group" and target == "user":
            return self._resolved(values, f"{path}.object_ids", self._group, field, many=True)
        if asked != target:
            raise wrong(f"{path}.reference_type", f"{field.label} refers to “{target}”, not to “{asked}”.")
        return self._resolved(values, f"{path}.object_ids", lambda raw: self._object(target, raw), field)

    def _object(self, target: str, raw: Any) -> tuple[int | str, str] | None:
        from leads.search.sources import resolve_reference

        return resolve_reference(self.actor, self.lookups, target, raw)

    def _group(self, raw: Any) -> list[tuple[int | str, str]] | None:
        team = Team.objects.filter(pk=ids.decode("group", raw)).first()
        if team is None:
            return None
        return [(pk, f"a member of {team.name}") for pk in team.members.values_list("pk", flat=True)] or [
            (0, team.name)
        ]

    def _resolved(self, given: Any, path: str, resolve: Any, field: Any, many: bool = False) -> Condition:
        if not isinstance(given, list | tuple) or not given:
            raise wrong(path, f"List at least one value for {field.label}.")
        if len(given) > MAX_VALUES:
            raise wrong(path, f"At most {MAX_VALUES:,} values fit here; {len(given):,} were given.")
        found: dict[int | str, str] = {}
        for raw in given:
            one = resolve(raw)
            if one is None:
                raise wrong(path, f"“{str(raw)[:80]}” is not a value of {field.label}.")
            found.update(one if many else [one])
        return OneOf(tuple(found), tuple(dict.fromkeys(found.values())))

    def _boolean(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        if not isinstance(given.get("value"), bool):
            raise wrong(f"{path}.value", "Use true or false.")
        return OneOf((int(given["value"]),), ("yes" if given["value"] else "no",))

    def _former(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return OneOf(tuple(ref.id for ref in self.lookups.members if ref.former) or (0,), ("a former member",))

    def _me(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return OneOf((self.actor.user_id,), ("me",))

    _conditions = {
        "text": _text_condition,
        "term": _term,
        "reference": _reference,
        "number_range": _number,
        "moment_range": _moment,
        "exists": _exists,
        "boolean": _boolean,
        "current_user": _me,
        "former_user": _former,
    }
