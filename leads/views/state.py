"""What a list's address asks for: the search, its words, order and columns, and the Smart View it started from.

The address: `query` (a tree of the search language as JSON, or the same compressed: `z.` + base64 of deflate), `q` (free
text), `sort`, `columns` (keys, comma-joined), `view` (a Smart View), the simple filters of the list, and `after` (a cursor).
A form of the builder sends its own inputs instead of `query` (`leads.search.forms`). While a condition needs a value, and is in
no tree for that, `builder` has those inputs as well: the page shows it again when it is loaded again.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.http import QueryDict
from django.urls import reverse
from django.utils.module_loading import import_string

from crm.errors import InvalidInput, NotFound, TooMuch
from crm.models import Membership
from leads.models import SmartView
from leads.queries import smart_view_for
from leads.search import columns as shown
from leads.search.builder import Condition, Group, Writer, apply, mark_error, number_paths
from leads.search.forms import from_form, is_unfinished, settle, to_form
from leads.search.language import Query, object_type_of, parse
from leads.search.reading import from_tree
from leads.search.run import Page, count, run
from leads.search.sources import Source, source_named
from leads.views.kinds import ListKind

Tree = dict[str, Any]
_SHORT, _LONGEST = 700, 200_000


def encode_query(tree: Tree) -> str:
    """Return a tree as the address has it: JSON, compressed when it is long."""
    return _pack(json.dumps(tree, ensure_ascii=False, separators=(",", ":")))


def _pack(text: str) -> str:
    if len(text) <= _SHORT:
        return text
    return "z." + base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def decode_query(text: str) -> Any:
    """Return the tree of an address. Raises `InvalidInput` for what is none."""
    try:
        return json.loads(_unpack(text))
    except (ValueError, zlib.error, RecursionError):
        raise InvalidInput("The address holds a search that cannot be read. Start again from the list.") from None


def _unpack(text: str) -> str:
    if not text.startswith("z."):
        return text
    packed = base64.urlsafe_b64decode(text[2:] + "=" * (-len(text[2:]) % 4))
    return zlib.decompressobj().decompress(packed, _LONGEST).decode()


def _form_in(text: str) -> QueryDict | None:
    """Return the form that an address holds because it is not finished, or None where there is none that can be read."""
    try:
        found = QueryDict(_unpack(text)) if text else None
    except (ValueError, zlib.error, TooManyFieldsSent):
        return None
    return found if found and "r-m" in found else None


def types_for(actor: Membership) -> list[Any]:
    """Return the activity types the actor sees. They belong to a higher app, which settings name."""
    return import_string(settings.SEARCHABLE_TYPES)(actor)


@dataclass
class State:
    """A search as it stands. `tree`: what the builder says. `whole`: with the simple filters. `error`: why it cannot run.

    `view_sort`: the order of the Smart View, empty when it is by a field that is gone or that the actor may not see.
    """

    actor: Membership
    kind: ListKind
    source: Source
    root: Group
    types: list[Any]
    tree: Tree
    whole: Tree
    filters: Any
    text: str = ""
    sort: str = ""
    columns: list[str] = field(default_factory=list)
    view: SmartView | None = None
    view_sort: str = ""
    query: Query | None = None
    error: str = ""

    @cached_property
    def list_url(self) -> str:
        return reverse(self.kind.url_name, args=[self.actor.organization.slug])

    def parameters(self, **changes: str) -> dict[str, str]:
        """Return what the canonical address holds, without what is empty."""
        return {key: value for key, value in {**self._given, **changes}.items() if value}

    @cached_property
    def _given(self) -> dict[str, str]:
        unfinished = is_unfinished(self.root)
        return {
            "view": self.view.public_id if self.view else "",
            "q": self.text,
            **self.filters.parameters(),
            "query": encode_query(self.tree) if len(self.tree["queries"]) > 1 or self.view or unfinished else "",
            "builder": _pack(urlencode(to_form(self.root))) if unfinished else "",
            "sort": self.sort,
            "columns": ",".join(self.columns),
        }

    def query_string(self, **changes: str) -> str:
        return urlencode(self.parameters(**changes)) if changes else self._plain_query_string

    @cached_property
    def _plain_query_string(self) -> str:
        return urlencode(self.parameters())

    def url(self, **changes: str) -> str:
        found = self.query_string(**changes)
        return f"{self.list_url}?{found}" if found else self.list_url

    def shown_columns(self, known: Mapping[str, shown.ResultColumn]) -> list[shown.ResultColumn]:
        return shown.chosen(known, self.columns, self.default_columns())

    def default_columns(self) -> Sequence[str]:
        """Return the list's own columns; of one type of activities, those of its fields as well."""
        if self.kind.lists != SmartView.Lists.ACTIVITIES:
            return self.kind.columns
        chosen = self.filters.parameters().get("type", "") or self._one_type()
        named = next((kind for kind in self.types if kind.public_id == chosen), None)
        if named is None:
            return self.kind.columns
        uses = [one for one in self.source.custom_fields(self.actor) if named.fieldset_id in one.fieldset_ids]
        return ("type", "lead", *(one.field.public_id for one in uses[:8]), "user", "activity_at")

    def _one_type(self) -> str:
        """Return the type of activities that a condition of the search asks for, when it is one: a saved view has it there."""
        named = [part.values for part in self.root.children if isinstance(part, Condition) and _is_type(part)]
        return named[0][0] if self.root.match == "all" and len(named) == 1 and len(named[0]) == 1 else ""

    @property
    def is_search(self) -> bool:
        return len(self.whole["queries"]) > 1 or bool(self.text)

    @property
    def is_changed(self) -> bool:
        """Whether the search differs from the Smart View it started from."""
        view = self.view
        if view is None:
            return False
        saved = from_tree(view.query, self.actor, self.source, object_types(self.types))
        same = Writer(self.actor, object_types(self.types)).query(saved, self.source) == self.whole
        return not (same and view.text == self.text and self.view_sort == self.sort and view.columns == self.columns)

    def page(self, after: str, limit: int) -> Page | None:
        """Return a page of ids; None when the search cannot run, for which `error` says why."""
        if self.query is None:
            return None
        try:
            return run(
                self.actor, self.query, sort=self.sort, limit=limit, cursor=after, text=self.text, tz=self.filters.zone
            )
        except (InvalidInput, TooMuch) as refused:
            if after and "cursor" in refused.fields:
                return self.page("", limit)  # a forged or foreign cursor begins again
            self.error = refused.message
            return None

    def total(self) -> int | None:
        """Return how many records match, counted to the end; None when the search cannot run or takes too long."""
        if self.query is None:
            return None
        try:
            return count(self.actor, self.query, text=self.text, tz=self.filters.zone)
        except (InvalidInput, TooMuch):
            return None


def _is_type(part: Condition) -> bool:
    return part.name == "custom_activity_type_id" and part.op == "any"


def object_types(types: Sequence[Any]) -> dict[str, str]:
    return {kind.public_id: kind.object_type for kind in types}


def read_state(actor: Membership, kind: ListKind, given: Any) -> State:
    """Return the search an address or a form asks for. What is wrong with it is in `error` and beside its parts."""
    types = types_for(actor)
    known = object_types(types)
    source, error = kind.found(actor), ""
    view = _view(actor, kind, given.get("view", ""))
    tree: Any = {"type": "and", "queries": []}
    try:
        if given.get("query"):
            tree = decode_query(given["query"])
        elif view is not None:
            tree = view.query
        source = _source_of(actor, kind, given.get("of", "") or object_type_of(tree)) or source
    except InvalidInput as refused:
        error = refused.message
    form = given if "r-m" in given else _form_in(given.get("builder", ""))
    if form is not None:
        root = from_form(form)
        settle(root, actor, source, known)
        if given.get("do"):
            apply(root, given["do"], given)
            settle(root, actor, source, known)
    else:
        root = from_tree(tree, actor, source, known)
    number_paths(root)
    filters = kind.filters(given, actor)
    filters.of = source.object_type
    error = error or filters.problem
    written = Writer(actor, known).query(root, source)
    whole = {**written, "queries": [*written["queries"], *filters.conditions()]}
    fresh = view is not None and "query" not in given and "r-m" not in given
    order = view.sort if view and shown.sort_column(actor, source, view.sort.removeprefix("-")) else ""
    state = State(
        actor, kind, source, root, types, written, whole, filters,
        text=(view.text if view and fresh and "q" not in given else given.get("q", ""))[:500].replace("\x00", ""),
        sort=given.get("sort", order if fresh else ""),
        columns=_columns(given, view.columns if view and fresh else []),
        view=view, view_sort=order, error=error,
    )  # fmt: skip
    _check(state)
    return state


def _check(state: State) -> None:
    try:
        state.query = parse(state.whole, state.actor, state.source.object_type)
    except InvalidInput as refused:
        path, sentence = next(iter(refused.fields.items()), ("", refused.message))
        beside = mark_error(state.root, state.whole, path, sentence)
        state.error = state.error or (
            f"One condition cannot be asked: {sentence}" if beside else sentence
        )  # fmt: skip
    else:
        if state.error:
            state.query = None


def _view(actor: Membership, kind: ListKind, public_id: str) -> SmartView | None:
    if not public_id:
        return None
    view = smart_view_for(actor, public_id)
    if view.lists != kind.lists:
        raise NotFound("There is no such Smart View.")
    return view


def _source_of(actor: Membership, kind: ListKind, name: str) -> Source | None:
    if not name:
        return None
    found = source_named(actor, name)
    if found is None or not found.listed or found.family != kind.found(actor).family:
        raise InvalidInput(f"This page lists {kind.title.lower()}, not “{name[:60]}”.")
    return found


def _columns(given: Any, saved: Sequence[str]) -> list[str]:
    """Return the columns asked for, after the button of the columns' panel that was pressed (`do`)."""
    asked = given.getlist("columns")
    found = [key for text in asked for key in text.split(",") if key] if asked else list(saved)
    verb, _, key = given.get("do", "").partition(":")
    if not verb.startswith("column-") and given.get("default-columns", "-") == ",".join(found):
        return []  # the form only repeats what is shown when nothing is chosen
    if verb == "column-add" and given.get("column"):
        found.append(given["column"])
    if key in found and verb in ("column-remove", "column-left", "column-right"):
        place = found.index(key)
        found.remove(key)
        if verb != "column-remove":
            found.insert(max(0, place + (1 if verb == "column-right" else -1)), key)
    return list(dict.fromkeys(found))[: shown.MAX_COLUMNS]
