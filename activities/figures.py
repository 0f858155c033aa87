"""Fields of leads worked out from their activities, by the names that clients of Close know (`num_calls`, `last_call_date`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from activities.builtin import BUILTINS
from activities.queries import type_catalog
from activities.queries.figures import DIRECTED, SPOKEN, counted, directed, last_calls
from activities.search import ACTIVITY, BUILTIN, LAST, TYPE
from crm.models import Membership
from leads.search.figures import NOTHING, Asked, Figure, Reading, Records, earliest, latest, named, number_of
from leads.search.language import All, Condition, Count, CustomValue, Node, OneOf, Related, Where
from leads.search.sources import LEAD, Column

_OF = dict(zip(BUILTINS, BUILTIN, strict=True))
LAST_CALL = replace(
    LAST, object_type="activity.last_call", singular="last call", plural="last calls", holds=lambda row: row.builtin == "call"
)  # fmt: skip


def _column(name: str) -> Column:
    found = ACTIVITY.column(name)
    assert found is not None, name
    return found


def _of(slug: str, direction: str = "") -> Records:
    """Return the activities of a built-in kind, of one direction or of both."""

    def found(actor: Membership, *more: Node, count: Count | None = None) -> Node:
        own: list[Node] = []
        if direction:
            field = _OF[slug].named_field(actor, "direction")
            option = field.field.find_option(direction) if field else None
            if field is None or option is None:
                return replace(NOTHING, negate=count is None or count.operator != "lte")
            own = [Where(field, OneOf((option.id,), (option.words,)))]
        return Related(LEAD, _OF[slug], All((*own, *more)), count)

    return found


def _spoken(actor: Membership, *more: Node, count: Count | None = None) -> Node:
    """Calls, emails, SMS and meetings together."""
    known = type_catalog(actor.organization)
    kinds = [kind for slug in SPOKEN if (kind := known.builtin(slug))]
    among = Where(_column(TYPE), OneOf(tuple(kind.id for kind in kinds), tuple(kind.name for kind in kinds)))
    return Related(LEAD, ACTIVITY, All((among, *more)), count)


def _of_last_call(name: str) -> Asked:
    """Return how a condition on a field of the last call is asked."""

    def asked(actor: Membership, condition: Condition) -> Node:
        field: Column | CustomValue | None = ACTIVITY.column(name) or _OF["call"].named_field(actor, name)
        if field is None:
            return NOTHING
        return Related(LEAD, LAST_CALL, Where(field, condition))

    return asked


_AT = _column("activity_at")
_SEVERAL = {"call": "calls", "email": "emails", "sms": "sms", "meeting": "meetings", "note": "notes"}


def _shown(slug: str, key: str) -> Callable[[Membership], str]:
    """Return how to name the column of results with the same number or date."""

    def found(actor: Membership) -> str:
        kind = type_catalog(actor.organization).builtin(slug)
        return key.format(kind.public_id if kind else "")

    return found


def _of_kind(slug: str) -> list[Figure]:
    """Return the figures of a built-in kind: how many, the first, the last; of those sent and received as well."""
    several = _SEVERAL[slug]
    shown = BUILTINS[slug].name if BUILTINS[slug].name.isupper() else BUILTINS[slug].name.lower()
    many = shown if shown.isupper() else several
    found: list[Figure] = []
    found += named(f"num_{several}", f"Number of {many}", "number", number_of(_of(slug)),
                   Reading(counted, (slug, "count"), 0), shown=_shown(slug, "count:{}"))  # fmt: skip
    found += named(f"first_{slug}_date first_{slug}_created", f"First {shown}", "moment", earliest(_of(slug), _AT),
                   Reading(counted, (slug, "first")))  # fmt: skip
    found += named(f"last_{slug}_date last_{slug}_created", f"Last {shown}", "moment", latest(_of(slug), _AT),
                   Reading(counted, (slug, "last")), shown=_shown(slug, "last:{}:activity_at"))  # fmt: skip
    ways = (("outgoing", "sent"), ("incoming", "received"))
    for direction, (way, other) in zip(DIRECTED.get(slug, ()), ways, strict=False):
        some = _of(slug, direction)
        numbers = f"num_{way}_{several} num_{other}_{several}"
        found += named(numbers, f"Number of {way} {many}", "number", number_of(some),
                       Reading(directed, (slug, direction, "count"), 0))  # fmt: skip
        dates = f"first_{way}_{slug}_date first_{other}_{slug}_date"
        found += named(dates, f"First {way} {shown}", "moment", earliest(some, _AT),
                       Reading(directed, (slug, direction, "first")), offered=False)  # fmt: skip
        dates = dates.replace("first_", "last_")
        found += named(dates, f"Last {way} {shown}", "moment", latest(some, _AT),
                       Reading(directed, (slug, direction, "last")), offered=False)  # fmt: skip
    return found


LEADS = (
    *named("times_communicated", "Times communicated", "number", number_of(_spoken),
           Reading(counted, ("spoken", "count"), 0)),
    *named("first_communication_date", "First communication", "moment", earliest(_spoken, _AT),
           Reading(counted, ("spoken", "first"))),
    *named("last_communication_date", "Last communication", "moment", latest(_spoken, _AT),
           Reading(counted, ("spoken", "last"))),
    *_of_kind("call"),
    *named("last_call_duration", "Duration of the last call (s)", "number", _of_last_call("duration"),
           Reading(last_calls, "duration")),
    *named("last_call_user_id last_call_user", "User of the last call", "user", _of_last_call("user_id"),
           Reading(last_calls, "user"), refers_to="user"),
    *_of_kind("email"),
    *_of_kind("sms"),
    *_of_kind("meeting"),
    *_of_kind("note"),
    *named("last_lead_status_change_date", "Last change of status", "moment", latest(_of("status_change"), _AT),
           Reading(counted, ("status_change", "last"))),
)  # fmt: skip
