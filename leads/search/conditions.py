"""Conditions on one value as SQL, whichever record it belongs to."""

from __future__ import annotations

import re
from datetime import UTC, time, timedelta
from functools import singledispatchmethod
from typing import Any

from django.db import connection

from crm.fieldkinds import fold
from leads.search.language import Exists, MomentIn, NumberIn, OneOf, TextIs
from leads.search.moments import Clock
from leads.search.sources import Column
from leads.search.sql import Sql, both, fill, one_of, value


class Conditions:
    """Writes conditions on columns and stored values, for the database at hand."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.postgres = connection.vendor == "postgresql"
        if not self.postgres:
            connection.ensure_connection()
            connection.connection.create_function("touchpoint_fold", 1, _fold_or_null, deterministic=True)

    def column_sql(self, column: Column, alias: str) -> str:
        return column.sql.replace("{row}", alias)

    def folded(self, column: str) -> str:
        """Return the expression that folds a column as `crm.fieldkinds.fold` does: case, accents and blanks."""
        if not self.postgres:
            return f"touchpoint_fold({column})"
        bare = rf"regexp_replace(normalize(replace(lower({column}), 'ß', 'ss'), NFKD), '[\u0300-\u036f]', '', 'g')"
        return rf"btrim(regexp_replace({bare}, '\s+', ' ', 'g'))"

    def condition(self, condition: Any, column: str, whole_days: bool = False) -> Sql:
        """Return the condition on a column that holds stored (for text: folded) values. NULL for no value."""
        return self._condition(condition, column, whole_days)

    @singledispatchmethod
    def _condition(self, condition: Any, column: str, whole_days: bool) -> Sql:
        raise TypeError(f"The compiler does not know {type(condition).__name__}.")

    @_condition.register
    def _(self, condition: Exists, column: str, whole_days: bool) -> Sql:
        return Sql(f"{column} IS NOT NULL")

    @_condition.register
    def _(self, condition: OneOf, column: str, whole_days: bool) -> Sql:
        return one_of(column, condition.values)

    @_condition.register
    def _(self, condition: NumberIn, column: str, whole_days: bool) -> Sql:
        # As a number on both: SQLite would compare an expression with text by type.
        place = "CAST(%s AS numeric)"
        return both(Sql(f"{column} {operator} {place}", (str(number),)) for operator, number in condition.bounds)

    @_condition.register
    def _(self, condition: MomentIn, column: str, whole_days: bool) -> Sql:
        bounds = ((">=", condition.start), ("<", condition.before))
        return both(
            Sql(f"{column} {operator} %s", (self._instant(moment, whole_days),))
            for operator, moment in bounds
            if moment
        )

    def _instant(self, moment: Any, whole_days: bool) -> Any:
        at = moment.at(self.clock)
        if whole_days:  # a day counts from its midnight in the caller's zone; the index has it as midnight UTC
            at = at.astimezone(self.clock.zone).replace(tzinfo=UTC)
        return connection.ops.adapt_datetimefield_value(at)

    @_condition.register
    def _(self, condition: TextIs, column: str, whole_days: bool) -> Sql:
        if condition.mode == "exact_value":
            return fill(f"{column} = {{}}", value(condition.words[0]))
        end = r"(\W|$)" if condition.mode != "beginning_of_words" else ""
        # The index answers LIKE; asked the regular expression as well, it would read its trigrams twice.
        regex = "|| '' ~" if self.postgres else "REGEXP"
        parts: list[Sql] = []
        for word in condition.words:
            parts.append(self.contains(column, word))
            parts.append(fill(f"{column} {regex} {{}}", value(rf"(^|\W){re.escape(word)}{end}")))
        return both(parts)

    def contains(self, column: str, text: str) -> Sql:
        """Return the condition that a folded column holds a text; `%`, `_` and `\\` stand for themselves."""
        escaped = re.sub(r"([\\%_])", r"\\\1", text)
        return fill(rf"{column} LIKE {{}} ESCAPE '\'", value(f"%{escaped}%"))

    def on_dates(self, condition: MomentIn, column: str) -> Sql:
        """Return the condition on a column of calendar days, each of which counts from its midnight in the caller's zone."""
        parts = []
        for operator, moment in ((">=", condition.start), ("<", condition.before)):
            if moment is not None:
                at = moment.at(self.clock).astimezone(self.clock.zone)
                day = at.date() + timedelta(days=at.time() > time())
                parts.append(Sql(f"{column} {operator} %s", (connection.ops.adapt_datefield_value(day),)))
        return both(parts)


def _fold_or_null(text: Any) -> str | None:
    return None if text is None else fold(str(text))
