"""Reading leads, contacts, statuses and tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.db.models import Count, F, Q, QuerySet

from crm import ids
from crm.errors import NotFound
from crm.fieldkinds import fold
from crm.models import Event, Membership, User
from crm.permissions import visible_lead_filter
from crm.phones import normal_phone
from leads.models import Contact, ContactPoint, Lead, LeadStatus, MergedLead, SmartView, Task


def visible_leads(actor: Membership) -> QuerySet[Lead]:
    """Return the leads the actor may see."""
    condition = visible_lead_filter(actor)
    return Lead.objects.all() if condition is None else Lead.objects.filter(condition)


def visible_contacts(actor: Membership) -> QuerySet[Contact]:
    """Return the contacts of leads the actor may see."""
    condition = visible_lead_filter(actor, "lead_id")
    return Contact.objects.all() if condition is None else Contact.objects.filter(condition)


def lead_for(actor: Membership, public_id: str) -> Lead:
    """Return a lead the actor may see, its status loaded; raises `NotFound`."""
    found = visible_leads(actor).select_related("status").filter(pk=ids.decode("lead", public_id)).first()
    if found is None:
        survivor = survivor_of(actor, public_id)
        raise NotFound(f"This lead was merged into {survivor.public_id}." if survivor else "There is no such lead.")
    return found


def survivor_of(actor: Membership, public_id: str) -> Lead | None:
    """Return the lead that a merged one went into, if the actor may see it; None when this id was not merged."""
    merged = MergedLead.objects.filter(old_id=ids.decode("lead", public_id)).values("lead_id")
    return visible_leads(actor).filter(pk__in=merged).first()


@dataclass(frozen=True)
class Contents:
    """How much lies under a lead. Entries that Touchpoint writes itself are no activities."""

    contacts: int
    activities: int
    drafts: int
    tasks: int

    @property
    def is_empty(self) -> bool:
        return not (self.contacts or self.activities or self.drafts or self.tasks)

    @property
    def words(self) -> str:
        """Return “2 contacts, 1 activity, 3 drafts and 1 task”; what is not there is left out."""
        names = (("contact", "contacts"), ("activity", "activities"), ("draft", "drafts"), ("task", "tasks"))
        numbers = (self.contacts, self.activities, self.drafts, self.tasks)
        parts = [f"{n:,} {one if n == 1 else many}" for n, (one, many) in zip(numbers, names, strict=True) if n]
        return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else "nothing"


def contents_of(lead: Lead) -> Contents:
    """Return exactly what deleting the lead would delete. Activities belong to a higher app: they are asked for by name."""
    activity = apps.get_model("activities", "Activity")
    rows = activity.with_drafts.filter(lead=lead, type__system=False)
    drafts = Count("pk", filter=Q(status="draft"))
    counted = rows.aggregate(drafts=drafts, all=Count("pk"))
    return Contents(
        contacts=Contact.objects.filter(lead=lead).count(),
        activities=counted["all"] - counted["drafts"],
        drafts=counted["drafts"],
        tasks=Task.objects.filter(lead=lead).count(),
    )


def contact_for(actor: Membership, public_id: str) -> Contact:
    """Return a contact the actor may see, its lead loaded; raises `NotFound`."""
    found = visible_contacts(actor).select_related("lead").filter(pk=ids.decode("cont", public_id)).first()
    if found is None:
        raise NotFound("There is no such contact.")
    return found


def task_for(actor: Membership, public_id: str) -> Task:
    """Return a task on a lead the actor may see; raises `NotFound`."""
    rows = Task.objects.select_related("lead").filter(pk=ids.decode("task", public_id))
    condition = visible_lead_filter(actor, "lead_id")
    found = (rows if condition is None else rows.filter(condition)).first()
    if found is None:
        raise NotFound("There is no such task.")
    return found


TABS = ("overdue", "today", "upcoming", "done")


def tasks_of(user_id: int, tab: str, today: date) -> QuerySet[Task]:
    """Return somebody's tasks of a tab, in the order to do them; what has no day is upcoming, last. Visibility: `seen_tasks`."""
    rows = Task.objects.filter(assigned_to_id=user_id).select_related("lead", "assigned_to")
    if tab == "done":
        return rows.filter(done_at__isnull=False).order_by("-done_at", "-pk")
    return rows.filter(_due(tab, today), done_at=None).order_by(F("due_date").asc(nulls_last=True), "pk")


def seen_tasks(actor: Membership, rows: QuerySet[Task]) -> QuerySet[Task]:
    """Return those of the tasks that are on leads the actor may see."""
    condition = visible_lead_filter(actor, "lead_id")
    return rows if condition is None else rows.filter(condition)


def task_counts(actor: Membership, user_id: int, today: date) -> dict[str, int]:
    """Return how many tasks each tab holds; one query."""
    rows = seen_tasks(actor, Task.objects.filter(assigned_to_id=user_id))
    return rows.aggregate(**{
        tab: Count("pk", filter=Q(done_at__isnull=False) if tab == "done" else Q(done_at=None) & _due(tab, today))
        for tab in TABS
    })  # fmt: skip


def _due(tab: str, today: date) -> Q:
    if tab == "overdue":
        return Q(due_date__lt=today)
    return Q(due_date=today) if tab == "today" else Q(due_date__gt=today) | Q(due_date=None)


def assignees() -> list[User]:
    """Return the members of the organization in scope, by name."""
    rows = Membership.objects.filter(removed_at=None, user__is_active=True).select_related("user")
    return sorted((row.user for row in rows), key=lambda user: (user.full_name.casefold(), user.pk))


def deletion_for(actor: Membership, public_id: str, object_type: str) -> Event:
    """Return the event of a deletion on a lead the actor may see, to undo it; raises `NotFound`."""
    found = Event.objects.filter(pk=ids.decode("ev", public_id), action="deleted", object_type=object_type).first()
    if found is None or not visible_leads(actor).filter(pk=found.lead_id).exists():
        raise NotFound("There is nothing to bring back.")
    return found


def statuses() -> list[LeadStatus]:
    """Return the organization's lead statuses in order; the first is the default of new leads."""
    return list(LeadStatus.objects.order_by("position", "pk"))


def statuses_with_leads() -> list[Any]:
    """Return the statuses in order, each with `leads_count`: how many leads of the organization have it."""
    return list(LeadStatus.objects.annotate(leads_count=Count("leads")).order_by("position", "pk"))


def status_for(actor: Membership, public_id: str) -> LeadStatus:
    """Return a lead status; raises `NotFound`."""
    found = LeadStatus.objects.filter(pk=ids.decode("stat", public_id)).first()
    if found is None:
        raise NotFound("There is no such lead status.")
    return found


def smart_views_for(actor: Membership, lists: str | None = None) -> list[SmartView]:
    """Return the Smart Views the actor may open, by name: own ones, those shared with everybody or with a team of theirs."""
    rows = SmartView.objects.filter(Q(owner=actor.user_id) | Q(shared=True) | ~Q(teams=[])).select_related("owner")
    rows = rows.filter(lists=lists) if lists else rows
    return _opened_by(actor, list(rows.order_by("name", "pk")))


def smart_view_for(actor: Membership, public_id: str) -> SmartView:
    """Return a Smart View the actor may open; raises `NotFound`."""
    rows = SmartView.objects.select_related("owner").filter(pk=ids.decode("save", public_id))
    found = _opened_by(actor, list(rows))
    if not found:
        raise NotFound("There is no such Smart View.")
    return found[0]


def _opened_by(actor: Membership, views: list[SmartView]) -> list[SmartView]:
    """Return those of the views that are the actor's, everybody's or of one of the actor's teams."""
    others = [view for view in views if view.owner_id != actor.user_id and not view.shared]
    teams = set(actor.user.teams.values_list("pk", flat=True)) if any(view.teams for view in others) else set()
    hidden = {view.pk for view in others if not teams & set(view.teams)}
    return [view for view in views if view.pk not in hidden]


# --- the same company twice -------------------------------------------------------------------------------------------
# Addresses there say nothing about the company.
FREE_MAIL = frozenset(
    "aol.com gmail.com gmx.de gmx.net googlemail.com hotmail.com icloud.com live.com mail.com mail.ru me.com msn.com "
    "outlook.com proton.me protonmail.com web.de yahoo.com yandex.ru".split()
)
LEGAL_FORMS = frozenset(
    "ab ag as bv co company corp corporation gmbh inc kg limited llc ltd nv oy plc sa sarl srl".split()
)


@dataclass(frozen=True)
class Twin:
    """A lead that may be the same one, and why, strongest first: “same email pam@dunder.example”."""

    lead: Lead
    reasons: tuple[str, ...]


def plain_name(name: str) -> str:
    """Return a company's name as people compare it: folded, without punctuation and legal forms."""
    words = re.findall(r"\w+", fold(name).replace("'", ""))
    return " ".join(word for word in words if word not in LEGAL_FORMS) or " ".join(words)


def domain_of(text: str) -> str:
    """Return the domain of a URL or an email, without `www.`; empty for free mail and for what has none."""
    text = text.strip().lower()
    try:
        host = (
            text.rpartition("@")[2] if "@" in text else urlsplit(text if "//" in text else f"//{text}").hostname or ""
        )
    except ValueError:
        return ""
    host = host.removeprefix("www.")
    return host if "." in host and host not in FREE_MAIL else ""


def twins(
    actor: Membership,
    *,
    name: str = "",
    emails: Iterable[str] = (),
    phones: Iterable[str] = (),
    url: str = "",
    limit: int = 5,
    besides: int | None = None,
) -> list[Twin]:
    """Return leads the actor may see that may be the same company: by email, phone, name or domain. Four queries at most."""
    emails = [text.strip().lower() for text in emails if text.strip()]
    phones = [normal_phone(text.strip()) for text in phones if text.strip()]
    seen = visible_leads(actor).exclude(pk=besides).select_related("status")
    found: dict[int, Lead] = {}
    reasons: dict[int, list[str]] = {}

    def add(lead: Lead, reason: str) -> None:
        found[lead.pk] = lead
        if reason not in reasons.setdefault(lead.pk, []):
            reasons[lead.pk].append(reason)

    if emails or phones:
        points = ContactPoint.objects.filter(
            Q(channel="email", value__in=emails) | Q(channel="phone", value__in=phones)
        )
        rows = list(points.order_by("channel", "lead_id").values_list("lead_id", "channel", "value")[:50])
        leads = seen.in_bulk({lead_id for lead_id, _channel, _value in rows})
        for lead_id, channel, value in rows:
            if lead_id in leads:
                add(leads[lead_id], f"same {channel} {value}")
    plain = plain_name(name)
    if plain:
        for lead in seen.filter(name_fold__startswith=plain.split()[0]).order_by("name_fold", "pk")[:50]:
            if plain_name(lead.name) == plain:
                add(lead, "same name")
    for domain in sorted({domain_of(url), *map(domain_of, emails)} - {""}):
        for lead in seen.filter(search_text__contains=domain).order_by("pk")[:20]:
            words = lead.search_text.split()
            if any(word.removeprefix("www.") == domain or word.endswith(f"@{domain}") for word in words):
                add(lead, f"same domain {domain}")
    ranked = sorted(found, key=lambda pk: (-len(reasons[pk]), found[pk].name_fold, pk))
    return [Twin(found[pk], tuple(reasons[pk])) for pk in ranked[:limit]]


def twins_of(actor: Membership, lead: Lead) -> list[Twin]:
    """Return leads that may be the same company as this one."""
    points = list(ContactPoint.objects.filter(lead=lead).values_list("channel", "value")[:100])
    return twins(
        actor, name=lead.name, url=lead.url, limit=10, besides=lead.pk,
        emails=[value for channel, value in points if channel == "email"],
        phones=[value for channel, value in points if channel == "phone"],
    )  # fmt: skip


def duplicates(actor: Membership, *, name: str = "", email: str = "", phone: str = "", limit: int = 5) -> list[Lead]:
    """Return leads the actor may see that have this name, or a contact with this email, phone or email domain."""
    found = twins(actor, name=name, emails=[email], phones=[phone], limit=limit)
    return [row.lead for row in found]


def search_words(text: str) -> Q:
    """Return the condition of the free-text box: every word is in the lead's name, contacts, emails, phones or domain."""
    condition = Q()
    for word in fold(text).split()[:10]:
        condition &= Q(search_text__contains=word)
    return condition
