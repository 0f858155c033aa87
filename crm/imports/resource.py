"""What resources of imports share: rows are settled together, with few statements, then reported one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from import_export import resources
from import_export.instance_loaders import ModelInstanceLoader
from import_export.results import RowResult

from crm.errors import InvalidInput
from crm.imports.files import Row
from crm.imports.formula import restore
from crm.models import Membership

CLEAR = "(clear)"
NOTHING, CREATE, UPDATE, SKIP, ERROR = "", "create", "update", "skip", "error"


@dataclass
class Options:
    """How the columns of a file are to be read.

    `mapping`: header → target (an exact column name, `custom.<cf_ id>`, `new.<kind>`, or empty to leave it out).
    `empty_words`: texts that mean *empty*. `day_first`: how 03/04/2024 reads; None refuses such dates.
    """

    mapping: dict[str, str] = field(default_factory=dict)
    type_id: str = ""
    zone: str = "UTC"
    create_leads: bool = False
    add_options: bool = False
    empty_words: list[str] = field(default_factory=list)
    day_first: bool | None = None
    on_existing: str = "skip"
    new_options: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Options:
        names = cls.__dataclass_fields__
        return cls(**{key: value for key, value in stored.items() if key in names})


@dataclass
class Verdict:
    """What becomes, or became, of one row. `error` names the column where one is to blame."""

    number: int
    verdict: str
    object_type: str = ""
    object_id: int | None = None
    error: str = ""
    cells: dict[str, str] | None = None
    before: dict[str, Any] | None = None
    changes: list[tuple[str, str, str]] = field(default_factory=list)


class SettledResource(resources.Resource):
    """A django-import-export resource whose rows are settled together by `settle`, in the caller's transaction.

    `import_data(dataset)` reports each row as import-export expects; import runs call `settle` with a chunk of rows.
    """

    class Meta:
        instance_loader_class = ModelInstanceLoader

    columns: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}

    def __init__(self, actor: Membership, options: Options | None = None) -> None:
        super().__init__()
        self.actor = actor
        self.options = options or Options(zone=str(actor.zone))
        self.zone = ZoneInfo(self.options.zone)
        self._verdicts: dict[int, Verdict] = {}

    def settle(self, rows: Sequence[Row]) -> list[Verdict]:
        """Write rows through the services and return a verdict for each, in order."""
        raise NotImplementedError

    def target_of(self, header: str) -> str:
        """Return the exact column a header stands for, or an empty text."""
        raise NotImplementedError

    # --- django-import-export's side ------------------------------------------------------------------------------
    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        if not self.options.mapping:
            self.options.mapping = {header: self.target_of(header) for header in dataset.headers}
        cells = [[str(cell) if cell is not None else "" for cell in row] for row in dataset]
        rows = [Row(number, dict(zip(dataset.headers, row, strict=True))) for number, row in enumerate(cells, start=1)]
        self._verdicts = {verdict.number: verdict for verdict in self.settle(rows)}

    def import_row(self, row: Any, instance_loader: Any, **kwargs: Any) -> RowResult:
        found = self._verdicts[kwargs["row_number"]]
        result = self.get_row_result_class()()
        result.row_values = dict(row)
        result.object_id = found.object_id
        if found.verdict == ERROR:
            result.import_type = RowResult.IMPORT_TYPE_INVALID
            result.validation_error = ValidationError(found.error)
        else:
            result.import_type = RowResult.IMPORT_TYPE_NEW if found.verdict == CREATE else found.verdict
        result.diff = [value for _, _, value in found.changes]
        return result

    # --- parts ------------------------------------------------------------------------------------------------------
    def read(self, row: Row) -> dict[str, str]:
        """Return a row's cells by target: formulas restored, words for *empty* emptied, left-out columns gone."""
        found: dict[str, str] = {}
        for header, target in self.options.mapping.items():
            if not target or target.startswith("new."):
                continue
            cell = restore(row.cells.get(header, ""))
            text = cell.strip()
            if text in self.options.empty_words:
                cell = text = ""
            if text or target not in found:
                found[target] = cell
        return found

    def moment(self, text: str, column: str) -> datetime:
        """Return a cell as an instant; without an offset it is a time in the importer's zone."""
        text = self.iso(text.strip())
        try:
            found = datetime.fromisoformat(text)
            return found if found.tzinfo else found.replace(tzinfo=self.zone)
        except ValueError:
            raise InvalidInput(
                fields={column: f"“{text[:40]}” is not a date. Write it as 2024-01-31 or 2024-01-31T14:30."}
            ) from None

    def iso(self, text: str) -> str:
        """Return a date written with slashes or points as ISO, when the file's order of day and month was chosen."""
        match = re.fullmatch(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(.*)", text)
        if match is None or self.options.day_first is None:
            return text
        first, second, year, rest = match.groups()
        day, month = (first, second) if self.options.day_first else (second, first)
        return f"{year}-{int(month):02}-{int(day):02}{rest}"


def sentence(error: InvalidInput, headers: Mapping[str, str]) -> str:
    """Return an error as one text that names each column: `Users: must be a number.`"""
    if not error.fields:
        return error.message
    return " ".join(f"{headers.get(key, key)}: {text}" for key, text in error.fields.items())


def near_miss(header: str, known: Sequence[str]) -> str:
    """Return the exact column a header probably means, or an empty text. `Date_Created` means `date_created`."""
    bare = {re.sub(r"[\W_]+", "", name).casefold(): name for name in known}
    wanted = re.sub(r"[\W_]+", "", header).casefold()
    if wanted in bare:
        return bare[wanted]
    close = get_close_matches(wanted, bare, n=1, cutoff=0.85)
    return bare[close[0]] if close else ""
