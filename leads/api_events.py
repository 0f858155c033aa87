"""Leads, contacts and tasks as events show them: gone ones, made again of what the log keeps, and keys that follow from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.http import HttpRequest

from crm import ids
from crm.api import rebuilds, settles
from crm.customfields.catalog import catalog
from crm.models import Event
from leads.api_objects import contact_json, leads_json, status_rows, task_json
from leads.models import Contact, Lead, Task

# What belongs to a lead has events of its own; a client that makes a lead again of its last state would make it twice.
_OF_LEADS = frozenset((
    "id", "name", "display_name", "description", "url", "html_url", "status_id", "status_label", "addresses", "source",
    "organization_id", "created_by", "created_by_name", "date_created", "custom",
))  # fmt: skip
_OF_MAKING = frozenset(("created_by", "created_by_name", "date_created"))
# Not known of what is gone.
_UNTOLD = frozenset(("updated_by", "updated_by_name", "date_updated"))


def _told(gone: Event) -> dict[str, Any]:
    """Return the last state; what older entries kept beside it comes first."""
    return {
        **{key: gone.meta[key] for key in ("created_by_id", "date_created") if key in gone.meta},
        **(gone.before or {}),
    }


def _common(request: HttpRequest, gone: Event, told: Mapping[str, Any]) -> dict[str, Any]:
    made = {"date_created": datetime.fromisoformat(told["date_created"])} if "date_created" in told else {}
    return {
        "pk": gone.object_id,
        "organization": request.organization,
        "created_by_id": told.get("created_by_id"),
        **made,
    }


def _values(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix("custom."): value for key, value in told.items() if key.startswith("custom.")}


def _known(shown: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    unknown = _UNTOLD if "date_created" in told else _UNTOLD | _OF_MAKING
    return {key: value for key, value in shown.items() if key not in unknown}


@rebuilds("lead")
def _gone_leads(request: HttpRequest, gone: Sequence[Event]) -> dict[int, dict[str, Any]]:
    return {row.pk: _gone_lead(request, row) for row in gone}


def _gone_lead(request: HttpRequest, gone: Event) -> dict[str, Any]:
    told = _told(gone)
    lead = Lead(
        **_common(request, gone, told), name=told["name"], status_id=ids.decode("stat", told["status_id"]),
        description=told["description"], url=told["url"], addresses=told["addresses"], values=_values(told),
        source=told.get("source", ""),
    )  # fmt: skip
    shown = leads_json(request, [lead], _OF_LEADS if "source" in told else _OF_LEADS - {"source"})[0]
    return _known({**shown, "lead_id": lead.public_id}, told)


@rebuilds("contact")
def _gone_contacts(request: HttpRequest, gone: Sequence[Event]) -> dict[int, dict[str, Any]]:
    return {row.pk: _gone_contact(request, row) for row in gone}


def _gone_contact(request: HttpRequest, gone: Event) -> dict[str, Any]:
    told = _told(gone)
    parts = {key: told[key] for key in ("name", "title", "emails", "phones", "urls")}
    contact = Contact(**_common(request, gone, told), lead_id=gone.lead_id, values=_values(told), **parts)
    return _known(contact_json(request, contact), told)


@rebuilds("task")
def _gone_tasks(request: HttpRequest, gone: Sequence[Event]) -> dict[int, dict[str, Any]]:
    # Their leads may be gone as well.
    names = dict(Lead.objects.filter(pk__in={row.lead_id for row in gone}).values_list("pk", "name"))
    return {row.pk: _gone_task(request, row, names.get(row.lead_id or 0)) for row in gone}


def _gone_task(request: HttpRequest, gone: Event, lead_name: str | None) -> dict[str, Any]:
    told = _told(gone)
    if "is_complete" not in told:
        return {}
    task = Task(
        **_common(request, gone, told), lead_id=gone.lead_id, text=told["text"],
        due_date=date.fromisoformat(told["date"]) if told["date"] else None,
        assigned_to_id=ids.decode("user", told["assigned_to"] or ""), done_at=gone.date_created if told["is_complete"] else None,
    )  # fmt: skip
    task.lead = Lead(pk=gone.lead_id, name=lead_name)
    return _known(task_json(request, task), told)


@settles("lead")
def _settle_lead(request: HttpRequest, shown: dict[str, Any]) -> dict[str, Any]:
    labels = {row.public_id: row.label for row in status_rows(request)}
    uses = catalog(request.organization).lead_uses
    by_name = {use.field.name: shown[key] for use in uses if (key := f"custom.{use.field.public_id}") in shown}
    more = {
        "display_name": shown.get("name"),
        "status_label": labels.get(shown.get("status_id", "")),
        "custom": by_name,
    }
    return shown | {key: value for key, value in more.items() if key in shown}


@settles("contact")
def _settle_contact(request: HttpRequest, shown: dict[str, Any]) -> dict[str, Any]:
    if "display_name" not in shown:
        return shown
    parts = {key: shown[key] for key in ("name", "emails", "phones") if key in shown}
    return shown | {"display_name": str(Contact(**parts))}


@settles("task")
def _settle_task(request: HttpRequest, shown: dict[str, Any]) -> dict[str, Any]:
    if "is_dateless" not in shown:
        return shown
    return shown | {"due_date": shown["date"], "is_dateless": shown["date"] is None}
