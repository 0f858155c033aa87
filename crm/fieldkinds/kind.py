"""What a field kind must answer, and the words all kinds share."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms

if TYPE_CHECKING:
    from crm.customfields.catalog import Field, Use
    from crm.customfields.lookups import Lookups

INDEXED_TEXT = 1000
LONG_TEXT = 100_000


class InvalidValue(ValueError):
    """A value that does not fit its field; the text is the sentence to show."""


def fold(text: str) -> str:
    """Return text without case, accents and extra blanks, as searches compare it."""
    if not text.isascii():
        # Taking letters apart can bring capitals (“™” is “TM”), and ignoring case can bring accents: hence twice.
        bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        text = "".join(char for char in bare if not unicodedata.combining(char))
    return " ".join(text.casefold().split())


def quoted(raw: Any, limit: int = 40) -> str:
    """Return raw input as it may stand in a sentence: quoted, shortened, without characters nobody can send on."""
    text = str(raw)[: limit + 1].encode(errors="replace").decode().replace("\x00", "?")
    return f"“{text[:limit]}…”" if len(text) > limit else f"“{text}”"


def is_blank(raw: Any) -> bool:
    """Return whether raw input means *empty*: nothing, blanks only, or a list of nothing."""
    if raw is None:
        return True
    if isinstance(raw, str):
        return not raw.strip()
    if isinstance(raw, list | tuple):
        return all(is_blank(item) for item in raw)
    return False


class FieldKind:
    """What a kind must answer. `storage` names the index table; `operators` what searches may ask."""

    slug: ClassVar[str]
    label: ClassVar[str]
    storage: ClassVar[str] = "text"
    allows_multiple: ClassVar[bool] = False
    hidden: ClassVar[bool] = False
    has_options: ClassVar[bool] = False
    hint: ClassVar[str] = ""  # one sentence for the person who chooses a kind
    settings: ClassVar[tuple[str, ...]] = ("required", "read_only", "default", "heading", "show_when")
    wide: ClassVar[bool] = False
    prose: ClassVar[bool] = False  # what people write: addresses in it are links where it is shown
    refers_to: ClassVar[str] = ""  # user or contact: what stored ids name
    is_address: ClassVar[bool] = False  # holds email addresses: members become theirs, not their name
    whole_days: ClassVar[bool] = False  # moments are calendar days, indexed as midnight UTC
    operators: ClassVar[tuple[str, ...]] = ("contains", "phrase", "starts", "is", "exists", "missing")
    value_name: ClassVar[str] = "text"

    def clean(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        """Return the stored value of raw input, None for empty. Raises `InvalidValue` with a sentence.

        A field with several values takes a list, or text with `;` between values (CSV), and keeps order without
        repeats. A list with one entry is accepted where one value is expected.
        """
        if is_blank(raw):
            return None
        if not field.multiple:
            if isinstance(raw, list | tuple):
                if len(raw) > 1:
                    raise InvalidValue(f"{field.subject} takes one value, {len(raw)} were given.")
                raw = raw[0]
            return self.clean_one(raw, field, lookups, zone)
        entries = raw if isinstance(raw, list | tuple) else self.split(raw, field, lookups)
        values = [self.clean_one(entry, field, lookups, zone) for entry in entries if not is_blank(entry)]
        return list(dict.fromkeys(values)) or None

    def split(self, raw: Any, field: Field, lookups: Lookups) -> list[Any]:
        """Return the entries of one cell or text that holds several values."""
        return split_several(raw) if isinstance(raw, str) else [raw]

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must clean one value")

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        """Return the form field that collects raw input; cleaning stays with `clean`."""
        return forms.CharField(max_length=20_000)

    def index(self, stored: Any, field: Field) -> list[Any]:
        """Return the values for the index table; empty for nothing."""
        return [self.index_one(item) for item in many(stored)]

    def index_one(self, stored: Any) -> Any:
        return fold(stored)[:INDEXED_TEXT]

    def is_as_shown(self, raw: Any, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> bool:
        """Return whether raw input is what the form showed for `stored`, though it says less: then nothing changed."""
        return False

    def to_api(self, stored: Any, field: Field, lookups: Lookups) -> Any:
        """Return the JSON form of the API; None stays None. A field with several values is a list, also of one."""
        if isinstance(stored, list) or (field.multiple and stored is not None):
            return [self.to_api_one(item, field, lookups) for item in many(stored)]
        return None if stored is None else self.to_api_one(stored, field, lookups)

    def to_api_one(self, stored: Any, field: Field, lookups: Lookups) -> Any:
        return stored

    def to_csv(self, stored: Any, field: Field, lookups: Lookups) -> str:
        """Return the cell that `clean` would turn back into the same stored value."""
        if isinstance(stored, list):
            return join_several([self.to_csv_one(item, field, lookups) for item in stored])
        return "" if stored is None else self.to_csv_one(stored, field, lookups)

    def to_csv_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return str(self.to_api_one(stored, field, lookups))

    def to_kind(self, stored: Any, field: Field, lookups: Lookups, into: FieldKind, zone: ZoneInfo) -> str:
        """Return one stored value in words that another kind may read, empty for nothing."""
        return self.to_csv_one(stored, field, lookups)

    def display(self, stored: Any, field: Field, lookups: Lookups) -> str:
        """Return the words shown to people."""
        return ", ".join(self.display_one(item, field, lookups) for item in many(stored))

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return str(stored)

    def written(self, stored: Any, field: Field, lookups: Lookups) -> str:
        """Return the words of a file that lists what a page shows: other programs read those, so they never change."""
        return ", ".join(self.written_one(item, field, lookups) for item in many(stored))

    def written_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return self.display_one(stored, field, lookups)

    def chips(self, stored: Any, field: Field) -> list[tuple[str, str]]:
        """Return the words and the colour of each value, or nothing where no value has a colour."""
        return []

    def href(self, stored: Any, field: Field) -> str:
        """Return the address a shown value links to, or an empty text."""
        return ""

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        """Return what the form widget shows for a stored value."""
        return self.to_api(stored, field, lookups)


def many(stored: Any) -> list[Any]:
    """Return a stored value as a list: [] for None."""
    if stored is None or stored == "":
        return []
    return stored if isinstance(stored, list) else [stored]


def split_several(text: str) -> list[str]:
    """Split a cell at `;`. A value that holds `;` or quotes is quoted as in CSV."""
    line = " ".join(text.splitlines())
    if len(line) > LONG_TEXT:
        raise InvalidValue(f"The list is {len(line):,} characters long; at most {LONG_TEXT:,} fit.")
    return next(csv.reader([line], delimiter=";", skipinitialspace=True), [])


def join_several(values: Sequence[str]) -> str:
    """Join values so that `split_several` returns them."""
    return ";".join(f'"{v.replace(chr(34), chr(34) * 2)}"' if re.search(r'[;"\n]|^\s|\s$', v) else v for v in values)


def plain_text(raw: Any, field: Field, limit: int) -> str:
    if isinstance(raw, bool | dict | list | tuple):
        raise InvalidValue(f"{field.subject} must be text.")
    text = str(raw)
    if "\x00" in text:
        raise InvalidValue(f"{field.subject} contains a NUL character. Remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{field.subject} contains broken characters. Paste the text again.") from None
    if len(text) > limit:
        raise InvalidValue(f"{field.subject} is {len(text):,} characters long; at most {limit:,} fit.")
    return text
