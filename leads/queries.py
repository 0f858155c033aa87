"""Reading leads, contacts, statuses and tasks."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from crm import ids
from crm.errors import NotFound
from crm.fieldkinds import fold, normal_phone
from crm.models import Membership
from crm.permissions import visible_lead_filter
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


def statuses() -> list[LeadStatus]:
    """Return the organization's lead statuses in order; the first is the default of new leads."""
    return list(LeadStatus.objects.order_by("position", "pk"))


def status_for(actor: Membership, public_id: str) -> LeadStatus:
    """Return a lead status; raises `NotFound`."""
    found = LeadStatus.objects.filter(pk=ids.decode("stat", public_id)).first()
    if found is None:
        raise NotFound("There is no such lead status.")
    return found


def smart_views_for(actor: Membership, lists: str | None = None) -> list[SmartView]:
    """Return the actor's own and the shared Smart Views by name."""
    rows = SmartView.objects.filter(Q(owner=actor.user_id) | Q(shared=True)).order_by("name", "pk")
    return list(rows.filter(lists=lists) if lists else rows)


def smart_view_for(actor: Membership, public_id: str) -> SmartView:
    """Return a Smart View the actor may open; raises `NotFound`."""
    rows = SmartView.objects.filter(Q(owner=actor.user_id) | Q(shared=True))
    found = rows.filter(pk=ids.decode("save", public_id)).first()
    if found is None:
        raise NotFound("There is no such Smart View.")
    return found


def duplicates(actor: Membership, *, name: str = "", email: str = "", phone: str = "", limit: int = 5) -> list[Lead]:
    """Return leads the actor may see that have this name, or a contact with this email or phone."""
    condition = Q()
    if name.strip():
        condition |= Q(name_fold=fold(name))
    points = Q()
    if email.strip():
        points |= Q(channel="email", value=email.strip().lower())
    if phone.strip():
        points |= Q(channel="phone", value=normal_phone(phone.strip()))
    if points:
        condition |= Q(pk__in=ContactPoint.objects.filter(points).values("lead_id"))
    if not condition:
        return []
    return list(visible_leads(actor).select_related("status").filter(condition).order_by("name_fold", "pk")[:limit])


def search_words(text: str) -> Q:
    """Return the condition of the free-text box: every word is in the lead's name, contacts, emails, phones or domain."""
    condition = Q()
    for word in fold(text).split()[:10]:
        condition &= Q(search_text__contains=word)
    return condition
