"""What clients of Close in the field send that no other test sends, asked of the whole stack: middleware, addresses, services.

No client runs here. Each was run by hand against a live server, and what went over the wire was written down in our words
with our data: Close's own scripts, the Ruby gem, nodes for n8n, Segment's destination, `close-dot-io` and a command line.
What a row looks for in the answer is what its client reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from crm.tenancy import scope
from leads.models import LeadStatus
from tests.api.conftest import Api
from tests.factories import World

pytestmark = pytest.mark.django_db
TREE = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}


@pytest.fixture
def api(world: World) -> Api:
    return Api(world.ours.admin)


@pytest.fixture
def told(api: Api, world: World) -> dict[str, str]:
    """The names a row may put into braces."""
    contact = {"name": "Gob Bluth", "emails": [{"email": "Gob@bluth.example"}], "phones": [{"phone": "+16505550100"}]}
    lead = api.post("lead/", {"name": "Bluth Company", "contacts": [contact]})
    due = api.post("task/", {"lead_id": lead["id"], "text": "Due", "due_date": "2020-01-31"})["id"]
    later = api.post("task/", {"lead_id": lead["id"], "text": "Later", "date": "2099-01-31T10:00:00+00:00"})["id"]
    whenever = api.post("task/", {"lead_id": lead["id"], "text": "Whenever"})["id"]
    with scope(world.ours.organization):
        status = LeadStatus.objects.get(pk=world.ours.leads[0].status_id).public_id
    view = api.post("saved_search/", {"name": "Wire view", "s_query": {"query": TREE}})["id"]
    meeting = api.post("activity/meeting/", {"lead_id": lead["id"], "title": "Demo"})["id"]
    call = api.post("activity/call/", {"lead_id": lead["id"], "direction": "inbound", "status": "no-answer"})["id"]
    activity = api.post(
        "activity/custom/", {"lead_id": lead["id"], "custom_activity_type_id": world.ours.call.public_id}
    )["id"]
    return {
        "view": view, "meeting": meeting, "call": call, "activity": activity, "lead": lead["id"], "contact": lead["contacts"][0]["id"], "due": due, "later": later, "whenever": whenever, "key": api.key,
        "me": world.ours.admin.user.public_id, "organization": world.ours.organization.public_id, "status": status,
        "type": world.ours.call.public_id,
    }  # fmt: skip


@dataclass
class Row:
    """`who` sends `method path` with `body`; `holds` are keys of the answer and their values, ... for any."""

    who: str
    method: str
    path: str
    body: Any = None
    holds: Any = None
    status: int = 200

    def __str__(self) -> str:
        return f"{self.who}: {self.method} {self.path}"[:90]


def q(path: str, **params: Any) -> str:
    return f"{path}?{urlencode(params, safe='{}')}"


def asks(of: str, name: str, condition: dict[str, Any]) -> dict[str, Any]:
    """What a node that finds or makes records asks `/data/search/`."""
    field = {"type": "regular_field", "object_type": of, "field_name": name}
    node = {"type": "field_condition", "field": field, "condition": condition}
    return {"query": {"type": "and", "queries": [{"type": "object_type", "object_type": of}, node]}, "_limit": 100}


ROWS = [
    # Scripts that look whether somebody is there already, each in its own spelling.
    *(
        Row("scripts", "GET", q("contact/", query=query), holds={"data": [{"id": "{contact}"}]})
        for query in (
            'email:"gob@bluth.example"', "email:gob@bluth.example", 'email_address:"GOB@bluth.example"', 'email:"gob@bluth.example" or phone:"+49301"',
            'lead_id:{lead} name:Gob', "gob@bluth.example", 'NOT email:"nobody@bluth.example" Gob',
        )
    ),
    Row("scripts", "GET", q("contact/", query='email:"nobody@bluth.example"'), holds={"data": []}),
    *(Row("scripts", "GET", q("contact/", query=query), holds={"data": [{"id": "{contact}"}]})
      for query in ('phone:"+16505550100"', "phone:16505550100", 'phone_number:"+1 650-555-0100"')),
    Row("scripts", "GET", q("contact/", query='phone:"+16505550199"'), holds={"data": []}),
    Row("scripts", "GET", q("contact/", query='email:"nobody'), holds={"field-errors": {"query": ...}}, status=400),
    # Segment's destination tries its key.
    Row("Segment", "GET", q("me/", _fields="id"), holds={"id": "{me}"}),
    # The gem: addresses end in a slash, lists are walked by `_skip` alone, and a change may be of nothing.
    Row("gem", "GET", q("lead/", _skip=0), holds={"data": ..., "has_more": ..., "total_results": ...}),
    Row("gem", "PUT", "lead/{lead}/", {}, {"id": "{lead}"}),
    Row("gem", "GET", "sequence_schedule/", holds={"data": [], "has_more": False}),
    Row("gem", "GET", "email_account/", holds={"data": [], "has_more": False}),
    Row("gem", "POST", "saved_search/", {"name": "Gem", "query": 'lead_status:"Potential"'}, {"id": ..., "s_query": ...}),
    # Nodes for n8n.
    Row("n8n", "GET", q("group/", _fields="name"), holds={"data": [], "has_more": False}),
    Row("n8n", "GET", q("organization/{organization}/", _fields="inactive_memberships"), holds={"inactive_memberships": []}),
    Row("n8n", "GET", q("task/", lead_id="{lead}", due_date__gte="2020-02-01", is_complete="false"), holds={"data": [{"id": "{later}"}]}),
    Row("n8n", "GET", q("task/", lead_id="{lead}", due_date__lte="2020-02-01"), holds={"data": [{"id": "{due}"}]}),
    Row("n8n", "GET", q("lead/", _limit=200, _order_by="-date_updated", status_id="{status}"), holds={"data": [{"id": "{lead}"}, ..., ..., ...]}),
    Row("n8n", "GET", q("lead/", _limit=1, status_id="stat_nonsense", date_created__gte="2020-01-01T00:00:00.000Z"), holds={"data": []}),
    Row("n8n", "GET", q("lead/", _limit=1, date_created__gte="2099-01-01T00:00:00.000Z"), holds={"data": [], "total_results": 0}),
    Row("n8n", "GET", q("activity/custom/", _order_by="-date_created", _limit=1, date_created__gte="2020-01-01T00:00:00.000Z"),
        holds={"data": [{"custom_activity_type_id": ..., "status": ...}]}),
    Row("n8n", "PUT", "lead/{lead}/", {"name": "Bluth & Sons", "addresses": [{"label": "business", "city": "Berlin", "country": "DE"}]},
        {"display_name": "Bluth & Sons", "addresses": [{"city": "Berlin"}]}),
    Row("n8n", "POST", "activity/call/", {"lead_id": "{lead}", "direction": "outbound", "disposition": "vm-left"}, {"disposition": "vm-left"}),
    Row("n8n", "POST", "activity/sms/", {"lead_id": "{lead}", "text": "Hi", "direction": "outbound", "status": "outbox"}, {"status": "outbox"}),
    Row("n8n", "POST", "activity/email/",
        {"lead_id": "{lead}", "contact_id": "{contact}", "user_id": "{me}", "sender": "Ann <ann@acme.example>", "to": ["gob@bluth.example"],
         "status": "outbox", "subject": "Hi", "body_html": "<p>Hi</p>", "cc": ["buster@bluth.example"]},
        {"status": "outbox", "cc": ["buster@bluth.example"], "envelope": {"from": [{"name": "Ann", "email": "ann@acme.example"}]}}),
    Row("n8n", "POST", "activity/custom/", {"lead_id": "{lead}", "custom_activity_type_id": "{type}", "activity_at": "2026-01-02T10:00:00.000Z", "status": "draft"},
        {"activity_at": "2026-01-02T10:00:00+00:00"}),
    Row("n8n", "POST", "webhook/", {"url": "https://n8n.example/x", "events": [{"object_type": "unsubscribed_email", "action": "created"}]},
        {"id": ..., "signature_key": ...}, 201),
    Row("n8n", "GET", q("activity/", _type="Call", _limit=5), holds={"data": ..., "has_more": ...}),
    Row("n8n", "GET", q("activity/meeting/{meeting}/", _fields="transcripts"), holds={}),
    Row("n8n", "POST", q("activity/sms/", send_to_inbox="true"), {"lead_id": "{lead}", "to": ["+16505550100"], "local_phone": "+16505550101", "status": "inbox",
        "text": "Hi", "send_in": 60}, {"status": "inbox", "direction": "inbound", "local_phone": "+16505550101"}),
    Row("n8n", "POST", "activity/email/", {"lead_id": "{lead}", "to": ["gob@bluth.example"], "subject": "Hi", "status": "draft", "followup_date": "2099-01-01", "send_in": 60},
        {"status": "draft", "to": ["gob@bluth.example"]}),
    Row("n8n", "POST", "activity/call/", {"lead_id": "{lead}", "_type": "Call", "note_html": "<p>Hi</p>", "status": "completed"}, {"_type": "Call", "note": "Hi"}),
    Row("n8n", "PUT", "activity/custom/{activity}/", {"lead_id": "{lead}", "status": "draft", "note": "is no field"}, {"id": "{activity}", "status": "draft"}),
    Row("n8n", "POST", "status/lead/", {"label": "Wire", "type": "active"}, {"label": "Wire"}),
    Row("n8n", "POST", "data/search/", asks("contact", "lead_id", {"type": "term", "values": ["{lead}"]}), {"data": [{"id": "{contact}"}], "cursor": None}),
    Row("n8n", "POST", "data/search/", asks("contact", "id", {"type": "term", "values": ["{contact}"]}), {"data": [{"id": "{contact}"}]}),
    Row("n8n", "POST", "data/search/", asks("lead", "created_by", {"type": "term", "values": ["{me}"]}), {"data": ...}),
    Row("n8n", "POST", "data/search/", asks("lead", "contacts_count", {"type": "number", "value": 99}), {"data": []}),
    # A server for assistants, made of Close's published description.
    Row("assistant", "POST", "saved_search/", {"name": "Tree", "query": TREE}, {"s_query": {"query": TREE}}),
    Row("assistant", "POST", "saved_search/", {"name": "Wrapped", "query": {"query": TREE, "sort": []}}, {"s_query": {"query": TREE}}),
    Row("assistant", "GET", q("task/", view="inbox", lead_id="{lead}"), holds={"data": [{"id": "{whenever}"}, {"id": "{due}"}]}),
    Row("assistant", "GET", q("task/", view="future"), holds={"data": [{"id": "{later}"}]}),
    Row("assistant", "GET", q("task/", view="archive", lead_id="{lead}"), holds={"data": []}),
    Row("assistant", "GET", q("task/", view="elsewhere"), holds={"field-errors": {"view": ...}}, status=400),
    Row("assistant", "GET", q("task/", id="{later}"), holds={"data": [{"id": "{later}"}]}),
    Row("assistant", "GET", q("task/", id__in="{later},{due}", _order_by="date"), holds={"data": [{"id": "{due}"}, {"id": "{later}"}]}),
    Row("assistant", "PUT", q("task/", id__in="{due},{later}"), {"is_complete": True}, {"data": [{"id": "{due}", "is_complete": True}, {"id": "{later}"}]}),
    Row("assistant", "PUT", "task/", {"is_complete": True}, {"field-errors": {"id__in": ...}}, 400),
    Row("n8n", "PUT", q("task/", lead_id="{lead}", is_complete="false", date__lt="2020-02-01", _type="lead"), {"assigned_to": "{me}", "date": "2026-05-01"},
        {"data": [{"id": "{due}", "assigned_to": "{me}", "date": "2026-05-01"}]}),
    Row("n8n", "PUT", q("task/", id__in="{due}"), {"text": "No"}, {"field-errors": {"text": ...}}, 400),
    Row("n8n", "POST", "saved_search/", {"name": "Shared", "s_query": {"query": TREE}, "sharing_settings": {"whole_org": True, "group_ids": [], "user_ids": ["{me}"]}},
        {"is_shared": True, "sharing_settings": {"whole_org": True, "group_ids": []}}),
    Row("gem", "GET", q("report/statuses/lead/{organization}/", date_start="2020-01-01", date_end="2099-01-01"),
        holds={"status_overview": ..., "status_transitions": ..., "status_transitions_summary": ...}),
    Row("n8n", "PUT", q("task/", lead_id="{lead}", _type="opportunity_due"), {"is_complete": True}, {"data": []}),
    Row("assistant", "GET", "scheduling_link", holds={"data": []}),
    Row("assistant", "GET", "unsubscribe/email", holds={"data": []}),
    # A command line for agents: it knows people by name, and days by what is past.
    Row("command line", "GET", q("contact/", query="gob@bluth.example", _limit=50), holds={"data": [{"id": "{contact}"}]}),
    Row("command line", "GET", q("contact/", query="Gob Bluth"), holds={"data": [{"id": "{contact}"}]}),
    Row("command line", "GET", q("contact/", query="Nobody at all"), holds={"data": []}),
    Row("command line", "GET", q("task/", _order_by="date", is_complete="false", date__lt="2020-02-01"), holds={"data": [{"id": "{due}"}]}),
    Row("command line", "GET", q("task/", _order_by="date", lead_id="{lead}"), holds={"data": [{"id": "{due}"}, {"id": "{later}"}, {"id": "{whenever}"}]}),
    Row("command line", "GET", q("task/", _order_by="-date", lead_id="{lead}"), holds={"data": [{"id": "{later}"}, {"id": "{due}"}, {"id": "{whenever}"}]}),
    Row("command line", "GET", q("activity/", _order_by="-date_created", _skip=0, _limit=10), holds={"data": ..., "has_more": ...}),
    # What programs in the field send that no published client does.
    Row("dashboard", "GET", q("activity/meeting/", _limit=200, _order_by="-date_created"), holds={"data": [{"id": "{meeting}"}], "has_more": False}),
    Row("dashboard", "GET", q("opportunity/", status_type__in="active,won", _order_by="-date_won", _limit=250, _group_by="user_id"),
        holds={"data": [], "total_results": 0, "expected_value_annualized": 0, "count_by_value_period": {}}),
    Row("calendar", "GET", q("activity/meeting/", provider_calendar_event_id="abc", starts_at__gte="2023-09-20"), holds={"data": []}),
    Row("export of contacts", "GET", q("contact/", query="Gob", _order_by="-date_updated", _fields="id,name"), holds={"data": [{"id": "{contact}"}]}),
    Row("lead matching", "GET", q("lead/", query="phone:16505550100"), holds={"data": [{"id": "{lead}"}]}),
    Row("lead matching", "GET", q("lead/", query='email_address:"gob@bluth.example"', _fields="id"), holds={"data": [{"id": "{lead}"}]}),
    Row("batch upload", "POST", "lead/", {"name": "Row 7", "custom": {}, "addresses": [{"address_1": "1 Main St [old]", "type": "business"}],
        "contacts": [{"name": "Row 7", "phones": [{"phone": "650 555 0199", "type": "mobile"}]}]}, {"addresses": [{"address_1": "1 Main St [old]"}]}),
    Row("documentation", "POST", "task/", {"_type": "outgoing_call", "lead_id": "{lead}", "assigned_to": "{me}", "date": "2026-12-01"},
        {"text": "Call", "date": "2026-12-01", "assigned_to": "{me}"}),
    Row("documentation", "POST", "task/", {"_type": "lead", "lead_id": "{lead}"}, {"field-errors": {"text": ...}}, 400),
    Row("documentation", "POST", "bulk_action/delete/", {"s_query": {**TREE, "queries": [*TREE["queries"], {"type": "id", "value": "{lead}"}]}, "send_done_email": False},
        {"status": "created", "n_objects": 1}),
    Row("documentation", "POST", "export/lead/", {"format": "csv", "type": "leads", "s_query": {"type": "and", "queries": [{"type": "id", "value": "{lead}"}]}},
        {"n_docs": 1, "status": "done"}),
    Row("documentation", "POST", "export/lead/", {"format": "csv", "type": "leads", "s_query": {"queries": []}}, {"field-errors": {"s_query": ...}}, 400),
    Row("documentation", "POST", "bulk_action/delete/", {"s_query": {"queries": []}}, {"field-errors": {"s_query": ...}}, 400),
    # Close's own scripts.
    Row("bulk_download_call_recordings", "GET", q("activity/call/{call}/", _fields="id,recording_url,voicemail_url,duration,voicemail_duration"),
        holds={"duration": 0, "voicemail_duration": 0, "recording_url": None, "voicemail_url": None}),
    Row("delete_emails_from_contacts", "PUT", "contact/{contact}/", {"emails": []}, {"emails": [], "phones": [{"phone": "+16505550100"}]}),
    Row("bulk_update_address_countries", "GET", q("lead/", query="* sort:created", _skip=0, _fields="id,addresses"), holds={"data": ..., "has_more": ...}),
    Row("find_duplicate_leads", "GET", "api_key/{key}/", holds={"organization_id": "{organization}"}),
    Row("find_duplicate_leads", "GET", "api_key/api_nonsense/", holds={"error": ...}, status=404),
    Row("find_duplicate_leads", "GET", q("lead/", _skip=0, query="sort:created slice:1/1", _fields="id,display_name,contacts,status_label,date_created,url"),
        holds={"data": [{"contacts": ..., "display_name": ..., "date_created": ..., "url": ...}, ..., ..., {"id": "{lead}", "contacts": [{"emails": [{"email": "Gob@bluth.example"}]}]}]}),
    Row("export_calls", "GET", q("lead/", _limit=0, query="has:calls", _fields="id"), holds={"data": [], "total_results": ...}),
    Row("export_calls", "GET", q("lead/", query="(has:contacts) slice:1/1", _fields="id,contacts,display_name"), holds={"data": ..., "has_more": False}),
    Row("export_calls", "GET", q("activity/call/", _fields="id,cost,c,o,s,t", user_id="{me}", date_created__gte="2020-01-01", _skip=0), holds={"data": ...}),
    Row("user_reassign", "GET", q("user/{me}/", _fields="id,email"), holds={"id": "{me}", "email": ...}),
    Row("user_reassign", "GET", q("task/", assigned_to="{me}", _order_by="date_created", _skip=0, _fields="id", is_complete=False), holds={"data": ...}),
    Row("user_reassign", "GET", q("opportunity/", user_id="{me}", _order_by="date_created", status_type="active"), holds={"data": [], "has_more": False}),
    Row("events_by_request_id", "GET", q("event/", request_id="req_nonsense"), holds={"data": [], "cursor_next": None}),
    Row("export_activities", "GET", q("activity/status_change/lead/", _skip=0, date_created__gte="2020-01-01T00:00:00", date_created__lte="2020-01-01T23:59:59"),
        holds={"data": [], "has_more": False}),
    Row("clone_organization", "POST", "custom_field/lead", {"name": "Cloned", "type": "choices", "choices": ["A"], "is_shared": False, "created_by": "user_x",
        "date_created": "2020-01-01T00:00:00+00:00", "converting_to_type": None, "accepts_multiple_values": True, "editable_with_roles": []}, {"choices": ["A"]}),
    Row("transfer_leads", "POST", "lead/", {"name": "Moved", "url": "", "description": "", "status": "Potential", "addresses": [], "custom": {},
        "date_created": "2020-01-01T00:00:00+00:00", "date_updated": "2020-01-02T00:00:00+00:00",
        "contacts": [{"name": "Gob", "title": "", "phones": [], "emails": [], "urls": [], "date_created": "2020-01-01T00:00:00+00:00"}]},
        {"date_created": "2020-01-01T00:00:00+00:00", "contacts": [{"name": "Gob"}]}),
    Row("csv_to_cio", "POST", "lead/", {"name": "From a file", "url": "http://a.example", "custom": {}, "addresses": [{"city": "Palo Alto", "zipcode": "94301"}],
        "contacts": [{"name": "Ann", "title": "", "phones": [{"phone": "", "type": "office"}], "emails": [{"email": "", "type": "office"}]}]},
        {"contacts": [{"name": "Ann", "phones": [], "emails": []}]}),
    # Values in single quotes, as the gem writes them, and what else the text language is asked for.
    Row("gem", "GET", q("lead/", query="company:'Bluth Company'"), holds={"data": [{"id": "{lead}"}]}),
    Row("gem", "GET", q("lead/", query="lead_status:'Potential' name:'Bluth Company'", _fields="id"), holds={"data": [{"id": "{lead}"}]}),
    Row("gem", "GET", q("lead/", query="email:'gob@bluth.example'"), holds={"data": [{"id": "{lead}"}]}),
    Row("n8n", "GET", q("lead/", query='name:"Bluth Company" AND status_id:"{status}"'), holds={"data": [{"id": "{lead}"}]}),
    Row("n8n", "GET", q("lead/", query='description:"nothing of the kind"'), holds={"data": []}),
    Row("command line", "GET", q("lead/", query='status in (Potential, Customer) "Bluth Company"'), holds={"data": [{"id": "{lead}"}]}),
    Row("command line", "GET", q("lead/", query='"Bluth Company" status != "Potential"'), holds={"data": []}),
    Row("command line", "GET", q("lead/", query='"Bluth Company" and not opportunity(status:won value > 3)'), holds={"data": [{"id": "{lead}"}]}),
    Row("command line", "GET", q("lead/", query='contact_name:"Gob Bluth"'), holds={"data": [{"id": "{lead}"}]}),
    Row("delete_secondary_addresses", "GET", q("lead/", query="addresses > 1 sort:activities", _fields="id,addresses"), holds={"data": []}),
    Row("move_custom_field", "GET", q("lead/", query='"Bluth Company" not "custom.Migration completed":* sort:created'), holds={"data": [{"id": "{lead}"}]}),
    Row("move_custom_field", "GET", q("lead/", query='"custom.Source CRM":* sort:created'), holds={"data": []}),
    Row("smart views", "GET", q("lead/", query="has:opportunities"), holds={"data": []}),
    Row("export_sms", "GET", q("lead/", query='"Bluth Company" in:"Wire view"'), holds={"data": [{"id": "{lead}"}]}),
    Row("export_sms", "GET", q("lead/", query="(sms_messages > 0 in:{view}) slice:1/1"), holds={"data": []}),
    Row("export_sms", "GET", q("lead/", query='in:"No such view"'), holds={"field-errors": {"query": ...}}, status=400),
]  # fmt: skip


def filled(what: Any, told: dict[str, str]) -> Any:
    if isinstance(what, dict):
        return {key: filled(value, told) for key, value in what.items()}
    if isinstance(what, list):
        return [filled(value, told) for value in what]
    return re.sub(r"\{(\w+)\}", lambda found: told[found[1]], what) if isinstance(what, str) else what


def holds(answer: Any, wanted: Any) -> bool:
    """Does the answer hold these keys and values? Lists have as many entries as are wanted."""
    if wanted is ...:
        return True
    if isinstance(wanted, dict):
        return isinstance(answer, dict) and all(
            key in answer and holds(answer[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(answer, list) and len(answer) == len(wanted) and all(map(holds, answer, wanted))
    return bool(answer == wanted)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_answer_holds_what_the_client_reads(api: Api, told: dict[str, str], row: Row) -> None:
    answer = api.call(row.method, filled(row.path, told), filled(row.body, told), status=row.status)
    wanted = filled(row.holds, told)
    assert holds(answer, wanted), answer


# --- what takes several requests --------------------------------------------------------------------------------------
def ends(api: Api, lead: str, object_type: str) -> list[dict[str, Any]]:
    """What `restore_deleted_leads` asks for, page by page."""
    found, cursor = [], ""
    while cursor is not None:
        page = api.get(q("event/", object_type=object_type, action="deleted", _cursor=cursor, lead_id=lead))
        found += page["data"]
        cursor = page["cursor_next"]
    return found


def test_a_deleted_lead_is_made_again_of_its_events(api: Api, told: dict[str, str]) -> None:
    """Close's `restore_deleted_leads`: the last state of everything is posted as it is, with the ids taken out."""
    lead, contact = told["lead"], told["contact"]
    field = api.post("custom_field/lead/", {"name": "Wire", "type": "text"})["id"]
    api.put(f"lead/{lead}/", {f"custom.{field}": "kept", "description": "Bananas", "addresses": [{"city": "X"}]})
    call = {"lead_id": lead, "contact_id": contact, "direction": "inbound", "status": "no-answer", "duration": 0}
    api.post("activity/call/", {**call, "note": "Missed", "date_created": "2026-01-02T10:00:00+00:00"})
    api.post("activity/note/", {"lead_id": lead, "note": "A note"})
    api.post("activity/sms/", {"lead_id": lead, "text": "Hey", "direction": "inbound", "status": "inbox"})
    api.put(f"task/{told['due']}/", {"is_complete": True})
    before = api.get(f"lead/{lead}/")
    api.delete(f"lead/{lead}/")

    (end,) = ends(api, lead, "lead")
    state = end["previous_data"]
    assert end["data"] is None and state["id"] == lead and "contacts" not in state
    assert (state["display_name"], state["status_label"]) == (before["display_name"], before["status_label"])
    del state["id"]
    again = api.post("lead/", state)
    kept = ("name", "description", "status_id", "addresses", "date_created", "created_by", "custom", f"custom.{field}")
    assert {key: again[key] for key in kept} == {key: before[key] for key in kept}
    assert again["contacts"] == [], "they come back by events of their own"

    (gone,) = ends(api, lead, "contact")
    person = api.post("contact/", {**gone["previous_data"], "lead_id": again["id"]})
    assert (person["name"], person["emails"], person["phones"]) == tuple(
        before["contacts"][0][key] for key in ("name", "emails", "phones")
    )
    for kind in ("task.lead", "activity.call", "activity.note", "activity.sms"):
        path = kind.removesuffix(".lead").replace(".", "/")
        for event in ends(api, lead, kind):
            whole = {**event["previous_data"], "lead_id": again["id"]}
            api.post(f"{path}/", {**whole, "contact_id": person["id"] if whole.get("contact_id") else None})
    tasks = {row["text"]: (row["date"], row["is_complete"]) for row in api.get(f"task/?lead_id={again['id']}")["data"]}
    assert tasks == {"Due": ("2020-01-31", True), "Later": ("2099-01-31", False), "Whenever": (None, False)}
    other, made = sorted(api.get(f"activity/call/?lead_id={again['id']}")["data"], key=lambda row: row["note"] or "")
    assert (made["status"], made["direction"], made["note"]) == ("no-answer", "inbound", "Missed")
    assert (other["status"], other["contact_id"]) == ("no-answer", None)
    assert (made["date_created"], made["contact_id"]) == ("2026-01-02T10:00:00+00:00", person["id"])
    assert api.get(f"activity/note/?lead_id={again['id']}")["data"][0]["note"] == "A note"
    assert api.get(f"activity/sms/?lead_id={again['id']}")["data"][0]["status"] == "inbox"


def test_reports_on_merged_and_deleted_leads_find_names_and_statuses(api: Api, told: dict[str, str]) -> None:
    """Close's `run_leads_merged_report` and `run_leads_deleted_report`; the destination is gone as well by then."""
    source = api.post("lead/", {"name": "Source"})["id"]
    api.post("lead/merge/", {"source": source, "destination": told["lead"]})
    api.put(f"lead/{told['lead']}/", {"name": "Another name"})
    api.delete(f"lead/{told['lead']}/")
    (merged,) = api.get("event/?object_type=lead&action=merged&_cursor=")["data"]
    assert (merged["data"]["display_name"], merged["data"]["status_label"]) == ("Bluth Company", "Potential")
    assert merged["meta"]["merge_source_lead_id"] == source
    (end,) = api.get(f"event/?object_type=lead&action=deleted&object_id={source}")["data"]
    assert (end["previous_data"]["display_name"], end["previous_data"]["status_label"]) == ("Source", "Potential")
    deleted = {
        row["previous_data"]["display_name"] for row in api.get("event/?object_type=lead&action=deleted")["data"]
    }
    assert deleted == {"Source", "Another name"}


def test_what_follows_from_others_is_as_it_was_then(api: Api, told: dict[str, str]) -> None:
    from tests.api.test_events import apart

    statuses = api.get("status/lead/")["data"]
    field = api.post("custom_field/lead/", {"name": "Wire", "type": "text"})["id"]
    lead = api.post("lead/", {"name": "First", "status_id": statuses[0]["id"], f"custom.{field}": "a"})["id"]
    api.put(f"lead/{lead}/", {"name": "Second", "status_id": statuses[1]["id"], f"custom.{field}": "b"})
    apart(object_type="lead")
    second, first = api.get(f"event/?object_id={lead}")["data"]
    shown = [
        (event["data"]["display_name"], event["data"]["status_label"], event["data"]["custom"]["Wire"])
        for event in (first, second)
    ]
    assert shown == [("First", statuses[0]["label"], "a"), ("Second", statuses[1]["label"], "b")]


def test_a_second_publication_tells_of_the_first(api: Api, told: dict[str, str]) -> None:
    """The n8n trigger for first publications alone passes over events whose `previous_data` has a `last_published_at`."""
    from tests.api.test_events import apart

    body = {"lead_id": told["lead"], "custom_activity_type_id": told["type"], "status": "draft"}
    made = api.post("activity/custom/", body)["id"]
    for status in ("published", "draft", "published"):
        api.put(f"activity/custom/{made}/", {"status": status})
    apart(object_type="activity.custom_activity", object_id__gt=0)
    again, back, first = api.get(f"event/?object_id={made}&action=updated")["data"]
    assert first["previous_data"]["last_published_at"] is None and first["data"]["last_published_at"]
    assert "last_published_at" not in back["changed_fields"]
    assert again["changed_fields"] == ["last_published_at", "status"]
    assert again["previous_data"] == {"last_published_at": first["data"]["last_published_at"], "status": "draft"}
    assert again["data"]["last_published_at"] > first["data"]["last_published_at"]


def test_gone_objects_show_nothing_that_was_hidden(world: World, told: dict[str, str]) -> None:
    """A deleted activity is told in full to those who could have seen its parts, and in these parts alone to others."""
    ours = world.ours
    admin, user = Api(ours.admin), Api(ours.user)
    from tests.factories import change_field

    with scope(ours.organization):
        change_field(ours, "Qualified", {"view_roles": [ours.admin.role_id]})
    hidden = f"custom.{ours.fields['Qualified']}"
    body = {"lead_id": told["lead"], "custom_activity_type_id": told["type"], hidden: "canary"}
    made = admin.post("activity/custom/", body)["id"]
    admin.delete(f"activity/custom/{made}/")
    (seen,) = admin.get(f"event/?object_id={made}&action=deleted")["data"]
    assert seen["previous_data"][hidden] == "canary" and seen["previous_data"]["_type"] == "CustomActivity"
    (shown,) = user.get(f"event/?object_id={made}&action=deleted")["data"]
    assert hidden not in shown["previous_data"] and "canary" not in str(shown)
