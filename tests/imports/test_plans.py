"""How the database finds what the rows of a chunk name: by their keys, on data with statistics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection

from activities.models import Activity
from crm.management.provision import provision_organization
from crm.models import Membership
from crm.tenancy import scope
from leads.models import ContactPoint, Lead

MANY = 1500


@pytest.fixture
def actor(db: None) -> Iterator[Membership]:
    """An admin whose organization has five thousand leads with activities, and figures about them."""
    admin = provision_organization("Plans", "plans", "ann@plans.example", plan="unlimited")
    call_command("generate_data", organization="plans", leads=5000, activities=5000, verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            cursor.execute("SELECT gin_clean_pending_list('lead_name_trigram')")
    with scope(admin.organization):
        yield Membership.objects.select_related("organization", "user", "role").get(pk=admin.pk)


def test_many_texts_are_never_looked_up_one_by_one_in_trigrams(actor: Membership) -> None:
    """A chunk names two thousand leads: in the index of trigrams each costs as much as a search."""
    texts = [f"company {number}" for number in range(MANY)]
    for rows in (
        Lead.objects.filter(name_fold__any=texts),
        ContactPoint.objects.filter(channel="email", value__any=texts),
        Activity.objects.filter(external_id__any=texts),
    ):
        sql, given = rows.values("pk").query.sql_with_params()
        how = "EXPLAIN (FORMAT JSON) " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
        with connection.cursor() as cursor:
            cursor.execute(how + sql, given)
            plan = json.dumps(cursor.fetchall(), default=str)
        assert not re.search("trigram", plan), plan
        assert re.search("unnest|json_each", plan), plan


def test_many_texts_find_what_each_of_them_finds(actor: Membership) -> None:
    names = list(Lead.objects.order_by("pk").values_list("name_fold", flat=True)[:MANY])
    wanted = [*names, "nobody", 'it\'s; a \\ {strange}, "one"']
    found = Lead.objects.filter(name_fold__any=wanted).values_list("name_fold", flat=True)
    assert set(found) == set(names)
    assert not Lead.objects.filter(name_fold__any=[]).exists()
