"""The tags for what a search page has hundreds of: options of selects, cells of tables. What they print is escaped.

They are made in Python because a loop of a template takes twenty times as long for each, longer than the search itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from django import template
from django.forms import BoundField
from django.utils import timezone
from django.utils.safestring import SafeString

from crm.templatetags.ui import color_class, words_of
from leads.views.choices import Choice

if TYPE_CHECKING:
    from leads.views.choices import Choices
    from leads.views.tables import Row, Shown

register = template.Library()


@register.simple_tag
def options(choices: Iterable[Choice]) -> SafeString:
    """Draw the options of a select."""
    return SafeString("".join(map(_option, choices)))


@register.simple_tag
def option_groups(groups: Iterable[Choices]) -> SafeString:
    """Draw the options of a select under their headings; those of a group without one stand alone."""
    return SafeString("".join(map(_option_group, groups)))


def _option_group(group: Choices) -> str:
    found = "".join(map(_option, group.choices))
    return f'<optgroup label="{escape(group.label)}">{found}</optgroup>' if group.label else found


def _option(choice: Choice) -> str:
    color = f' data-color="{escape(choice.color)}"' if choice.color else ""
    later = " data-later" if choice.later else ""
    also = f' data-also="{escape(choice.also)}"' if choice.also else ""
    selected = " selected" if choice.selected else ""
    return f'<option value="{escape(choice.value)}"{color}{later}{also}{selected}>{escape(choice.label)}</option>'


@register.simple_tag
def select(field: BoundField) -> SafeString:
    """Draw the select of a filter."""
    known: Any = field.field
    chosen = str(field.value() or "")
    found = "".join(_option(Choice(str(value), str(label), str(value) == chosen)) for value, label in known.choices)
    name, label = escape(field.html_name), escape(known.widget.attrs["aria-label"])
    return SafeString(f'<select class="form-select" id="{name}" name="{name}" aria-label="{label}">{found}</select>')


@register.simple_tag
def table_rows(rows: Iterable[Row], may_select: bool) -> SafeString:
    """Draw the rows of a table; the first cell names its row, where a narrow screen shows it as a card."""
    now = timezone.localtime()
    return SafeString("".join(_row(row, may_select, now) for row in rows))


def _row(row: Row, may_select: bool, now: datetime) -> str:
    cells = "".join(_cell(shown, not place, now) for place, shown in enumerate(row.cells))
    if not may_select:
        return f"<tr>{cells}</tr>\n"
    box = f'name="id" value="{escape(row.public_id)}" data-select aria-label="Select {escape(row.name)}"'
    return f'<tr><td class="tp-check"><input class="form-check-input" type="checkbox" {box}></td>{cells}</tr>\n'


def _cell(shown: Shown, is_first: bool, now: datetime) -> str:
    css = "tp-num" if shown.numeric else "tp-clip"
    head = f' class="tp-main-cell {css}"' if is_first else f' class="{css}" data-label="{escape(shown.label)}"'
    return f"<td{head}>{_inside(shown, now)}</td>"


def _inside(shown: Shown, now: datetime) -> str:
    cell = shown.cell
    if cell.moment:
        machine, full, words = map(escape, words_of(cell.moment, now))
        return f'<time datetime="{machine}" title="{full}">{words}</time>'
    text = escape(cell.text)
    if cell.color:
        return f'<span class="tp-badge tp-status {color_class(cell.color)}">{text}</span>'
    if shown.url:
        away = ' rel="noopener noreferrer"' if cell.href else ""
        return f'<a href="{escape(shown.url)}"{away}>{text}</a>'
    return text or "–"
