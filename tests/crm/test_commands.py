"""What operators type: each command's result, its last line, and its sentence when it cannot."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as configured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from activities.models import Activity, ActivityType, LeadActivityFact
from crm.accounts import redeem_sign_in_link
from crm.api_keys import find_key
from crm.customfields.catalog import catalog
from crm.customfields.values import TABLES, index_rows
from crm.models import CustomField, Event, FieldUse, ImportRun, Membership, Organization
from crm.tenancy import scope
from leads.models import Lead, SmartView
from leads.search.language import parse
from leads.search.run import count
from leads.views.kinds import kind_named

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def said(*command: str) -> list[str]:
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue().splitlines()


def token(link: str) -> str:
    return link.rstrip("/").rsplit("/", 1)[1]


def test_an_organization_its_member_its_key_and_its_plan() -> None:
    link = said("create_organization", "Harbor", "--slug", "h", "--plan", "scale", "--admin", "a@h.example")[-1]
    user = redeem_sign_in_link(token(link))
    assert user and user.email == "a@h.example" and not user.has_usable_password()
    assert redeem_sign_in_link(token(link)) is None, "a link works once"
    link = said("create_member", "b@h.example", "--organization", "h", "--role", "user")[-1]
    assert redeem_sign_in_link(token(link)).email == "b@h.example"
    assert Membership.unscoped.get(user__email="b@h.example").role.slug == "user"
    key = said("create_api_key", "b@h.example", "--organization", "h")[-1]
    assert find_key(key).membership.user.email == "b@h.example"
    said("set_plan", "h", "growth")
    assert Organization.objects.get(slug="h").plan == "growth"


def test_who_lost_the_second_step_gets_in_again() -> None:
    said("create_organization", "Harbor", "--slug", "h", "--plan", "scale", "--admin", "a@h.example")
    user = Membership.unscoped.get(user__email="a@h.example").user
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "S"})
    browser = Client()
    browser.post(f"/sign-in/{token(said('sign_in_link', 'a@h.example')[-1])}/")
    assert browser.get("/o/h/leads/").status_code == 302, "the second step is asked"
    told = said("sign_in_link", "a@h.example", "--reset-second-step")
    assert told[0] == "1 second step of a@h.example removed."
    browser.post(f"/sign-in/{token(told[-1])}/")
    assert browser.get("/o/h/leads/").status_code == 200
    assert said("sign_in_link", "a@h.example", "--reset-second-step")[0].startswith("No second steps of")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("create_member", "x@y.example", "--organization", "none"), "There is no organization “none”. There are: none yet."),
        (("sign_in_link", "x@y.example"), "There is no user x@y.example. Make one with create_organization or create_member."),
        (("generate_data", "--organization", "none", "--leads", "1", "--activities", "1"), "There is no organization “none”"),
    ],
)  # fmt: skip
def test_a_miss_is_a_sentence(command: tuple[str, ...], expected: str) -> None:
    with pytest.raises(CommandError) as refusal:
        said(*command)
    assert str(refusal.value).startswith(expected)


@pytest.mark.long
def test_the_demo_holds_the_real_file_and_is_made_once() -> None:
    started = time.monotonic()
    said("demo")
    assert time.monotonic() - started < 60
    organization = Organization.objects.get(slug="demo")
    assert organization.plan == "scale"
    with scope(organization):
        kind = ActivityType.objects.get(name="Consumer complaint")
        assert Activity.objects.filter(type=kind).count() == 2067
        assert Lead.objects.count() == 177
        owner = next(use.field for use in catalog(organization).lead_uses if use.field.name == "Owner")
        assert Lead.objects.filter(values__has_key=str(owner.id)).count() == 120
        kinds = {use.field.kind.slug for use in catalog(organization).uses(kind.fieldset_id)}
        assert kinds >= {"choices", "text", "textarea", "date", "checkbox", "number"}
        first = Activity.objects.get(external_id="7523056")
        known = {use.field.name: use.field for use in catalog(organization).uses(kind.fieldset_id)}
        assert first.lead.name == "EQUIFAX, INC." and first.date_created.date().isoformat() == "2023-08-25"
        assert first.values[str(known["ZIP code"].id)] == "33009"
        assert str(known["Consumer disputed?"].id) not in first.values, "N/A is empty"
        assert ImportRun.objects.get().counts == {"create": 2067}
        assert {row.role.slug for row in Membership.objects.select_related("role")} == {
            "admin", "superuser", "user", "restricteduser",
        }  # fmt: skip
        admin = Membership.objects.get(user__email="maya@demo.example")
        views = list(SmartView.objects.order_by("pk"))
        assert admin.pinned_views == [view.public_id for view in views] and len(views) == 4
        for view in views:
            assert count(admin, parse(view.query, admin, kind_named(view.lists).source)), view.name
        before = (Activity.objects.count(), Event.objects.count())
    said("demo")
    with scope(organization):
        assert (Activity.objects.count(), Event.objects.count()) == before
    assert redeem_sign_in_link(token(said("sign_in_link", "--demo")[-1])).email == "maya@demo.example"


@pytest.mark.long
def test_generated_data_agrees_with_its_index_and_repeats_for_a_seed() -> None:
    for slug in ("one", "two"):
        said("create_organization", slug, "--slug", slug, "--admin", f"a@{slug}.example")
        said("generate_data", "--organization", slug, "--leads", "50", "--activities", "400", "--seed", "7")
    amounts = []
    for slug in ("one", "two"):
        organization = Organization.objects.get(slug=slug)
        with scope(organization):
            known = catalog(organization)
            assert (Lead.objects.count(), Activity.objects.count()) == (50, 400)
            assert ActivityType.objects.filter(builtin="").count() == 20
            for row in Activity.objects.all()[:40]:
                assert len(row.values) == 10
                for name, wanted in index_rows(known, row.lead_id, row.pk, row.values).by_table.items():
                    found = (
                        TABLES[name]
                        .objects.filter(record_key=row.pk)
                        .values_list("field_id", "lead_id", "record_key", "v")
                    )
                    assert set(found) == set(wanted)
            types = ActivityType.objects.filter(builtin="").values("pk")
            assert sum(LeadActivityFact.objects.filter(type_id__in=types).values_list("count", flat=True)) == 400
            amounts.append([sorted(map(str, row.values.values()))[-1] for row in Activity.objects.order_by("pk")[:5]])
            assert Lead.objects.exclude(last_activity_at=None).exists()
    assert amounts[0] == amounts[1]


def test_doctor_speaks_in_sentences() -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit):  # the tests collect no static files
        call_command("doctor", stdout=out)
    text = out.getvalue()
    assert "All migrations are applied." in text and "The search index agrees" in text
    assert "Static files are not collected. Run: manage.py collectstatic --noinput" in text


def test_doctor_without_a_database_says_that_alone(tmp_path: Path) -> None:
    for url, words in (
        ("postgres://nobody@127.0.0.1:1/none", "WRONG The database does not answer: “"),
        (
            f"sqlite:///{tmp_path}/absent/none.sqlite3",
            "WRONG The database does not answer: “unable to open database file”.",
        ),
        ("crm.sqlite3", "DATABASE_URL must begin with sqlite:/// or postgres://"),
        ("postgrs://user:hunter2@127.0.0.1/none", "DATABASE_URL must begin with sqlite:/// or postgres://"),
    ):
        given = {**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "crm.settings"}
        command = [sys.executable, str(configured.ROOT / "manage.py"), "doctor"]
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and words in done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr and done.stdout.count("WRONG") <= 1, "one sentence, and no traceback"


def upgraded() -> None:
    with contextlib.suppress(SystemExit):  # the doctor at its end misses WAL in memory
        said("upgrade", "--no-backup")


def test_an_upgrade_gives_organizations_the_built_in_fields_they_lack(settings: Any, tmp_path: Any) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    said("create_organization", "Harbor", "--slug", "h", "--plan", "scale", "--admin", "a@h.example")
    organization = Organization.objects.get(slug="h")
    with scope(organization):
        hidden = CustomField.objects.filter(kind="hidden", name="More")
        number = hidden.count()
        assert number >= 5
        ActivityType.objects.filter(builtin="meeting").delete()
        FieldUse.objects.filter(field__in=hidden).delete()
        hidden.delete()
        upgraded()
        assert CustomField.objects.filter(kind="hidden", name="More").count() == number
        assert ActivityType.objects.filter(builtin="meeting").count() == 1
        upgraded()
        assert CustomField.objects.filter(kind="hidden", name="More").count() == number
