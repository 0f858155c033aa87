"""The lead list, the lead page, its timeline and its activity forms, without JavaScript."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from activities.models import Activity
from activities.services.activities import log_activity
from activities.services.drafts import save_draft
from activities.services.types import archive_type, create_type, update_type
from crm import events
from crm.customfields.services import create_field, update_field
from crm.models import CustomField, Event, Role
from crm.tenancy import scope
from leads.models import Lead
from leads.search.cursors import encode_cursor
from leads.services import merge_leads
from tests.factories import PASSWORD, Tenant

# On PostgreSQL a search also opens a savepoint, sets its timeout and cost, and releases the savepoint.
# A fragment: the frame's own counts are the frame's matter. Two for rows, one each for members and comments.
TIMELINE_QUERIES = 8
HTMX = {"HX-Request": "true"}


def client_of(tenant: Tenant, role: str = "user") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def at(tenant: Tenant, name: str, *args: Any) -> str:
    return reverse(name, args=[tenant.organization.slug, *args])


def counted(tenant: Tenant) -> tuple[int, int, int]:
    """Leads, activities with drafts, and events of an organization: what a refusal must leave alone."""
    with scope(tenant.organization):
        return Lead.objects.count(), Activity.with_drafts.count(), Event.objects.count()


def form_of(tenant: Tenant, **typed: Any) -> dict[str, Any]:
    return {"user": tenant.user.user.public_id, **{tenant.fields[name]: value for name, value in typed.items()}}


# --- the timeline -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", [1, 3])
def test_the_timeline_takes_the_same_queries_for_any_number_of_rows(
    world, django_assert_num_queries, rows: int
) -> None:
    ours, lead = world.ours, world.ours.leads[1]
    with scope(ours.organization), events.door("page"):
        for _ in range(rows - 1):
            log_activity(ours.user, lead, ours.call, custom={"Qualified": "again"})
    client, address = client_of(ours), at(ours, "activities:timeline", lead.public_id)
    ask = {"type": ours.type_row.public_id}
    client.get(address, ask, HTTP_HX_REQUEST="true")
    with django_assert_num_queries(TIMELINE_QUERIES):
        response = client.get(address, ask, HTTP_HX_REQUEST="true")
    assert len(response.context["page"].cards) == rows


def test_the_address_keeps_the_filters(world) -> None:
    ours = world.ours
    client, address = client_of(ours), at(ours, "activities:timeline", ours.leads[0].public_id)
    kind, page = ours.type_row.public_id, at(ours, "leads:page", ours.leads[0].public_id)
    sent = client.get(address, {"type": kind, "by": "", "words": "yes"}, headers={"HX-Request": "true"})
    assert sent.headers["HX-Replace-Url"] == f"{page}?type={kind}&words=yes"
    assert sent.content.strip().startswith(b'<div id="timeline"')
    cleared = client.get(address, {"type": "", "by": "", "words": ""}, headers={"HX-Request": "true"})
    assert cleared.headers["HX-Replace-Url"] == page
    assert b"<html" in client.get(address).content


@pytest.mark.parametrize(
    "cursor", ["nonsense", encode_cursor(1, 2), encode_cursor("x", 2), encode_cursor("2026-01-01", 1)]
)
def test_a_forged_cursor_begins_again(world, cursor: str) -> None:
    ours = world.ours
    client = client_of(ours)
    for address in (at(ours, "activities:timeline", ours.leads[0].public_id), at(ours, "activities:list")):
        assert client.get(address, {"after": cursor}).status_code == 200


def test_a_draft_is_its_authors_alone(world) -> None:
    ours = world.ours
    address = at(ours, "activities:timeline", ours.leads[0].public_id)
    assert ours.draft.public_id in client_of(ours).get(address).content.decode()
    assert ours.draft.public_id not in client_of(ours, "restricted").get(address).content.decode()
    edit = at(ours, "activities:edit", ours.draft.public_id)
    assert client_of(ours, "restricted").get(edit).status_code == 404


# --- the form ---------------------------------------------------------------------------------------------------------
def test_publishing_makes_one_activity_with_what_was_typed(world) -> None:
    ours, lead = world.ours, world.ours.leads[1]
    before = counted(world.theirs)
    address = at(ours, "activities:form_new", lead.public_id, ours.type_row.public_id)
    browser = client_of(ours)
    response = browser.post(address, form_of(ours, Qualified="no", Users="12.50"))
    assert response.status_code == 302
    with scope(ours.organization):
        latest = Activity.objects.filter(lead=lead, type=ours.type_row).order_by("-pk").first()
        assert Activity.objects.filter(lead=lead, type=ours.type_row).count() == 2
    assert latest.values == {
        str(ours.use("Qualified").field.id): "no", str(ours.use("Users").field.id): "12.5",
    }  # fmt: skip
    assert (latest.user_id, latest.created_by_id) == (ours.user.user_id, ours.user.user_id)
    # Where the card stands: without scripts the timeline is a page of its own.
    timeline = at(ours, "activities:timeline", lead.public_id)
    assert response.headers["Location"] == f"{timeline}?activity={latest.public_id}#{latest.public_id}"
    landed = browser.get(response.headers["Location"]).content.decode()
    assert f'id="{latest.public_id}"' in landed
    assert f"{ours.type_row.name} published." in landed
    assert counted(world.theirs) == before


def test_every_error_stands_at_its_field_and_the_input_stays(world) -> None:
    ours = world.ours
    with scope(ours.organization), events.door("page"):
        field = CustomField.objects.get(name="Qualified")
        update_field(ours.admin, ours.type_row.fieldset, field, {"required": True})
    before = counted(ours)
    address = at(ours, "activities:form_new", ours.leads[1].public_id, ours.type_row.public_id)
    response = client_of(ours).post(address, form_of(ours, Qualified="", Users="a lot"))
    assert response.status_code == 422
    errors = response.context["form"].errors
    assert set(errors) == {ours.fields["Qualified"], ours.fields["Users"]}
    assert errors[ours.fields["Qualified"]] == ["Qualified is required."]
    assert 'value="a lot"' in response.content.decode()
    assert counted(ours) == before


def test_saving_as_a_draft_keeps_what_does_not_validate(world) -> None:
    ours = world.ours
    address = at(ours, "activities:form_new", ours.leads[2].public_id, ours.type_row.public_id)
    assert client_of(ours).post(address, {**form_of(ours, Users="12."), "save": "draft"}).status_code == 302
    with scope(ours.organization):
        draft = Activity.with_drafts.get(lead=ours.leads[2], status=Activity.Status.DRAFT)
    edit = client_of(ours).get(at(ours, "activities:edit", draft.public_id))
    assert 'value="12."' in edit.content.decode()


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_new_form_leads_to_the_draft_that_is_there_already(world, headers: dict[str, str]) -> None:
    ours, lead = world.ours, world.ours.leads[2]
    addresses = [
        at(ours, "activities:form_new", row.public_id, ours.type_row.public_id) for row in (lead, ours.leads[1])
    ]
    asked = lambda role, address: client_of(ours, role).get(address, headers=headers).content.decode()  # noqa: E731
    assert "You have a draft" not in asked("user", addresses[0])
    with scope(ours.organization), events.door("page"):
        older, latest = (save_draft(ours.user, lead, ours.call, {ours.fields["Users"]: text}) for text in "12")
    before, page = counted(ours), asked("user", addresses[0])
    assert "You have a draft of this, last changed" in page
    assert f'<a href="{at(ours, "activities:edit", latest.public_id)}"' in page and older.public_id not in page
    # Not on another lead, and not for another member.
    assert "You have a draft" not in asked("user", addresses[1])
    assert "You have a draft" not in asked("superuser", addresses[0])
    assert counted(ours) == before


def test_cards_are_edited_and_their_history_read_without_scripts(world) -> None:
    ours = world.ours
    address = at(ours, "activities:timeline", ours.leads[0].public_id)
    plain = re.findall(r"<noscript>(.*?)</noscript>", client_of(ours).get(address).content.decode())
    activity, draft = ours.activities[0].public_id, ours.draft.public_id
    for number, word in ((activity, "Edit"), (draft, "Resume")):
        link = f'<a href="{at(ours, "activities:edit", number)}">{word}</a>'
        assert any(link in part for part in plain), word
    reader = client_of(ours, "restricted").get(address).content.decode()
    assert f'<noscript><a href="{at(ours, "activities:history", activity)}">History</a></noscript>' in reader


def test_a_copy_begins_with_the_values_and_writes_nothing(world) -> None:
    ours = world.ours
    before = counted(ours)
    address = at(ours, "activities:form_new", ours.leads[0].public_id, ours.type_row.public_id)
    response = client_of(ours).get(address, {"like": ours.activities[0].public_id})
    assert response.context["form"][ours.fields["Users"]].value() == "25"
    assert client_of(ours).get(address, {"like": world.theirs.activities[0].public_id}).status_code == 404
    assert counted(ours) == before


def test_a_type_without_fields_is_logged_by_one_click(world) -> None:
    ours, lead, client = world.ours, world.ours.leads[1], client_of(world.ours)
    with scope(ours.organization):
        kind = create_type(ours.admin, name="Connected on LinkedIn", icon="brand-linkedin")
    page = client.get(at(ours, "leads:page", lead.public_id))
    assert [row.name for row in page.context["types"] if row.at_once] == ["Connected on LinkedIn"]
    now = at(ours, "activities:log_now", lead.public_id, kind.public_id)
    assert page.content.decode().count(f'hx-post="{now}"') == 2 and client.get(now).status_code == 405
    before = counted(ours)
    logged = client.post(now, headers=HTMX)
    assert logged.status_code == 204 and "timeline-changed" in logged["HX-Trigger"]
    with scope(ours.organization):
        activity = Activity.objects.get(lead=lead, type=kind)
    assert (activity.user_id, activity.values) == (ours.user.user_id, {})
    undo = json.loads(logged["HX-Trigger"])["toast"]["undo_url"]
    assert "timeline-changed" in client.post(undo, headers=HTMX)["HX-Trigger"]
    assert counted(ours)[:2] == before[:2]
    assert client.post(now).headers["Location"].startswith(at(ours, "leads:page", lead.public_id))
    with scope(ours.organization):
        assert Activity.objects.filter(lead=lead, type=kind).count() == 1
        create_field(ours.admin, kind.fieldset, name="Who", kind="text")
    before = counted(ours)
    form = at(ours, "activities:form_new", lead.public_id, kind.public_id)
    assert client.post(now, headers=HTMX)["HX-Redirect"] == client.post(now).headers["Location"] == form
    assert counted(ours) == before


def test_a_field_is_shown_when_its_rule_fits_and_nothing_is_written(world) -> None:
    ours, lead, client = world.ours, world.ours.leads[1], client_of(world.ours)
    crm, users = ours.use("CRM").field, ours.fields["Users"]
    with scope(ours.organization), events.door("page"):
        field = CustomField.objects.get(pk=ours.use("Users").field.id)
        rule = {"field": crm.public_id, "values": [crm.options[0].public_id]}
        update_field(
            ours.admin, ours.type_row.fieldset, field, {"show_when": rule, "heading": "Size", "required": True}
        )
    address = at(ours, "activities:form_new", lead.public_id, ours.type_row.public_id)
    rules = at(ours, "activities:form_rules", lead.public_id, ours.type_row.public_id)
    page = client.get(address, headers=HTMX).content.decode()
    assert f'data-rules="{rules}"' in page and page.count("tp-half tp-ruled-out") == 1
    assert '<h4 class="" data-section>Size</h4>' in page, "another field of the section is shown"
    before = counted(ours)
    fits, other = {crm.public_id: crm.options[0].public_id}, {crm.public_id: crm.options[1].public_id}
    assert users in client.post(rules, fits).json()["shown"]
    assert client.post(rules, other | {users: "7"}).json()["hidden"] == [users]
    assert client.post(rules, fits | {"of": ours.activities[1].public_id}).json()["hidden"] == []
    assert client.post(rules, {"of": world.theirs.activities[1].public_id}).status_code == 404
    assert client.post(at(ours, "activities:form_rules", world.theirs.leads[0].public_id, "x")).status_code == 404
    assert counted(ours) == before
    refused = client.post(address, fits, headers=HTMX)
    assert refused.status_code == 422 and "Users is required." in refused.content.decode()
    # Hidden, it is neither required nor stored, whatever was typed into it before.
    assert client.post(address, other | {users: "7"}).status_code == 302
    with scope(ours.organization):
        latest = Activity.objects.filter(lead=lead, type=ours.type_row).latest("pk")
    assert set(latest.values) == {str(crm.id)}


def test_a_form_of_a_lead_that_was_merged_goes_on_where_it_went(world) -> None:
    ours, client = world.ours, client_of(world.ours)
    gone, stays = ours.leads[1], ours.leads[2]
    old = gone.public_id
    with scope(ours.organization):
        merge_leads(ours.admin, gone, stays)
    start = at(ours, "activities:autosave", old, ours.type_row.public_id)
    saved = client.post(start, {**form_of(ours, Users="12."), "form": "abcdefgh", "seq": "1"}).json()
    assert saved["note"] == f"This lead was merged into {stays.name}; the draft is kept there."
    again = client.post(start, {**form_of(ours, Users="12.5"), "form": "abcdefgh", "seq": "2"}).json()
    assert again["id"] == saved["id"]
    address = at(ours, "activities:form_new", old, ours.type_row.public_id)
    assert client.get(address).status_code == 200
    published = client.post(address, {**form_of(ours, Users="13"), "draft": saved["id"]})
    assert published.headers["Location"].startswith(at(ours, "activities:timeline", stays.public_id))
    assert published.headers["Location"].endswith(f"#{saved['id']}")
    theirs = at(world.theirs, "activities:autosave", old, world.theirs.type_row.public_id)
    assert client_of(world.theirs).post(theirs, {"user": "x"}).status_code == 404


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
def test_a_restricted_type_is_refused_and_nothing_is_written(world, headers: dict[str, str]) -> None:
    ours = world.ours
    with scope(ours.organization), events.door("page"):
        admin_role = Role.objects.get(slug="admin")
        update_type(ours.admin, ours.type_row, {"edit_roles": [admin_role.pk]})
    before = counted(ours)
    lead = ours.leads[0].public_id
    client = client_of(ours)
    form = form_of(ours, Qualified="sneaked in")
    for address in (
        at(ours, "activities:form_new", lead, ours.type_row.public_id),
        at(ours, "activities:log_now", lead, ours.type_row.public_id),
        at(ours, "activities:autosave", lead, ours.type_row.public_id),
        at(ours, "activities:edit", ours.activities[0].public_id),
        at(ours, "activities:delete", ours.activities[0].public_id),
        at(ours, "activities:pin", ours.activities[0].public_id),
    ):
        assert client.post(address, form, headers=headers).status_code == 403, address
    assert counted(ours) == before
    assert ours.type_row.name not in [kind.name for kind in client.get(at(ours, "leads:page", lead)).context["types"]]


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
@pytest.mark.parametrize("case", ["hidden type", "archived", "another's", "another organization's"])
def test_what_may_not_be_done_leaves_everything_as_it_was(world, headers: dict[str, str], case: str) -> None:
    """Each door of the lead page, with the status it answers: 404 for what is not there, 403 with the reason else."""
    ours, whose = world.ours, world.ours
    wanted = 404
    with scope(ours.organization), events.door("page"):
        admin_role = Role.objects.get(slug="admin")
        if case == "hidden type":
            update_type(ours.admin, ours.type_row, {"view_roles": [admin_role.pk]})
        elif case == "archived":
            archive_type(ours.admin, ours.type_row)
            wanted = 403
        elif case == "another's":
            wanted = 403
        elif case == "another organization's":
            whose = world.theirs
    client, lead = client_of(ours, "restricted"), whose.leads[0].public_id
    activity, kind = whose.activities[0].public_id, whose.type_row.public_id
    logging = [at(ours, f"activities:{name}", lead, kind) for name in ("form_new", "log_now", "autosave")]
    changing = [at(ours, f"activities:{name}", activity) for name in ("edit", "delete", "pin")]
    hidden = [at(ours, "activities:comments", activity)]
    doors = {
        "hidden type": logging + changing + hidden,
        "archived": logging,
        "another's": changing,
        "another organization's": logging + changing + hidden,
    }
    before, form = (counted(ours), counted(world.theirs)), {**form_of(ours, Users="5"), "text": "Hello"}
    for address in doors[case]:
        assert client.post(address, form, headers=headers).status_code == wanted, address
    assert (counted(ours), counted(world.theirs)) == before


# --- autosave ---------------------------------------------------------------------------------------------------------
def test_autosave_makes_one_draft_and_guards_it_by_revision(world) -> None:
    ours, lead = world.ours, world.ours.leads[1]
    client = client_of(ours)
    start = at(ours, "activities:autosave", lead.public_id, ours.type_row.public_id)
    before = counted(ours)
    assert client.post(start, form_of(ours)).status_code == 204
    assert counted(ours) == before

    first = client.post(start, form_of(ours, Users="12."))
    assert first.status_code == 200
    saved = first.json()
    assert re.fullmatch(r"\d\d:\d\d", saved["saved_at"])
    again = client.post(saved["url"], {**form_of(ours, Users="12.5"), "revision": saved["revision"]})
    assert again.json()["id"] == saved["id"]
    stale = client.post(saved["url"], {**form_of(ours, Users="13"), "revision": saved["revision"]})
    assert stale.status_code == 409
    assert stale.json()["theirs"][ours.fields["Users"]] == "12.5"
    with scope(ours.organization):
        assert Activity.with_drafts.filter(lead=lead, status=Activity.Status.DRAFT).count() == 1

    # A form that does not know yet of its draft's first save publishes the same activity.
    address = at(ours, "activities:form_new", lead.public_id, ours.type_row.public_id)
    client.post(address, {**form_of(ours, Users="14"), "draft": saved["id"]})
    with scope(ours.organization):
        assert Activity.with_drafts.filter(lead=lead, status=Activity.Status.DRAFT).count() == 0
        assert Activity.objects.filter(lead=lead, type=ours.type_row).count() == 2


def test_a_page_that_outlived_its_session_writes_in_nobody_elses_name(world) -> None:
    ours, lead = world.ours, world.ours.leads[1]
    address = at(ours, "activities:autosave", lead.public_id, ours.call.public_id)
    typed = form_of(ours, Qualified="typed by the user")
    before = counted(ours)
    admin = client_of(ours, "admin")
    refused = admin.post(address, typed, headers={"X-Member": ours.user.user.public_id})
    assert (refused.status_code, counted(ours)) == (401, before)
    assert f"{ours.admin.user.full_name} is signed in here now" in refused.content.decode()
    assert client_of(ours).post(address, typed, headers={"X-Member": ours.user.user.public_id}).status_code == 200
    assert counted(ours)[1] == before[1] + 1


# --- fields -----------------------------------------------------------------------------------------------------------
def test_a_filter_does_not_tell_what_a_hidden_field_holds(world) -> None:
    ours = world.ours
    use = ours.use("CRM")
    option = next(option for option in use.field.options if option.label == "HubSpot")
    ask = {"option": f"{use.field.id}:{option.id}"}
    address = at(ours, "activities:list")
    assert client_of(ours).get(address, ask).context["total"] == 2
    with scope(ours.organization), events.door("page"):
        admin_role = Role.objects.get(slug="admin")
        field = CustomField.objects.get(name="CRM")
        update_field(ours.admin, ours.type_row.fieldset, field, {"view_roles": [admin_role.pk]})
    assert client_of(ours).get(address, ask).context["total"] == 0
    assert client_of(ours, "admin").get(address, ask).context["total"] == 2
