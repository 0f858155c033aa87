"""Every refusal a service can make. Each carries its HTTP status; the edge translates it once."""

from __future__ import annotations

from collections.abc import Mapping


class TouchpointError(Exception):
    """A refusal with a sentence for the person who asked.

    `message` says what is wrong and what to do. `fields` maps a field's key (a form name, an API key such as
    `custom.cf_…`, or a CSV column) to its own sentence.
    """

    status = 400

    def __init__(self, message: str = "", fields: Mapping[str, str] | None = None) -> None:
        self.fields = dict(fields or {})
        self.message = message or " ".join(self.fields.values())
        super().__init__(self.message)


class InvalidInput(TouchpointError):
    """What was sent cannot be accepted as it is. Nothing was written."""

    status = 400


class PlanLimitReached(TouchpointError):
    """The organization's plan has no room. Names the limit, the use and, for monthly limits, the reset date."""

    status = 402


class NotAllowed(TouchpointError):
    """The actor may see the object but not do this to it."""

    status = 403


class NotFound(TouchpointError):
    """There is no such object for this actor: missing, deleted or somebody else's. One sentence for all three."""

    status = 404


class Conflict(TouchpointError):
    """The object changed since the actor last saw it. Nothing was written."""

    status = 409


class TooMuch(TouchpointError):
    """The question is well formed but would cost more than one answer may."""

    status = 400
