"""Custom fields of leads and contacts on their way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm.customfields.catalog import Use
from crm.errors import InvalidInput


def by_field_id(uses: Sequence[Use], custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return raw input keyed by `cf_` id; keys may also be exact field names. Raises `InvalidInput` for unknown ones."""
    by_name = {use.field.name: use.field.public_id for use in uses}
    known = set(by_name.values())
    found, errors = {}, {}
    for key, value in custom.items():
        public_id = key if key in known else by_name.get(key)
        if public_id is None:
            errors[f"custom.{key}"] = f"There is no field “{key}”."
        else:
            found[public_id] = value
    if errors:
        raise InvalidInput(fields=errors)
    return found


class Named:
    """Lends a plain column a name for a field kind's sentence."""

    def __init__(self, name: str) -> None:
        self.name = self.subject = name
