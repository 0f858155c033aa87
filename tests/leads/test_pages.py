"""The lead's page in the browser's terms: parts edited in place, contacts, delete, merge, hints, old links."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from activities.models import Activity
from activities.services.activities import log_activity
from crm.customfields.services import create_field, update_field
from crm.models import Event, FieldSet, Membership
from crm.tenancy import scope
from leads import services
from leads.models import Contact, Lead
from leads.queries import contents_of, statuses, twins
from tests.factories import World

HTMX = {"HX-Request": "true"}


def signed_in(member: Membership) -> Client:
    client = Client()
    client.force_login(member.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def client(world: World) -> Client:
    return signed_in(world.ours.user)


def at(lead: Lead, path: str = "") -> str:
    return f"/o/ours/leads/{lead.public_id}/{path}"


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def fresh(lead: Lead) -> Lead:
    return Lead.unscoped.get(pk=lead.pk)


# --- the page ---------------------------------------------------------------------------------------------------------
def test_the_page_takes_a_constant_number_of_queries(
    world: World, client: Client, django_assert_num_queries: Any
) -> None:
    lead = world.ours.leads[0]
    client.get(at(lead))
    with django_assert_num_queries(11):
        client.get(at(lead))
    with scope(world.ours.organization):
        for n in range(5):
            services.create_contact(world.ours.user, lead, name=f"Contact {n}", emails=[f"c{n}@acme.example"])
            services.create_task(world.ours.user, lead, f"Task {n}", assigned_to=world.ours.admin.user)
            log_activity(world.ours.user, lead, world.ours.call)
    client.get(at(lead))
    with django_assert_num_queries(11):
        page = text(client.get(at(lead)))
    assert "Contact 4" in page and "Task 4" in page


def test_theirs_is_a_404_everywhere(world: World, client: Client) -> None:
    lead = world.theirs.leads[0]
    contact = Contact.unscoped.filter(lead=lead)[0]
    for path in ("", "edit/", "delete/", "merge/", "parts/name/", "contacts/", "contacts/new/", "tasks/"):
        answer = client.get(at(lead, path))
        assert answer.status_code == (403 if path == "nothing" else 404), path
    for path in (f"contacts/{contact.public_id}/edit/", f"contacts/{contact.public_id}/delete/"):
        assert client.get(f"/o/ours/{path}").status_code == 404
    before = Event.unscoped.count()
    assert client.post(at(lead, "parts/name/"), {"name": "Ours"}).status_code == 404
    assert client.post(at(world.ours.leads[0], "merge/"), {"with": lead.public_id}).status_code == 404
    assert Event.unscoped.count() == before


# --- in place ---------------------------------------------------------------------------------------------------------
def test_a_part_is_edited_in_place(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    form = text(client.get(at(lead, "parts/url/"), headers=HTMX))
    assert form.startswith('<div class="tp-part tp-part-editing" id="part_url">') and "data-cancel" in form
    saved = client.post(at(lead, "parts/url/"), {"url": "acme.example"}, headers=HTMX)
    assert saved.status_code == 200
    assert 'id="lead_about"' in text(saved) and "data-focus" in text(saved)
    assert fresh(lead).url == "https://acme.example"
    back = text(client.get(at(lead, "parts/url/?show=1"), headers=HTMX))
    assert 'id="lead_about"' in back and "data-focus" in back


def test_what_is_wrong_stands_at_the_field_and_nothing_is_written(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    before = Event.unscoped.count()
    for key, given, words in (
        ("name", {"name": " "}, "A lead needs a name."),
        ("url", {"url": "no url at all"}, "no url at all"),
        ("name", {"name": "x" * 301}, "300"),
    ):
        refused = client.post(at(lead, f"parts/{key}/"), given, headers=HTMX)
        assert refused.status_code == 422
        assert refused["HX-Retarget"] == f"#part_{key}"
        assert 'aria-invalid="true"' in text(refused) and words in text(refused)
    assert (fresh(lead).name, Event.unscoped.count()) == ("Acme", before)


def test_parts_work_without_javascript(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    page = text(client.get(at(lead, "parts/description/")))
    assert "<html" in page and 'name="description"' in page
    assert client.post(at(lead, "parts/description/"), {"description": "Anvils"}).headers["Location"] == at(lead)
    refused = client.post(at(lead, "parts/name/"), {"name": ""})
    assert refused.status_code == 422 and "<html" in text(refused)
    assert fresh(lead).description == "Anvils"


def test_addresses_are_rows(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    names = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")
    given = {f"address_{name}": [name, f"second {name}", ""] for name in names}
    client.post(at(lead, "parts/addresses/"), given, headers=HTMX)
    assert fresh(lead).addresses == [{name: name for name in names}, {name: f"second {name}" for name in names}]
    shown = text(client.get(at(lead)))
    assert "label: address_1, address_2, zipcode city, state, country" in shown
    client.post(at(lead, "parts/addresses/"), {f"address_{name}": [""] for name in names}, headers=HTMX)
    assert fresh(lead).addresses == []


def test_custom_fields_are_parts_with_their_rights(world: World, client: Client) -> None:
    lead, admin = world.ours.leads[0], world.ours.admin
    with scope(world.ours.organization):
        own = FieldSet.objects.get(owner="lead")
        size = create_field(admin, own, name="Size", kind="number", required=True)
        margin = create_field(admin, own, name="Margin", kind="number")
        locked = create_field(admin, own, name="Owner code", kind="text", edit_roles=[admin.role_id])
        update_field(admin, own, margin, {"view_roles": [admin.role_id]})
    saved = client.post(at(lead, f"parts/{size.public_id}/"), {size.public_id: "12"}, headers=HTMX)
    assert saved.status_code == 200 and fresh(lead).values == {str(size.pk): "12"}
    for wrong, words in (("many", "many"), ("", "Size is required.")):
        refused = client.post(at(lead, f"parts/{size.public_id}/"), {size.public_id: wrong}, headers=HTMX)
        assert refused.status_code == 422 and words in text(refused)
    page = text(client.get(at(lead)))
    assert "Margin" not in page and "Owner code" in page
    assert f'id="part_{locked.public_id}"' in page and f"parts/{locked.public_id}/" not in page
    before = Event.unscoped.count()
    assert client.get(at(lead, f"parts/{margin.public_id}/")).status_code == 404
    assert client.post(at(lead, f"parts/{margin.public_id}/"), {margin.public_id: "1"}).status_code == 404
    assert client.post(at(lead, f"parts/{locked.public_id}/"), {locked.public_id: "x"}).status_code == 403
    assert (fresh(lead).values, Event.unscoped.count()) == ({str(size.pk): "12"}, before)


def test_a_rule_shows_the_field_it_speaks_of(world: World, client: Client) -> None:
    lead, admin = world.ours.leads[0], world.ours.admin
    with scope(world.ours.organization):
        own = FieldSet.objects.get(owner="lead")
        tier = create_field(admin, own, name="Tier", kind="choices", options=["A", "B"])
        why = create_field(admin, own, name="Why A", kind="text")
        option = tier.options.get(label="A")
        update_field(admin, own, why, {"show_when": {"field": tier.public_id, "values": [option.public_id]}})
    assert "Why A" not in text(client.get(at(lead)))
    saved = client.post(at(lead, f"parts/{tier.public_id}/"), {tier.public_id: option.public_id}, headers=HTMX)
    assert "Why A" in text(saved)


def test_forms_ask_which_fields_their_rules_hide(world: World, client: Client) -> None:
    lead, admin = world.ours.leads[0], world.ours.admin
    contact = Contact.unscoped.filter(lead=lead)[0]
    made = {}
    with scope(world.ours.organization):
        for owner in ("lead", "contact"):
            own = FieldSet.objects.get(owner=owner)
            tier = create_field(admin, own, name="Tier", kind="choices", options=["A", "B"])
            why = create_field(admin, own, name="Why A", kind="text", required=True)
            option = tier.options.get(label="A").public_id
            update_field(admin, own, why, {"show_when": {"field": tier.public_id, "values": [option]}})
            made[owner] = (tier.public_id, why.public_id, option)
    before = Event.unscoped.count()
    for key, prefix, page, rules, of in (
        ("lead", "", "/o/ours/leads/new/", "/o/ours/leads/rules/", ""),
        ("lead", "", at(lead, "edit/"), "/o/ours/leads/rules/", lead.public_id),
        ("contact", "c-", at(lead, "contacts/new/"), at(lead, "contacts/rules/"), ""),
        (
            "contact",
            "c-",
            f"/o/ours/contacts/{contact.public_id}/edit/",
            at(lead, "contacts/rules/"),
            contact.public_id,
        ),
    ):
        tier, why, option = made[key]
        shown = text(client.get(page))
        assert f'data-rules="{rules}"' in shown and "tp-ruled-out" in shown, page
        assert client.post(rules, {"of": of}).json()["hidden"] == [f"{prefix}{why}"]
        assert client.post(rules, {"of": of, f"{prefix}{tier}": option}).json()["hidden"] == []
    theirs = world.theirs.leads[0]
    assert client.post("/o/ours/leads/rules/", {"of": theirs.public_id}).status_code == 404
    assert client.post(at(theirs, "contacts/rules/")).status_code == 404
    assert Event.unscoped.count() == before


def test_the_status_changes_in_place_and_tells_the_timeline(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    with scope(world.ours.organization):
        other = statuses()[1]
    changed = client.post(at(lead, "status/"), {"status": other.public_id}, headers=HTMX)
    assert 'id="lead_head"' in text(changed) and "timeline-changed" in changed["HX-Trigger"]
    assert fresh(lead).status_id == other.pk
    assert client.post(at(lead, "status/"), {"status": other.public_id}).headers["Location"] == at(lead)


# --- contacts ---------------------------------------------------------------------------------------------------------
def test_a_contact_with_several_of_everything(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    form = text(client.get(at(lead, "contacts/new/"), headers=HTMX))
    assert form.startswith('<li class="tp-contact-editing" id="contact_new">')
    saved = client.post(at(lead, "contacts/new/"), {
        "name": "Wile", "title": "Hunter", "emails": ["wile@acme.example", "", "w@acme.example"],
        "emails_type": ["office", "office", "home"], "phones": ["+12025550177"], "phones_type": ["mobile"], "urls": ["acme.example/wile"],
    }, headers=HTMX)  # fmt: skip
    assert saved.status_code == 200 and "data-focus" in text(saved)
    contact = Contact.unscoped.get(name="Wile")
    assert contact.emails == [
        {"email": "wile@acme.example", "type": "office"},
        {"email": "w@acme.example", "type": "home"},
    ]
    assert contact.phones == [{"phone": "+12025550177", "type": "mobile"}]
    assert contact.urls == [{"url": "https://acme.example/wile", "type": "url"}]
    edit = f"/o/ours/contacts/{contact.public_id}/edit/"
    refused = client.post(edit, {"name": "Wile E.", "emails": ["broken", "w@acme.example"], "emails_type": ["office", "home"]}, headers=HTMX)  # fmt: skip
    assert refused.status_code == 422 and refused["HX-Retarget"] == f"#contact_{contact.public_id}"
    assert 'value="broken"' in text(refused) and 'aria-invalid="true"' in text(refused)
    contact.refresh_from_db()
    assert contact.name == "Wile"
    assert client.post(edit, {"name": "", "emails": [""]}, headers=HTMX).status_code == 422
    assert text(client.get("/o/ours/contacts/rows/emails/", headers=HTMX)).startswith('<div class="tp-point-row">')
    assert client.get("/o/ours/contacts/rows/nonsense/").status_code == 404


def test_contacts_work_without_javascript(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    with scope(world.ours.organization):
        contact = Contact.objects.filter(lead=lead)[0]
    page = text(client.get(f"/o/ours/contacts/{contact.public_id}/edit/"))
    assert "<html" in page and page.count('name="emails"') == 2
    saved = client.post(
        f"/o/ours/contacts/{contact.public_id}/edit/",
        {"name": "Road", "emails": ["hello@acme.example", "road@acme.example"], "emails_type": ["office", "home"]},
    )
    assert saved.headers["Location"] == at(lead)
    assert len(Contact.unscoped.get(pk=contact.pk).emails) == 2


def test_custom_fields_of_contacts(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    with scope(world.ours.organization):
        mood = create_field(world.ours.admin, FieldSet.objects.get(owner="contact"), name="Mood", kind="number")
    bad = client.post(at(lead, "contacts/new/"), {"name": "A", f"c-{mood.public_id}": "much"}, headers=HTMX)
    assert bad.status_code == 422 and "much" in text(bad)
    client.post(at(lead, "contacts/new/"), {"name": "A", f"c-{mood.public_id}": "3"}, headers=HTMX)
    assert Contact.unscoped.get(name="A").values == {str(mood.pk): "3"}
    assert "Mood" in text(client.get(at(lead)))


def test_a_contact_goes_with_a_count_and_comes_back(world: World, client: Client) -> None:
    lead, tenant = world.ours.leads[0], world.ours
    with scope(tenant.organization):
        contact = Contact.objects.filter(lead=lead)[0]
        call = log_activity(tenant.user, lead, tenant.call, contact=contact)
    asked = text(client.get(f"/o/ours/contacts/{contact.public_id}/delete/", headers=HTMX))
    assert "1 activity names this contact; it stays." in asked
    gone = client.post(f"/o/ours/contacts/{contact.public_id}/delete/", headers=HTMX)
    assert not Contact.unscoped.filter(pk=contact.pk).exists()
    assert "hello@acme.example" not in fresh(lead).search_text
    import json

    undo = json.loads(gone["HX-Trigger"])["toast"]["undo_url"]
    back = client.post(undo, headers=HTMX)
    assert back.status_code == 204 and "contacts-changed" in back["HX-Trigger"]
    again = Contact.unscoped.get(pk=contact.pk)
    assert (again.name, again.emails, again.date_created) == (contact.name, contact.emails, contact.date_created)
    assert Activity.unscoped.get(pk=call.pk).contact_id == contact.pk
    assert "hello@acme.example" in fresh(lead).search_text
    assert client.post(undo, headers=HTMX).status_code == 409
    assert signed_in(world.theirs.admin).post(undo.replace("/ours/", "/theirs/")).status_code == 404


# --- delete -----------------------------------------------------------------------------------------------------------
def test_deleting_a_lead_counts_and_asks_for_its_name(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    with scope(world.ours.organization):
        services.create_task(world.ours.user, lead, "Call")
        assert contents_of(lead).words == "1 contact, 1 activity, 1 draft and 1 task"
    page = text(client.get(at(lead, "delete/")))
    assert "Delete lead with 1 contact, 1 activity, 1 draft and 1 task" in page
    before = Event.unscoped.count()
    for typed in ("", "acme", "Bluth"):
        refused = client.post(at(lead, "delete/"), {"typed_name": typed})
        assert refused.status_code == 422 and "Type the name" in text(refused)
    assert (Lead.unscoped.filter(pk=lead.pk).count(), Event.unscoped.count()) == (1, before)
    assert client.post(at(lead, "delete/"), {"typed_name": " Acme "}).headers["Location"] == "/o/ours/leads/"
    assert not Lead.unscoped.filter(pk=lead.pk).exists()


def test_a_lead_with_nothing_under_it_goes_at_once(world: World, client: Client) -> None:
    with scope(world.ours.organization):
        lead = services.create_lead(world.ours.user, name="Empty")
    assert client.post(at(lead, "delete/")).status_code == 302
    assert not Lead.unscoped.filter(pk=lead.pk).exists()


def test_who_may_not_delete_or_merge_is_not_offered_it(world: World) -> None:
    lead, other = world.ours.leads[:2]
    client = signed_in(world.ours.restricted)
    page = text(client.get(at(lead)))
    assert "Delete lead" not in page and "Merge another lead" not in page
    before = Event.unscoped.count()
    assert client.post(at(lead, "delete/"), {"typed_name": "Acme"}).status_code == 403
    assert client.get(at(lead, "merge/")).status_code == 403
    assert client.post(at(lead, "merge/"), {"with": other.public_id}).status_code == 403
    assert (Lead.unscoped.count(), Event.unscoped.count()) == (6, before)


def test_what_is_edited_in_place_is_a_plain_form_on_a_page_of_its_own(world: World) -> None:
    client, lead = signed_in(world.ours.admin), world.ours.leads[0]
    with scope(world.ours.organization):
        contact = Contact.objects.filter(lead=lead)[0].public_id
        task = services.create_task(world.ours.admin, lead, "Call").public_id
        status = statuses()[0].public_id
    paths = [at(lead, "parts/name/"), at(lead, "parts/description/"), at(lead, "contacts/new/")]
    paths += [f"/o/ours/contacts/{contact}/edit/", f"/o/ours/contacts/{contact}/delete/", f"/o/ours/tasks/{task}/"]
    paths += [f"/o/ours/settings/statuses/{status}/"]
    for path in paths:
        assert f'hx-post="{path}"' in text(client.get(path, headers=HTMX)), path
        page = text(client.get(path))
        # What htmx would put the answer into is on the lead's page only.
        assert f'action="{path}"' in page and f'hx-post="{path}"' not in page, path


# --- merge ------------------------------------------------------------------------------------------------------------
def test_merging_by_page_and_the_old_link(world: World, client: Client) -> None:
    stays, goes = world.ours.leads[:2]
    found = text(client.get(at(stays, "merge/?q=bluth"), headers=HTMX))
    assert "Bluth" in found and "Cyberdyne" not in found and found.startswith('<div id="merge_found"')
    preview = text(client.get(at(stays, f"merge/?with={goes.public_id}")))
    assert "1 contact and 1 activity" in preview and "Merge Bluth into Acme" in preview
    merged = client.post(at(stays, "merge/"), {"with": goes.public_id})
    assert merged.headers["Location"] == at(stays)
    old = client.get(at(goes, "?types=x"))
    assert (old.status_code, old.headers["Location"]) == (302, at(stays, "?types=x"))
    assert "hello@bluth.example" in text(client.get(at(stays)))


def test_a_merge_that_was_done_in_another_tab_leads_to_what_became_of_it(world: World, client: Client) -> None:
    stays, goes = world.ours.leads[:2]
    client.post(at(stays, "merge/"), {"with": goes.public_id})
    before = Event.unscoped.count()
    for ask in (
        lambda: client.post(at(stays, "merge/"), {"with": goes.public_id}, follow=True),
        lambda: client.get(at(stays, f"merge/?with={goes.public_id}"), follow=True),
        lambda: client.post(at(goes, "merge/"), {"with": stays.public_id}, follow=True),
    ):
        page = ask()
        assert page.redirect_chain[-1][0] == at(stays)
        assert "Nothing was merged now: one of the two is part of Acme already." in text(page)
    assert Event.unscoped.count() == before
    theirs = world.theirs.leads[0].public_id
    assert client.post(at(stays, "merge/"), {"with": theirs}).status_code == 404


def test_an_address_that_takes_forms_only_says_so_to_a_browser(world: World, client: Client) -> None:
    page = client.get(at(world.ours.leads[0], "status/"))
    assert (page.status_code, page.headers["Allow"]) == (405, "POST")
    assert "This address only takes what a form sends." in text(page)


def test_finding_and_comparing_take_a_constant_number_of_queries(
    world: World, client: Client, django_assert_num_queries: Any
) -> None:
    stays, goes = world.ours.leads[:2]
    search, preview = at(stays, "merge/?q=a"), at(stays, f"merge/?with={goes.public_id}")
    client.get(search)
    client.get(preview)
    with django_assert_num_queries(FIND_QUERIES):
        client.get(search, headers=HTMX)
    with django_assert_num_queries(PREVIEW_QUERIES):
        client.get(preview)
    with scope(world.ours.organization):
        for n in range(5):
            services.create_lead(world.ours.user, name=f"Acme {n}")
            services.create_contact(world.ours.user, goes, name=f"P{n}", emails=[f"p{n}@x.example"])
    with django_assert_num_queries(FIND_QUERIES):
        assert "Acme 4" in text(client.get(search, headers=HTMX))
    with django_assert_num_queries(PREVIEW_QUERIES):
        client.get(preview)


FIND_QUERIES = 6 + (4 if connection.vendor == "postgresql" else 0)
PREVIEW_QUERIES = 15


def test_a_lead_is_not_merged_into_itself_by_page(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    assert client.post(at(lead, "merge/"), {"with": lead.public_id}).status_code == 422
    assert Lead.unscoped.filter(pk=lead.pk).exists()


# --- duplicate hints --------------------------------------------------------------------------------------------------
def test_hints_say_why(world: World) -> None:
    with scope(world.ours.organization):
        user = world.ours.user
        dunder = services.create_lead(
            user, name="Dunder Mifflin, Inc.", url="www.dunder.example",
            contacts=[{"name": "Pam", "emails": ["pam@mifflin.example"], "phones": ["+12025550123"]}],
        )  # fmt: skip
        services.create_lead(user, name="Mailer", contacts=[{"name": "M", "emails": ["m@gmail.com"]}])
        why = lambda **given: [(row.lead, row.reasons) for row in twins(user, **given)]  # noqa: E731
        assert why(name="dunder mifflin gmbh") == [(dunder, ("same name",))]
        assert why(emails=["PAM@mifflin.example"]) == [(dunder, ("same email pam@mifflin.example", "same domain mifflin.example"))]  # fmt: skip
        assert why(phones=["+1 (202) 555-0123"]) == [(dunder, ("same phone +12025550123",))]
        assert why(url="https://dunder.example/about") == [(dunder, ("same domain dunder.example",))]
        assert why(emails=["michael@dunder.example"]) == [(dunder, ("same domain dunder.example",))]
        assert why(emails=["other@gmail.com"]) == []
        assert why(url="under.example") == why(name="Dunder") == why() == []


def test_hints_come_while_typing_and_on_submit(world: World, client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(6):
        live = text(client.get("/o/ours/leads/twins/?name=ACME&contact_email=x@bluth.example", headers=HTMX))
    assert "same name" in live and "same domain bluth.example" in live and "anyway" not in live
    given = {"name": "Acme", "contact_email": "", "contact_phone": ""}
    refused = client.post("/o/ours/leads/new/", given)
    assert refused.status_code == 422 and 'name="anyway"' in text(refused)
    assert Lead.unscoped.filter(name="Acme").count() == 2
    made = client.post("/o/ours/leads/new/", {**given, "anyway": "1", "address_city": "Rome"})
    assert made.status_code == 302
    assert Lead.unscoped.filter(name="Acme", organization=world.ours.organization).count() == 2


def test_a_contact_that_another_lead_knows_is_hinted_at(world: World, client: Client) -> None:
    acme = world.ours.leads[0]
    ask = f"/o/ours/leads/twins/?besides={acme.public_id}"
    assert "Bluth" in text(client.get(f"{ask}&emails=&emails=hello@bluth.example", headers=HTMX))
    assert "Bluth" in text(client.get(f"{ask}&phones=2025550102&phones=%2B12025550102", headers=HTMX))
    for own_or_only_the_domain in ("emails=hello@acme.example", "emails=other@bluth.example", "emails="):
        assert "tp-notice" not in text(client.get(f"{ask}&{own_or_only_the_domain}", headers=HTMX))
    theirs = world.theirs.leads[0].public_id
    assert client.get(f"/o/ours/leads/twins/?besides={theirs}&emails=x", headers=HTMX).status_code == 404


def test_what_is_wrong_with_the_first_contact_stands_at_its_field(world: World, client: Client) -> None:
    refused = client.post("/o/ours/leads/new/", {"name": "New one", "contact_name": "P", "contact_email": "broken"})
    assert refused.status_code == 422
    assert 'aria-describedby="id_contact_email_errors"' in text(refused)
    assert not Lead.unscoped.filter(name="New one").exists()


# --- statuses ---------------------------------------------------------------------------------------------------------
STATUSES = "/o/ours/settings/statuses/"


def test_the_list_of_statuses(world: World, django_assert_num_queries: Any) -> None:
    client = signed_in(world.ours.admin)
    client.get(STATUSES)
    with django_assert_num_queries(7):
        page = text(client.get(STATUSES))
    assert "3 leads" in page and "data-sortable" in page
    with scope(world.ours.organization):
        for n in range(10):
            services.create_status(world.ours.admin, f"Status {n}", "teal")
    client.get(STATUSES)  # the schema has changed: read once
    with django_assert_num_queries(7):
        client.get(STATUSES)
    assert "data-sortable" not in text(signed_in(world.ours.user).get(STATUSES))


def test_a_status_is_edited_in_place(world: World) -> None:
    client = signed_in(world.ours.admin)
    with scope(world.ours.organization):
        first, second = statuses()[:2]
    form = text(client.get(f"{STATUSES}{first.public_id}/", headers=HTMX))
    assert form.startswith('<li class="tp-status-editing"')
    row = client.post(f"{STATUSES}{first.public_id}/", {"label": "Fresh", "color": "red"}, headers=HTMX)
    assert "Fresh" in text(row) and "tp-color-red" in text(row) and "data-focus" in text(row)
    refused = client.post(f"{STATUSES}{first.public_id}/", {"label": second.label, "color": "red"}, headers=HTMX)
    assert refused.status_code == 422 and "already" in text(refused)
    assert client.post(f"{STATUSES}{first.public_id}/", {"label": "A", "color": "blue"}).headers["Location"] == STATUSES


def test_a_status_in_use_asks_where_its_leads_go(world: World) -> None:
    client = signed_in(world.ours.admin)
    with scope(world.ours.organization):
        first, second = statuses()[:2]
    page = text(client.get(f"{STATUSES}{first.public_id}/delete/"))
    assert "<strong>3</strong> leads have this status" in page and second.label in page
    assert client.post(f"{STATUSES}{first.public_id}/delete/").status_code == 422
    assert client.post(f"{STATUSES}{first.public_id}/delete/", {"move_to": "stat_x"}).status_code == 404
    assert fresh(world.ours.leads[0]).status_id == first.pk
    done = client.post(f"{STATUSES}{first.public_id}/delete/", {"move_to": second.public_id})
    assert done.headers["Location"] == STATUSES
    assert fresh(world.ours.leads[0]).status_id == second.pk


def test_statuses_are_for_those_who_may(world: World) -> None:
    client = signed_in(world.ours.user)
    with scope(world.ours.organization):
        first, second = statuses()[:2]
    before = Event.unscoped.count()
    for path, given in (("new/", {"label": "X"}), (f"{first.public_id}/", {"label": "X"}), ("order/", {"order": second.public_id}),
                        (f"{first.public_id}/delete/", {"move_to": second.public_id})):  # fmt: skip
        assert client.post(STATUSES + path, given).status_code == 403
    assert signed_in(world.theirs.admin).post(f"/o/theirs/settings/statuses/{first.public_id}/", {"label": "X"}).status_code == 404  # fmt: skip
    with scope(world.ours.organization):
        assert statuses()[0].label == first.label
    assert Event.unscoped.count() == before


# --- the palette ------------------------------------------------------------------------------------------------------
def found_by(client: Client, words: str) -> str:
    return text(client.get("/o/ours/palette/", {"q": words}, headers=HTMX))


@pytest.mark.parametrize(
    "words", ["Bluth", "hello@bluth", "+1 (202) 555-0102", "2025550102", "contact bluth", "BLUTH.example"]
)
def test_the_palette_finds_leads_and_contacts(world: World, client: Client, words: str) -> None:
    page = found_by(client, words)
    contact = Contact.unscoped.get(lead=world.ours.leads[1])
    assert f"/leads/{world.ours.leads[1].public_id}/" in page and f"#contact_{contact.public_id}" in page
    assert "Cyberdyne" not in page and world.theirs.leads[1].public_id not in page


def test_the_palette_finds_pages_the_member_may_open(world: World, client: Client) -> None:
    assert "/o/ours/settings/statuses/" in found_by(client, "lead stat")
    assert "/o/ours/tasks/" in found_by(client, "overdue")
    everything = text(client.get("/o/ours/palette/", headers=HTMX))
    assert "/o/ours/leads/new/" in everything
    nothing = found_by(client, "zzzz")
    assert "Nothing has the words" in nothing and "?q=zzzz" in nothing
    from leads.views.palette import DESTINATIONS, pages_for

    with scope(world.ours.organization):
        assert len(pages_for(world.ours.admin, "")) == len(DESTINATIONS)
        for member in world.ours.members:
            for page in pages_for(member, ""):
                assert signed_in(member).get(page.url).status_code in (200, 302), (member, page.url)


def test_the_palette_takes_a_constant_number_of_queries(
    world: World, client: Client, django_assert_num_queries: Any
) -> None:
    found_by(client, "e")
    with django_assert_num_queries(PALETTE_QUERIES):
        found_by(client, "e")


PALETTE_QUERIES = 7 + (4 if connection.vendor == "postgresql" else 0)
