"""The search language: a JSON tree (`spec/api.md` 2.18) read into frozen dataclasses, checked as the actor who asks.

A node selects records of one object type. `negate` turns any node around; a negated condition on a value also selects
records without a value. Conditions inside one `has_related` hold on the same related record. `count` on `has_related`
is ours: {"gte": 2}, {"lte": 0}, {"eq": 1} related records instead of at least one. So are {"type": "saved_search",
"saved_search_id": "save_…"} (in another Smart View) and the condition {"type": "former_user"} (a member who has left).
Records of a sort that is not kept here (`NOT_KEPT`) may be named; there are none.

Only fields and operators that the sources offer to this actor exist; anything else is an `InvalidInput` whose keys are
paths into the tree (`query.queries[1].condition.values`).
"""

from __future__ import annotations

from leads.search.language.conditions import CURRENT_USER, option_named
from leads.search.language.limits import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_TEXT,
    MAX_VALUES,
    MAX_VIEWS,
    MODES,
    NOT_KEPT,
    wrong,
)
from leads.search.language.nodes import (
    All,
    AnyOf,
    Condition,
    Count,
    CustomValue,
    Everything,
    Exists,
    FigureIs,
    FreeText,
    IdIs,
    InView,
    MomentIn,
    Node,
    NotKept,
    NumberIn,
    OneOf,
    Query,
    Related,
    TextIs,
    Where,
    Words,
    conjuncts,
)
from leads.search.language.trees import free_words, object_type_of, parse, source_of

__all__ = [
    "CURRENT_USER",
    "MAX_CONDITIONS",
    "MAX_DEPTH",
    "MAX_TEXT",
    "MAX_VALUES",
    "MAX_VIEWS",
    "MODES",
    "NOT_KEPT",
    "All",
    "AnyOf",
    "Condition",
    "Count",
    "CustomValue",
    "Everything",
    "Exists",
    "FigureIs",
    "FreeText",
    "IdIs",
    "InView",
    "MomentIn",
    "Node",
    "NotKept",
    "NumberIn",
    "OneOf",
    "Query",
    "Related",
    "TextIs",
    "Where",
    "Words",
    "conjuncts",
    "free_words",
    "object_type_of",
    "option_named",
    "parse",
    "source_of",
    "wrong",
]
