"""Every URL states who may come in."""

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

# prefix → why its views carry no mark of ours
EXCEPTIONS = {
    "accounts/": "allauth guards its own views",
    "staff/": "Django's admin asks for is_staff itself",
    "api/": "the API authenticates every request in one place; tests/api walks its routes",
}


def walk(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, route)
        elif isinstance(entry, URLPattern):
            yield route, entry.callback


def test_every_view_says_who_may_come_in() -> None:
    bare = [
        route
        for route, view in walk(get_resolver())
        if not route.startswith(tuple(EXCEPTIONS)) and not hasattr(view, "who")
    ]
    assert not bare, f"Decorate these with @member_page(…) or @public_page: {bare}"


def test_no_exception_is_stale() -> None:
    routes = [route for route, _ in walk(get_resolver())]
    stale = [prefix for prefix in EXCEPTIONS if not any(route.startswith(prefix) for route in routes)]
    assert not stale, f"Take these out of EXCEPTIONS, nothing lies below them: {stale}"


def test_only_members_reach_an_organization() -> None:
    public = [r for r, view in walk(get_resolver()) if r.startswith("o/<slug:slug>/") and view.who == "public"]
    assert not public, f"Pages of an organization are for members. Decorate with @member_page: {public}"
