"""REST door to webhook subscriptions (`spec/api.md` 2.23)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router
from pydantic import AliasChoices, Field

from crm.api import Body, created, listing, shows, stamp, user_id_of
from crm.errors import InvalidInput
from crm.models import WebhookSubscription
from crm.webhooks import subscriptions

router = Router(tags=["Webhooks"])
WEBHOOK = {
    "id": "whsub_6a…", "url": "https://example.com/hook", "status": "active", "verify_ssl": True,
    "events": [{"object_type": "activity.custom_activity", "action": "published"}],
}  # fmt: skip


class WebhookBody(Body):
    # A node for n8n calls it target_url.
    url: str | None = Field(default=None, validation_alias=AliasChoices("url", "target_url"))
    events: list[dict[str, Any]] | None = None
    verify_ssl: bool | None = None
    status: str | None = None


def webhook_json(request: HttpRequest, row: WebhookSubscription) -> dict[str, Any]:
    """Return a subscription; its key is shown once, by the POST that made it."""
    return {
        "id": row.public_id,
        "url": row.url,
        "events": row.events,
        "status": str(row.status),
        "verify_ssl": row.verify_ssl,
        "organization_id": request.organization.public_id,
        "created_by_id": user_id_of(row.membership.user_id),
        "failing_since": stamp(row.failing_since),
        "pause_reason": row.pause_reason or None,
        "date_created": stamp(row.date_created),
        "date_updated": stamp(row.date_updated),
    }


@router.get("/webhook/", summary="List webhooks", openapi_extra=shows({"data": [WEBHOOK], "has_more": False}))
def list_webhooks(request: HttpRequest) -> Any:
    """Your own; all of the organization's for those who manage it."""
    rows = subscriptions.subscriptions_for(request.actor)
    return listing(request, rows, lambda page: [webhook_json(request, row) for row in page])


@router.post("/webhook/", summary="Add a webhook", openapi_extra=shows(
    {**WEBHOOK, "signature_key": "9f86d0…"}, status=201,
    sends={"url": "https://example.com/hook", "events": [
        {"object_type": "activity.custom_activity", "action": "published"},
        {"object_type": "activity.custom_activity", "action": "updated", "extra_filter": {
            "type": "field_accessor", "field": "changed_fields", "filter": {"type": "contains", "value": "status"}}}]}))  # fmt: skip
def create_webhook(request: HttpRequest, body: WebhookBody) -> Any:
    """Events are sent as `{"event": …, "subscription_id": …}`, signed: `close-sig-hash` is the hex HMAC-SHA256, keyed with the
    bytes of `signature_key` (shown this once), of the text of `close-sig-timestamp` followed by the body."""
    for key in ("url", "events"):
        if getattr(body, key) is None:
            raise InvalidInput(fields={key: "This field is required."})
    row = subscriptions.create_subscription(
        request.actor, body.url or "", body.events, verify_ssl=body.verify_ssl is not False
    )
    return created(request, webhook_json(request, row) | {"signature_key": row.signature_key})


@router.get("/webhook/{webhook_id}/", summary="One webhook", openapi_extra=shows(WEBHOOK))
def get_webhook(request: HttpRequest, webhook_id: str) -> Any:
    return webhook_json(request, subscriptions.subscription_for(request.actor, webhook_id))


@router.put("/webhook/{webhook_id}/", summary="Change, pause or resume a webhook",
            openapi_extra=shows({**WEBHOOK, "status": "paused"}, sends={"status": "paused"}))  # fmt: skip
def update_webhook(request: HttpRequest, webhook_id: str, body: WebhookBody) -> Any:
    row = subscriptions.subscription_for(request.actor, webhook_id)
    changes = {
        key: value for key, value in body.given().items() if key in WebhookBody.model_fields and value is not None
    }
    return webhook_json(request, subscriptions.update_subscription(request.actor, row, changes))


@router.delete("/webhook/{webhook_id}/", summary="Delete a webhook", openapi_extra=shows({}))
def delete_webhook(request: HttpRequest, webhook_id: str) -> Any:
    subscriptions.delete_subscription(request.actor, subscriptions.subscription_for(request.actor, webhook_id))
    return {}
