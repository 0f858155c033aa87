"""Notes, calls, emails, SMS and meetings in Close's shapes (`spec/api.md` 2.14).

What a client sends and no field of ours holds is kept as it was sent, in the kind's hidden field `more`; what nobody sent
is answered with Close's default.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from django.utils import timezone

from activities.queries.progress import progress_of
from crm import ids
from crm.api import lookups, moment, stamp, words
from crm.customfields.catalog import Use, catalog
from crm.errors import InvalidInput
from crm.fieldkinds import json_object
from crm.permissions import can_view_field
from crm.phones import phone_country, shown_phone

MORE = "more"


@dataclass(frozen=True)
class Extra:
    """Keys of one kind besides our fields. `kept` may be written, `fixed` only read; `choices` of kept ones.

    `unasked`: answered only where `_fields` names them. `markup`: the key of formatted text and the field it is of.
    """

    kept: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unasked: tuple[str, ...] = ()
    markup: tuple[str, str] = ("note_html", "note")


_LETTER = ("inbox", "draft", "scheduled", "outbox", "sent", "error")
_SENDER_NEEDED = {"inbox", "scheduled", "outbox", "error"}
EXTRAS = {
    "note": Extra({"note_html": None, "attachments": []}),
    "call": Extra(
        {
            "note_html": None, "status": "completed", "local_phone": None, "remote_country_iso": None, "voicemail_url": None,
            # A number always: scripts compare it.
            "voicemail_duration": 0, "cost": None, "call_method": "regular", "outcome_id": None, "dialer_id": None,
            "recording_transcript": None, "voicemail_transcript": None,
        },
        fixed={
            "source": "External", "transferred_from": None, "transferred_from_user_id": None, "transferred_to": None,
            "transferred_to_user_id": None, "sequence_id": None, "sequence_name": None, "sequence_subscription_id": None,
            "is_joinable": False, "coach_legs": [],
        },
        choices={
            "status": ("draft", "created", "in-progress", "completed", "cancel", "no-answer", "busy", "failed", "timeout"),
            "call_method": ("regular", "power", "predictive"),
        },
        unasked=("recording_transcript", "voicemail_transcript"),
    ),
    "email": Extra(
        {
            "body_html": None, "status": None, "cc": [], "bcc": [], "envelope": {}, "attachments": [], "template_id": None,
            "date_scheduled": None, "date_sent": None, "opens": [], "send_attempts": [], "message_ids": [], "references": [],
            "in_reply_to_id": None, "followup_sequence_id": None, "followup_sequence_delay": None, "thread_id": None,
        },
        choices={"status": _LETTER},
        markup=("body_html", "body_text"),
    ),
    "sms": Extra(
        {
            "status": None, "local_phone": None, "date_scheduled": None, "date_sent": None, "attachments": [],
            "error_message": None, "cost": None, "template_id": None,
        },
        fixed={"source": "External"},
        choices={"status": _LETTER},
    ),
    "meeting": Extra(
        {
            "user_note_html": None, "status": None, "attendees": [], "is_recurring": False, "calendar_event_link": None,
            "outcome_id": None, "integrations": [], "connected_account_id": None,
        },
        choices={"status": ("draft", "upcoming", "in-progress", "completed", "canceled", "declined-by-lead", "declined-by-org")},
        markup=("user_note_html", "note"),
    ),
}  # fmt: skip
_ATTENDEE = {"name": None, "email": None, "contact_id": None, "user_id": None, "status": None, "is_organizer": False}


# --- what is written --------------------------------------------------------------------------------------------------
def more_given(request: Any, slug: str, given: Mapping[str, Any], held: str | None) -> str | None:
    """Return what the hidden field holds after this body, as JSON; None when the body says nothing of it."""
    extra = EXTRAS.get(slug)
    said = {key: given[key] for key in extra.kept if key in given} if extra else {}
    if extra is None or not said:
        return None
    kept = _held(held, extra)
    for key, value in said.items():
        if value is None or (key == "status" and value == "draft"):
            kept.pop(key, None)
        else:
            kept[key] = _checked(request, key, value, extra)
    return json.dumps(kept, ensure_ascii=False) if kept else ""


def _held(text: str | None, extra: Extra | None) -> dict[str, Any]:
    """Return what a hidden field holds, without what no client could have sent: files may write it as well."""
    found = json_object(text or "")
    return {key: value for key, value in found.items() if extra is None or _fits(value, extra.kept.get(key))}


def _fits(value: Any, default: Any) -> bool:
    """Return whether a value is of the shape of a key's default: a list, an object, or one value."""
    kinds = (list, dict)
    return isinstance(value, type(default)) if isinstance(default, kinds) else not isinstance(value, kinds)


def _checked(request: Any, key: str, value: Any, extra: Extra) -> Any:
    if (known := extra.choices.get(key)) and value not in known:
        raise InvalidInput(fields={key: f"“{str(value)[:40]}” is not a {key}. Use one of: {', '.join(known)}."})
    default = extra.kept[key]
    if isinstance(default, list | dict):
        if not isinstance(value, type(default)):
            raise InvalidInput(fields={key: f"Send {'a list' if isinstance(default, list) else 'an object'}."})
    elif isinstance(value, list | dict):
        raise InvalidInput(fields={key: "Send one value."})
    elif key.startswith("date_"):
        return stamp(moment(value, key, request.zone))
    return value


def check_body(slug: str, given: Mapping[str, Any], sender: str | None = None) -> None:
    """Raise `InvalidInput` for what Close refuses of a kind. `sender`: an email's own, when it exists already."""
    if slug == "call" and str(given.get("recording_url") or "").lower().startswith("http:"):
        raise InvalidInput(fields={"recording_url": "The address of a recording must begin with https."})
    if slug == "email" and str(given.get("status")) in _SENDER_NEEDED and not (given.get("sender") or sender):
        raise InvalidInput(fields={"sender": f"An email with the status {given['status']} needs a sender."})


def direction_of(slug: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the direction that a new email's or SMS's status tells, where the body names none."""
    words = {"email": ("incoming", "outgoing"), "sms": ("inbound", "outbound")}.get(slug)
    if words is None or given.get("direction"):
        return {}
    return {"direction": words[0] if given.get("status") == "inbox" else words[1]}


# --- what is answered -------------------------------------------------------------------------------------------------
def shaped(slug: str, found: dict[str, Any], row: Any, asked: frozenset[str] | None) -> dict[str, Any]:
    """Return a built-in kind's keys: our fields' (`found`), and what Close's clients read besides."""
    extra = EXTRAS.get(slug)
    kept = _held(found.pop(MORE, None), extra)
    if extra is not None:
        more = {**extra.kept, **extra.fixed, **{key: value for key, value in kept.items() if key in extra.kept}}
        for key in extra.unasked:
            if asked is None or key not in asked:
                more.pop(key)
        found |= more
        if extra.markup[1] in found and extra.markup[0] in extra.kept:
            found[extra.markup[0]] = _markup(found, *extra.markup)
        if row.is_draft and "status" in found:
            found["status"] = "draft"
    shape = _SHAPES.get(slug)
    return shape(found, row) if shape else found


def _markup(found: Mapping[str, Any], key: str, of: str) -> str | None:
    """Return formatted text as it was sent, unless the plain text was changed since."""
    sent, text = found.get(key), found[of]
    return sent if isinstance(sent, str) and plain_text(sent) == (text or "").strip() else _html(text)


def _html(text: str | None) -> str | None:
    if text is None:
        return None
    return f"<body>{''.join(f'<p>{html.escape(line)}</p>' for line in text.splitlines() or [''])}</body>"


def plain_text(markup: str) -> str:
    """Return the text of simple HTML, one line per paragraph."""
    lines = re.sub(r"(?i)</p>\s*<p[^<>]*>|<br\s*/?>|</(p|div|li)>", "\n", markup)
    # A tag has no other one inside: looked for up to any “>”, a text of signs alone would be read anew from each of them.
    return html.unescape(re.sub(r"<[^<>]*>", "", lines)).strip()


def _parts(text: str) -> list[str]:
    """Return comma-joined addresses as a list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _with_envelope(found: dict[str, Any], row: Any) -> dict[str, Any]:
    """Add the envelope that Close's clients read, made of the email's own parts where none was sent."""
    if found["envelope"]:
        return found
    sender = _addressed([found["sender"] or ""])
    return {**found, "envelope": {
        "from": sender, "sender": sender, "to": _addressed(found["to"]), "cc": _addressed(found["cc"]),
        "bcc": _addressed(found["bcc"]), "reply_to": [], "date": found["date_sent"], "in_reply_to": None,
        "message_id": next(iter(found["message_ids"]), row.public_id), "subject": found["subject"] or "",
    }}  # fmt: skip


def _addressed(texts: Iterable[Any]) -> list[dict[str, str]]:
    """Return “Gob <gob@bluth.example>” and its kin as name and email each."""
    pairs = (_address(str(text)) for text in texts)
    return [{"name": name, "email": email} for name, email in pairs if email]


def _address(text: str) -> tuple[str, str]:
    try:
        return parseaddr(text)
    except RecursionError:  # bracket within bracket, which no address has
        return "", ""


def _formatted(phone: str | None) -> str | None:
    return shown_phone(phone) if phone else phone


def _status(slug: str, found: Mapping[str, Any], row: Any) -> str:
    return progress_of(slug, found, row.activity_at, timezone.now())


# Each takes a kind's keys and the activity, or the row of it.
_SHAPES: dict[str, Callable[[dict[str, Any], Any], dict[str, Any]]] = {
    "note": lambda found, row: {**found, "note": found["note"] or "", "note_html": found["note_html"] or _html("")},
    "call": lambda found, row: {
        **found, "remote_phone": found["phone"], "remote_phone_formatted": _formatted(found["phone"]),
        "local_phone_formatted": _formatted(found["local_phone"]),
        "remote_country_iso": found["remote_country_iso"] or phone_country(found["phone"] or ""),
        "has_recording": bool(found["recording_url"]), "duration": found["duration"] or 0,
    },
    "email": lambda found, row: _with_envelope({
        **found, "status": _status("email", found, row),
        "to": _parts(found["to"] or ""), "date_sent": found["date_sent"] or stamp(row.activity_at),
    }, row),
    "sms": lambda found, row: {
        **found, "status": _status("sms", found, row),
        "remote_phone_formatted": _formatted(found["remote_phone"]),
        "local_phone_formatted": _formatted(found["local_phone"]),
        "date_sent": found["date_sent"] or stamp(row.activity_at),
    },
    "meeting": lambda found, row: {
        **found, "status": _status("meeting", found, row),
        "duration": _seconds(found),
        "attendees": [_ATTENDEE | who if isinstance(who, dict) else who for who in found["attendees"]],
    },
    "created": lambda found, row: {**found, "import_id": None},
    "lead_merge": lambda found, row: {**found, "destination_lead_id": ids.encode("lead", row.lead_id), "status": "completed"},
}  # fmt: skip


@words("activity")
def _state_in_words(request: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the event log keeps of an activity with our built-in fields under Close's keys."""
    found: dict[str, Any] = {}
    for key, value in state.items():
        use = _builtin_uses(request).get(key)
        if use is None:
            found[key] = value
            continue
        slug, _, name = use.field.builtin.partition(".")
        if not can_view_field(request.actor, use):
            continue
        if name == MORE:
            known = {**EXTRAS[slug].kept, **_held(value, EXTRAS[slug])} if slug in EXTRAS else {}
            found |= {
                name: item for name, item in known.items() if item is not None and name not in EXTRAS[slug].unasked
            }
        else:
            found[name] = use.field.kind.to_api(value, use.field, lookups(request))
            if slug in EXTRAS and EXTRAS[slug].markup[1] == name and EXTRAS[slug].markup[0] in EXTRAS[slug].kept:
                found[EXTRAS[slug].markup[0]] = _html(found[name])
    return found


def _builtin_uses(request: Any) -> dict[str, Use]:
    if not hasattr(request, "builtin_uses"):
        placed = catalog(request.organization).fieldsets.values()
        request.builtin_uses = {f"custom.{use.field.id}": use for uses in placed for use in uses if use.field.builtin}
    return request.builtin_uses


def _seconds(found: Mapping[str, Any]) -> int | None:
    if not found["starts_at"] or not found["ends_at"]:
        return None
    return int((datetime.fromisoformat(found["ends_at"]) - datetime.fromisoformat(found["starts_at"])).total_seconds())
