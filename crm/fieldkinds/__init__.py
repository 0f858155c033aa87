"""Field kinds: one class each. Everything that depends on a field's kind is asked of its class here, nowhere else.

A kind turns raw input (typed text, JSON, a CSV cell) into one *stored* value, and a stored value into an index entry,
JSON, CSV and words. Stored forms: text kinds str · number str of the exact decimal · date `2024-01-31` · datetime ISO in
UTC · choices option id · user user id · contact contact id · checkbox bool; a list of those when the field holds several.
"""

from __future__ import annotations

from crm.fieldkinds.choosing import Checkbox, Choices, Contact, User
from crm.fieldkinds.decimals import SECONDS, Number, plain, time_words
from crm.fieldkinds.kind import (
    INDEXED_TEXT,
    FieldKind,
    InvalidValue,
    fold,
    is_blank,
    join_several,
    many,
    quoted,
    split_several,
)
from crm.fieldkinds.moments import Date, DateTime
from crm.fieldkinds.texts import Email, Hidden, Phone, Text, Textarea, Url, json_object

KINDS: dict[str, FieldKind] = {
    kind.slug: kind
    for kind in (
        Text(), Textarea(), Number(), Date(), DateTime(), Choices(), User(), Contact(), Checkbox(), Url(), Email(),
        Phone(), Hidden(),
    )
}  # fmt: skip

__all__ = [
    "INDEXED_TEXT", "KINDS", "SECONDS", "Checkbox", "Choices", "Contact", "Date", "DateTime", "Email", "FieldKind", "Hidden",
    "InvalidValue", "Number", "Phone", "Text", "Textarea", "Url", "User", "fold", "is_blank", "join_several",
    "json_object", "many", "plain", "quoted", "split_several", "time_words",
]  # fmt: skip
