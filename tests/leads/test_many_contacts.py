"""A lead with many contacts: ten are shown, the others fold away, and none is out of reach."""

from __future__ import annotations

import re

import pytest

from crm.tenancy import scope
from leads import services
from leads.models import Contact
from tests.factories import World
from tests.leads.test_pages import at, signed_in


@pytest.mark.parametrize(("contacts", "folded"), [(12, 0), (13, 3)])
def test_what_is_beyond_ten_folds_away(world: World, contacts: int, folded: int) -> None:
    ours, lead = world.ours, world.ours.leads[0]
    client = signed_in(ours.user)
    with scope(ours.organization):
        for n in range(contacts - Contact.objects.filter(lead=lead).count()):
            last = services.create_contact(ours.user, lead, name=f"Person {n}")
    page = client.get(at(lead)).content.decode()
    panel = page[page.index('id="lead_contacts"') : page.index('id="lead_tasks"')]
    assert panel.count('<li class="tp-contact"') == contacts
    assert re.findall(r"<summary>(\d+) more</summary>", panel) == ([str(folded)] if folded else [])
    # Whoever just edited one that is folded away sees it.
    again = client.get(at(lead, f"contacts/?focus={last.public_id}")).content.decode()
    assert ("<details" in again) == bool(folded)
    assert bool(re.search(r'<details class="[^"]*" open>', again)) == bool(folded)
