"""The tags every page draws with: icons, avatars, fields, moments. What they print is escaped."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

from django import forms, template
from django.forms import BoundField
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join, urlize
from django.utils.safestring import SafeString

from crm.phones import shown_phone

register = template.Library()

COLORS = (
    "blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan",
)  # fmt: skip
"""The named colours of types, statuses and options: each has a class `tp-color-<name>`."""


# Before @ . ? & and after the slashes of a path.
_JOINTS = re.compile(r"(?<=.)(?=[@.?&])|(?<=[^/]/)(?=[^/])")


# --- files ------------------------------------------------------------------------------------------------------------
@register.simple_tag
def vendor(name: str, file: str) -> str:
    """Return the URL of a vendored file, whatever its version: {% vendor "htmx" "htmx.min.js" %}."""
    return static(f"vendor/{name}-{_versions()[name]}/{file}")


@cache
def _versions() -> dict[str, str]:
    manifest = Path(__file__).parents[2] / "static" / "vendor" / "manifest.json"
    return {row["name"]: row["version"] for row in json.loads(manifest.read_text("utf-8"))}


@register.simple_tag
def icon(name: str, label: str = "", css: str = "") -> SafeString:
    """Draw a Tabler icon. Without a label it is decoration, hidden from screen readers."""
    return _icon(name, label, css)


@lru_cache(maxsize=1000)
def _icon(name: str, label: str, css: str) -> SafeString:
    meaning = format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    return format_html(
        '<svg class="icon {}" {} focusable="false"><use href="{}#tabler-{}"></use></svg>',
        css,
        meaning,
        static("icons.svg"),
        name,
    )


@register.filter
def phone(text: str) -> str:
    """Return a phone number as people read it."""
    return shown_phone(text)


@register.filter
def linked(text: str) -> SafeString:
    """Show what somebody wrote, its web and email addresses as links: {{ value.text|linked }}. Escaped here."""
    found = urlize(text, nofollow=True, autoescape=True)
    # Quotes and brackets of the text are escaped by now, so these can only be the links' own.
    found = found.replace(' rel="nofollow"', ' rel="noopener noreferrer nofollow"')
    return SafeString(found.replace("<a href", '<a class="tp-in-text" href'))


@register.filter
def breakable(text: str) -> SafeString:
    """Let a long address break where it reads well, at its signs: {{ entry.email|breakable }}. Escaped here."""
    return format_html_join(SafeString("<wbr>"), "{}", ((part,) for part in _JOINTS.split(text)))


@register.simple_block_tag
def code(content: str) -> SafeString:
    """Show lines to copy, with a button that does: {% code %}curl …{% endcode %}. Written as they are, escaped here."""
    return format_html(
        '<div class="tp-code"><pre tabindex="0"><code>{0}</code></pre>'
        '<button class="tp-icon-button" type="button" data-copy="{0}" aria-label="Copy these lines">{1}</button></div>',
        str(content).strip("\n"),
        icon("copy"),
    )


@register.filter
def ticks(text: str) -> SafeString:
    """Show what stands between backticks as code: {{ endpoint.description|ticks }}."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        parts = [text]
    shown = (format_html("<code>{}</code>", part) if number % 2 else part for number, part in enumerate(parts))
    return format_html_join("", "{}", ((part,) for part in shown))


# --- people -----------------------------------------------------------------------------------------------------------
@register.simple_tag
def avatar(name: str, size: str = "") -> SafeString:
    """Draw initials on a colour that stays with the name. `size`: "", "sm", "lg". Put the name beside it in words."""
    return format_html(
        '<span class="tp-avatar {} {}" aria-hidden="true">{}</span>',
        stable_color(name), f"tp-avatar-{size}" if size else "", initials(name),
    )  # fmt: skip


def initials(name: str) -> str:
    """Return one or two capitals: of the first and the last word."""
    words = [word for word in str(name or "").split() if word[0].isalnum()]
    return "".join(word[0] for word in dict.fromkeys((words[0], words[-1]))).upper() if words else "?"


@register.filter
def stable_color(name: str) -> str:
    """Return the class of a colour chosen by the name alone."""
    return f"tp-color-{COLORS[crc32(str(name or '').encode()) % len(COLORS)]}"


@register.filter
def color_class(color: str) -> str:
    """Return the class of a stored colour name; an unknown or empty one is grey."""
    return f"tp-color-{color}" if color in COLORS else "tp-color-gray"


# --- time -------------------------------------------------------------------------------------------------------------
@register.simple_tag
def timesince_tip(moment: datetime | date | None) -> SafeString:
    """Say when: relative for seven days either way, then a date; the full time and zone are in the tooltip."""
    if moment is None:
        return SafeString("")
    if not isinstance(moment, datetime):
        return format_html('<time datetime="{}">{}</time>', moment.isoformat(), _day(moment))
    return format_html('<time datetime="{}" title="{}">{}</time>', *words_of(moment, timezone.localtime()))


def words_of(moment: datetime, now: datetime) -> tuple[str, str, str]:
    """Return a moment for machines, in full, and relative to now, in the zone of `now`."""
    local = moment.astimezone(now.tzinfo)
    full = local.strftime(f"%A, {local.day} %B %Y, %H:%M:%S ({now.tzinfo}, UTC%z)")
    return local.isoformat(), full, _relative(local, now)


def _relative(moment: datetime, now: datetime) -> str:
    past = moment <= now
    minutes = int(abs(now - moment) / timedelta(minutes=1))
    days = abs((now.date() - moment.date()).days)
    if minutes < 1:
        return "just now" if now - moment > timedelta(seconds=-5) else "in a moment"
    if minutes < 60:
        return f"{minutes} min ago" if past else f"in {minutes} min"
    if days == 0:
        return f"{minutes // 60} h ago" if past else f"in {minutes // 60} h"
    if days == 1:
        return f"{'yesterday' if past else 'tomorrow'} {moment:%H:%M}"
    if days <= 7:
        return f"{days} days ago" if past else f"in {days} days"
    return _day(moment)


def _day(moment: date) -> str:
    return moment.strftime(f"{moment.day} %b %Y")


# --- forms ------------------------------------------------------------------------------------------------------------
@register.simple_tag
def field(bound_field: BoundField, css: str = "", hide_label: bool = False) -> SafeString:
    """Draw a whole field: label, control, help, errors, tied together for assistive technology."""
    if bound_field.is_hidden:
        return bound_field.as_widget()
    widget = bound_field.field.widget
    context = {
        "field": bound_field,
        "id": bound_field.auto_id or f"id_{bound_field.html_name}",
        "kind": _kind(widget),
        "control": bound_field.as_widget(attrs=_attributes(bound_field, widget)),
        "css": css,
        "hide_label": hide_label,
    }
    return SafeString(render_to_string("components/_field.html", context))


@register.simple_tag
def control(bound_field: BoundField, label: str = "") -> SafeString:
    """Draw only the control of a field, for rows that carry their own words. `label` names it aloud."""
    attributes = _attributes(bound_field, bound_field.field.widget)
    return bound_field.as_widget(attrs=attributes | ({"aria-label": label} if label else {}))


def _kind(widget: forms.Widget) -> str:
    """Return how a widget is laid out: `group` (several inputs under one legend), `check`, or `line`."""
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "group"
    return "check" if isinstance(widget, forms.CheckboxInput) else "line"


def _attributes(bound_field: BoundField, widget: forms.Widget) -> dict[str, Any]:
    """Return what ties a control to its label, help and errors, with the theme's class for it."""
    identity = bound_field.auto_id or f"id_{bound_field.html_name}"
    ids = [
        f"{identity}_{part}"
        for part, there in (("help", bound_field.help_text), ("errors", bound_field.errors))
        if there
    ]
    invalid = bool(bound_field.errors)
    classes = [widget.attrs.get("class", ""), _theme_class(widget), "is-invalid" if invalid else ""]
    attributes: dict[str, Any] = {
        "id": identity,
        "class": " ".join(filter(None, classes)),
        "aria-describedby": " ".join(ids) or False,
        "aria-invalid": "true" if invalid else False,
    }
    if "data-enhance" in widget.attrs:
        attributes["aria-labelledby"] = f"{identity}_label"
    return attributes


def _theme_class(widget: forms.Widget) -> str:
    if isinstance(widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "form-check-input"
    return "form-select" if isinstance(widget, forms.Select) else "form-control"
