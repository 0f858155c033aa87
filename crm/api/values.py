"""People and custom values as the API writes and reads them (`spec/api.md` 2.15)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest

from crm import ids
from crm.customfields.catalog import Field, Use
from crm.customfields.lookups import Lookups, UserRef
from crm.errors import InvalidInput
from crm.fieldkinds import InvalidValue, many
from crm.models import User
from crm.permissions import can_view_field


def lookups(request: HttpRequest) -> Lookups:
    """Return the request's look-ups of members and contacts, loaded once."""
    if not hasattr(request, "lookups"):
        request.lookups = Lookups(request.organization)
    return request.lookups


def name_of(request: HttpRequest, user_id: int | None) -> str | None:
    """Return a member's name. The asker's own needs no look-up."""
    known: dict[int | None, str | None] = request.__dict__.setdefault("member_names", {None: None})
    if user_id not in known:
        if user_id == request.actor.user_id:
            known[user_id] = str(request.actor.user.full_name)
        else:
            found: UserRef | None = lookups(request).user(user_id)
            known[user_id] = found.name if found else None
    return known[user_id]


def user_id_of(number: int | None) -> str | None:
    return ids.encode("user", number) if number else None


def member_user(request: HttpRequest, text: Any, key: str) -> User | None:
    """Return the member (former ones too) that an id, email or name means; None for nothing. Raises `InvalidInput`."""
    if text in (None, ""):
        return None
    ref = lookups(request).find_user(str(text))
    if ref is None:
        raise InvalidInput(fields={key: f"“{str(text)[:60]}” is not a member of this organization."})
    return User.objects.get(pk=ref.id)


def custom_json(request: HttpRequest, uses: Sequence[Use], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat `custom.cf_…` keys of the fields that hold a value and that the actor may see."""
    known = lookups(request)
    return {
        key: field.kind.to_api(stored, field, known)
        for number, key, field in _shown_uses(request, uses)
        if (stored := values.get(number)) is not None
    }


def _shown_uses(request: HttpRequest, uses: Sequence[Use]) -> list[tuple[str, str, Field]]:
    """Return the fields the actor may see with their keys in storage and in answers, found out once per request."""
    known: dict[int, Any] = request.__dict__.setdefault("shown_uses", {})
    # The uses are kept beside what was found: an id of Python's is one object's only as long as that lives.
    kept = known.get(id(uses))
    if kept is None:
        found = [
            (str(use.field.id), f"custom.{use.field.public_id}", use.field)
            for use in uses
            if can_view_field(request.actor, use)
        ]
        kept = known[id(uses)] = (uses, found)
    shown: list[tuple[str, str, Field]] = kept[1]
    return shown


def custom_given(
    request: HttpRequest, uses: Sequence[Use], body: Mapping[str, Any], current: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return raw values by field id or name from a body; None when it holds none.

    Understood: `custom.cf_…` and `custom.<Field name>` keys, a `custom` object (by name), a `custom_fields` object (by
    id), and `custom.<…>.add` / `.remove` for fields with several values.
    """
    found: dict[str, Any] = {}
    known = {key: use for use in uses for key in (use.field.public_id, use.field.name)}
    for bag in ("custom", "custom_fields"):
        if isinstance(body.get(bag), Mapping):
            found |= {str(key).removeprefix("custom."): value for key, value in body[bag].items()}
    for key, value in body.items():
        if not key.startswith("custom."):
            continue
        name = key.removeprefix("custom.")
        bare, _, verb = name.rpartition(".")
        if name not in known and bare in known and verb in ("add", "remove"):
            use = known[bare]
            held = found.get(use.field.public_id, (current or {}).get(str(use.field.id)))
            found[use.field.public_id] = _changed_list(request, use, verb, held, value)
        else:
            found[name] = value
    return found or None


def _changed_list(request: HttpRequest, use: Use, verb: str, held: Any, value: Any) -> Any:
    field, key = use.field, f"custom.{use.field.public_id}"
    if not field.multiple:
        raise InvalidInput(fields={key: f"{field.name} holds one value: set it instead of “.{verb}”."})
    kept = [
        item if isinstance(item, str) else field.kind.to_api_one(item, field, lookups(request)) for item in many(held)
    ]
    try:
        cleaned = field.kind.clean(value, field, lookups(request), request.actor.zone)
    except InvalidValue as error:
        raise InvalidInput(fields={key: str(error)}) from None
    named = [field.kind.to_api_one(item, field, lookups(request)) for item in many(cleaned)]
    if verb == "add":
        return [*kept, *(item for item in named if item not in kept)]
    return [item for item in kept if item not in named]
