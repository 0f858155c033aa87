"""Reading a tree into nodes: what it selects, how its parts combine, which records they are related to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crm import ids
from crm.errors import InvalidInput, NotFound
from crm.fieldkinds import fold
from crm.models import Membership
from leads.search.language.conditions import ConditionReader
from leads.search.language.limits import MAX_CONDITIONS, MAX_DEPTH, MAX_TEXT, MAX_VIEWS, NOT_KEPT, wrong
from leads.search.language.nodes import (
    All,
    AnyOf,
    Count,
    Everything,
    FigureIs,
    FreeText,
    IdIs,
    InView,
    Node,
    NotKept,
    Query,
    Related,
    Where,
    Words,
)

if TYPE_CHECKING:
    from leads.search.sources import Source


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
    """Reads one tree; counts its conditions."""

    def __init__(self, actor: Membership) -> None:
        self.actor = actor
        self.conditions = 0
        self.views: list[int] = []
        self.asked = ConditionReader(actor)

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
        return Words(self.asked.text(tree, path))

    def _where(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        self._spend(path)
        from leads.search.figures import Figure

        given, condition = tree.get("field"), tree.get("condition")
        if isinstance(given, Mapping) and given.get("field_name") == "id" and isinstance(condition, Mapping):
            values = condition.get("values")
            if condition.get("type") == "term" and isinstance(values, list) and 0 < len(values) <= MAX_CONDITIONS:
                return AnyOf(
                    tuple(self._id({"value": value}, source, f"{path}.condition.values", depth) for value in values)
                )
        field = self.asked.field(tree.get("field"), source, f"{path}.field")
        condition = self.asked.condition(tree.get("condition"), field, f"{path}.condition")
        if isinstance(field, Figure):
            return FigureIs((field.asked(self.actor, condition),), field=field, condition=condition)
        return Where(field, condition)

    def _related(self, tree: Mapping[str, Any], source: Source, path: str, depth: int) -> Node:
        from leads.search.sources import source_named

        self._spend(path)
        this = tree.get("this_object_type", source.object_type)
        if this != source.object_type:
            raise wrong(
                f"{path}.this_object_type", f"This part selects {source.plural} ({source.object_type}), not “{this}”."
            )
        name = str(tree.get("related_object_type"))
        if name in NOT_KEPT:
            count = self._count(tree.get("count"), f"{path}.count")
            none = count is not None and (count.operator == "lte" or count.number == 0)
            return NotKept((Everything(negate=not none),), name=NOT_KEPT[name])
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
