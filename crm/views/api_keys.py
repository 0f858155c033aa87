"""Settings > API keys."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from crm.access import member_page
from crm.api_keys import create_key, keys_for, revoke
from crm.errors import InvalidInput
from crm.forms import ApiKeyForm
from crm.htmx import redirect_to


@member_page()
@require_GET
def api_keys(request: HttpRequest) -> HttpResponse:
    context = {"section": "api_keys", "keys": keys_for(request.actor), "form": ApiKeyForm()}
    return render(request, "settings/api_keys.html", context)


@member_page()
@require_POST
def api_key_create(request: HttpRequest) -> HttpResponse:
    form = ApiKeyForm(request.POST)
    context = {"section": "api_keys", "form": form}
    if form.is_valid():
        given = form.cleaned_data
        try:
            row, plain = create_key(
                request.actor, given["name"], read_only=given["read_only"], expires_at=given["expires_at"]
            )
        except InvalidInput as error:
            for name, sentence in error.fields.items():
                form.add_error(name, sentence)
        else:
            try_it = f"curl -u {plain}: {settings.BASE_URL}/api/v1/me/"
            context |= {
                "keys": keys_for(request.actor),
                "form": ApiKeyForm(),
                "new_key": row,
                "plain": plain,
                "try_it": try_it,
            }
            return render(request, "settings/api_keys.html", context)
    return render(request, "settings/api_keys.html", context | {"keys": keys_for(request.actor)}, status=422)


@member_page()
@require_POST
def api_key_revoke(request: HttpRequest, key_id: str) -> HttpResponse:
    revoke(request.actor, key_id)
    return redirect_to(request, reverse("api_keys", args=[request.organization.slug]))
