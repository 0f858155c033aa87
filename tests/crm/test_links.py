"""Addresses in what people write are links, and nothing but links."""

from __future__ import annotations

import pytest
from django.test import Client

from activities.queries import type_catalog
from activities.services.activities import log_activity
from activities.services.comments import add_comment
from crm import events
from crm.templatetags.ui import breakable, linked
from crm.tenancy import scope
from leads.services import update_lead
from tests.factories import World

REL = 'rel="noopener noreferrer nofollow"'
HOSTILE = 'http://x/"><script>alert(1)</script>'
HARMLESS = f'<a class="tp-in-text" href="http://x/" {REL}>http://x/</a>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://a.example/b?c=1&d=2.", f'see <a class="tp-in-text" href="https://a.example/b?c=1&amp;d=2" {REL}>https://a.example/b?c=1&amp;d=2</a>.'),
        ("ada@example.com", '<a class="tp-in-text" href="mailto:ada@example.com">ada@example.com</a>'),
        (HOSTILE, HARMLESS),
        ("javascript:alert(1) data:text/html,x", "javascript:alert(1) data:text/html,x"),
        ("http://a.example/'onclick='x", f'<a class="tp-in-text" href="http://a.example/" {REL}>http://a.example/</a>&#x27;onclick=&#x27;x'),
        ('<a href="x" rel="nofollow">', '&lt;a href=&quot;x&quot; rel=&quot;nofollow&quot;&gt;'),
        ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
        ("", ""),
    ],
)  # fmt: skip
def test_addresses_are_links_and_all_else_is_text(text: str, shown: str) -> None:
    assert linked(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ada.b@example.com", "ada<wbr>.b<wbr>@example<wbr>.com"),
        ("https://a.example/b/c?d=1&e=2", "https://a<wbr>.example/<wbr>b/<wbr>c<wbr>?d=1<wbr>&amp;e=2"),
        ("<b>@x", "&lt;b&gt;<wbr>@x"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_long_addresses_break_at_their_signs(text: str, shown: str) -> None:
    assert breakable(text) == shown


def test_cards_comments_and_descriptions_link_what_is_in_them(world: World) -> None:
    ours = world.ours
    lead, client = ours.leads[1], Client()
    with scope(ours.organization), events.door("page"):
        note = type_catalog(ours.organization).builtin("note")
        assert note is not None
        add_comment(ours.user, log_activity(ours.user, lead, note, custom={"title": HOSTILE, "note": HOSTILE}), HOSTILE)
        update_lead(ours.user, lead, {"description": HOSTILE})
    client.force_login(ours.user.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    address = f"/o/ours/leads/{lead.public_id}/"
    page, cards = (client.get(f"{address}{part}").content.decode() for part in ("", "timeline/"))
    assert (page.count(HARMLESS), cards.count(HARMLESS)) == (1, 3)
    assert "<script>alert" not in page + cards
