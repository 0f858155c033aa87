"""What resources of imports share: rows are settled together, with few statements, then reported one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from import_export import resources
from import_export.instance_loaders import ModelInstanceLoader
from import_export.results import Result, RowResult

from crm.customfields.catalog import Field, catalog
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.imports.files import Row
from crm.imports.formula import restore
from crm.models import Membership

CLEAR = "(clear)"
# What such a cell is read as. A text that happens to say so travels quoted, and no file holds a NUL.
CLEARED = "\x00clear"
CREATE, UPDATE, SKIP, ERROR = "create", "update", "skip", "error"


@dataclass
class Options:
    """How the columns of a file are to be read.

    `mapping`: header → target (an exact column name, `custom.<cf_ id>`, `new.<kind>`, or empty to leave it out).
    `empty_words`: texts that mean *empty*. `day_first`: how 03/04/2024 reads; None refuses such dates.
    `decimal_comma`: how 1,234 reads, 1.234 or 1234; None refuses such numbers. `continues`: ids of the runs whose failed
    rows the file holds; their leads are the file's own.
    """

    mapping: dict[str, str] = field(default_factory=dict)
    type_id: str = ""
    zone: str = "UTC"
    create_leads: bool = False
    add_options: bool = False
    empty_words: list[str] = field(default_factory=list)
    day_first: bool | None = None
    decimal_comma: bool | None = None
    on_existing: str = "skip"
    continues: list[int] = field(default_factory=list)
    new_options: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Options:
        names = cls.__dataclass_fields__
        return cls(**{key: value for key, value in stored.items() if key in names})


NAMED, SPELLED, WORD, SIMILAR = range(4)


class Hint(NamedTuple):
    """What a header probably stands for. `rank`: it says so, but for capitals and spaces, as other programs do, or about."""

    target: str = ""
    words: str = ""
    rank: int = NAMED


@dataclass(slots=True)
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
    counts: bool = False  # against the plan's activities of the month
    label: str = ""  # what a record is, for the check's list
    fresh: bool = False  # the record was made by an earlier row of the run
    # What later rows know a new record by, or one that was to be: a lead's folded name, an activity's external id.
    key: str = ""


@dataclass
class Memory:
    """What a run knows from the chunks before this one. A check needs it, because its rows are rolled back.

    `externals`: external ids that would be there. `made_leads`: folded name → id of the leads this run made; 0 when the
    lead was rolled back. `failed_leads`: folded name → the first row of a lead that failed. What a chunk adds lies in
    `new_…` until the chunk is kept.
    """

    externals: set[str] = field(default_factory=set)
    made_leads: dict[str, int] = field(default_factory=dict)
    failed_leads: dict[str, int] = field(default_factory=dict)
    new_externals: set[str] = field(default_factory=set)
    new_leads: dict[str, int] = field(default_factory=dict)
    new_failed: dict[str, int] = field(default_factory=dict)

    def failed_lead(self, name: str) -> int | None:
        """Return the number of the first row of this folded name that failed."""
        return self.failed_leads.get(name, self.new_failed.get(name))

    def made_lead(self, name: str) -> int | None:
        """Return the id of the lead of this folded name that the run made: 0 when it was rolled back, None when not."""
        return self.new_leads.get(name, self.made_leads.get(name))

    def begin(self) -> None:
        """Forget what a chunk added that was not kept."""
        self.new_externals, self.new_leads, self.new_failed = set(), {}, {}

    def keep(self, rolled_back: bool) -> None:
        """Keep what the chunk added. Without a check external ids are read from the database."""
        if rolled_back:
            self.externals |= self.new_externals
        self.made_leads |= dict.fromkeys(self.new_leads, 0) if rolled_back else self.new_leads
        self.failed_leads = self.new_failed | self.failed_leads
        self.begin()


class SettledResource(resources.Resource):
    """A django-import-export resource whose rows are settled together by `settle`, in the caller's transaction.

    `import_data(dataset)` reports each row as import-export expects; import runs call `settle` with a chunk of rows.
    A subclass names its columns and writes rows.
    """

    class Meta:
        instance_loader_class = ModelInstanceLoader

    columns: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}
    # Written by Touchpoint: exports carry them, imports leave them alone.
    never_imported: tuple[str, ...] = ()
    # Columns in which “(clear)” is a text like any other.
    never_cleared: tuple[str, ...] = ()
    # Words of other programs → a column.
    words: Mapping[str, str] = {}
    # Whether columns are named exactly: a header that differs by capitals or spaces is matched, and told.
    exact: bool = False

    def __init__(self, actor: Membership, options: Options | None = None, memory: Memory | None = None) -> None:
        super().__init__()
        self.actor = actor
        self.options = options or Options(zone=str(actor.zone))
        self.memory = memory or Memory()
        self.zone = ZoneInfo(self.options.zone)
        self._verdicts: dict[int, Verdict] = {}
        self._read_headers: Sequence[str] = ()
        self._read_targets: list[str] = []

    def settle(self, rows: Sequence[Row]) -> list[Verdict]:
        """Write rows through the services and return a verdict for each, in order."""
        raise NotImplementedError

    def field_names(self) -> dict[str, str]:
        """Return `custom.<name>` and `custom.<cf_ id>` of the fields a column can go to → the exact target."""
        raise NotImplementedError

    def writable_names(self) -> dict[str, str]:
        """Return the fields the actor may fill in, by the name that is shown → the exact target."""
        raise NotImplementedError

    # --- headers ----------------------------------------------------------------------------------------------------
    def target_of(self, header: str) -> str:
        """Return the exact column a header stands for, or an empty text."""
        if header in self.columns:
            return header
        return self.aliases.get(header) or self.field_names().get(header, "")

    def hint_for(self, header: str) -> Hint:
        """Return the target a header probably stands for, how sure that is, and what to tell about it."""
        if target := self.target_of(header) or self._field_targets.get(header, ""):
            return Hint(target)
        if header in self.never_imported:
            return Hint(words="Kept by Touchpoint; it is not imported.")
        bare = _bare(header)
        if bare in self._bare_names:
            name = self._bare_names[bare]
            return Hint(self._names[name], f"“{header}”: did you mean “{name}”?" if self.exact else "", SPELLED)
        words = {_bare(word): column for word, column in self.words.items()}
        if found := words.get(bare):
            return Hint(found, f"A guess: “{header}” is often “{found}”.", WORD)
        if near := near_miss(header, [*self.words, *self._names]):
            target = self._names.get(near) or self.words[near]
            name = near if near in self._names else target
            return Hint(target, f"“{header}”: did you mean “{name}”? It is left out.", SIMILAR)
        return Hint()

    def guesses_for(self, headers: Sequence[str], kept: dict[str, str]) -> dict[str, str]:
        """Return where columns go: as `kept` where it says so, the others by their names, the surest first.

        No two go to one target, and a name that is only similar is no reason to go anywhere.
        """
        found = dict.fromkeys(headers, "") | kept
        hints = {header: self.hint_for(header) for header in headers if header not in kept}
        for rank in (NAMED, SPELLED, WORD):
            for header, hint in hints.items():
                if hint.rank == rank and hint.target and hint.target not in found.values():
                    found[header] = hint.target
        return found

    @cached_property
    def _field_targets(self) -> dict[str, str]:
        """Fields by the names that people read → the exact target; a lead's come before its contacts'."""
        found: dict[str, str] = {}
        for name, target in self.field_names().items():
            found.setdefault(name.rpartition("custom.")[2], target)
        return {**found, **self.writable_names()}

    @cached_property
    def _names(self) -> dict[str, str]:
        """Everything a header may be called → the exact target."""
        columns = {column: column for column in self.columns}
        return self.field_names() | self._field_targets | dict(self.aliases) | columns

    @cached_property
    def _bare_names(self) -> dict[str, str]:
        return {_bare(name): name for name in self._names}

    @cached_property
    def headers(self) -> dict[str, str]:
        """The file's own header of each target."""
        return {target: header for header, target in self.options.mapping.items() if target}

    # --- rows -------------------------------------------------------------------------------------------------------
    def judge(
        self,
        rows: Sequence[Row],
        one: Callable[[Verdict, dict[str, str]], None],
        cells: Mapping[int, dict[str, str]],
    ) -> list[Verdict]:
        """Return the verdicts that `one` gives; its refusals become row errors that name the file's columns."""
        verdicts = []
        for row in rows:
            verdict = Verdict(row.number, ERROR)
            verdicts.append(verdict)
            try:
                if row.problem:
                    raise InvalidInput(row.problem)
                one(verdict, cells[row.number])
            except InvalidInput as error:
                verdict.verdict, verdict.error = ERROR, sentence(error, self.header_of)
            except (NotAllowed, NotFound) as error:
                verdict.verdict, verdict.error = ERROR, error.message
            if verdict.verdict == ERROR:
                verdict.cells = row.cells
        return verdicts

    def header_of(self, key: str) -> str:
        """Return the file's header for the key of an error: a column, or `custom.<cf_ id>`."""
        if found := self.headers.get(key):
            return found
        field = catalog(self.actor.organization).field_by_public_id(key.rpartition("custom.")[2])
        if field is None:
            return key
        prefix = key.rpartition("custom.")[0]
        return self.headers.get(f"{prefix}custom.{field.name}") or field.name

    # --- django-import-export's side ------------------------------------------------------------------------------
    @classmethod
    def get_result_class(cls) -> type[Result]:
        return _Result

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        if not self.options.mapping:
            self.options.mapping = {header: self.target_of(header) for header in dataset.headers}
        cells = [[str(cell) if cell is not None else "" for cell in row] for row in dataset]
        rows = [Row(number, dataset.headers, row) for number, row in enumerate(cells, start=_FIRST_ROW)]
        self._verdicts = {verdict.number: verdict for verdict in self.settle(rows)}

    @classmethod
    def get_display_name(cls) -> str:
        return cls.__name__.removesuffix("Resource")

    def get_diff_headers(self) -> list[str]:
        return ["What happens"]

    def import_row(self, row: Any, instance_loader: Any, **kwargs: Any) -> RowResult:
        found = self._verdicts[kwargs["row_number"] - 1 + _FIRST_ROW]
        result = self.get_row_result_class()()
        result.row_values = dict(row)
        result.object_id, result.object_repr = found.object_id, f"row {found.number}"
        changes = [f"{name}: {old or 'empty'} → {new or 'empty'}" for name, old, new in found.changes]
        result.diff = ["; ".join([*([found.error] if found.error else []), *changes]) or "created"]
        if found.verdict == ERROR:
            result.import_type = RowResult.IMPORT_TYPE_INVALID
            result.validation_error = ValidationError(found.error)
        else:
            result.import_type = RowResult.IMPORT_TYPE_NEW if found.verdict == CREATE else found.verdict
        return result

    # --- parts ------------------------------------------------------------------------------------------------------
    def _targets(self, headers: Sequence[str]) -> list[str]:
        """Return where each column goes, an empty text for nowhere."""
        if self._read_headers is not headers:
            found = [self.options.mapping.get(header, "") for header in headers]
            self._read_headers, self._read_targets = headers, ["" if t.startswith("new.") else t for t in found]
        return self._read_targets

    def read(self, row: Row) -> dict[str, str]:
        """Return a row's filled cells by target: formulas restored, words for *empty* and left-out columns gone."""
        found: dict[str, str] = {}
        empty = self.options.empty_words
        for target, cell in zip(self._targets(row.headers), row.texts, strict=True):
            if not cell or not target:
                continue
            if not empty and cell[0].isalnum():
                found[target] = cell
                continue
            text = cell.strip()
            if text == CLEAR and target not in self.never_cleared:
                found[target] = CLEARED
                continue
            if cell[0] == "'":
                cell = restore(cell)
                text = cell.strip()
            if text and text not in empty:
                found[target] = cell
        return found

    def moment(self, text: str, column: str) -> datetime:
        """Return a cell as an instant; without an offset it is a time in the importer's zone."""
        try:
            found = datetime.fromisoformat(self.iso(text.strip()))
            found = found if found.tzinfo else found.replace(tzinfo=self.zone)
            # Years that some zone cannot show are no dates of a customer's.
            if not 1 < found.year < 9999:
                raise ValueError
            return found
        except ValueError:
            raise InvalidInput(
                fields={column: f"“{text.strip()[:40]}” is not a date. Write it as 2024-01-31 or 2024-01-31T14:30."}
            ) from None

    def field_cell(self, cell: str, field: Field) -> str:
        """Return a cell as the kind of its field reads it: dates in the file's order and zone, numbers with a point."""
        if field.kind.storage == "moment":
            return self._moment_cell(cell, field.kind.whole_days)
        return self._number_cell(cell) if field.kind.storage == "number" else cell

    def _moment_cell(self, cell: str, whole_days: bool) -> str:
        text = self.iso(cell.strip())
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return text
        return text if whole_days or found.tzinfo else found.replace(tzinfo=self.zone).isoformat()

    def _number_cell(self, cell: str) -> str:
        """Return a number as 1234.5 when it was said how the file writes numbers."""
        if self.options.decimal_comma is None or cell.isdecimal():
            return cell
        text = _BLANKS.sub("", cell)
        if self.options.decimal_comma:
            return text.replace(".", "").replace(",", ".") if _WITH_COMMA.fullmatch(text) else cell
        return text.replace(",", "") if _WITH_POINT.fullmatch(text) else cell

    def iso(self, text: str) -> str:
        """Return a date written with slashes, points or dashes as ISO, when the file's order of day and month was chosen."""
        if self.options.day_first is None or (match := _SLASHED.fullmatch(text)) is None:
            return text
        first, second, year, hours, minutes, seconds, half = match.groups()
        day, month = (first, second) if self.options.day_first else (second, first)
        if int(month) > 12 or int(day) > 31:
            return text
        found = f"{int(year) + 2000 if len(year) == 2 else year}-{int(month):02}-{int(day):02}"
        if hours:
            hour = int(hours) % 12 + (12 if half.casefold() == "pm" else 0) if half else int(hours)
            found += f"T{hour:02}:{minutes}:{seconds or '00'}"
        return found


class _Result(Result):  # type: ignore[misc]
    def append_invalid_row(self, number: int, row: Any, validation_error: ValidationError) -> None:
        super().append_invalid_row(number - 1 + _FIRST_ROW, row, validation_error)


_FIRST_ROW = 2  # a spreadsheet shows the header as row 1
_BLANKS = re.compile(r"[\s\u00a0\u202f]+")
_WITH_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?")
_WITH_POINT = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_SLASHED = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?:,?[ T]+(\d{1,2}):(\d\d)(?::(\d\d))? ?([AaPp][Mm])?)?"
)


def sentence(error: InvalidInput, header_of: Callable[[str], str]) -> str:
    """Return an error as one text that names each column: `Users: must be a number.`"""
    if not error.fields:
        return error.message
    found = []
    for key, text in error.fields.items():
        header = header_of(key)
        found.append(text if text.startswith(f"{header} ") else f"{header}: {text}")
    return " ".join(found)


def _bare(name: str) -> str:
    """`Lead name`, `LEAD_NAME` and `lead-name` are one name."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def near_miss(header: str, known: Sequence[str]) -> str:
    """Return the known name that is most like a header, or an empty text when none is."""
    bare = {re.sub(r"[\W_]+", "", name).casefold(): name for name in known}
    wanted = re.sub(r"[\W_]+", "", header).casefold()
    if wanted in bare:
        return bare[wanted]
    close = get_close_matches(wanted, bare, n=1, cutoff=0.85)
    return bare[close[0]] if close else ""
