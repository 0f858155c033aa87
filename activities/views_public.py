"""The hosted page of a public form. Anybody may come; the form's address is all it takes and all it gives."""

from __future__ import annotations

import math

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from activities.forms_public import VisitorForm, questions, too_many_answers, too_many_tries, was_no_answer
from activities.models import PublicForm
from activities.services.public_forms import CLOSED, OpenForm, form_by_token, opened, submit
from crm.access import public_page
from crm.customfields.forms import raw_input
from crm.errors import InvalidInput, NotAllowed
from crm.tenancy import scope


# A stranger has no session that another site could abuse, and in a frame there is no cookie: the signed stamp guards it.
@csrf_exempt
@public_page
@require_http_methods(["GET", "POST"])
def public_form(request: HttpRequest, token: str) -> HttpResponse:
    form = _form(token)
    with scope(form.organization):
        found = opened(form)
        if found is None:
            return _answer(request, form, "public/closed.html", {"text": CLOSED}, status=410)
        if request.method == "GET":
            return _show(request, found, VisitorForm(token), raw=None)
        return _send(request, found)


@public_page
@require_GET
def public_thanks(request: HttpRequest, token: str) -> HttpResponse:
    form = _form(token)
    return _answer(request, form, "public/thanks.html", {"text": form.thanks or "Thank you."})


def _send(request: HttpRequest, found: OpenForm) -> HttpResponse:
    token = found.form.token
    visitor = VisitorForm(token, request.POST)
    raw = {use.field.public_id: raw_input(request.POST, use.field.public_id, use) for use in found.uses}
    if "look" in request.POST:
        return _look(request, found, raw)
    framed = _embedded(request)
    thanks = redirect(f"{reverse('public_thanks', args=[token])}{f'?embed={framed}' if framed else ''}")
    if wait := too_many_tries(request, token):
        return _too_many(request, found, raw, wait)
    if visitor.is_trapped:
        # A machine learns nothing from its answer.
        return _framed(thanks, found.form)
    if not visitor.is_valid():
        return _show(
            request, found, visitor, raw, problem=" ".join(map(str, visitor.errors.pop("stamp", []))), status=422
        )
    if wait := too_many_answers(request, token):
        return _too_many(request, found, raw, wait)
    given = visitor.cleaned_data
    try:
        submit(
            found.form, email=given["email"], name=given["name"], company=given["company"], values=raw,
            request_id=request.id,
        )  # fmt: skip
    except InvalidInput as error:
        was_no_answer(request, token)
        return _show(request, found, visitor, raw, error=error, status=422)
    except NotAllowed as error:
        return _answer(request, found.form, "public/closed.html", {"text": error.message}, status=410)
    return _framed(thanks, found.form)


def _look(request: HttpRequest, found: OpenForm, raw: dict) -> HttpResponse:
    """Draw the questions that the answers so far ask for. Nothing is sent, and nothing counts as an answer."""
    if request.htmx:
        return _framed(render(request, "public/_questions.html", {"fields": questions(found, raw)}), found.form)
    return _show(request, found, _typed(request, found), raw)


def _too_many(request: HttpRequest, found: OpenForm, raw: dict, wait: float) -> HttpResponse:
    minutes = math.ceil(wait / 60)
    text = f"Too many answers came from here. Please send it again in {minutes} minute{'s' if minutes > 1 else ''}."
    response = _show(request, found, _typed(request, found), raw, problem=text, status=429)
    response["Retry-After"] = str(math.ceil(wait))
    return response


def _typed(request: HttpRequest, found: OpenForm) -> VisitorForm:
    """Return who is asking as typed, not judged."""
    typed = {key: request.POST.get(key, "") for key in ("name", "email", "company")}
    return VisitorForm(found.form.token, initial=typed)


def _show(
    request: HttpRequest,
    found: OpenForm,
    visitor: VisitorForm,
    raw: dict | None,
    *,
    problem: str = "",
    error: InvalidInput | None = None,
    status: int = 200,
) -> HttpResponse:
    fields = questions(found, raw, request.POST if error else None)
    if error is not None:
        named = {key: sentence for key, sentence in error.fields.items() if key in visitor.fields}
        for key, sentence in named.items():
            visitor.add_error(key, sentence)
        fields.form.add_errors({key: sentence for key, sentence in error.fields.items() if key not in named})
    context = {"form": found.form, "visitor": visitor, "fields": fields, "problem": problem, "preview": False}
    return _answer(request, found.form, "public/form.html", context, status=status)


def _answer(request: HttpRequest, form: PublicForm, template: str, context: dict, status: int = 200) -> HttpResponse:
    shown = {"title": form.title, "organization_name": form.organization.name, "embedded": _embedded(request)}
    response = render(request, template, shown | context, status=status)
    patch_cache_control(response, private=True, no_store=True)
    return _framed(response, form)


def _embedded(request: HttpRequest) -> str:
    """Return how the page is shown in a frame: `1`, `dark` on a dark page, or "" when it is not."""
    return ("dark" if request.GET["embed"] == "dark" else "1") if "embed" in request.GET else ""


def _framed(response: HttpResponse, form: PublicForm) -> HttpResponse:
    """Let other sites show the page in a frame, when its owner wants that."""
    if form.embeddable:
        response.xframe_options_exempt = True
        response._csp_replace = {"frame-ancestors": ["*"]}
    return response


def _form(token: str) -> PublicForm:
    form = form_by_token(token)
    if form is None:
        raise Http404("There is no such form.")
    return form
