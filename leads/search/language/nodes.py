"""What a search is made of: frozen nodes and the conditions they ask."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from crm.customfields.catalog import Field
from leads.search.moments import Moment

if TYPE_CHECKING:
    from leads.search.sources import Column, Source


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
class FigureIs(All):
    """A condition on a figure of a lead, as the nodes it stands for."""

    field: Column | None = None
    condition: Condition = Exists()


@dataclass(frozen=True)
class NotKept(All):
    """Has related records of a sort that is not kept here (opportunities): there are none. `name` says what."""

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
