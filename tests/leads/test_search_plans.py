"""Each family of searches is answered by the index made for it, on both databases, on data with statistics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from activities.models import ActivityType
from activities.queries import type_catalog
from crm.customfields.catalog import catalog
from crm.management.provision import provision_organization
from crm.models import Membership, Organization
from crm.tenancy import scope
from leads.models import Lead
from leads.search.estimates import forget_estimates
from leads.search.language import parse
from leads.search.run import run


@pytest.fixture
def actor(db: None) -> Iterator[Membership]:
    """An admin whose organization has five thousand leads with ten thousand activities, and figures about them."""
    admin = provision_organization("Plans", "plans", "ann@plans.example", plan="unlimited")
    forget_estimates()
    call_command("generate_data", organization="plans", leads=5000, activities=10_000, verbosity=0)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # what VACUUM does later: until then the planner finds the index dear
            cursor.execute("SELECT gin_clean_pending_list('lead_search_trigram')")
    with scope(admin.organization):
        yield Membership.objects.select_related("organization", "user", "role").get(pk=admin.pk)
    forget_estimates()


def indexes_used(queries: list[dict[str, str]], *off: str) -> set[str]:
    """Return the names of the indexes in the plans of these SELECTs. `off`: ways the planner may not take."""
    found: set[str] = set()
    with connection.cursor() as cursor:
        # A few thousand rows are read whole sooner than by any index.
        for way in ("seqscan", *off) if connection.vendor == "postgresql" else ():
            cursor.execute(f"SET LOCAL enable_{way} = off")
        for query in queries:
            sql = query["sql"]
            if not sql.startswith(("SELECT", "WITH")):
                continue
            if connection.vendor == "postgresql":
                cursor.execute("EXPLAIN (FORMAT JSON) " + sql.replace("%", "%%"))
                plan = cursor.fetchone()[0]
                found |= set(re.findall(r'"Index Name": "(\w+)"', plan if isinstance(plan, str) else json.dumps(plan)))
            else:
                cursor.execute("EXPLAIN QUERY PLAN " + sql.replace("%", "%%"))
                found |= {name for row in cursor.fetchall() for name in re.findall(r"INDEX (\w+)", row[3])}
    return found


def of_type(kind: Any, *queries: Any, **more: Any) -> dict[str, Any]:
    """Return the tree of leads with an activity of a type that meets conditions."""
    named = regular("custom_activity_type_id", {"type": "term", "values": [kind.public_id]})
    return {
        "type": "has_related", "this_object_type": "lead", "related_object_type": "activity.custom_activity",
        "related_query": {"type": "and", "queries": [named, *queries]}, **more,
    }  # fmt: skip


def regular(name: str, condition: dict[str, Any], of: str = "activity.custom_activity") -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": of, "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition}


def custom(field: Any, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "field_condition", "field": {"type": "custom_field", "custom_field_id": field.public_id}, "condition": condition,
    }  # fmt: skip


def moments(actor: Membership, days: int) -> dict[str, Any]:
    since = (timezone.now() - timedelta(days=days)).isoformat()
    return {"type": "moment_range", "on_or_after": {"type": "fixed_utc", "value": since}}


def test_every_family_uses_its_index(actor: Membership) -> None:
    organization = Organization.objects.get(pk=actor.organization_id)
    kind = type_catalog(organization).by_public_id(ActivityType.objects.get(name="Demo").public_id)
    assert kind is not None
    fields = {use.field.name: use.field for use in catalog(organization).uses(kind.fieldset_id)}
    choice = custom(fields["Outcome"], {"type": "term", "values": [fields["Outcome"].options[2].public_id]})
    large = custom(fields["Amount"], {"type": "number_range", "gte": "9000"})
    me = regular("created_by", {"type": "reference", "reference_type": "user", "object_ids": [actor.user.public_id]})
    name = Lead.objects.order_by("pk")[3].name_fold.split()[2]
    postgres = connection.vendor == "postgresql"
    # SQLite makes an index of a primary key itself.
    by_time = ("activity_type_created", "activity_type_report")
    facts = ("lead_activity_fact_lead", "lead_activity_fact_pkey") if postgres else ("autoindex_lead_activity_fact_1",)
    families: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
        "choice": (of_type(kind, choice), "", ("value_ref_v",)),
        "number range": (of_type(kind, large), "", ("value_number_v",)),
        "date range": (of_type(kind, custom(fields["Due"], moments(actor, 3))), "", ("value_moment_v",)),
        "count in 30 days": (
            of_type(kind, regular("date_created", moments(actor, 60)), count={"gte": 2}), "", by_time,
        ),
        "by user and update": (
            of_type(kind, me, regular("date_updated", moments(actor, 2))), "", ("activity_type_by_updated",),
        ),
        "none of type": (of_type(kind, negate=True), "", facts),
        "since a moment": (of_type(kind, regular("activity_at", moments(actor, 2))), "", facts),
        "order of names": ({"type": "match_all"}, "", ("lead_by_name",)),
    }  # fmt: skip
    if postgres:
        families["words"] = ({"type": "match_all"}, name, ("lead_search_trigram",))
    missed = {}
    for family, (tree, text, wanted) in families.items():
        with CaptureQueriesContext(connection) as captured:
            page = run(actor, parse(tree, actor), text=text, limit=20)
        off = ("indexscan", "indexonlyscan") if text else ()  # trigrams are read by bitmaps only
        used = indexes_used(list(captured.captured_queries), *off)
        assert page.total, f"{family}: nothing found, so the plan says nothing"
        if not any(index.endswith(wanted) for index in used):
            missed[family] = f"wanted {wanted}, used {sorted(used)}"
    # Every lead in the order of a column: its own, or one look by index per lead.
    values = ("value_number_pkey", "autoindex_value_number_1", "value_number_v")
    for sort, wanted in {
        f"-last:{kind.public_id}:{fields['Users'].public_id}": values, f"-count:{kind.public_id}": facts,
        "-last_activity_at": ("lead_by_activity",), "-date_created": ("lead_by_created",),
    }.items():  # fmt: skip
        with CaptureQueriesContext(connection) as captured:
            run(actor, parse({"type": "match_all"}, actor), sort=sort, limit=20, count="no")
        used = indexes_used(list(captured.captured_queries), "sort")  # a few thousand rows are sorted soon
        if not any(index.endswith(wanted) for index in used):
            missed[sort] = f"wanted {wanted}, used {sorted(used)}"
    assert not missed, missed


def test_two_conditions_start_from_the_rarer_one(actor: Membership) -> None:
    organization = Organization.objects.get(pk=actor.organization_id)
    kind = type_catalog(organization).by_public_id(ActivityType.objects.get(name="Demo").public_id)
    assert kind is not None
    fields = {use.field.name: use.field for use in catalog(organization).uses(kind.fieldset_id)}
    common = custom(fields["Confirmed"], {"type": "boolean", "value": True})
    rare = custom(fields["Amount"], {"type": "number_range", "gte": "9000"})
    with CaptureQueriesContext(connection) as captured:
        run(actor, parse(of_type(kind, common, rare), actor))
    read = [query["sql"] for query in captured.captured_queries if "COALESCE(SUM(n)" in query["sql"]]
    assert len(read) == 1
    assert read[0].index("value_number") < read[0].index("value_ref"), read[0]
    # Asked again soon, the way is known: what is left are the numbers of rows that were counted.
    with CaptureQueriesContext(connection) as again:
        run(actor, parse(of_type(kind, common, rare), actor))
    assert len(again) == len(captured) - 2, "one probe, and the number of leads"
    assert [query["sql"] for query in again if "COALESCE(SUM(n)" in query["sql"]] == read
