"""Activities ready for display."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from django.utils import timezone

from activities.models import Activity
from activities.queries.comments import CommentCard, can_comment, comment_cards
from activities.queries.types import TypeInfo, type_catalog
from crm import ids
from crm.customfields.catalog import Catalog, Use, catalog
from crm.customfields.lookups import Lookups
from crm.fieldkinds import many
from crm.models import Membership
from crm.permissions import (
    can_delete_activity,
    can_edit_activity,
    can_log,
    can_view_draft,
    can_view_field,
)

# A card with more values than MANY shows the FIRST of them.
MANY, FIRST = 18, 12
# How a lead came to be, in words.
SOURCES = {"ui": "by hand", "api": "the API", "import": "a CSV import", "form": "a public form"}


@dataclass(frozen=True)
class Value:
    """One line of a card. `href`: where it links to, or empty. `wide`: takes the whole width. `chips`: (words, colour).

    `prose`: what somebody wrote; addresses in it are links. `heading`: of the section it stands in, or empty.
    """

    label: str
    text: str
    href: str = ""
    wide: bool = False
    prose: bool = False
    chips: tuple[tuple[str, str], ...] = ()
    heading: str = ""


@dataclass(frozen=True)
class Card:
    """An activity ready for display."""

    id: str
    activity: Activity
    type: TypeInfo
    lead_name: str
    lead_id: str
    values: tuple[Value, ...]
    empty_labels: tuple[str, ...]
    summary: str
    direction: str
    user_name: str
    created_by_name: str
    contact_name: str
    is_draft: bool
    is_pinned: bool
    is_future: bool
    can_edit: bool
    can_delete: bool
    can_copy: bool
    can_comment: bool = False
    # Why an action is missing, in the gate's words; empty where it is not missing.
    edit_reason: str = ""
    delete_reason: str = ""
    copy_reason: str = ""
    comments: tuple[CommentCard, ...] = ()

    @property
    def first_values(self) -> tuple[Value, ...]:
        """What is shown at once: all values, or the first ones of many."""
        return self.values if len(self.values) <= MANY else self.values[:FIRST]

    @property
    def folded_values(self) -> tuple[Value, ...]:
        """What a click unfolds."""
        return self.values[len(self.first_values) :]


class _Cards:
    """Turns activities into cards: one query each for members, contacts and comments, whatever the number."""

    def __init__(self, actor: Membership, lookups: Lookups | None = None) -> None:
        self.actor = actor
        self.types = type_catalog(actor.organization)
        self.fields: Catalog = catalog(actor.organization)
        self.lookups = lookups or Lookups(actor.organization)
        self.now = timezone.now()

    @cached_property
    def _uses(self) -> dict[int, list[Use]]:
        return {
            row.id: [
                use
                for use in self.fields.uses(row.fieldset_id)
                if not use.field.kind.hidden and can_view_field(self.actor, use)
            ]
            for row in self.types.types
        }

    def make(self, rows: Iterable[Activity]) -> list[Card]:
        rows = list(rows)
        self._preload(rows)
        comments = comment_cards(self.actor, rows, self.lookups)
        return [self._card(row, comments.get(row.pk, ())) for row in rows]

    def _preload(self, rows: list[Activity]) -> None:
        contacts = {row.contact_id for row in rows if row.contact_id}
        for row in rows:
            for use in self._uses.get(row.type_id, []):
                if use.field.kind.refers_to == "contact":
                    contacts.update(many(row.values.get(str(use.field.id))))
        if contacts:
            self.lookups.preload_contacts(contacts)

    def _card(self, row: Activity, comments: tuple[CommentCard, ...]) -> Card:
        kind = self.types.get(row.type_id)
        assert kind is not None, "a type is never deleted while it has activities"
        shown, empty, direction, heading = [], [], "", ""
        for use in self._uses[row.type_id]:
            heading = use.heading or heading
            stored = row.values.get(str(use.field.id))
            if stored is None:
                typed = [part for part in many((row.draft_data or {}).get(use.field.public_id)) if part]
                if typed:
                    options = {option.public_id: option for option in use.field.options}
                    text = ", ".join(options[part].words if part in options else str(part) for part in typed)
                    chosen = [options[part].id for part in typed if part in options]
                    chips = tuple(use.field.kind.chips(chosen, use.field)) if len(chosen) == len(typed) else ()
                    kind_of = use.field.kind
                    shown.append(Value(use.field.name, text, "", kind_of.wide, kind_of.prose, chips, heading))
                else:
                    empty.append(use.field.name)
                continue
            text = use.field.kind.display(stored, use.field, self.lookups)
            if use.field.builtin == "created.source":
                text = SOURCES.get(text, text)
            if use.field.builtin.endswith(".direction"):
                direction = text
                continue
            href = "" if isinstance(stored, list) else use.field.kind.href(stored, use.field)
            chips = tuple(use.field.kind.chips(stored, use.field))
            kind_of = use.field.kind
            shown.append(Value(use.field.name, text, href, kind_of.wide, kind_of.prose, chips, heading))
        user, author = self.lookups.user(row.user_id), self.lookups.user(row.created_by_id)
        contact = self.lookups.contact(row.contact_id)
        lead = row.lead if Activity.lead.is_cached(row) else None
        edit, delete = can_edit_activity(self.actor, row, kind), can_delete_activity(self.actor, row, kind)
        if edit and row.is_draft:
            edit = can_view_draft(self.actor, row)
        log = can_log(self.actor, kind)
        return Card(
            id=row.public_id,
            activity=row,
            type=kind,
            lead_name=lead.name if lead else "",
            lead_id=ids.encode("lead", row.lead_id),
            values=tuple(shown),
            empty_labels=tuple(empty),
            summary=shown[0].text if shown else "",
            direction=direction,
            user_name=user.name if user else "",
            created_by_name=author.name if author else "",
            contact_name=contact.name if contact else "",
            is_draft=row.is_draft,
            is_pinned=row.pinned_at is not None,
            is_future=row.activity_at > self.now,
            can_edit=bool(edit),
            can_delete=bool(delete),
            can_copy=not row.is_draft and not kind.system and bool(log),
            can_comment=bool(can_comment(row, kind)),
            edit_reason="" if edit else edit.reason,
            delete_reason="" if delete else delete.reason,
            copy_reason="" if log else log.reason,
            comments=comments,
        )


def cards_of(actor: Membership, rows: Iterable[Activity], lookups: Lookups | None = None) -> list[Card]:
    """Return activities ready for display, in the given order. Give rows with `lead` loaded where its name is shown."""
    return _Cards(actor, lookups).make(rows)
