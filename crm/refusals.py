"""What a database's refusal of a statement means to whoever asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError

from crm.errors import InvalidInput, TooMuch


def in_words(error: OperationalError) -> InvalidInput | TooMuch | None:
    """Return what a database's refusal of a search means to whoever asked; None for what is no fault of the search."""
    if "timeout" in str(error) or "interrupt" in str(error):
        return TooMuch("This search takes too long. Add a condition that fewer records meet, or a narrower date range.")
    if "parser stack overflow" in str(error):
        return InvalidInput("This search is nested too deeply for SQLite. Take out a level, or a Smart View within it.")
    return None


@contextmanager
def refused_in_words() -> Iterator[None]:
    """What a database refuses of a search inside is raised as a sentence."""
    try:
        yield
    except OperationalError as error:
        if refused := in_words(error):
            raise refused from error
        raise
