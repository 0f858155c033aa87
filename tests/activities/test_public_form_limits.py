"""How many answers a public form takes from one address, and how it asks: boxes instead of lists, nothing asked twice."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from activities.forms_public import PER_ADDRESS, TRIES
from activities.models import Activity, PublicForm
from crm.customfields.services import create_field, update_field
from tests.activities.test_public_forms import make, ours, send, state
from tests.factories import PASSWORD, Tenant

__all__ = ["ours"]
(TEN_MINUTES, FEW), (DAY, MANY) = PER_ADDRESS


def fill_up(tenant: Tenant, form: PublicForm, later: int = 3) -> None:
    for number in range(FEW):
        answer = send(tenant, form, email=f"bo{number}@new.example", later=later)
        assert answer.status_code == 302, answer.content


def test_a_full_form_says_when_there_is_room_and_then_takes_one_more(ours: Tenant) -> None:
    form = make(ours)
    fill_up(ours, form)
    cache.clear()  # what fills the cache up must not wash the count away
    before, minutes = state(), TEN_MINUTES // FEW // 60
    answer = send(ours, form, later=3)
    page = answer.content.decode()
    assert answer.status_code == 429 and state() == before
    assert f"again in {minutes} minutes" in page and "Something is missing" not in page
    assert minutes * 60 - 30 < int(answer.headers["Retry-After"]) <= minutes * 60
    assert send(ours, form, later=minutes * 60 - 20).status_code == 429, "asking again does not help"
    assert send(ours, form, later=minutes * 60 + 5).status_code == 302


def test_a_day_has_its_own_limit(ours: Tenant) -> None:
    form, taken = make(ours), 0
    for round_ in range(MANY // FEW + 1):
        for number in range(FEW):
            found = send(ours, form, email=f"bo{round_}x{number}@new.example", later=3 + round_ * TEN_MINUTES)
            taken += found.status_code == 302
    assert MANY <= taken <= MANY + 2, "a day's room grows back one by one"


def test_what_a_visitor_has_to_mend_is_no_answer(ours: Tenant) -> None:
    form = make(ours)
    for _ in range(FEW + 1):
        assert send(ours, form, email="nonsense", later=3).status_code == 422
        assert send(ours, form, later=3, **{ours.fields["Users"]: "many"}).status_code == 422
    fill_up(ours, form)
    assert send(ours, form, later=3).status_code == 429


def test_tries_have_an_end_as_well(ours: Tenant) -> None:
    form, before = make(ours), state()
    for _ in range(TRIES[1]):
        assert send(ours, form, website="http://spam.example", later=3).status_code == 302
    assert send(ours, form, website="http://spam.example", later=3).status_code == 429
    assert state() == before
    assert send(ours, form, client=Client(REMOTE_ADDR="203.0.113.7"), later=3).status_code == 302


def test_several_choices_are_boxes_to_tick(ours: Tenant) -> None:
    field = create_field(
        ours.admin, ours.type_row.fieldset, name="Wants", kind="choices", multiple=True, options=["Demo", "Price"]
    )
    form = make(ours, fields=[*ours.fields.values(), field.public_id])
    page = Client().get(f"/f/{form.token}/").content.decode()
    boxes = re.findall(rf'<input[^>]*name="{field.public_id}"[^>]*>', page)
    assert len(boxes) == 2 and all('type="checkbox"' in box for box in boxes) and "multiple" not in page
    values = [value for box in boxes for value in re.findall(r'value="([^"]+)"', box)]
    assert send(ours, form, **{field.public_id: values}).status_code == 302
    kept = Activity.objects.filter(type_id=ours.type_row.pk).latest("pk").values
    assert len(kept[str(field.pk)]) == 2


def test_a_new_form_does_not_ask_for_the_email_twice(ours: Tenant) -> None:
    field = create_field(ours.admin, ours.type_row.fieldset, name="Mail", kind="email")
    client = Client()
    client.login(username=ours.admin.user.email, password=PASSWORD)
    address = f"/o/ours/settings/forms/new/?type={ours.type_row.public_id}"

    def ticked(public_id: str) -> bool:
        page = client.get(address).content.decode()
        return "checked" in str(re.search(rf'<input[^>]*name="ask_{public_id}"[^>]*>', page)[0])  # type: ignore[index]

    assert ticked(ours.fields["Users"]) and not ticked(field.public_id)
    update_field(ours.admin, ours.type_row.fieldset, field, {"required": True})
    assert ticked(field.public_id), "what is required has to be asked"


def test_thanks_stay_in_their_frame(ours: Tenant) -> None:
    form = make(ours, embeddable=True)
    client = Client()
    page = client.get(f"/f/{form.token}/?embed=1").content.decode()
    stamp: Any = re.search(r'name="stamp" value="([^"]+)"', page)
    given = {"name": "Bo", "email": "bo@new.example", "stamp": stamp[1], ours.fields["CRM"]: "HubSpot"}
    with time_machine.travel(timezone.now() + timedelta(seconds=30)):
        answer = client.post(f"/f/{form.token}/?embed=1", given)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/f/{form.token}/thanks/?embed=1")
    assert "tp-visitor-embedded" in client.get(answer.headers["Location"]).content.decode()


def test_in_a_frame_the_other_site_decides_about_light_and_dark(ours: Tenant) -> None:
    form, client = make(ours, embeddable=True), Client()
    for query, theme in (("1", "light"), ("dark", "dark"), ('"><b>', "light")):
        page = client.get(f"/f/{form.token}/", {"embed": query}).content.decode()
        assert f'data-theme-fixed data-bs-theme="{theme}"' in page and 'data-theme="auto"' not in page
        assert f'?embed={"dark" if query == "dark" else "1"}"' in page
    assert 'data-theme="auto"' in client.get(f"/f/{form.token}/").content.decode()


def test_the_embed_code_is_whole_whatever_the_title(ours: Tenant) -> None:
    form = make(ours, title='The "best" <form>', embeddable=True)
    client = Client()
    client.login(username=ours.admin.user.email, password=PASSWORD)
    page = client.get(f"/o/ours/settings/forms/{form.public_id}/").content.decode()
    copied: Any = re.search(r'data-copy="(&lt;iframe[^"]*)"', page)
    code = unescape(copied[1])
    assert 'title="The &quot;best&quot; &lt;form&gt;"' in code and code.endswith("></iframe>")
    assert page.count(copied[1]) == 2, "what is shown is what is copied"
