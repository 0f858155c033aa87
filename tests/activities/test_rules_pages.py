"""What the pages of rules say: their conditions as sentences, and everything that is wrong at once."""

from __future__ import annotations

import pytest
from django.utils import timezone

from activities.models import PublishRule
from crm import events
from crm.members import deactivate_member
from crm.models import Notification
from crm.tenancy import scope
from tests.activities.test_rules import log, over_50, sent, signed_in
from tests.activities.test_rules import make as make_rule
from tests.factories import World


def test_a_condition_reads_on_after_the_types_name(world: World) -> None:
    ours, client = world.ours, signed_in(world.ours)
    with scope(ours.organization), events.door("page"):
        make_rule(ours, condition={"type": "and", "queries": [over_50(ours)]})
    page = " ".join(client.get("/o/ours/settings/rules/").content.decode().split())
    assert f"{ours.call.name}</span> is published where Users &gt; 50:" in page


def test_everything_wrong_with_a_rule_is_said_at_once(world: World) -> None:
    ours, client = world.ours, signed_in(world.ours)
    answer = client.post(
        "/o/ours/settings/rules/new/", sent(ours, do="save", name="", **{"r.0-v": "many", "a1-due_days": "soon"})
    )
    page = answer.content.decode()
    assert answer.status_code == 422
    for sentence in ("A rule needs a name", "“many”", "Days are a whole number"):
        assert sentence in page
    empty = client.post("/o/ours/settings/rules/new/", {"type": ours.type_row.public_id, "r-k": "group", "do": "save"})
    assert "A rule needs a name" in empty.content.decode() and "Say under “Then”" in empty.content.decode()
    assert not PublishRule.unscoped.exists()


def test_a_form_on_a_page_of_its_own_leads_to_the_lead(world: World) -> None:
    ours, client = world.ours, signed_in(world.ours)
    with scope(ours.organization):
        lead = f"/o/ours/leads/{ours.leads[0].public_id}/"
        form, values = f"{lead}log/{ours.type_row.public_id}/", {ours.fields["Qualified"]: "yes"}
    alone = client.post(form, values, headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{form}"})
    assert alone.status_code == 200 and alone.headers["HX-Redirect"].startswith(f"{lead}#acti_")
    for page in (lead, "["):  # the last one is no address
        there = client.post(form, values, headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"})
        assert "HX-Redirect" not in there.headers and "compose-done" in there.content.decode()


def test_the_owner_is_told_of_a_rule_that_fails_once_until_they_have_read_it(world: World) -> None:
    ours, client = world.ours, signed_in(world.ours)
    with scope(ours.organization), events.door("page"):
        rule = make_rule(ours, {"do": "notify", "text": "Look", "member": ours.superuser.public_id})
        deactivate_member(ours.admin, ours.superuser)
        for number in range(3):
            log(ours, number % 2)
        (note,) = Notification.objects.filter(membership=ours.admin, kind="rule")
        assert note.text == "The rule “Hot lead” failed: The member it names is no longer here."
        PublishRule.objects.update(last_error="")
        log(ours)
        assert Notification.objects.filter(kind="rule").count() == 1, "they have not read the first"
        Notification.objects.update(read_at=timezone.now())
        PublishRule.objects.update(last_error="")
        log(ours)
        assert Notification.objects.filter(kind="rule").count() == 2
    page = client.get(f"/o/ours/{note.path}")
    assert page.status_code == 200 and rule.public_id in note.path
    assert "It failed the last time" in page.content.decode()


@pytest.mark.parametrize("value", ["", "   "])
def test_a_condition_without_a_value_is_not_left_out_in_silence(world: World, value: str) -> None:
    """Saved without it, the rule would run for every activity of the type."""
    ours, client = world.ours, signed_in(world.ours)
    given = sent(ours, do="save", name="Often", **{"r.0-v": value})
    answer = client.post("/o/ours/settings/rules/new/", given)
    page = " ".join(answer.content.decode().split())
    assert answer.status_code == 422 and "This condition needs a value. Give it one, or take it out." in page
    assert "Nothing is saved: a condition needs a value." in page and 'value="Often"' in page
    assert not PublishRule.unscoped.exists()
    assert client.post("/o/ours/settings/rules/new/", sent(ours, do="save", name="Often")).status_code == 302
    rule = PublishRule.unscoped.get()
    before = (rule.condition, rule.name)
    assert client.post(f"/o/ours/settings/rules/{rule.public_id}/", given).status_code == 422
    rule.refresh_from_db()
    assert (rule.condition, rule.name) == before


def test_the_address_of_a_refusal_alone_leads_to_the_list(world: World) -> None:
    client = signed_in(world.ours)
    for section in ("rules", "forms"):
        assert client.get(f"/o/ours/settings/{section}/new/").headers["Location"] == f"/o/ours/settings/{section}/"
        assert client.get(f"/o/ours/settings/{section}/new/?type=actitype_none").status_code == 404
