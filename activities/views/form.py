"""The form of an activity, and its autosave."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from time import time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.views.decorators.http import require_http_methods, require_POST

from activities import queries
from activities.forms import AboutForm
from activities.models import Activity
from activities.queries import TypeInfo
from activities.services import activities as logging
from activities.services import drafts as drafting
from activities.services.drafts import DraftConflict
from activities.services.several import log_on_leads
from activities.services.typed import ABOUT, start_use
from crm import ids
from crm.access import member_page
from crm.customfields.catalog import catalog
from crm.customfields.forms import ValueForm, raw_input, value_form
from crm.customfields.lookups import Lookups
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound, PlanLimitReached
from crm.fieldkinds import many
from crm.htmx import asking_page, redirect_to, render_page, toast
from crm.permissions import authorize, can_edit_activity, can_log
from leads.models import Contact, Lead
from leads.queries import lead_for, survivor_of, visible_leads


@dataclass
class FormParts:
    """The two forms of one activity."""

    about: AboutForm
    values: ValueForm
    also: list[Lead] = field(default_factory=list)


def _forms(
    request: HttpRequest, lead: Lead, kind: TypeInfo, activity: Activity | None, data: Any, like: Activity | None = None
) -> FormParts:
    """Return the forms of an activity, of a new one, or of a new one that begins with the values of `like`."""
    actor = request.actor
    lookups = Lookups(actor.organization, lead.pk)
    uses = catalog(actor.organization).uses(kind.fieldset_id)
    shown = activity or like
    values = value_form(
        uses, actor=actor, lookups=lookups, data=data, initial=shown.values if shown else None,
        raw=shown.draft_data if shown else None, require=True,
    )  # fmt: skip
    _number_keys(values)
    about = AboutForm(actor, lookups, activity, data)
    starts = start_use(catalog(actor.organization), kind)
    if starts and starts.field.public_id in values.fields:
        about.fields["activity_at"].help_text = f"Left empty, it is what {starts.field.name} says."
    return FormParts(about, values, _also(request, lead, activity))


def _also(request: HttpRequest, lead: Lead, activity: Activity | None) -> list[Lead]:
    """Return the other leads chosen in this form, or kept in this draft; what is not there any more is left out."""
    typed = (
        request.POST.getlist("also")
        if request.method == "POST"
        else ((activity and activity.draft_data) or {}).get("also")
    )
    numbers = [ids.decode("lead", value) or 0 for value in many(typed)]
    if not numbers or (activity and not activity.is_draft):
        return []
    return list(visible_leads(request.actor).filter(pk__in=numbers).exclude(pk=lead.pk).order_by("name_fold", "pk"))


def _number_keys(form: ValueForm) -> None:
    """Let the keys 1 to 9 choose the outcome: the field a built-in kind names so, else the first one with choices."""
    offered = [name for name, use in form.uses.items() if use.field.kind.has_options and not form.fields[name].disabled]
    offered.sort(key=lambda name: not form.uses[name].field.builtin.endswith((".outcome", ".disposition")))
    if offered:
        form.fields[offered[0]].widget.attrs["data-number-keys"] = ""


def _form_page(
    request: HttpRequest, lead: Lead, kind: TypeInfo, activity: Activity | None, parts: FormParts, status: int = 200,
    *, refusal: str = "", theirs: list[tuple[str, str]] | None = None, draft: Activity | None = None,
) -> HttpResponse:  # fmt: skip
    slug = request.organization.slug
    if activity:
        action = reverse("activities:edit", args=[slug, activity.public_id])
        autosave = reverse("activities:autosave_existing", args=[slug, activity.public_id])
    else:
        action = reverse("activities:form_new", args=[slug, lead.public_id, kind.public_id])
        autosave = reverse("activities:autosave", args=[slug, lead.public_id, kind.public_id])
    context = {
        "lead": lead,
        "type": kind,
        "activity": activity,
        "form": parts.values,
        "about": parts.about,
        "also": parts.also,
        "may_log_on_more": activity is None or activity.is_draft,
        "action": action,
        "autosave_url": autosave if activity is None or activity.is_draft else "",
        "revision": activity.revision if activity else "",
        "mark": get_random_string(20),
        "unsaved": request.method == "POST",
        "refusal": refusal,
        "theirs": theirs or [],
        "draft": draft,
        "cancel_url": reverse("leads:page", args=[slug, lead.public_id]),
        "rules_url": reverse("activities:form_rules", args=[slug, lead.public_id, kind.public_id])
        if parts.values.has_rules
        else "",
    }
    return render_page(request, "activities/form.html", context, "activities/_form.html", status=status)


@member_page()
@require_http_methods(["GET", "POST"])
def form_new(request: HttpRequest, lead_id: str, type_id: str) -> HttpResponse:
    """The form of a new activity, or of a copy (`like`). POST publishes it, or keeps it as a draft (`save=draft`)."""
    actor = request.actor
    lead, kind = _lead(request, lead_id), queries.type_for(actor, type_id)
    authorize(can_log(actor, kind))
    if request.method == "GET":
        like = queries.activity_for(actor, request.GET["like"]) if request.GET.get("like") else None
        if like and like.type_id != kind.id:
            raise NotFound("There is no such activity.")
        parts = _forms(request, lead, kind, None, None, like)
        return _form_page(request, lead, kind, None, parts, draft=queries.my_draft_on(actor, lead, kind))
    # A draft made by an autosave whose answer has not reached the page yet is taken up, so that one activity results.
    draft = _own_draft(request, lead, kind)
    if request.POST.get("save") == "draft":
        return _keep_draft(request, lead, kind, draft)
    return _publish(request, lead, kind, draft)


@member_page()
@require_http_methods(["GET", "POST"])
def form_edit(request: HttpRequest, activity_id: str) -> HttpResponse:
    """The form of an activity or draft. Opening it writes nothing."""
    actor = request.actor
    activity = queries.activity_for(actor, activity_id)
    kind = logging.type_of(actor, activity)
    authorize(can_edit_activity(actor, activity, kind))
    if request.method == "GET":
        return _form_page(request, activity.lead, kind, activity, _forms(request, activity.lead, kind, activity, None))
    if request.POST.get("save") == "draft" and activity.is_draft:
        return _keep_draft(request, activity.lead, kind, activity)
    return _publish(request, activity.lead, kind, activity)


def _lead(request: HttpRequest, lead_id: str) -> Lead:
    """Return the lead a form was opened on; where it was merged meanwhile, the one it went into: what is typed goes on."""
    try:
        return lead_for(request.actor, lead_id)
    except NotFound:
        survivor = survivor_of(request.actor, lead_id)
        if survivor is None:
            raise
        return survivor


def _own_draft(request: HttpRequest, lead: Lead, kind: TypeInfo) -> Activity | None:
    """Return the draft this form has made: by its id, or by the form's mark where no answer has told the id yet."""
    draft_id = request.POST.get("draft")
    if not draft_id:
        return drafting.draft_of_form(request.actor, lead, kind, _mark(request)[0])
    try:
        return queries.activity_for(request.actor, draft_id)
    except NotFound:
        return None


def _publish(request: HttpRequest, lead: Lead, kind: TypeInfo, activity: Activity | None) -> HttpResponse:
    actor = request.actor
    parts = _forms(request, lead, kind, activity, request.POST)
    if not parts.about.is_valid():
        return _form_page(request, lead, kind, activity, parts, 422)
    about = parts.about.cleaned_data
    contact = Contact.objects.filter(lead=lead, pk=ids.decode("cont", about["contact"])).first()
    ref = Lookups(actor.organization).find_user(about["user"]) if about["user"] else None
    given: dict[str, Any] = {
        "custom": parts.values.raw(),
        "contact": contact,
        "user": _user(ref.id) if ref else actor.user,
        "activity_at": about["activity_at"],
    }
    done: list[Activity] = []
    try:
        if activity is None or activity.is_draft:
            # An autosave may have raised the draft's revision after this form was drawn; its author publishes what is typed.
            done = log_on_leads(actor, lead, kind, [row.pk for row in parts.also], draft=activity, **given)
            logged = done[0]
        else:
            if "activity_at" not in parts.about.changed_data:
                # The box shows minutes, and nobody touched it: a meeting may move along with its start.
                given["activity_at"] = None
            else:
                given["by_start"] = given["activity_at"] is None
            logged = logging.update_activity(
                actor, activity, status="published", revision=_revision(request), partial=False, **given
            )
    except InvalidInput as error:
        parts.values.add_errors(error.fields or {"": error.message})
        return _form_page(request, lead, kind, activity, parts, 422)
    except Conflict as error:
        fresh = queries.activity_for(actor, activity.public_id) if activity else None
        theirs = [(v.label, v.text) for v in queries.cards_of(actor, [fresh])[0].values] if fresh else []
        if fresh:
            activity = fresh
        return _form_page(request, lead, kind, activity, parts, 409, refusal=error.message, theirs=theirs)
    except (PlanLimitReached, NotAllowed) as error:
        if activity is None:
            activity = drafting.save_draft(actor, lead, kind, _typed(request, parts))
        # The sentence about the plan says so itself.
        kept = " What you typed is kept as a draft." if activity and isinstance(error, NotAllowed) else ""
        return _form_page(request, lead, kind, activity, parts, 422, refusal=f"{error.message}{kept}")
    words = f"{kind.name} published."
    if len(done) > 1:
        names = [lead.name, *(row.name for row in parts.also)]
        rest = f" and {len(names) - 5} more leads" if len(names) > 6 else ""
        shown = names[:5] if rest else names
        words = f"{kind.name} published on {len(names)} leads: {', '.join(shown)}{rest}."
    page = reverse("leads:page", args=[request.organization.slug, lead.public_id])
    at = (asking_page(request) or page) if request.htmx else ""
    alone = not at.startswith(page) or at.startswith(f"{page}log/")
    if alone and (len(done) > 1 or not request.htmx):
        # The next page says it; there a card stands in a timeline.
        messages.success(request, words)
    if not request.htmx:
        # Without scripts the timeline is a page of its own.
        timeline = reverse("activities:timeline", args=[request.organization.slug, lead.public_id])
        return redirect(f"{timeline}?activity={logged.public_id}#{logged.public_id}")
    if alone:
        # The form stood on a page of its own: there is no timeline to show the card in.
        return redirect_to(request, f"{page}#{logged.public_id}")
    card = queries.cards_of(actor, [logged])[0]
    response = render(request, "activities/_published.html", {"card": card, "lead": lead})
    return toast(response, words)


def _user(user_id: int) -> Any:
    from crm.models import User

    return User.objects.get(pk=user_id)


def _revision(request: HttpRequest) -> int | None:
    text = request.POST.get("revision", "")
    return int(text) if text.isdigit() else None


def _mark(request: HttpRequest) -> tuple[str, int]:
    """Return the mark of the opened form and the number of this save; see `save_draft`."""
    form, sequence = request.POST.get("form", ""), request.POST.get("seq", "")
    return (form if re.fullmatch(r"[A-Za-z0-9]{8,40}", form) else ""), (int(sequence) if sequence.isdecimal() else 0)


def _typed(request: HttpRequest, parts: FormParts) -> dict[str, Any]:
    """Return everything typed, as typed."""
    found = {
        name: raw_input(request.POST, name, use) for name, use in parts.values.uses.items()
    }  # fmt: skip
    return found | {key: request.POST.get(key, "") for key in ABOUT} | {"also": request.POST.getlist("also")}


def _keep_draft(request: HttpRequest, lead: Lead, kind: TypeInfo, draft: Activity | None) -> HttpResponse:
    """Save a draft by the button, without JavaScript."""
    parts = _forms(request, lead, kind, draft, request.POST)
    form, sequence = _mark(request)
    drafting.save_draft(
        request.actor, lead, kind, _typed(request, parts), draft=draft, form=form, sequence=max(sequence, int(time()))
    )
    return redirect_to(request, reverse("leads:page", args=[request.organization.slug, lead.public_id]))


@member_page()
@require_POST
def form_rules(request: HttpRequest, lead_id: str, type_id: str) -> HttpResponse:
    """Answer which fields of the form are shown with what is typed now: `{shown, hidden}`. Writes nothing."""
    lead, kind = _lead(request, lead_id), queries.type_for(request.actor, type_id)
    activity = queries.activity_for(request.actor, request.POST["of"]) if request.POST.get("of") else None
    return JsonResponse(_forms(request, lead, kind, activity, request.POST).values.visibility())


# --- autosave ---------------------------------------------------------------------------------------------------------
@member_page()
@require_POST
def autosave_new(request: HttpRequest, lead_id: str, type_id: str) -> HttpResponse:
    lead, kind = _lead(request, lead_id), queries.type_for(request.actor, type_id)
    note = f"This lead was merged into {lead.name}; the draft is kept there." if lead.public_id != lead_id else ""
    return _autosave(request, lead, kind, _own_draft(request, lead, kind), note)


@member_page()
@require_POST
def autosave_existing(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    return _autosave(request, activity.lead, logging.type_of(request.actor, activity), activity)


def _autosave(request: HttpRequest, lead: Lead, kind: TypeInfo, draft: Activity | None, note: str = "") -> HttpResponse:
    """Answer `{id, revision, saved_at, url, note}`; 204 when there is nothing to keep; 409 with the other version."""
    parts = _forms(request, lead, kind, draft, None)
    typed = _typed(request, parts)
    if draft is None and typed.get("user") == request.actor.user.public_id:
        untouched = {key: value for key, value in typed.items() if key != "user" and value not in ("", [])}
        initial = {name: field.initial for name, field in parts.values.fields.items() if field.initial}
        if untouched == initial:
            return HttpResponse(status=204)
    try:
        form, sequence = _mark(request)
        saved = drafting.save_draft(
            request.actor, lead, kind, typed, draft=draft, revision=_revision(request), form=form, sequence=sequence
        )
    except DraftConflict as conflict:
        theirs = conflict.theirs
        return JsonResponse(
            {"message": conflict.message, "revision": theirs.revision, "theirs": drafting.typed_in(theirs)}, status=409
        )
    except Conflict as error:
        return JsonResponse({"message": error.message, "published": True}, status=409)
    except (InvalidInput, NotAllowed) as error:
        return JsonResponse({"message": error.message}, status=error.status)
    if saved is None:
        return HttpResponse(status=204)
    local = timezone.localtime(saved.date_updated)
    slug = request.organization.slug
    return JsonResponse(
        {
            "id": saved.public_id,
            "revision": saved.revision,
            "saved_at": f"{local:%H:%M}",
            "url": reverse("activities:autosave_existing", args=[slug, saved.public_id]),
            "action": reverse("activities:edit", args=[slug, saved.public_id]),
            "note": note,
        }
    )
