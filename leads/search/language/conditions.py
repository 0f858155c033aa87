"""Reading the fields and conditions of a tree, as the actor who asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from crm import ids
from crm.customfields.catalog import Option
from crm.customfields.lookups import Lookups
from crm.fieldkinds import INDEXED_TEXT, fold
from crm.models import Membership, Team
from leads.search.language.limits import MAX_TEXT, MAX_VALUES, MODES, wrong
from leads.search.language.nodes import Condition, CustomValue, Exists, MomentIn, NumberIn, OneOf, TextIs
from leads.search.moments import Moment, parse_moment

if TYPE_CHECKING:
    from leads.search.sources import Column, Source


# What the references to people may be called, and what stands for whoever asks.
_PEOPLE = ("user", "group", "user_or_group")
CURRENT_USER = "CURRENT_USER"
# What is deleted every day, and may be named by a search that lives longer.
_PREFIXES = {"lead": "lead", "contact": "cont"}
# Calls and SMS go out or come in by other words than emails, in what is kept; shipped clients use either.
_OTHER_WAYS = {"incoming": "inbound", "outgoing": "outbound", "inbound": "incoming", "outbound": "outgoing"}


def option_named(searched: Column | CustomValue, raw: Any) -> Option | None:
    """Return the choice of a field that an id or a label names; calls and SMS go and come by the words of emails as well."""
    if not isinstance(searched, CustomValue):
        return None
    field = searched.field
    found = field.find_option(raw)
    if found is None and field.builtin.endswith(".direction"):
        return field.find_option(_OTHER_WAYS.get(str(raw)))
    return found


def _in_our_words(given: Mapping[str, Any], allowed: Collection[str]) -> Mapping[str, Any]:
    """Return a condition that shipped clients write another way: ids as terms, one number instead of its bounds."""
    asked = given.get("type")
    if asked == "term" and "term" not in allowed and "reference" in allowed:
        return {"type": "reference", "object_ids": given.get("values")}
    if asked == "number" and "number_range" in allowed:
        return {"type": "number_range", "gte": given.get("value"), "lte": given.get("value")}
    return given


class ConditionReader:
    """Reads fields and conditions; loads members once."""

    def __init__(self, actor: Membership) -> None:
        self.actor = actor
        self.lookups = Lookups(actor.organization)

    # --- fields -------------------------------------------------------------------------------------------------------
    def field(self, given: Any, source: Source, path: str) -> Column | CustomValue:
        if not isinstance(given, Mapping):
            raise wrong(path, "A field is an object with a type: regular_field or custom_field.")
        if given.get("type") == "custom_field":
            found = source.custom_field(self.actor, given.get("custom_field_id"))
            if found is None:
                name = str(given.get("custom_field_id"))[:60]
                raise wrong(f"{path}.custom_field_id", f"{source.plural.capitalize()} have no custom field “{name}”.")
            return found
        if given.get("type") != "regular_field":
            raise wrong(
                f"{path}.type", f"“{given.get('type')}” is no type of field. Use regular_field or custom_field."
            )
        if given.get("object_type", source.object_type) != source.object_type:
            raise wrong(
                f"{path}.object_type", f"“{given['object_type']}” does not fit here: this part selects {source.plural}."
            )
        name = str(given.get("field_name"))
        column = source.column(name) or source.named_field(self.actor, name)
        if column is None:
            names = ", ".join(column.name for column in (*source.columns, *source.figures))
            raise wrong(
                f"{path}.field_name",
                f"“{given.get('field_name')}” is no field of {source.plural}. Use one of: {names}.",
            )
        return column

    # --- conditions ---------------------------------------------------------------------------------------------------
    def condition(self, given: Any, field: Column | CustomValue, path: str) -> Condition:
        from leads.search.sources import accepted

        if not isinstance(given, Mapping):
            raise wrong(path, "A condition is an object with a type, such as {“type”: “exists”}.")
        allowed = accepted(field)
        given = _in_our_words(given, allowed)
        kind = str(given.get("type"))
        if kind not in allowed:
            raise wrong(f"{path}.type", f"{field.label} cannot be asked “{kind}”. Use one of: {', '.join(allowed)}.")
        return self._conditions[kind](self, given, field, path)

    def _exists(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return Exists()

    def _text_condition(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return self.text(given, path)

    def text(self, given: Mapping[str, Any], path: str) -> TextIs:
        text, mode = given.get("value"), given.get("mode", "beginning_of_words")
        if not isinstance(text, str) or not text.strip():
            raise wrong(f"{path}.value", "Say which text to look for.")
        if len(text) > MAX_TEXT:
            raise wrong(f"{path}.value", f"The text is longer than {MAX_TEXT} characters.")
        if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise wrong(f"{path}.value", "The text contains broken characters.")
        if mode not in MODES:
            raise wrong(f"{path}.mode", f"“{mode}” is no mode. Use one of: {', '.join(MODES)}.")
        folded = fold(text)[:INDEXED_TEXT]
        if not folded:
            raise wrong(f"{path}.value", "Say which text to look for.")
        whole = mode in ("phrase", "exact_value")
        return TextIs(mode, (folded,) if whole else tuple(dict.fromkeys(folded.split())), text.strip())

    def _number(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        bounds = []
        for key, operator in (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")):
            raw = given.get(key)
            if raw is None:
                continue
            try:
                if isinstance(raw, bool):
                    raise ValueError
                number = Decimal(str(raw))
                if not number.is_finite() or abs(number) >= Decimal(10) ** 18:
                    raise ValueError
            except (InvalidOperation, ValueError):
                raise wrong(f"{path}.{key}", f"“{str(raw)[:40]}” is not a number.") from None
            bounds.append((operator, number))
        if not bounds:
            raise wrong(path, "Give at least one of gt, gte, lt, lte.")
        return NumberIn(tuple(bounds))

    def _moment(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        found: dict[str, Moment] = {}
        for key, side in (("on_or_after", "start"), ("gte", "start"), ("before", "before"), ("lt", "before")):
            if given.get(key) is not None:
                found[side] = parse_moment(given[key], f"{path}.{key}")
        if not found:
            raise wrong(path, "Give on_or_after, before or both.")
        return MomentIn(found.get("start"), found.get("before"))

    def _term(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        from leads.search.sources import resolve_terms

        def resolve(raw: Any) -> tuple[int | str, str] | None:
            option = option_named(field, raw)
            return resolve_terms(self.actor, field, option.public_id if option else raw)

        return self._resolved(given.get("values"), f"{path}.values", resolve, field)

    def _reference(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        from leads.search.sources import refers_to

        target = refers_to(field)
        asked = given.get("reference_type", target)
        values = given.get("object_ids")
        if target == "user" and asked in _PEOPLE:
            return self._resolved(values, f"{path}.object_ids", self._people, field, many=True)
        if asked != target:
            raise wrong(f"{path}.reference_type", f"{field.label} refers to “{target}”, not to “{asked}”.")
        return self._resolved(values, f"{path}.object_ids", lambda raw: self._object(target, raw), field)

    def _object(self, target: str, raw: Any) -> tuple[int | str, str] | None:
        from leads.search.sources import resolve_reference

        found = resolve_reference(self.actor, self.lookups, target, raw)
        if found is None and target in _PREFIXES and ids.decode(_PREFIXES[target], raw):
            return 0, str(raw)  # one that is gone: nothing belongs to it any more
        return found

    def _people(self, raw: Any) -> list[tuple[int | str, str]] | None:
        """Return whom an id means: a member, the members of a team, or whoever asks."""
        if raw == CURRENT_USER:
            return [(self.actor.user_id, "me")]
        if not str(raw).startswith("group_"):
            found = self._object("user", raw)
            return [found] if found else None
        team = Team.objects.filter(pk=ids.decode("group", raw)).first()
        if team is None:
            return None
        return [(pk, f"a member of {team.name}") for pk in team.members.values_list("pk", flat=True)] or [
            (0, team.name)
        ]

    def _resolved(self, given: Any, path: str, resolve: Any, field: Any, many: bool = False) -> Condition:
        if not isinstance(given, list | tuple) or not given:
            raise wrong(path, f"List at least one value for {field.label}.")
        if len(given) > MAX_VALUES:
            raise wrong(path, f"At most {MAX_VALUES:,} values fit here; {len(given):,} were given.")
        found: dict[int | str, str] = {}
        for raw in given:
            one = resolve(raw)
            if one is None:
                raise wrong(path, f"“{str(raw)[:80]}” is not a value of {field.label}.")
            found.update(one if many else [one])
        return OneOf(tuple(found), tuple(dict.fromkeys(found.values())))

    def _boolean(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        if not isinstance(given.get("value"), bool):
            raise wrong(f"{path}.value", "Use true or false.")
        return OneOf((int(given["value"]),), ("yes" if given["value"] else "no",))

    def _former(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return OneOf(tuple(ref.id for ref in self.lookups.members if ref.former) or (0,), ("a former member",))

    def _me(self, given: Mapping[str, Any], field: Any, path: str) -> Condition:
        return OneOf((self.actor.user_id,), ("me",))

    _conditions = {
        "text": _text_condition,
        "term": _term,
        "reference": _reference,
        "number_range": _number,
        "moment_range": _moment,
        "exists": _exists,
        "boolean": _boolean,
        "current_user": _me,
        "former_user": _former,
    }
