"""The live app itself: tests that cut its power rely on it."""

import urllib.request

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser


def answers(app: LiveApp) -> bool:
    try:
        with urllib.request.urlopen(f"{app.url}/accounts/login/", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def test_data_and_address_survive_a_power_cut(own_live_app: LiveApp) -> None:
    link = own_live_app.manage("sign_in_link", "ann@acme.example").strip()
    assert link.startswith(own_live_app.url) and answers(own_live_app)
    own_live_app.kill_web()
    assert not answers(own_live_app)
    own_live_app.start()
    assert answers(own_live_app)
    with urllib.request.urlopen(link) as response:
        assert "Sign in" in response.read().decode()


def test_each_app_has_data_of_its_own(own_live_app: LiveApp, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = LiveApp(tmp_path_factory.mktemp("other"))
    try:
        other.prepare()
        with pytest.raises(AssertionError, match="There is no user"):
            other.manage("sign_in_link", "ann@acme.example")
    finally:
        other.stop()
