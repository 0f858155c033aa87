"""One URL, two answers: a page for a browser, its fragment for htmx. No decision rests on an HX header."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def render_page(
    request: HttpRequest, page: str, context: dict[str, Any], fragment: str | None = None, status: int = 200
) -> HttpResponse:
    """Render `page`, or `fragment` when htmx asks and it is not restoring its history."""
    htmx = getattr(request, "htmx", None)
    template = fragment if fragment and htmx and not htmx.history_restore_request else page
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def asking_page(request: HttpRequest) -> str:
    """Return path and query of the page that htmx asks from; empty where none is told, or none of ours that can be read."""
    try:
        return str(request.htmx.current_url_abs_path or "") if request.htmx else ""
    except ValueError:
        return ""


def toast(response: HttpResponse, text: str, level: str = "success", *, undo_url: str | None = None) -> HttpResponse:
    """Make htmx show a toast after the swap. `level`: success, info, warning, danger."""
    payload = {"text": text, "level": level, **({"undo_url": undo_url, "undo_label": "Undo"} if undo_url else {})}
    return trigger(response, "toast", payload)


def trigger(response: HttpResponse, event: str, payload: Any = None) -> HttpResponse:
    """Make htmx fire an event on the page after the swap, beside those already asked for."""
    events = json.loads(response.headers.get("HX-Trigger", "{}"))
    response["HX-Trigger"] = json.dumps({**events, event: payload})
    return response


def redirect_to(request: HttpRequest, url: str) -> HttpResponse:
    """Send the browser to `url` (ours, never from input), whether htmx or the browser asked."""
    if getattr(request, "htmx", None):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)
