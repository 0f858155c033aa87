"""Reading activities and their types."""

from activities.queries.activities import activity_for, my_draft_on, my_drafts, visible_activities, visible_with_drafts
from activities.queries.cards import Card, Value, cards_of
from activities.queries.history import Change, history
from activities.queries.timeline import TimelineFilters, TimelinePage, moment_and_id, timeline
from activities.queries.types import (
    TypeCatalog,
    TypeInfo,
    active_types,
    forget_types,
    has_nothing_to_fill_in,
    type_catalog,
    type_for,
    visible_types,
)

__all__ = [
    "Card",
    "Change",
    "TimelineFilters",
    "TimelinePage",
    "TypeCatalog",
    "TypeInfo",
    "Value",
    "active_types",
    "activity_for",
    "cards_of",
    "forget_types",
    "has_nothing_to_fill_in",
    "history",
    "moment_and_id",
    "my_draft_on",
    "my_drafts",
    "timeline",
    "type_catalog",
    "type_for",
    "visible_activities",
    "visible_types",
    "visible_with_drafts",
]
