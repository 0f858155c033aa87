"""The compiler agrees with plain Python, for random data and random searches, whichever shape of SQL it chooses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from activities.models import Activity
from activities.queries import type_catalog
from activities.services.activities import log_activity
from activities.services.drafts import save_draft
from activities.services.types import archive_type, create_type
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.services import create_field
from crm.models import FieldSet, FieldUse, Membership, Team
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.search import run as running
from leads.search.builder import Writer
from leads.search.language import parse
from leads.search.moments import Clock
from leads.search.reading import from_tree
from leads.search.run import id_subquery, run
from leads.services import create_lead, create_task, update_task
from leads.services.smart_views import save_smart_view
from leads.views.state import object_types, types_for
from tests.factories import Tenant, World
from tests.leads.naive_search import load, matching, matching_activities, matching_contacts

WORDS = ["red", "blue sky", "Café Zürich", "100%", "a_b", "c++", "O'Neil", "", "plan", "planet"]
ZONE = ZoneInfo("America/New_York")
NOW = timezone.now()


class Rich:
    """A tenant with two types of every kind of field, lead and contact fields, and thirty leads."""

    def __init__(self, tenant: Tenant, seed: int) -> None:
        self.tenant, self.random = tenant, random.Random(seed)
        admin = tenant.admin
        self.types = [create_type(admin, name=name) for name in ("Demo", "Site visit")]
        archive_later = create_type(admin, name="Old habit")
        options = ["One", "Two", "Three"]
        for row in [*self.types, archive_later]:
            make: Any = lambda name, kind, **more: create_field(admin, row.fieldset, name=name, kind=kind, **more)  # noqa: E731
            make("Text", "text"), make("Amount", "number"), make("Day", "date"), make("Moment", "datetime")
            make("Choice", "choices", options=options), make("Several", "choices", options=options, multiple=True)
            make("Who", "user"), make("Yes", "checkbox"), make("People", "user", multiple=True)
            (
                make("Long", "textarea"),
                make("Link", "url"),
                make("Mail", "email"),
                make("Tel", "phone"),
                make("Kept", "hidden"),
            )
            make("Met", "contact", multiple=True)
        self.types.append(archive_later)
        lead_set, contact_set = (FieldSet.objects.get(owner=owner) for owner in ("lead", "contact"))
        self.size = create_field(admin, lead_set, name="Size", kind="number")
        self.area = create_field(admin, lead_set, name="Area", kind="choices", options=options)
        self.owner = create_field(admin, lead_set, name="Owner", kind="user", multiple=True)
        self.role = create_field(admin, contact_set, name="Duty", kind="text")
        # Restricted users may not see the amount of a demo.
        use = next(u for u in self.uses(self.types[0]) if u.field.name == "Amount")
        hidden_from = tenant.restricted.role_id
        roles = [member.role_id for member in tenant.members if member.role_id != hidden_from]
        FieldUse.objects.filter(field_id=use.field.id).update(view_roles=roles)
        # One field of two types, visible to restricted users in one of them only.
        shared = create_field(
            admin, self.types[1].fieldset, name="Shared", kind="choices", options=options, multiple=True
        )
        FieldUse.objects.create(
            organization=tenant.organization,
            fieldset=self.types[0].fieldset,
            field=shared,
            position=99,
            view_roles=roles,
        )
        self._touch()
        self._fill()
        self.team = Team.objects.create(organization=tenant.organization, name="Two")
        self.team.members.set([tenant.admin.user, tenant.user.user])
        self.views = [
            save_smart_view(admin, name=f"View {number}", query=self.tree(tenant.restricted, 1), shared=True, text=text)
            for number, text in enumerate(["", "", "acme", "zoe 1"])
        ]
        archive_type(admin, archive_later)
        Membership.objects.filter(pk=tenant.user.pk).update(removed_at=NOW)
        self._touch()

    def _touch(self) -> None:
        from crm.customfields.catalog import touch_schema

        touch_schema(self.tenant.organization)

    def uses(self, row: Any) -> Any:
        return catalog(self.tenant.organization).uses(row.fieldset_id)

    def _fill(self) -> None:
        r, members = self.random, self.tenant.members
        emails = [member.user.email for member in members]
        for number in range(24):
            custom = {}
            if r.random() < 0.6:
                custom[self.size.public_id] = r.randint(0, 5)
            if r.random() < 0.6:
                custom[self.area.public_id] = r.choice(["One", "Two", "Three"])
            if r.random() < 0.6:
                custom[self.owner.public_id] = r.sample(emails, r.randint(1, 2))
            contacts = [
                {"name": f"{r.choice(WORDS[:3])} {i}",
                 "emails": [{"email": f"{r.choice('abc')}{number}@x.example", "type": r.choice(["office", "Home", "Büro"])}],
                 "custom": {self.role.public_id: r.choice(WORDS[:5])}}
                for i in range(r.randint(0, 2))
            ]  # fmt: skip
            addresses = [{"city": r.choice(["Paris", "Zürich"]), "country": "DE", "address_1": r.choice(["7 Rue X", ""])}
                         for _ in range(r.randint(0, 1))]  # fmt: skip
            name = f"{r.choice(['Acme', 'Bluth', 'Zoë'])} {number}"
            lead = create_lead(
                self.tenant.admin, name=name, custom=custom, contacts=contacts, addresses=addresses,
                description=r.choice(WORDS),
            )  # fmt: skip
            people = list(Contact.objects.filter(lead=lead))
            for _ in range(r.choice([0, 1, 2, 5])):
                self._log(lead, people)
            for _ in range(r.choice([0, 0, 1, 2])):
                due = r.choice([None, NOW.date(), NOW.date() - timedelta(days=2)])
                task = create_task(
                    self.tenant.admin, lead, r.choice(WORDS[:3]), due_date=due, assigned_to=r.choice(members).user
                )
                if r.random() < 0.4:
                    update_task(self.tenant.admin, task, {"done": True})
        Lead.objects.filter(name__startswith="Bluth").update(last_activity_at=None, created_by=None)
        Activity.objects.filter(
            user__isnull=False, pk__in=list(Activity.objects.values_list("pk", flat=True))[::3]
        ).update(user=None)

    def _log(self, lead: Lead, people: list[Contact]) -> None:
        r, row = self.random, self.random.choice(self.types)
        kind = type_catalog(self.tenant.organization).get(row.pk)
        if r.random() < 0.25:
            call = type_catalog(self.tenant.organization).builtin("call")
            given = {
                "phone": "+12025550143", "direction": r.choice(["outbound", "inbound"]), "duration": str(r.choice([0, 1, 2, 60])),
            }  # fmt: skip
            given = {name: value for name, value in given.items() if r.random() < 0.8}
            at = NOW - timedelta(days=r.randint(0, 6), minutes=r.randint(0, 600))
            with events.door("api"):
                log_activity(
                    self.tenant.admin, lead, call, custom=given, contact=r.choice([None, *people]), activity_at=at
                )
            return
        values: dict[str, Any] = {
            "Text": r.choice(WORDS), "Amount": str(r.choice([0, 1, 2, 2.5, 10])),
            "Day": (datetime.now(UTC) - timedelta(days=r.randint(0, 5))).date().isoformat(),
            "Moment": (NOW - timedelta(hours=r.randint(0, 100))).isoformat(),
            "Choice": r.choice(["One", "Two", "Three"]), "Several": r.sample(["One", "Two", "Three"], r.randint(1, 3)),
            "Who": r.choice(self.tenant.members).user.email, "Yes": r.choice([True, False]),
            "People": [member.user.email for member in r.sample(self.tenant.members, 2)], "Long": f"{r.choice(WORDS)}\nplan",
            "Link": f"https://{r.choice('ab')}.example/red", "Mail": f"{r.choice('ab')}@x.example", "Tel": "+12025550143",
            "Met": [r.choice(people).public_id] if people else None,
        }  # fmt: skip
        values["Shared"] = r.sample(["One", "Two", "Three"], r.randint(1, 3))
        if row == self.types[2]:
            del values["Shared"]
        given = {name: value for name, value in values.items() if r.random() < 0.6}
        author = r.choice(self.tenant.members[:3])
        if r.random() < 0.1:
            by_id = {use.field.name: use.field.public_id for use in self.uses(row)}
            save_draft(author, lead, kind, {by_id["Text"]: "draft"})
            return
        at = NOW - timedelta(days=r.randint(-1, 40), minutes=r.randint(0, 600))
        with events.door("api"):
            if r.random() < 0.5:
                given["Kept"] = r.choice(WORDS)
            log_activity(author, lead, kind, custom=given, activity_at=at, contact=r.choice([None, *people]))

    # --- random searches ----------------------------------------------------------------------------------------------
    def tree(self, actor: Membership, depth: int = 2, this: str = "lead") -> dict[str, Any]:
        r = self.random
        if depth and r.random() < 0.4:
            found = {
                "type": r.choice(["and", "or"]),
                "queries": [self.tree(actor, depth - 1, this) for _ in range(r.randint(1, 3))],
            }
        elif this == "lead" and depth == 0 and r.random() < 0.1 and hasattr(self, "views"):
            found = {"type": "saved_search", "saved_search_id": r.choice(self.views).public_id}
        elif this == "lead" and r.random() < 0.75:
            found = self.related(actor, depth)
        elif this in ("lead", "contact", "activity.custom_activity") and r.random() < 0.1:
            found = {**self._text(), "type": "text"}
        elif this == "contact" and depth and r.random() < 0.5:
            found = self.related(actor, 0, this)
        elif this == "activity.custom_activity" and depth and r.random() < 0.1:
            found = {"type": "has_related", "this_object_type": this, "related_object_type": "lead",
                     "related_query": self.tree(actor, 0, "lead_plain")}  # fmt: skip
        else:
            found = self.condition(actor, this)
        if r.random() < 0.25:
            found["negate"] = True
        return found

    def related(self, actor: Membership, depth: int, this: str = "lead") -> dict[str, Any]:
        r = self.random
        name = r.choice(
            ["activity.custom_activity"] * 6
            + [
                "activity.last",
                "contact",
                "contact_email",
                "contact_phone",
                "address",
                "opportunity",
                "activity",
                "activity.call",
                "task",
            ]
        )
        if this == "contact":
            name = r.choice(["activity.custom_activity", "activity.call", "contact_email", "lead"])
        inner = "lead_plain" if name == "lead" else name
        kept = name != "opportunity"
        queries = [self.tree(actor, 1 if depth else 0, inner) for _ in range(r.randint(0, 3) if kept else 0)]
        if name.startswith("activity") and r.random() < 0.6:
            queries.append(
                self._regular(
                    name, "custom_activity_type_id", {"type": "term", "values": [r.choice(self.types).public_id]}
                )
            )
        found: dict[str, Any] = {"type": "has_related", "this_object_type": this, "related_object_type": name,
                                 "related_query": {"type": "and", "queries": queries}}  # fmt: skip
        if r.random() < 0.35:
            found["count"] = {r.choice(["gte", "lte", "eq"]): r.randint(0, 3)}
        return found

    def _regular(self, this: str, name: str, condition: dict[str, Any]) -> dict[str, Any]:
        field = {"type": "regular_field", "object_type": this.removesuffix("_plain"), "field_name": name}
        return {"type": "field_condition", "field": field, "condition": condition}

    def condition(self, actor: Membership, this: str) -> dict[str, Any]:
        r = self.random
        if this in ("lead", "lead_plain") and r.random() < 0.3:
            return self._regular(this, *self.figure())
        if this in ("lead", "lead_plain"):
            return r.choice([
                lambda: self._custom(self.size, self._number()),
                lambda: self._custom(self.area, {"type": "term", "values": [r.choice(["One", "Two"])]}),
                lambda: self._custom(self.owner, self._user()),
                lambda: self._regular(this, "display_name", self._text()),
                lambda: self._regular(this, "description", self._text()),
                lambda: self._regular(this, "last_activity_at", self._moment()),
                lambda: self._regular(this, "created_by", self._user()),
                lambda: self._regular(this, "contacts_count", self._number()),
                lambda: self._regular(this, "source", {"type": "term", "values": [r.choice(["ui", "api"])]}),
                lambda: self._regular(this, "url", {"type": "exists"}),
            ])()  # fmt: skip
        if this == "task":
            name, condition = r.choice([
                ("text", self._text()), ("is_complete", {"type": "boolean", "value": r.choice([True, False])}),
                ("assigned_to", self._user()), ("due_date", self._moment()), ("due_date", {"type": "exists"}),
                ("created_by", self._user()), ("date_updated", self._moment()), ("date", self._moment()),
            ])  # fmt: skip
            return self._regular(this, name, condition)
        if this == "contact_phone":
            return self._regular(this, "phone", {"type": "text", "value": "+1202555", "mode": "beginning_of_words"})
        if this == "activity.call":
            name, condition = r.choice([
                ("contact_id", {"type": "exists"}), ("duration", self._number()), ("duration", {"type": "exists"}),
                ("direction", {"type": "term", "values": ["outbound"]}), ("phone", {"type": "text", "value": "+12025550143"}),
            ])  # fmt: skip
            return self._regular(this, name, condition)
        if this == "contact":
            return r.choice(
                [lambda: self._custom(self.role, self._text()), lambda: self._regular(this, "name", self._text())]
            )()
        if this == "contact_email" and r.random() < 0.5:
            return self._regular(this, "type", r.choice([
                {"type": "term", "values": [r.choice(["home", "Office", "BÜRO", "fax"])]}, {"type": "exists"},
                {"type": "text", "value": r.choice(["buro", "off"]), "mode": "beginning_of_words"},
            ]))  # fmt: skip
        if this == "contact_email":
            return self._regular(
                this, "email", {"type": "text", "value": r.choice("abc"), "mode": "beginning_of_words"}
            )
        if this == "address":
            name = r.choice(["city", "location"])
            return self._regular(
                this, name, {"type": "text", "value": r.choice(["paris", "zurich", "zurich de", "7 rue"])}
            )
        if r.random() < 0.3:
            name, condition = r.choice([
                ("activity_at", self._moment()), ("created_by", self._user()), ("user_id", self._user()), ("date_created", self._moment()),
                ("status", {"type": "term", "values": [r.choice(["draft", "published"])]}),
            ])  # fmt: skip
            return self._regular(this, name, condition)
        uses = [use for row in self.types for use in self.uses(row)]
        visible = [use for use in uses if not use.view_roles or actor.role_id in use.view_roles]
        use = r.choice(visible if r.random() < 0.8 else [use for use in visible if use.field.multiple])
        by_storage = {"text": self._text, "number": self._number, "moment": self._moment}
        if use.field.kind.refers_to == "contact":
            someone = r.choice(list(Contact.objects.order_by("pk")[:6])).public_id
            condition = {"type": "reference", "reference_type": "contact", "object_ids": [someone]}
        elif use.field.kind.has_options:
            condition = {"type": "term", "values": r.sample(["One", "Two", "Three"], r.randint(1, 2))}
        elif use.field.kind.refers_to:
            condition = self._user()
        elif use.field.kind.storage == "ref":
            condition = {"type": "boolean", "value": r.choice([True, False])}
        else:
            condition = by_storage[use.field.kind.storage]()
        return self._custom(use.field, {"type": "exists"} if r.random() < 0.15 else condition)

    def figure(self) -> tuple[str, dict[str, Any]]:
        """Return a number or date worked out from what belongs to a lead, and a condition on it."""
        r = self.random
        numbers = ("num_calls num_outgoing_calls num_incoming_calls num_notes times_communicated num_tasks num_incomplete_tasks "
                   "num_completed_tasks num_contacts num_addresses num_opportunities").split()  # fmt: skip
        moments = ("first_call_date last_call_date last_call_created first_outgoing_call_date last_received_call_date "
                   "first_communication_date last_communication_date next_task_due_date last_note_date").split()  # fmt: skip
        exact = r.choice(
            [{"gte": 0, "lte": 0}, {"gte": 1, "lte": 1}, {"gte": 1}, {"lt": 1}, {"gt": 3, "lt": 2}, {"gt": 0, "lte": 2}]
        )
        name, condition = r.choice([
            (r.choice(numbers), self._number()), (r.choice(numbers), {"type": "number_range", **exact}),
            (r.choice(moments), self._moment()), ("last_call_duration", self._number()), ("last_call_user_id", self._user()),
            (r.choice([*numbers, *moments, "last_call_duration"]), {"type": "exists"}),
        ])  # fmt: skip
        return name, condition

    def _custom(self, field: Any, condition: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "field_condition",
            "field": {"type": "custom_field", "custom_field_id": field.public_id},
            "condition": condition,
        }

    def _text(self) -> dict[str, Any]:
        r = self.random
        mode = r.choice(["full_words", "phrase", "beginning_of_words", "exact_value"])
        value = r.choice([*(word for word in WORDS if word), "pla", "sky blue", "cafe", "%", "_", "acme", "zoe"])
        return {"type": "text", "value": value, "mode": mode}

    def _number(self) -> dict[str, Any]:
        r = self.random
        return r.choice([{"type": "number_range", "gt": 1}, {"type": "number_range", "gte": 2, "lte": 3},
                         {"type": "number_range", "lt": 2.5}])  # fmt: skip

    def _user(self) -> dict[str, Any]:
        r = self.random
        someone = r.choice(self.tenant.members).user.public_id
        return r.choice(
            [{"type": "current_user"}, {"type": "former_user"}, self._group(),
             {"type": "reference", "reference_type": "user", "object_ids": [someone]}]
        )  # fmt: skip

    def _group(self) -> dict[str, Any]:
        team = getattr(self, "team", None)
        if team is None:
            return {"type": "current_user"}
        return {"type": "reference", "reference_type": "group", "object_ids": [team.public_id]}

    def _moment(self) -> dict[str, Any]:
        r = self.random
        ago = lambda n: {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {"days": n}}  # noqa: E731
        period = lambda which: {"type": "start_end_of_predefined_relative_period", "range": "this-week", "which": which}  # noqa: E731
        return {"type": "moment_range"} | r.choice([
            {"on_or_after": ago(3)}, {"before": ago(2)}, {"on_or_after": ago(20), "before": ago(1)},
            {"on_or_after": period("start"), "before": period("end")}, {"before": {"type": "now"}},
        ])  # fmt: skip

    # --- orders -------------------------------------------------------------------------------------------------------
    def orders(self) -> Iterator[tuple[str, list[int]]]:
        """Yield orders by values of leads and of their latest activities, and all leads in them, as plain Python has them."""
        leads = list(Lead.objects.all())
        sizes = {lead.pk: lead.values.get(str(self.size.pk)) for lead in leads}
        yield from _both_ways(
            self.size.public_id, {pk: None if size is None else Decimal(size) for pk, size in sizes.items()}
        )

        def comparable(use: Any, value: Any) -> Any:
            if use.field.options:
                return use.field.option(value).position
            return Decimal(value) if use.field.name == "Amount" else value

        for row in self.types[:2]:
            kind = type_catalog(self.tenant.organization).get(row.pk).public_id
            for use in self.uses(row):
                if use.field.name in ("Amount", "Day", "Yes", "Choice"):
                    held = dict.fromkeys((lead.pk for lead in leads), None)
                    known = Activity.objects.filter(type_id=row.pk, values__has_key=str(use.field.id))
                    for activity in known.order_by("activity_at", "pk"):
                        value = activity.values[str(use.field.id)]
                        held[activity.lead_id] = comparable(use, value)
                    yield from _both_ways(f"last:{kind}:{use.field.public_id}", held)


def _both_ways(sort: str, held: dict[int, Any]) -> Iterator[tuple[str, list[int]]]:
    """Yield an order up and down by what each lead holds: those that hold nothing come last."""
    for sign in ("", "-"):
        valued = sorted((pk for pk in held if held[pk] is not None), key=lambda pk: (held[pk], pk), reverse=bool(sign))
        yield sign + sort, [*valued, *sorted((pk for pk in held if held[pk] is None), reverse=bool(sign))]


@pytest.mark.parametrize("bound", [0, 10_000], ids=["broad", "narrow"])
def test_random_searches_agree_with_plain_python(world: World, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "probe_bound", lambda actor: bound)
    monkeypatch.setattr("leads.search.run.timezone.now", lambda: NOW)
    clock = Clock(NOW, ZONE, 0)
    tenants = []
    for tenant in (world.theirs, world.ours):
        with scope(tenant.organization), events.door("page"):
            tenants.append(Rich(tenant, seed=7))
    rich = tenants[1]
    tenant = world.ours
    role = tenant.superuser.role
    with scope(tenant.organization):
        # A cloned role that sees only leads assigned to its members.
        limited = tenant.superuser
        role.pk, role.slug, role.name = None, "", "Limited"
        role.permissions, role.visibility_fields, role.sees_unassigned = ["export"], [rich.owner.pk], True
        role.save()
        limited.role = role
        limited.save()
        for actor in (tenant.admin, tenant.restricted, limited):
            store = load(actor, clock)
            assert store.leads
            for number in range(90):
                tree = rich.tree(actor)
                query = parse(tree, actor)
                expected = matching(store, tree)
                page = run(actor, query, limit=1000, tz=ZONE)
                assert set(page.ids) == expected, f"{number} {tree}"
                assert len(page.ids) == len(expected) and page.total == len(expected), tree
                sql, params = id_subquery(actor, query, "lead", tz=ZONE)
                with connection.cursor() as cursor:
                    cursor.execute(sql, params)
                    assert {row[0] for row in cursor.fetchall()} == expected, tree
                if number % 3 == 0:  # the builder says the same
                    types = object_types(types_for(actor))
                    again = Writer(actor, types).query(from_tree(tree, actor, query.source, types), query.source)
                    assert set(run(actor, parse(again, actor), limit=1000, tz=ZONE).ids) == expected, (tree, again)
            for _ in range(40):
                tree = rich.tree(actor, 2, "contact")
                page = run(actor, parse(tree, actor, "contact"), limit=1000, tz=ZONE, count="exact")
                expected = matching_contacts(store, tree)
                assert set(page.ids) == expected and page.total == len(expected), tree
            for _ in range(40):
                tree = rich.tree(actor, 2, "activity.custom_activity")
                query = parse(tree, actor, "activity.custom_activity")
                page = run(actor, query, limit=1000, tz=ZONE)
                expected = matching_activities(store, tree)
                assert set(page.ids) == expected and page.total == len(expected), tree
        for sort, held in rich.orders():
            for tree in ({"type": "match_all"}, rich.tree(tenant.admin, 1)):
                found = set(run(tenant.admin, parse(tree, tenant.admin), limit=1000).ids)
                expected_order = [lead for lead in held if lead in found]
                assert paged(tenant.admin, tree, sort) == expected_order, (sort, tree)


def paged(actor: Membership, tree: dict[str, Any], sort: str) -> list[int]:
    """Return the ids a search finds, page by page of seven."""
    found: list[int] = []
    cursor = ""
    while True:
        page = run(actor, parse(tree, actor), sort=sort, limit=7, cursor=cursor)
        found += page.ids
        cursor = page.next_cursor
        if not cursor:
            return found
