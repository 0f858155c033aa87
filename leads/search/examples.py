"""Searches to start from, made of the organization's own types and fields: the empty builder teaches by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from crm.errors import InvalidInput
from crm.models import Membership
from leads.search.builder import Block, Condition, Group, Part, Tree, Writer
from leads.search.language import parse
from leads.search.sentences import sentence
from leads.search.sources import Source

MOST = 5


@dataclass(frozen=True)
class Example:
    """A search, in words."""

    words: str
    tree: Tree


def examples(actor: Membership, source: Source, types: Sequence[Any]) -> list[Example]:
    """Return a few searches of these records that the actor may make. `types`: the activity types they see."""
    writer = Writer(actor, {kind.public_id: kind.object_type for kind in types})
    custom = [kind for kind in types if kind.object_type == "activity.custom_activity" and not kind.archived]
    found: list[Example] = []
    for parts in _MADE[source.family](actor, source, custom):
        tree = writer.query(Group(children=parts), source)
        try:
            found.append(Example(sentence(parse(tree, actor, source.object_type)), tree))
        except InvalidInput:
            continue
    return found[:MOST]


def _when(operator: str, number: int, unit: str = "days") -> Condition:
    return Condition(name="activity_at", op=operator, values=(str(number), unit))


def _members(source: Source, actor: Membership) -> list[str]:
    return [one.field.public_id for one in source.custom_fields(actor) if one.field.kind.refers_to == "user"]


def _of_leads(actor: Membership, source: Source, custom: Sequence[Any]) -> Iterator[list[Part]]:
    named = [f"t:{kind.public_id}" for kind in custom]
    if named:
        yield [Block(what=named[0], children=[_when("last", 30)])]
    yield [Condition(name="last_activity_at", op="not-last", values=("60", "days"))]
    if named:
        yield [Block(what=named[0], how="last"), Condition(name="last_activity_at", op="ago", values=("14", "days"))]
    if len(named) > 1:
        yield [Block(what=named[0]), Block(what=named[1], how="none")]
    for field in _members(source, actor)[:1]:
        yield [
            Condition(name=field, op="any", values=("me",)),
            Condition(name="date_created", op="period", values=("this-month",)),
        ]
    yield [Block(what="r:task", children=[
        Condition(name="is_complete", op="no"), Condition(name="due_date", op="period", values=("this-week",)),
    ])]  # fmt: skip


def _of_contacts(actor: Membership, source: Source, custom: Sequence[Any]) -> Iterator[list[Part]]:
    yield [Block(what="r:contact_email", how="none")]
    yield [Block(what="r:contact_phone"), Block(what="r:activity", how="none")]
    yield [Condition(name="title", op="words", values=("manager",))]
    yield [Condition(name="date_created", op="period", values=("this-month",))]


def _of_activities(actor: Membership, source: Source, custom: Sequence[Any]) -> Iterator[list[Part]]:
    yield [
        Condition(name="user_id", op="any", values=("me",)),
        Condition(name="activity_at", op="period", values=("this-week",)),
    ]
    for kind in custom[:1]:
        mine = Condition(name="custom_activity_type_id", op="any", values=(kind.public_id,))
        yield [mine, Condition(name="activity_at", op="period", values=("last-month",))]
    yield [Condition(name="user_id", op="any", values=("former",))]
    yield [
        Condition(name="status", op="any", values=("draft",)),
        Condition(name="created_by", op="any", values=("me",)),
    ]


_MADE: dict[str, Any] = {"lead": _of_leads, "contact": _of_contacts, "activity": _of_activities}
