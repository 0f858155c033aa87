"""How large a search may be, and how its mistakes are told."""

from __future__ import annotations

from crm.errors import InvalidInput

MAX_DEPTH = 12
MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_TEXT = 500
MAX_VIEWS = 5  # how deep Smart Views may refer to each other
# What Close's clients may name and this product does not keep: a search among it finds nothing.
NOT_KEPT = {
    "opportunity": "opportunity", "custom_object": "custom object", "activity.whatsapp_message": "WhatsApp message",
    "activity.form_submission": "form submission", "activity.opportunity_status_change": "change of an opportunity",
    "activity.email_thread": "email thread",
}  # fmt: skip
MODES = ("full_words", "phrase", "beginning_of_words", "exact_value")


def wrong(path: str, sentence: str) -> InvalidInput:
    return InvalidInput(fields={path: sentence})
