"""Settings > Developer > Webhooks: who gets which events, what became of each delivery, and sending one again."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.api.event_objects import prefix_of
from crm.errors import InvalidInput
from crm.htmx import redirect_to
from crm.ids import encode
from crm.models import WebhookDelivery, WebhookSubscription
from crm.webhooks import subscriptions
from crm.webhooks.catalogue import SUBSCRIBABLE, choices
from crm.webhooks.courier import payload


class WebhookForm(forms.Form):
    """A URL, and the events it gets. The boxes are drawn in groups by the template."""

    url = forms.CharField(
        label="URL", max_length=2000, widget=forms.URLInput(attrs={"placeholder": "https://example.com/hooks/touchpoint"}),
        help_text="Events are posted here as JSON, signed.",
    )  # fmt: skip
    events = forms.MultipleChoiceField(label="Events", error_messages={"required": "Tick at least one event."})
    verify_ssl = forms.BooleanField(
        label="Check the certificate", required=False, initial=True,
        help_text="Untick it only for a receiver of your own whose certificate nobody has signed.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["events"].choices = [pair for choice in choices() for pair in choice.actions]

    def clean_url(self) -> str:
        """Refuse here what the service would refuse, so that everything wrong is said at once."""
        try:
            subscriptions.check_address(self.cleaned_data["url"])
        except InvalidInput as error:
            raise forms.ValidationError(error.fields["url"]) from None
        return str(self.cleaned_data["url"])

    def wanted(self, current: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the ticked events; filters and events that only the API knows of are kept from the current ones."""
        ticked = [tuple(value.rsplit("/", 1)) for value in self.cleaned_data["events"]]
        kept = [row for row in current if (row["object_type"], row["action"]) in ticked or not _on_page(row)]
        there = {(row["object_type"], row["action"]) for row in kept}
        return kept + [
            {"object_type": kind, "action": action} for kind, action in ticked if (kind, action) not in there
        ]


def _on_page(row: dict[str, Any]) -> bool:
    return row["object_type"] in SUBSCRIBABLE and row["action"] in SUBSCRIBABLE[row["object_type"]][1]


def _groups(form: WebhookForm) -> list[dict[str, Any]]:
    ticked = set(form["events"].value() or [])
    return [
        {"label": row.label, "boxes": [{"value": v, "text": text, "on": v in ticked} for v, text in row.actions]}
        for row in choices()
    ]


def _home(request: HttpRequest) -> str:
    return reverse("webhooks", args=[request.organization.slug])


def _page(request: HttpRequest, row: WebhookSubscription) -> str:
    return reverse("webhook", args=[request.organization.slug, row.public_id])


@member_page()
@require_GET
def webhooks(request: HttpRequest) -> HttpResponse:
    rows = subscriptions.subscriptions_for(request.actor)
    return render(request, "settings/webhooks.html", {"section": "webhooks", "webhooks": rows})


@member_page()
@require_http_methods(["GET", "POST"])
def webhook_create(request: HttpRequest) -> HttpResponse:
    """A form; once made, the page that shows its signature key, this once."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            row = subscriptions.create_subscription(
                request.actor, given["url"], form.wanted([]), verify_ssl=given["verify_ssl"]
            )
        except InvalidInput as error:
            _add_errors(form, error)
        else:
            return render(
                request, "settings/webhook.html", _context(request, row) | {"signature_key": row.signature_key}
            )
    return _form_page(request, form, None)


@member_page()
@require_http_methods(["GET", "POST"])
def webhook_edit(request: HttpRequest, webhook_id: str) -> HttpResponse:
    row = subscriptions.subscription_for(request.actor, webhook_id)
    ticked = [f"{event['object_type']}/{event['action']}" for event in row.events]
    initial = {"url": row.url, "verify_ssl": row.verify_ssl, "events": ticked}
    form = WebhookForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        changes = {"url": given["url"], "verify_ssl": given["verify_ssl"], "events": form.wanted(row.events)}
        try:
            subscriptions.update_subscription(request.actor, row, changes)
        except InvalidInput as error:
            _add_errors(form, error)
        else:
            return redirect_to(request, _page(request, row))
    return _form_page(request, form, row)


def _add_errors(form: WebhookForm, error: InvalidInput) -> None:
    for key, sentence in error.fields.items():
        form.add_error("url" if key == "url" else "events", sentence)
    if not error.fields:
        form.add_error(None, error.message)


def _form_page(request: HttpRequest, form: WebhookForm, row: WebhookSubscription | None) -> HttpResponse:
    filtered = [event for event in row.events if "extra_filter" in event] if row else []
    context = {
        "section": "webhooks", "form": form, "groups": _groups(form), "webhook": row, "filtered": len(filtered),
        "back": _page(request, row) if row else _home(request),
    }  # fmt: skip
    return render(request, "settings/webhook_form.html", context, status=422 if form.is_bound else 200)


@member_page()
@require_GET
def webhook(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """One webhook with its delivery log; `after` goes on."""
    row = subscriptions.subscription_for(request.actor, webhook_id)
    return render(request, "settings/webhook.html", _context(request, row))


def _context(request: HttpRequest, row: WebhookSubscription) -> dict[str, Any]:
    deliveries, cursor = subscriptions.deliveries_of(row, request.GET.get("after", ""))
    here = _page(request, row)
    return {
        "section": "webhooks",
        "webhook": row,
        "deliveries": [_delivery(delivery) for delivery in deliveries],
        "next_url": f"{here}?after={cursor}" if cursor else "",
        "first_url": here if request.GET.get("after") else "",
    }


@member_page()
@require_GET
def webhook_delivery(request: HttpRequest, webhook_id: str, delivery_id: str) -> HttpResponse:
    """One delivery: what became of it, and the event as it is sent now, as far as the actor may see it."""
    row = subscriptions.subscription_for(request.actor, webhook_id)
    delivery = subscriptions.delivery_of(row, delivery_id)
    body = payload(row, request.actor, [delivery.event])
    context = {
        "section": "webhooks", "webhook": row, "delivery": _delivery(delivery),
        "body": json.dumps(json.loads(body), indent=2, ensure_ascii=False) if body else "",
    }  # fmt: skip
    return render(request, "settings/webhook_delivery.html", context)


def _delivery(row: WebhookDelivery) -> dict[str, Any]:
    event, prefix = row.event, prefix_of(row.event.object_type)
    color = {"delivered": "green", "failed": "red", "waiting": "yellow" if row.attempts else "gray"}[str(row.state)]
    return {
        "row": row,
        "event": _words(event.object_type, event.action),
        "object_id": encode(prefix, event.object_id) if prefix else "",
        "color": color,
        "retries": row.attempts > 0 and row.state == WebhookDelivery.State.WAITING,
    }


def _words(object_type: str, action: str) -> str:
    label = SUBSCRIBABLE[object_type][0] if object_type in SUBSCRIBABLE else object_type
    return f"{label} {action}"


@member_page()
@require_POST
def webhook_status(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """Pause or resume; `status` says which."""
    row = subscriptions.subscription_for(request.actor, webhook_id)
    subscriptions.update_subscription(request.actor, row, {"status": request.POST.get("status", "")})
    return redirect_to(request, _page(request, row))


@member_page()
@require_POST
def webhook_delete(request: HttpRequest, webhook_id: str) -> HttpResponse:
    subscriptions.delete_subscription(request.actor, subscriptions.subscription_for(request.actor, webhook_id))
    return redirect_to(request, _home(request))


@member_page()
@require_POST
def webhook_replay(request: HttpRequest, webhook_id: str, delivery_id: str) -> HttpResponse:
    row = subscriptions.subscription_for(request.actor, webhook_id)
    subscriptions.replay(request.actor, row, delivery_id)
    return redirect_to(request, _page(request, row))
