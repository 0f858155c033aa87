"""Make the demo organization once: real complaints through the CSV import, starter types, and recent activity by four members."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from activities.imports import run_now, set_mapping, start_run
from activities.queries import TypeInfo, type_catalog
from activities.services.bulk import Prepared, log_many
from activities.services.types import create_type, install_starters
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups
from crm.customfields.services import create_field
from crm.management.provision import join, provision_organization
from crm.models import FieldSet, ImportRun, Membership, Organization, Role
from crm.tenancy import scope
from leads.models import Lead, SmartView
from leads.search.builder import Block, Condition, Group, Part, Writer
from leads.services import create_contact, create_task, save_smart_view, update_lead
from leads.views.kinds import kind_named

SLUG = "demo"
ADMIN = ("maya@demo.example", "Maya", "Okafor")
MEMBERS = (
    ("tom@demo.example", "Tom", "Lindqvist", "superuser"),
    ("ines@demo.example", "Ines", "Caballero", "user"),
    ("ana@demo.example", "Ana", "Duarte", "user"),
    ("sam@demo.example", "Sam", "Whitfield", "restricteduser"),
)
FILE = settings.ROOT / "data" / "cfpb-complaints-2023.csv"
TYPE = "Consumer complaint"
# Column of the file → the kind of field made from it. The rest of the columns have their own meaning.
FIELDS = {
    "Product": "choices",
    "Sub-product": "choices",
    "Issue": "choices",
    "Sub-issue": "choices",
    "Consumer complaint narrative": "textarea",
    "Company public response": "textarea",
    "State": "choices",
    "ZIP code": "text",
    "Tags": "choices",
    "Consumer consent provided?": "choices",
    "Submitted via": "choices",
    "Date sent to company": "date",
    "Company response to consumer": "choices",
    "Timely response?": "checkbox",
    "Consumer disputed?": "checkbox",
    "Days to company": "number",
}
MEANINGS = {"Company": "lead_name", "Date received": "date_created", "Complaint ID": "external_id"}
PEOPLE = (
    ("Grace Adeyemi", "Head of Compliance"), ("Luis Ferrer", "Operations Manager"), ("Hanna Vogel", "Customer Care Lead"),
    ("Priya Raman", "VP Customer Experience"), ("Owen Clarke", "Risk Analyst"), ("Mei Tanaka", "Chief of Staff"),
    ("Jonas Weber", "Legal Counsel"), ("Rosa Marchetti", "Complaints Officer"),
)  # fmt: skip
NOTES = (
    "Asked for a summary of open complaints by product. They want it before the board meeting.",
    "Prefers email over phone. Reply within two working days.",
    "Interested in the quarterly benchmark. Send the Florida figures separately.",
    "New head of compliance started this month; introduce ourselves.",
    "They are comparing us with a spreadsheet. Show the Activity Comparison report.",
    "Said thank you for the fast answer on the disputed report.",
)
CALLS = (
    "Walked through the last ten complaints; two need a second answer.",
    "Left a message about the missing response dates.",
    "Agreed on a weekly list of new complaints every Monday.",
    "They will send the policy text by the end of the week.",
)


class Command(BaseCommand):
    help = __doc__

    def handle(self, **given: Any) -> None:
        organization = Organization.objects.filter(slug=SLUG).first()
        if organization and ImportRun.unscoped.filter(organization=organization, state=ImportRun.State.DONE).exists():
            self.stdout.write("The demo organization is there already; its data is kept.")
            return
        if organization:
            # A first run was interrupted: what it left is incomplete and nobody has used it.
            raise CommandError(
                "The demo organization is incomplete. Delete the database in DATA_DIR and run this again."
            )
        with transaction.atomic():
            admin = provision_organization(
                "Harbor Demo", SLUG, ADMIN[0], plan="scale", first_name=ADMIN[1], last_name=ADMIN[2]
            )
            with scope(admin.organization), events.door("system"):
                fill(admin)
        self.stdout.write(
            "The demo organization “Harbor Demo” is ready: 2,067 complaints about 177 companies, and more."
        )


def fill(admin: Membership) -> None:
    """Fill an empty organization; runs in its scope and one transaction."""
    members = [admin]
    for email, first, last, role in MEMBERS:
        found = Role.objects.get(slug=role)
        member = join(admin.organization, email, found, first_name=first, last_name=last)
        member.organization = admin.organization
        members.append(member)
    install_starters(admin)
    _import_complaints(admin)
    admin.organization.refresh_from_db()
    chance = random.Random(2023)
    leads = list(Lead.objects.order_by("pk"))
    chance.shuffle(leads)
    owner = create_field(admin, FieldSet.objects.get(owner="lead"), name="Owner", kind="user")
    _contacts_and_statuses(admin, leads[:60], chance)
    for index, lead in enumerate(leads[:120]):
        update_lead(admin, lead, {"custom": {owner.public_id: members[index % 4].user.email}})
    _recent(admin, members, leads, chance)
    _work(members, leads, chance)
    _views(admin)


def _import_complaints(admin: Membership) -> None:
    """Load the real file the way a person would: a type, its columns mapped, companies made as leads."""
    kind = create_type(
        admin, name=TYPE, description="A complaint received by the US Consumer Financial Protection Bureau in 2023.",
        icon="flag", color="red",
    )  # fmt: skip
    with _with_days(FILE) as path, path.open("rb") as content:
        run = start_run(admin, "activities", FILE.name, content)
    run = set_mapping(
        admin, run,
        {
            "mapping": MEANINGS | {column: f"new.{made}" for column, made in FIELDS.items()},
            "type_id": kind.public_id, "create_leads": True, "add_options": True, "empty_words": ["N/A"],
        },
    )  # fmt: skip
    run.state = ImportRun.State.CHECKED
    run.save(update_fields=["state"])
    run = run_now(admin, run)
    if run.counts.get("error"):
        raise CommandError(
            f"{run.counts['error']} rows of {FILE.name} were refused; the first reason is in Import & export."
        )


class _with_days:
    """A copy of the file with one more column: days between receiving a complaint and sending it to the company."""

    def __init__(self, source: Path) -> None:
        self.source = source

    def __enter__(self) -> Path:
        import csv
        import tempfile
        from datetime import date

        with self.source.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8", delete=False) as copy:
            writer = csv.DictWriter(copy, [*rows[0], "Days to company"])
            writer.writeheader()
            for row in rows:
                sent, received = row["Date sent to company"], row["Date received"]
                days = (date.fromisoformat(sent) - date.fromisoformat(received)).days if sent else ""
                writer.writerow(row | {"Days to company": days})
        self.path = Path(copy.name)
        return self.path

    def __exit__(self, *problem: object) -> None:
        self.path.unlink()


def _contacts_and_statuses(admin: Membership, leads: list[Lead], chance: random.Random) -> None:
    from leads.queries import statuses

    known = statuses()
    for index, lead in enumerate(leads):
        name, title = PEOPLE[index % len(PEOPLE)]
        domain = "".join(char for char in lead.name.lower() if char.isalnum())[:18] or "company"
        create_contact(
            admin, lead, name=name, title=title, emails=[f"{name.split()[0].lower()}@{domain}.example"],
            phones=[f"+1202555{chance.randint(100, 199):04}"],
        )  # fmt: skip
        if index % 2:
            update_lead(
                admin, lead, {"status": known[chance.choice((1, 2, 2, 3, 3, 4))], "url": f"https://{domain}.example"}
            )


def _recent(admin: Membership, members: list[Membership], leads: list[Lead], chance: random.Random) -> None:
    """Notes, calls, meetings and starter types over the last ninety days, more of them lately, on working hours."""
    kinds = {kind.name: kind for kind in type_catalog(admin.organization).types}
    lookups = Lookups(admin.organization)
    lookups.preload_leads(lead.pk for lead in leads)
    rows: list[Prepared] = []
    now = timezone.now()
    names = ["Note"] * 8 + ["Call"] * 9 + ["Meeting"] * 3 + ["Sales Qualifying Call"] * 5 + ["NPS Feedback"] * 4
    names += ["Intercom ticket"] * 4 + ["Stripe invoice"] * 3 + ["Connected on LinkedIn"] * 3 + ["Inbound Form"] * 2
    names += ["Customer Onboarding Checklist"] * 2
    weights = (5, 4, 6, 5, 2)
    for _ in range(700):
        day = now - timedelta(days=int(90 * chance.random() ** 1.4))
        at = datetime(day.year, day.month, day.day, chance.randint(8, 17), chance.randint(0, 59), tzinfo=UTC)
        if at > now:
            at = now - timedelta(minutes=chance.randint(1, 240))
        name = chance.choice(names)
        kind, member = kinds[name], chance.choices(members, weights)[0]
        lead = leads[min(int(chance.expovariate(1 / 35)), len(leads) - 1)]
        contacts = lookups.at(lead.pk).contacts
        raw = _values(name, chance, at, members)
        values = clean_values(
            admin, catalog(admin.organization).uses(kind.fieldset_id), _by_id(admin, kind, raw), current={},
            lookups=lookups.at(lead.pk), require=True, partial=True,
        )  # fmt: skip
        rows.append(
            Prepared(
                lead_id=lead.pk, kind=kind, values=values, user_id=member.user_id, created_by_id=member.user_id,
                date_created=at, activity_at=at, contact_id=contacts[0].id if contacts else None,
            )
        )  # fmt: skip
    log_many(admin, rows)


def _by_id(admin: Membership, kind: TypeInfo, raw: dict[str, Any]) -> dict[str, Any]:
    uses = catalog(admin.organization).uses(kind.fieldset_id)
    ids_of = {use.field.name: use.field.public_id for use in uses}
    return {ids_of[name]: value for name, value in raw.items()}


def _call(chance: random.Random) -> dict[str, Any]:
    """Return a call: one that nobody answered was ours, and neither took time nor left notes."""
    outcome = chance.choice(("answered", "answered", "no-answer", "vm-left", "busy"))
    if outcome == "answered":
        direction = chance.choice(("outbound", "outbound", "inbound"))
        spoken = {"Direction": direction, "Duration": chance.randint(60, 1900), "Notes": chance.choice(CALLS)}
    else:
        spoken = {"Direction": "outbound", **({"Duration": chance.randint(15, 50)} if outcome == "vm-left" else {})}
    return {"Disposition": outcome, **spoken}


def _values(name: str, chance: random.Random, at: datetime, members: list[Membership]) -> dict[str, Any]:
    day = at.date()
    made: dict[str, Any] = {
        "Note": lambda: {"Note": chance.choice(NOTES)},
        "Call": lambda: _call(chance),
        "Meeting": lambda: {
            "Title": chance.choice(("Quarterly review", "Introduction", "Complaint walk-through")),
            "Starts": at.isoformat(), "Ends": (at + timedelta(minutes=45)).isoformat(),
            "Location": chance.choice(("Video call", "Their office", "Harbor, room 2")),
        },
        "Sales Qualifying Call": lambda: {
            "Are they qualified?": chance.choice(("Yes", "Yes", "No", "Not sure yet")),
            "What is their current CRM?": chance.choice(("Close", "HubSpot", "Pipedrive", "Salesforce", "Spreadsheet", "None")),
            "How many users do they anticipate having?": chance.choice((3, 5, 8, 12, 20, 35, 60, 120)),
            "How did they hear about us?": chance.choice(("Search", "Partner referral", "Customer", "Event", "Podcast")),
            "What is their sales process like?": chance.choice(CALLS),
        },
        "NPS Feedback": lambda: {
            **chance.choice((
                {"Score": 10, "Comment": "Fast answers."}, {"Score": 10}, {"Score": 9, "Comment": "Fast answers."},
                {"Score": 9, "Comment": "Our analysts use it every day."}, {"Score": 9}, {"Score": 8},
                {"Score": 8, "Comment": "Please add a monthly summary."}, {"Score": 7, "Comment": "Good, once it is set up."},
                {"Score": 6, "Comment": "Hard to find old complaints."}, {"Score": 4, "Comment": "The report was late twice."},
                {"Score": 2, "Comment": "Nobody called us back."},
            )),
            "Answered on": at.isoformat(),
        },
        "Intercom ticket": lambda: {
            "Subject": chance.choice(("Cannot download the report", "Wrong state on two complaints", "New user needed")),
            "Status": chance.choice(("Open", "Waiting", "Solved", "Solved")),
            "Priority": chance.choice(("Low", "Normal", "Normal", "High", "Urgent")),
        },
        "Stripe invoice": lambda: {
            "Invoice number": f"HB-{chance.randint(1000, 9999)}", "Amount": chance.choice((490, 990, 1490, 2400, 5200)),
            "State": chance.choice(("Paid", "Paid", "Paid", "Open", "Uncollectible")),
            "Due": (day + timedelta(days=30)).isoformat(),
        },
        "Inbound Form": lambda: {
            "Form": "Website contact", "Email": "visitor@company.example",
            "Interested in": chance.choice((["Demo"], ["Pricing"], ["Demo", "Pricing"])),
            "Message": "We would like to see how complaints are tracked by state.",
        },
        "Customer Onboarding Checklist": lambda: {
            "Kick-off held": "yes", "Data imported": chance.choice(("yes", "no")), "Team invited": chance.choice(("yes", "no")),
            "Go-live date": (day + timedelta(days=14)).isoformat(), "Onboarding manager": chance.choice(members[:4]).user.email,
        },
    }.get(name, dict)  # fmt: skip
    return made()


def _work(members: list[Membership], leads: list[Lead], chance: random.Random) -> None:
    """Open tasks, so that nobody's list starts empty."""
    today = timezone.now().date()
    texts = (
        "Send the monthly complaint summary",
        "Call back about the disputed report",
        "Prepare the quarterly review",
    )
    for index, lead in enumerate(leads[:12]):
        member = members[index % 4]
        create_task(member, lead, texts[index % 3], due_date=today + timedelta(days=chance.randint(-2, 12)))


def _views(admin: Membership) -> None:
    """Shared Smart Views of leads and of activities, such as a team makes in its first week."""
    kinds = {kind.name: kind for kind in type_catalog(admin.organization).types}
    writer = Writer(admin, {kind.public_id: kind.event_type for kind in kinds.values()})
    fields = {
        (name, use.field.name): use.field.public_id
        for name, kind in kinds.items()
        for use in catalog(admin.organization).uses(kind.fieldset_id)
    }
    call, invoice, nps = (kinds[name].public_id for name in ("Sales Qualifying Call", "Stripe invoice", "NPS Feedback"))
    users = fields["Sales Qualifying Call", "How many users do they anticipate having?"]
    of_type = lambda kind: Condition(name="custom_activity_type_id", op="any", values=(kind,))  # noqa: E731
    views: tuple[tuple[str, str, list[Part], dict[str, Any]], ...] = (
        ("Qualified by phone", SmartView.Lists.LEADS, [Block(what=f"t:{call}")], {
            "columns": ["name", "status", f"last:{call}:{users}", "last_activity_at"], "sort": f"-last:{call}:{users}"}),
        ("Out of touch", SmartView.Lists.LEADS, [Condition(name="last_activity_at", op="not-last", values=("60", "days"))], {
            "description": "Nobody logged anything for 60 days. Somebody should call them."}),
        ("Unpaid invoices", SmartView.Lists.ACTIVITIES, [
            of_type(invoice), Condition(name=fields["Stripe invoice", "State"], op="any", values=("Open", "Uncollectible")),
        ], {}),
        ("Detractors", SmartView.Lists.ACTIVITIES, [
            of_type(nps), Condition(name=fields["NPS Feedback", "Score"], op="≤", values=("6",)),
        ], {"description": "Scores of 6 and below, and what was said."}),
    )  # fmt: skip
    for name, lists, parts, more in views:
        source = kind_named(lists).found(admin)
        save_smart_view(
            admin, name=name, query=writer.query(Group(children=parts), source), lists=lists, shared=True, **more
        )
