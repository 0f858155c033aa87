"""Pages and fragments of activities: the timeline, the form, drafts, the list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities import queries
from activities.forms import AboutForm
from activities.models import Activity
from activities.queries import TimelineFilters, TypeInfo
from activities.services import activities as logging
from activities.services import drafts as drafting
from activities.services.drafts import DraftConflict
from crm import ids
from crm.access import member_page
from crm.customfields.catalog import catalog
from crm.customfields.forms import ValueForm, raw_input, value_form
from crm.customfields.lookups import Lookups
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound, PlanLimitReached
from crm.htmx import redirect_to, render_page, toast, trigger
from crm.models import Event, Membership, ValueRef
from crm.permissions import authorize, can_edit_activity, can_log, can_view_field
from leads.models import Contact, Lead
from leads.queries import lead_for
from leads.search.cursors import encode_cursor

PAGE = 50


# --- timeline ---------------------------------------------------------------------------------------------------------
@member_page()
@require_GET
def timeline(request: HttpRequest, lead_id: str) -> HttpResponse:
    """One page of a lead's timeline: the whole list at first, more rows with a cursor."""
    lead = lead_for(request.actor, lead_id)
    given = request.GET
    filters = TimelineFilters(
        type_ids=tuple(value for value in given.getlist("type") if value),
        user_id=given.get("by", ""),
        text=given.get("words", ""),
    )
    lookups = Lookups(request.organization)
    page = queries.timeline(
        request.actor, lead, filters, given.get("after", ""), focus=given.get("activity", ""), lookups=lookups
    )
    here = reverse("activities:timeline", args=[request.organization.slug, lead.public_id])
    more = _without(given, "activity")
    more["after"] = page.next_cursor
    context = {
        "lead": lead,
        "page": page,
        "types": queries.visible_types(request.actor),
        "members": lookups.members,
        "filters": filters,
        "focus": given.get("activity", ""),
        "timeline_url": here,
        "current_url": f"{here}?{_without(given, 'activity', 'after').urlencode()}",
        "more_url": f"{here}?{more.urlencode()}" if page.next_cursor else "",
        "is_filtered": bool(filters.type_ids or filters.user_id or filters.text),
    }
    if given.get("after"):
        return render_page(request, "activities/timeline.html", context, "activities/_more.html")
    response = render_page(request, "activities/timeline.html", context, "activities/_timeline.html")
    if "words" in given:
        # The filters were sent: the lead page's own address keeps them.
        kept = given.copy()
        for key in [key for key, values in kept.lists() if not any(values)]:
            kept.pop(key)
        page_url = reverse("leads:page", args=[request.organization.slug, lead.public_id])
        response["HX-Replace-Url"] = f"{page_url}?{kept.urlencode()}" if kept else page_url
    return response


def _without(given: QueryDict, *keys: str) -> QueryDict:
    """Return a copy of a query string without these keys."""
    kept = given.copy()
    for key in keys:
        kept.pop(key, None)
    return kept


@member_page()
@require_GET
def permalink(request: HttpRequest, activity_id: str) -> HttpResponse:
    """Open the lead at this card."""
    activity = queries.activity_for(request.actor, activity_id)
    page = reverse("leads:page", args=[request.organization.slug, activity.lead.public_id])
    return redirect(f"{page}?activity={activity.public_id}#{activity.public_id}")


# --- the form ---------------------------------------------------------------------------------------------------------
@dataclass
class FormParts:
    """The two forms of one activity."""

    about: AboutForm
    values: ValueForm


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
    return FormParts(AboutForm(actor, lookups, activity, data), values)


def _form_page(
    request: HttpRequest, lead: Lead, kind: TypeInfo, activity: Activity | None, parts: FormParts, status: int = 200,
    *, refusal: str = "", theirs: list[tuple[str, str]] | None = None,
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
        "action": action,
        "autosave_url": autosave if activity is None or activity.is_draft else "",
        "revision": activity.revision if activity else "",
        "refusal": refusal,
        "theirs": theirs or [],
        "cancel_url": reverse("leads:page", args=[slug, lead.public_id]),
    }
    return render_page(request, "activities/form.html", context, "activities/_form.html", status=status)


@member_page()
@require_http_methods(["GET", "POST"])
def form_new(request: HttpRequest, lead_id: str, type_id: str) -> HttpResponse:
    """The form of a new activity, or of a copy (`like`). POST publishes it, or keeps it as a draft (`save=draft`)."""
    actor = request.actor
    lead, kind = lead_for(actor, lead_id), queries.type_for(actor, type_id)
    authorize(can_log(actor, kind))
    if request.method == "GET":
        like = queries.activity_for(actor, request.GET["like"]) if request.GET.get("like") else None
        if like and like.type_id != kind.id:
            raise NotFound("There is no such activity.")
        return _form_page(request, lead, kind, None, _forms(request, lead, kind, None, None, like))
    # A draft made by an autosave whose answer has not reached the page yet is taken up, so that one activity results.
    draft = _own_draft(request)
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


def _own_draft(request: HttpRequest) -> Activity | None:
    draft_id = request.POST.get("draft")
    if not draft_id:
        return None
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
    try:
        if activity is None:
            logged = logging.log_activity(actor, lead, kind, **given)
        else:
            # An autosave may have raised the draft's revision after this form was drawn; its author publishes what is typed.
            revision = None if activity.is_draft else _revision(request)
            logged = logging.update_activity(
                actor, activity, status="published", revision=revision, partial=False, **given
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
        return _form_page(
            request, lead, kind, activity, parts, 422, refusal=f"{error.message} What you typed is kept as a draft."
        )
    page = reverse("leads:page", args=[request.organization.slug, lead.public_id])
    if not request.htmx:
        return redirect(f"{page}#{logged.public_id}")
    if not (request.htmx.current_url_abs_path or page).startswith(page):
        # The form stood on a page of its own: there is no timeline to show the card in.
        return redirect_to(request, f"{page}#{logged.public_id}")
    card = queries.cards_of(actor, [logged])[0]
    response = render(request, "activities/_published.html", {"card": card, "lead": lead})
    return toast(response, f"{kind.name} published.")


def _user(user_id: int) -> Any:
    from crm.models import User

    return User.objects.get(pk=user_id)


def _revision(request: HttpRequest) -> int | None:
    text = request.POST.get("revision", "")
    return int(text) if text.isdigit() else None


def _typed(request: HttpRequest, parts: FormParts) -> dict[str, Any]:
    """Return everything typed, as typed."""
    found = {
        name: raw_input(request.POST, name, use) for name, use in parts.values.uses.items()
    }  # fmt: skip
    return found | {key: request.POST.get(key, "") for key in ("activity_at", "contact", "user")}


def _keep_draft(request: HttpRequest, lead: Lead, kind: TypeInfo, draft: Activity | None) -> HttpResponse:
    """Save a draft by the button, without JavaScript."""
    parts = _forms(request, lead, kind, draft, request.POST)
    drafting.save_draft(request.actor, lead, kind, _typed(request, parts), draft=draft)
    return redirect_to(request, reverse("leads:page", args=[request.organization.slug, lead.public_id]))


# --- autosave ---------------------------------------------------------------------------------------------------------
@member_page()
@require_POST
def autosave_new(request: HttpRequest, lead_id: str, type_id: str) -> HttpResponse:
    actor = request.actor
    return _autosave(request, lead_for(actor, lead_id), queries.type_for(actor, type_id), _own_draft(request))


@member_page()
@require_POST
def autosave_existing(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    return _autosave(request, activity.lead, logging.type_of(request.actor, activity), activity)


def _autosave(request: HttpRequest, lead: Lead, kind: TypeInfo, draft: Activity | None) -> HttpResponse:
    """Answer `{id, revision, saved_at, url}`; 204 when there is nothing to keep; 409 with the other version."""
    parts = _forms(request, lead, kind, draft, None)
    typed = _typed(request, parts)
    if draft is None and typed.get("user") == request.actor.user.public_id:
        untouched = {key: value for key, value in typed.items() if key != "user" and value not in ("", [])}
        initial = {name: field.initial for name, field in parts.values.fields.items() if field.initial}
        if untouched == initial:
            return HttpResponse(status=204)
    try:
        saved = drafting.save_draft(request.actor, lead, kind, typed, draft=draft, revision=_revision(request))
    except DraftConflict as conflict:
        theirs = conflict.theirs
        return JsonResponse(
            {"message": conflict.message, "revision": theirs.revision, "theirs": theirs.draft_data or {}}, status=409
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
        }
    )


@member_page()
@require_GET
def drafts(request: HttpRequest) -> HttpResponse:
    cards = queries.cards_of(request.actor, queries.my_drafts(request.actor))
    return render_page(request, "activities/drafts.html", {"cards": cards})


@member_page()
@require_POST
def discard(request: HttpRequest, activity_id: str) -> HttpResponse:
    draft = queries.activity_for(request.actor, activity_id)
    drafting.discard_draft(request.actor, draft)
    if request.htmx:
        return toast(HttpResponse(), "The draft is thrown away.")
    return redirect("activities:drafts", slug=request.organization.slug)


# --- what can be done to a card ---------------------------------------------------------------------------------------
@member_page()
@require_POST
def pin(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    pinned = logging.set_pinned(request.actor, activity, activity.pinned_at is None)
    if request.htmx:
        response = trigger(HttpResponse(status=204), "timeline-changed")
        return toast(response, "Pinned to the top." if pinned.pinned_at else "No longer pinned.")
    return redirect("activities:permalink", slug=request.organization.slug, activity_id=activity_id)


@member_page()
@require_POST
def delete(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    lead_id = activity.lead.public_id
    logging.delete_activity(request.actor, activity)
    undo = reverse("activities:restore", args=[request.organization.slug, activity_id])
    if request.htmx:
        return toast(HttpResponse(), "Deleted.", undo_url=undo)
    return redirect("leads:page", slug=request.organization.slug, lead_id=lead_id)


@member_page()
@require_POST
def restore(request: HttpRequest, activity_id: str) -> HttpResponse:
    """Undo a deletion: the latest one of this activity, by the member who did it."""
    found = (
        Event.objects.filter(
            object_id=ids.decode("acti", activity_id) or 0, action="deleted", user_id=request.actor.user_id,
            object_type__startswith="activity.",
        )
        .order_by("-pk")
        .first()
    )  # fmt: skip
    if found is None:
        raise NotFound("There is nothing to bring back.")
    logging.restore_activity(request.actor, found)
    if request.htmx:
        return toast(trigger(HttpResponse(status=204), "timeline-changed"), "It is back.")
    return redirect("activities:permalink", slug=request.organization.slug, activity_id=activity_id)


@member_page()
@require_GET
def history(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    return render_page(
        request, "activities/history.html",
        {"activity": activity, "changes": queries.history(request.actor, activity), "type": logging.type_of(request.actor, activity)},
        "activities/_history.html",
    )  # fmt: skip


# --- the list ---------------------------------------------------------------------------------------------------------
@member_page()
@require_GET
def activity_list(request: HttpRequest) -> HttpResponse:
    """Activities across leads, filtered by type, member and days. The lists behind report numbers are this page."""
    given = request.GET
    error = ""
    rows = queries.visible_activities(request.actor).select_related("lead")
    try:
        rows = _filtered(request, rows)
    except InvalidInput as refused:
        error = refused.message
    moment = "date_created" if given.get("by") == "date_created" else "activity_at"
    total = rows.count()
    place = queries.moment_and_id(given.get("after", ""))
    if place:
        at, pk = place
        rows = rows.filter(**{f"{moment}__lte": at}).exclude(**{moment: at, "pk__gte": pk})
    found = list(rows.order_by(f"-{moment}", "-pk")[: PAGE + 1])
    more = given.copy()
    if len(found) > PAGE:
        found = found[:PAGE]
        more["after"] = encode_cursor(getattr(found[-1], moment).isoformat(), found[-1].pk)
    first = given.copy()
    first.pop("after", None)
    context = {
        "cards": queries.cards_of(request.actor, found),
        "total": total,
        "error": error,
        "types": [row for row in queries.visible_types(request.actor) if not row.system],
        "members": Lookups(request.organization).members,
        "chosen_type": given.get("type", ""),
        "chosen_user": given.get("user", ""),
        "from": given.get("from", ""),
        "to": given.get("to", ""),
        "by": moment,
        "zone": given.get("zone", ""),
        "next_url": f"?{more.urlencode()}" if "after" in more and more["after"] != given.get("after") else "",
        "first_url": f"?{first.urlencode()}" if given.get("after") else "",
    }
    return render_page(request, "activities/list.html", context, status=422 if error else 200)


def _types_showing(actor: Membership, field_id: int) -> list[int]:
    """Return the types where the actor may see this field: a filter must not tell what a card would hide."""
    known = catalog(actor.organization)
    found = []
    for kind in queries.visible_types(actor):
        use = known.use(kind.fieldset_id, field_id)
        if use and can_view_field(actor, use):
            found.append(kind.id)
    return found


def _filtered(request: HttpRequest, rows: Any) -> Any:
    given = request.GET
    types = [value for value in given.get("type", "").split(",") if value]
    if types:
        rows = rows.filter(type_id__in=[ids.decode("actitype", value) or 0 for value in types])
    if given.get("user"):
        who = "created_by_id" if given.get("by") == "date_created" else "user_id"
        rows = rows.filter(**{who: ids.decode("user", given["user"]) or 0})
    moment = "date_created" if given.get("by") == "date_created" else "activity_at"
    try:
        zone = ZoneInfo(given["zone"]) if given.get("zone") else request.actor.zone
        if given.get("from"):
            rows = rows.filter(
                **{f"{moment}__gte": datetime.combine(date.fromisoformat(given["from"]), time.min, zone)}
            )
        if given.get("to"):
            after = date.fromisoformat(given["to"]) + timedelta(days=1)
            rows = rows.filter(**{f"{moment}__lt": datetime.combine(after, time.min, zone)})
    except (ValueError, ZoneInfoNotFoundError, OverflowError):
        raise InvalidInput(
            "A day is written as 2026-01-31, a zone as Europe/Berlin. All activities are shown."
        ) from None
    if given.get("option"):
        field, _, option = given["option"].partition(":")
        if field.isdigit() and option.isdigit():
            held = ValueRef.objects.filter(
                field_id=int(field), v=int(option), lead_id=OuterRef("lead_id"), record_key=OuterRef("pk")
            )
            rows = rows.filter(Exists(held), type_id__in=_types_showing(request.actor, int(field)))
    return rows
