"""Every node, condition, moment and expression of the old text language that clients send (`spec/api.md` 2.18 and 2.8)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from activities.models import ActivityType
from activities.queries import type_catalog
from activities.services.activities import log_activity
from crm import events
from crm.customfields.catalog import touch_schema
from crm.errors import InvalidInput
from crm.teams import create_team
from crm.tenancy import scope
from leads.models import Contact
from leads.search import legacy
from leads.search.builder import Block, Condition
from leads.search.reading import from_tree
from leads.search.run import parse, run
from leads.search.sentences import sentence
from leads.search.sources import LEAD, source_named
from leads.services import create_contact, create_lead, create_task, delete_lead, update_task
from tests.factories import Tenant, World
from tests.leads.test_search_language import column, names


@pytest.fixture
def ours(world: World) -> Any:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


PERIODS = [f"{which}-{unit}" for which in ("this", "last", "next") for unit in ("week", "month", "quarter", "year")]
OFFSET = {"years": 0, "months": 0, "weeks": 0, "days": 0, "hours": 2, "minutes": 0, "seconds": 0}


MOMENTS: list[Any] = [
    {"type": "now"}, {"type": "fixed_utc", "value": "2024-01-02T03:04:05+00:00"}, "2024-01-02T03:04:05Z",
    *({"type": "fixed_local_date", "value": "2026-02-18", "which": which} for which in ("start", "end")),
    *({"type": "start_end_of_predefined_relative_period", "range": name, "which": "start"}
      for name in ("today", "yesterday", "tomorrow", *PERIODS)),
    *({"type": "offset", "direction": direction, "moment": {"type": "now"}, "offset": OFFSET, "which_day_end": "start"}
      for direction in ("past", "future")),
]  # fmt: skip
EVERYBODY = ["Acme", "Bluth", "Cyberdyne"]


def test_every_moment_bounds_a_range(ours: Tenant) -> None:
    for moment in MOMENTS:
        found = [
            names(ours, column("date_created", {"type": "moment_range", side: moment}))
            for side in ("on_or_after", "before", "gte", "lt")
        ]
        assert sorted(found[0] + found[1]) == EVERYBODY and found[2:] == found[:2], moment


def test_what_shipped_clients_write(ours: Tenant) -> None:
    me = ours.admin.user.public_id
    for text, expected in {
        f'sms( date >= "2020-01-01" date < "2099-01-01" status:sent direction:outbound user:{me} )': [],
        'not sms( date >= "2020-01-01" )': EVERYBODY,
        "name:Acme ": ["Acme"],
        "(bluth) slice:1/1": ["Bluth"],
        'sort:-name name:"Acme"': ["Acme"],
        'status:"Potential" has:phone_numbers': EVERYBODY,
    }.items():
        assert names(ours, legacy.read(text, ours.admin).tree) == expected, text


def test_every_node_and_condition_finds_something(ours: Tenant) -> None:
    acme = ours.leads[0]
    maker = acme.created_by
    assert maker is not None
    asked: list[tuple[dict[str, Any], list[str]]] = [
        ({"type": "id", "value": acme.public_id}, ["Acme"]),
        ({"type": "text", "value": "hello@acme.example", "mode": "phrase"}, ["Acme"]),
        ({"type": "match_all"}, EVERYBODY),
        ({"type": "match_all", "negate": True}, []),
        ({"type": "and", "queries": []}, EVERYBODY),
        *((column("name", {"type": "text", "value": text, "mode": mode}), ["Cyberdyne"]) for text, mode in (
            ("cyberdyne", "full_words"), ("Cyberdyne", "phrase"), ("cyb", "beginning_of_words"), ("cyberdyne", "exact_value"))),
        (column("status_id", {"type": "reference", "reference_type": "status.lead", "object_ids": [acme.status.public_id]}),
         EVERYBODY),
        (column("created_by", {"type": "reference", "reference_type": "user", "object_ids": [maker.public_id]}), EVERYBODY),
        (column("created_by", {"type": "current_user"}), EVERYBODY if maker == ours.admin.user else []),
        (column("contacts_count", {"type": "number_range", "gt": 0, "lte": 1}), EVERYBODY),
        *((column(name, {"type": "number_range", "gte": 1}), EVERYBODY)
          for name in ("num_phone_numbers", "num_email_addresses")),
        *((column(name, {"type": "number_range", "gte": 1}), []) for name in ("addresses_count", "all_urls_count")),
        *((column(name, {"type": "number_range", "lte": 0}), EVERYBODY) for name in ("addresses_count", "all_urls_count")),
        *(({"type": "has_related", "this_object_type": "lead", "related_object_type": "contact", "related_query": {
            "type": "field_condition", "field": {"type": "regular_field", "object_type": "contact", "field_name": name},
            "condition": {"type": "number_range", "gte": 1}}}, expected)
          for name, expected in (("emails_count", EVERYBODY), ("phones_count", EVERYBODY), ("urls_count", []))),
        (column("url", {"type": "exists"}), []),
        ({"type": "has_related", "this_object_type": "lead", "related_object_type": "contact_email", "related_query": {
            "type": "field_condition", "field": {"type": "regular_field", "object_type": "contact_email", "field_name": "email"},
            "condition": {"type": "text", "value": "hello@acme.example", "mode": "exact_value"}}}, ["Acme"]),
    ]  # fmt: skip
    for tree, expected in asked:
        assert names(ours, tree) == expected, tree


def has(name: str, query: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    inner = query or {"type": "match_all"}
    return {
        "type": "has_related",
        "this_object_type": "lead",
        "related_object_type": name,
        "related_query": inner,
        **more,
    }


@pytest.fixture
def called(ours: Tenant) -> Tenant:
    """Acme: called on 1 March for 10 s and on 1 May for 60 s, by Ann, and called us on 1 April. Bluth: one note. A task each."""
    acme, bluth, cyber = ours.leads
    call, note = (type_catalog(ours.organization).builtin(slug) for slug in ("call", "note"))
    with events.door("api"):
        for month, way, seconds in ((3, "outbound", "10"), (4, "inbound", "5"), (5, "outbound", "60")):
            log_activity(ours.admin, acme, call, custom={"direction": way, "duration": seconds},
                         activity_at=datetime(2026, month, 1, 12, tzinfo=UTC))  # fmt: skip
        log_activity(ours.admin, bluth, note, custom={"note": "x"}, activity_at=datetime(2026, 6, 1, 12, tzinfo=UTC))
    create_task(ours.admin, acme, "Call", due_date=date(2026, 7, 1))
    update_task(ours.admin, create_task(ours.admin, bluth, "Done", due_date=date(2026, 6, 1)), {"done": True})
    create_task(ours.admin, cyber, "Some day")
    return ours


def test_the_status_of_an_activity_is_read_as_far_as_it_is_known(called: Tenant) -> None:
    _, bluth, cyber = called.leads
    kinds = {slug: type_catalog(called.organization).builtin(slug) for slug in ("sms", "email", "meeting")}
    with events.door("api"):
        log_activity(called.admin, bluth, kinds["sms"], custom={"direction": "outbound", "text": "x"})
        log_activity(called.admin, cyber, kinds["sms"], custom={"direction": "inbound", "text": "x"})
        log_activity(called.admin, cyber, kinds["email"], custom={"direction": "outgoing", "subject": "x"})
    for text, expected in {
        "sms(status:sent)": ["Bluth"], "sms(status:inbox)": ["Cyberdyne"], "email(status:Sent)": ["Cyberdyne"],
        "email(status:inbox)": [], "call(status:completed)": ["Acme"], "call(status:draft)": [], "note(status:published)": ["Bluth"],
    }.items():  # fmt: skip
        assert names(called, legacy.read(text, called.admin).tree) == expected, text
    for text in ("meeting(status:completed)", "call(status:no-answer)", "email(status:scheduled)"):
        with pytest.raises(InvalidInput) as refused:
            legacy.read(text, called.admin)
        assert "cannot be searched here. Use one of: " in refused.value.fields["query"], text


def number(**bounds: Any) -> dict[str, Any]:
    return {"type": "number_range", **bounds}


def when(**bounds: Any) -> dict[str, Any]:
    return {"type": "moment_range", **bounds}


def test_numbers_and_dates_worked_out_from_what_belongs_to_a_lead(called: Tenant) -> None:
    nobody: list[str] = []
    others = ["Bluth", "Cyberdyne"]
    may = "2026-05-01T00:00:00Z"
    asked: list[tuple[str, dict[str, Any], list[str]]] = [
        ("num_calls", number(gte=3), ["Acme"]), ("num_calls", number(gt=3), nobody), ("num_calls", number(gte=3, lte=3), ["Acme"]),
        ("num_calls", number(lt=1), others), ("num_calls", number(gt=0.5, lt=3.5), ["Acme"]), ("num_calls", number(lt=0), nobody),
        ("num_calls", number(gte=0), EVERYBODY), ("num_calls", {"type": "exists"}, EVERYBODY),
        ("num_outgoing_calls", number(gte=2, lte=2), ["Acme"]), ("num_received_calls", number(gte=1, lte=1), ["Acme"]),
        ("num_notes", number(gte=1), ["Bluth"]), ("num_sms", number(gte=1), nobody),
        ("times_communicated", number(gte=3), ["Acme"]), ("times_communicated", number(lte=0), others),
        ("last_call_date", when(gte=may), ["Acme"]), ("last_call_date", when(before=may), nobody),
        ("last_call_created", {"type": "exists"}, ["Acme"]),
        ("first_call_date", when(before="2026-03-02T00:00:00Z"), ["Acme"]), ("first_call_date", when(on_or_after=may), nobody),
        ("last_outgoing_call_date", when(gte="2026-04-02T00:00:00Z", lt="2026-05-02T00:00:00Z"), ["Acme"]),
        ("last_incoming_call_date", when(gte=may), nobody), ("first_incoming_call_date", when(gte="2026-03-02T00:00:00Z"), ["Acme"]),
        ("last_communication_date", when(gte=may), ["Acme"]), ("first_communication_date", when(gte=may), nobody),
        ("last_note_date", when(gte="2026-05-31T00:00:00Z"), ["Bluth"]),
        ("last_call_duration", number(gte=60, lte=60), ["Acme"]), ("last_call_duration", number(lt=60), nobody),
        ("last_call_duration", {"type": "exists"}, ["Acme"]), ("last_call_user_id", {"type": "current_user"}, ["Acme"]),
        ("num_tasks", number(gte=1), EVERYBODY), ("num_incomplete_tasks", number(gte=1), ["Acme", "Cyberdyne"]),
        ("num_completed_tasks", number(gte=1), ["Bluth"]), ("next_task_due_date", when(before="2027-01-01T00:00:00Z"), ["Acme"]),
        ("next_task_due_date", when(gte="2026-07-01", lt="2026-07-02"), ["Acme"]), ("next_task_due_date", when(lt="2026-07-01"), nobody),
        ("next_task_due_date", when(gte="2026-07-01T12:00:00-04:00"), nobody), ("next_task_due_date", when(lt="2026-07-01T12:00:00-04:00"), ["Acme"]),
        ("num_contacts", number(gte=1), EVERYBODY), ("num_addresses", number(gte=1), nobody),
        ("num_opportunities", number(gte=1), nobody), ("num_won_opportunities", number(lte=0), EVERYBODY),
    ]  # fmt: skip
    for name, condition, expected in asked:
        tree = column(name, condition)
        assert names(called, tree) == expected, (name, condition)
        turned = sorted(set(EVERYBODY) - set(expected))
        assert names(called, {**tree, "negate": True}) == turned, (name, condition)


def test_results_are_sorted_by_them(called: Tenant) -> None:
    for name in ("num_calls", "last_call_date", "last_call_created"):
        sort = [{"direction": "desc", "field": {"type": "regular_field", "object_type": "lead", "field_name": name}}]
        first = run(called.admin, parse({"type": "match_all"}, called.admin), sort=sort, limit=1).ids[0]
        assert first == called.leads[0].pk, name


def test_who_may_not_see_calls_counts_none(called: Tenant) -> None:
    call = type_catalog(called.organization).builtin("call")
    assert call is not None
    everybody_else = [member.role_id for member in called.members if member.role_id != called.restricted.role_id]
    ActivityType.objects.filter(pk=call.id).update(view_roles=everybody_else)
    touch_schema(called.organization)
    asked = {"num_calls": number(gte=1), "last_call_duration": number(gte=1), "times_communicated": number(gte=1),
             "last_call_date": {"type": "exists"}, "num_outgoing_calls": number(gte=1)}  # fmt: skip
    for name, condition in asked.items():
        found = run(called.restricted, parse(column(name, condition), called.restricted)).ids
        assert found == () and names(called, column(name, condition)) == ["Acme"], name


def test_fields_of_built_in_kinds_go_by_the_names_of_the_api(called: Tenant) -> None:
    def of_call(name: str, condition: dict[str, Any]) -> list[str]:
        return names(called, has("activity.call", column(name, condition, "activity.call")))

    assert of_call("duration", number(gte=60)) == ["Acme"] and of_call("duration", number(gt=60)) == []
    for way in ("inbound", "incoming", "outgoing"):
        assert of_call("direction", {"type": "term", "values": [way]}) == ["Acme"], way
    with pytest.raises(InvalidInput, match="no field of call activities"):
        of_call("shoe", {"type": "exists"})


def test_types_of_emails_and_whole_addresses(ours: Tenant) -> None:
    lead = create_lead(ours.admin, name="Zed", addresses=[{"address_1": "7 Rue X", "city": "Paris", "country": "FR"}])
    create_contact(ours.admin, lead, name="Zoe", emails=[{"email": "z@z.example", "type": "Büro"}], phones=["+4930123"])

    def of_point(name: str, condition: dict[str, Any]) -> list[str]:
        return names(ours, has(name, column("type", condition, name)))

    assert of_point("contact_email", {"type": "term", "values": ["büro", "fax"]}) == ["Zed"]
    assert of_point("contact_email", {"type": "text", "value": "buro", "mode": "full_words"}) == ["Zed"]
    assert of_point("contact_email", {"type": "term", "values": ["office"]}) == EVERYBODY
    assert of_point("contact_phone", {"type": "exists"}) == [*EVERYBODY, "Zed"]
    place = {"type": "text", "value": "7 rue paris fr", "mode": "full_words"}
    assert names(ours, has("address", column("location", place, "address"))) == ["Zed"]


def test_what_is_not_kept_may_be_asked_and_there_is_none(ours: Tenant) -> None:
    won = {"type": "field_condition", "field": {"type": "regular_field", "object_type": "opportunity", "field_name": "status_type"},
           "condition": {"type": "term", "values": ["won"]}}  # fmt: skip
    for name in ("opportunity", "custom_object", "activity.form_submission"):
        assert names(ours, has(name, won)) == [] and names(ours, has(name, won, negate=True)) == EVERYBODY
        assert names(ours, has(name, count={"gte": 1})) == [] and names(ours, has(name, count={"lte": 3})) == EVERYBODY
    say = lambda tree: sentence(parse(tree, ours.admin))  # noqa: E731
    assert say(has("opportunity", won)) == "Leads where it has an opportunity"
    assert say(has("opportunity", won, negate=True)) == "Leads where it has no opportunity"
    assert say(column("num_calls", number(gte=2))) == "Leads with at least 2 calls"
    assert say(column("last_email_date", {"type": "exists"}) | {"negate": True}) == "Leads where Last email is empty"


def test_people_as_members_teams_or_whoever_asks(called: Tenant) -> None:
    """A shared view of a script is everybody's own book: it names `CURRENT_USER` among members and groups."""
    team = create_team(called.admin, "West", [called.admin])
    for who, expected in (
        ("CURRENT_USER", ["Acme"]), (called.admin.user.public_id, ["Acme"]), (team.public_id, ["Acme"]), (called.user.user.public_id, []),
    ):  # fmt: skip
        people = {"type": "reference", "reference_type": "user_or_group", "object_ids": [who]}
        assert names(called, has("activity.call", column("user_id", people, "activity.call"))) == expected, who
    mine = column(
        "created_by", {"type": "reference", "reference_type": "user_or_group", "object_ids": ["CURRENT_USER"]}
    )
    (shown,) = from_tree(mine, called.admin, LEAD, {}).children
    assert isinstance(shown, Condition) and (shown.op, shown.values) == ("any", ("me",))


def test_nothing_belongs_to_a_lead_or_contact_that_is_gone(called: Tenant) -> None:
    """A search that named it is still one, as Close answers; a typing error is not."""
    acme, gone = called.leads[0], create_lead(called.admin, name="Gone", contacts=[{"name": "Pat"}])
    lead, person = gone.public_id, Contact.objects.get(lead=gone).public_id
    delete_lead(called.admin, gone)
    for ids in ([lead], [lead, acme.public_id]):
        for condition in (
            {"type": "reference", "reference_type": "lead", "object_ids": ids},
            {"type": "term", "values": ids},
        ):
            found = names(called, has("contact", column("lead_id", condition, "contact")))
            assert found == (["Acme"] if len(ids) == 2 else []), condition
    named = {"type": "reference", "reference_type": "contact", "object_ids": [person]}
    assert names(called, has("activity", column("contact_id", named, "activity"))) == []
    with pytest.raises(InvalidInput, match="is not a value of Lead"):
        names(called, has("contact", column("lead_id", {"type": "term", "values": ["lead_nonsense!"]}, "contact")))


def test_a_view_of_a_script_is_read_into_the_builder(called: Tenant) -> None:
    call = type_catalog(called.organization).builtin("call")
    assert call is not None
    tree = has("activity.call", column("direction", {"type": "term", "values": ["outgoing"]}, "activity.call"))
    (block,) = from_tree(
        tree, called.admin, LEAD, {call.public_id: "activity.call", "actitype_x": "activity.custom_activity"}
    ).children
    assert isinstance(block, Block) and (block.what, block.how) == (f"t:{call.public_id}", "some")
    (shown,) = block.children
    calls = source_named(called.admin, "activity.call")
    assert calls is not None
    field = calls.named_field(called.admin, "direction")
    assert field is not None and isinstance(shown, Condition)
    found = [option.label for value in shown.values if (option := field.field.find_option(value))]
    assert found == ["outbound"]
