"""What a list to choose from holds: entries under headings, and the words of those that the builder always offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from leads.search.counts import counted, is_count
from leads.search.sources import Source
from leads.search.synonyms import synonyms

TERMS = {
    "ui": "Entered here",
    "api": "API",
    "import": "Import",
    "form": "Form",
    "draft": "Draft",
    "published": "Published",
}
RELATED = {
    "activity": "Any activity", "activity.custom_activity": "Any custom activity", "lead": "The lead", "contact": "Contact",
    "contact_email": "Email address", "contact_phone": "Phone number", "contact_url": "Contact's URL", "address": "Address",
    "task": "Task",
}  # fmt: skip
WHEN = (
    ("when=last", "in the last … days"), ("when=ago", "more than … days ago"),
    ("when=period=today", "today"), ("when=between", "between two days"),
    ("when=period=this-week", "this week"), ("when=period=last-week", "last week"),
    ("when=period=this-month", "this month"), ("when=period=last-month", "last month"),
    ("when=period=this-quarter", "this quarter"), ("when=period=last-quarter", "last quarter"),
    ("when=period=this-year", "this year"), ("when=period=last-year", "last year"),
)  # fmt: skip
WITHOUT = {
    "activity": "No activity", "contact": "No contact", "contact_email": "No email address", "contact_phone": "No phone number",
    "contact_url": "No URL of a contact", "address": "No address", "task": "No task",
}  # fmt: skip
SOUGHT = ("field=last_communication_date",)  # of what is worked out, what people look for first
GROUP = ("group", "Group of conditions (any of, none of …)")


@dataclass(frozen=True)
class Choice:
    """`later`: of what is found by typing, it comes after the others. `also`: other words it is found by."""

    value: str
    label: str
    selected: bool = False
    color: str = ""
    later: bool = False
    also: str = ""


@dataclass(frozen=True)
class Choices:
    """A group of choices with its heading; without one it is no group of its own."""

    label: str
    choices: tuple[Choice, ...]


def choose(pairs: Iterable[tuple[str, str]], chosen: Iterable[str]) -> tuple[Choice, ...]:
    wanted = set(chosen)
    return tuple(Choice(value, label, value in wanted) for value, label in pairs)


def with_unknown(known: list[tuple[str, str]], values: Sequence[str]) -> list[tuple[str, str]]:
    """Return the choices, and what was chosen but is gone, so that it can be seen and taken out."""
    return [*known, *((value, value) for value in values if value not in dict(known))]


def entries(pairs: Iterable[tuple[str, str]]) -> tuple[Choice, ...]:
    """Return entries of an *Add* list, with the other words that people look for them by."""
    return tuple(Choice(value, label, also=synonyms(value)) for value, label in pairs)


def later(pairs: Iterable[tuple[str, str]], sought: Sequence[str]) -> tuple[Choice, ...]:
    """Return such entries that come after others that are found, but for those that people look for first."""
    return tuple(replace(one, later=one.value not in sought) for one in entries(pairs))


def matching(groups: tuple[Choices, ...], text: str) -> tuple[Choices, ...]:
    """Return the entries that have each of these words in their own or in other words, the best of them chosen."""
    words = text.casefold().split()
    fits = [
        replace(part, choices=tuple(one for one in part.choices if all(w in f"{one.label} {one.also}".casefold() for w in words)))
        for part in groups
    ]  # fmt: skip
    every = [one for part in fits for one in part.choices]
    if not words or not every:
        return groups
    in_label = lambda one: all(word in one.label.casefold() for word in words)  # noqa: E731
    best = min(every, key=lambda one: (not in_label(one), one.later, one.value not in SOUGHT))
    return tuple(
        replace(part, choices=tuple(replace(one, selected=one is best) for one in part.choices))
        for part in fits
        if part.choices
    )


Pairs = list[tuple[str, str]]


def parted(source: Source, pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Return the fields, and apart from them the numbers of records under the names of what they count."""
    plain: Pairs = []
    counts: Pairs = []
    for name, label in pairs:
        column = source.column(name)
        if column is not None and is_count(column):
            several = counted(column)
            counts.append((name, several[0].upper() + several[1:]))
        else:
            plain.append((name, label))
    return plain, counts
