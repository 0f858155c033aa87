"""House rules that a machine can read off the source. Each message says what to do.

Exceptions live in the tables below, each with its reason. One that nothing needs any more fails, so that the tables stay short.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("crm", "leads", "activities", "reporting")

DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "lib", "tools", "stuff"}
ROOMS = {
    "__init__", "admin", "api", "apps", "filters", "forms", "metrics", "models", "queries", "resources", "search",
    "services", "tasks", "urls", "views",
}  # fmt: skip
# module of leads, activities or reporting → what it holds that no room does. `crm` is the foundation: it is named by nouns.
OTHER_ROOMS = {
    "activities/builtin": "the declarations of the built-in kinds",
    "activities/columns": "what result tables show of activities",
    "activities/exports": "CSV downloads, written row by row while they are read",
    "activities/figures": "fields of leads worked out from their activities, for the search",
    "activities/imports": "the import engine: file, mapping, check, run, undo",
    "activities/lead_page": "what the lead's page shows of activities, reached through settings",
    "activities/starters": "the starter types of a new organization",
    "leads/legacy": "Close's older query string, translated to the search language",
    "leads/templatetags": "the tags that draw long lists: options of selects, rows of tables",
    "reporting/filling": "numbers of past days are kept by jobs",
    "reporting/goals": "a number to reach, and how far it is reached",
    "reporting/kept": "numbers of past days that need not be counted again",
    "reporting/periods": "days, weeks and months in a member's time zone",
    "reporting/spreadsheets": "numbers as CSV",
    "reporting/statements": "the one grouped statement behind a number",
}
# file → why it may step out of the organization's scope
UNSCOPED = {
    "activities/imports/upload.py": "old files of every organization are removed",
    "activities/imports/chunks.py": "the worker takes up the runs of every organization",
    "activities/models.py": "the base manager, for migrations and related objects",
    "activities/queries/types.py": "the catalogue of types is read with its organization named, also outside a request",
    "activities/resources.py": "external ids are looked up with the organization named, drafts included",
    "activities/services/activities.py": "rows are made with the organization given; undo looks for drafts as well",
    "activities/services/drafts.py": "the default manager hides drafts; the organization is given",
    "activities/services/observer.py": "writes the log of a lead for the organization it is told",
    "activities/services/public_forms.py": "finds the form whose address opens the scope",
    "activities/services/types.py": "bulk_create of options, with the organization given",
    "crm/access.py": "finds the membership that opens the scope",
    "crm/accounts.py": "an account is a person's, whatever organizations they belong to",
    "crm/admin.py": "operators see which organizations a person belongs to",
    "crm/api_keys.py": "finds the key that opens the scope",
    "crm/customfields/catalog.py": "the catalogue is read with its organization named, also outside a request",
    "crm/customfields/lookups.py": "members are read with the organization named",
    "crm/customfields/services/definitions.py": "bulk_create of options, with the organization given",
    "crm/management/commands/demo.py": "an operator's command",
    "crm/management/commands/doctor.py": "an operator's command",
    "crm/management/find.py": "an operator's commands name the organization",
    "crm/management/provision.py": "makes an organization, before there is a scope",
    "crm/members.py": "asks whether an account is known to other organizations, never which",
    "crm/notifications.py": "rows are made with the organization of each recipient given",
    "crm/plans.py": "counters are locked with the organization named",
    "crm/staff_imports.py": "operators see every organization and choose the member they act as",
    "crm/tasks.py": "jobs find their object first and open its scope then",
    "crm/tenancy.py": "defines it",
    "crm/views/home.py": "the home page lists a person's organizations",
    "crm/webhooks/courier.py": "takes what is due of every organization, then opens its scope",
    "crm/webhooks/queue.py": "written with the event, with its organization given",
    "leads/tasks.py": "jobs find their object first and open its scope then",
    "leads/services/index.py": "bulk_create of contact points, with the organization given",
    "reporting/filling.py": "jobs find the member first and open their scope then",
    "reporting/kept.py": "bulk_create of a day's numbers, with the organization given",
    "reporting/services.py": "bulk_create of tiles, with the organization given",
}
# file → why it may say that a string is safe HTML
SAFE = {
    "crm/templatetags/ui.py": "constants, an empty string, and the output of our own templates",
    "leads/templatetags/lists.py": "options and cells of tables, each value escaped where it is put in",
    **dict.fromkeys(
        (
            f"templates/account/email/{mail}.txt"
            for mail in (
                "base_message",
                "base_notification",
                "invitation",
                "password_reset_key_message",
                "proof",
                "unknown_account_message",
            )
        ),
        "a mail in plain text, where nothing is markup",
    ),
}
# file → why it may look at a field's kind
KIND_COMPARISONS: dict[str, str] = {}
# file → why a model has its own save()
OWN_SAVE: dict[str, str] = {}


@cache
def read(path: Path) -> str:
    return path.read_text("utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(read(path), str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules() -> list[Path]:
    """Return the product's Python files, without migrations."""
    return sorted(path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts)


def templates() -> list[Path]:
    return sorted(path for path in (ROOT / "templates").rglob("*.*") if path.suffix in (".html", ".txt"))


def own_static() -> list[Path]:
    return sorted(
        path
        for path in (ROOT / "static").rglob("*")
        if path.suffix in (".css", ".js", ".svg") and "vendor" not in path.parts
    )


def lines(path: Path, pattern: str) -> list[str]:
    """Return `file:line: text` of each match."""
    text = read(path)
    starts = [match.start() for match in re.finditer(pattern, text, re.IGNORECASE)]
    return [
        f"{name(path)}:{text.count(chr(10), 0, start) + 1}: {text[start : start + 80].splitlines()[0]}"
        for start in starts
    ]


def without_comments(source: str) -> str:
    """Return a template with its comments blanked, line breaks kept."""
    return re.sub(
        r"\{#.*?#\}|\{% comment.*?endcomment %\}",
        lambda match: re.sub(r"[^\n]", " ", match.group()),
        source,
        flags=re.DOTALL,
    )


def refuse(found: list[str], instruction: str) -> None:
    assert not found, instruction + "\n  " + "\n  ".join(found)


def check_exceptions(found: dict[str, list[str]], allowed: dict[str, str], table: str, instruction: str) -> None:
    """Fail on what is not allowed, and on permission that nothing needs."""
    refuse([line for file in sorted(found.keys() - allowed.keys()) for line in found[file]], instruction)
    stale = sorted(allowed.keys() - found.keys())
    assert not stale, f"Take these out of {table}, nothing there needs them any more: {stale}"


# --- files ------------------------------------------------------------------------------------------------------------
def test_no_module_is_a_drawer() -> None:
    everywhere = [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    found = {name(path) for path in everywhere if path.stem in DRAWERS or path.parent.name in DRAWERS}
    refuse(sorted(found), "Name these modules after the thing they hold, not after a drawer:")


def test_modules_are_named_by_rooms() -> None:
    found = {}
    for path in modules():
        app, *below = path.relative_to(ROOT).with_suffix("").parts
        room = below[0]
        # views_settings is the part of the views that serves the settings.
        if app != "crm" and room not in ROOMS and room.partition("_")[0] not in ROOMS:
            found.setdefault(f"{app}/{room}", []).append(name(path))
    check_exceptions(
        found, OTHER_ROOMS, "OTHER_ROOMS",
        f"Put this into one of the rooms ({', '.join(sorted(ROOMS - {'__init__'}))}), or say in OTHER_ROOMS what it holds:",
    )  # fmt: skip


# --- Python -----------------------------------------------------------------------------------------------------------
def test_tenant_scope_is_left_only_with_a_reason() -> None:
    found = {name(path): hits for path in modules() if (hits := lines(path, r"\bunscoped\b(?=\.|\s*=)"))}
    check_exceptions(
        found, UNSCOPED, "UNSCOPED",
        "Use Model.objects inside scope(organization); if this must see more than one organization, say why in UNSCOPED:",
    )  # fmt: skip


def test_html_is_declared_safe_only_with_a_reason() -> None:
    pattern = r"\bmark_safe\b|\bSafeString\(|\bSafeText\b|\|\s*safe(seq)?\b|\{% autoescape off|\bis_safe\s*=\s*True"
    found = {name(path): hits for path in [*modules(), *templates()] if (hits := lines(path, pattern))}
    check_exceptions(
        found, SAFE, "SAFE", "Let the template escape it, or use format_html; if it is HTML of our own, say so in SAFE:"
    )


def test_no_signals() -> None:
    pattern = r"@receiver\b|django\.db\.models\.signals|django\.db\.models import signals|django\.dispatch|django\.core\.signals"
    found = [line for path in modules() for line in lines(path, pattern)]
    refuse(found, "Call the service that must act, by name, in the same transaction (or on_commit); signals hide it:")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_room(path: Path, *rooms: str) -> bool:
    _app, *below = path.relative_to(ROOT).with_suffix("").parts
    return below[0] in rooms


HTTP = ("django.http", "django.shortcuts", "django.views", "django.contrib.messages", "ninja")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_rules_know_nothing_of_http() -> None:
    rooms = [path for path in modules() if is_room(path, "models", "services", "queries", "metrics")]
    found = [
        f"{name(path)}:{line}: import {module}"
        for path in rooms
        for line, module in imported(path)
        if module.startswith(HTTP)
    ]
    found += [
        f"{name(path)}:{function.lineno}: {function.name}({argument.arg})"
        for path in rooms
        for function in functions(path)
        for argument in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        if argument.arg == "request"
    ]
    refuse(found, "Take the actor and plain values; the view or the API function knows the request:")


def test_models_have_no_save_of_their_own() -> None:
    found: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and any("Model" in ast.unparse(parent) for parent in node.bases):
                for part in node.body:
                    if (
                        isinstance(part, ast.FunctionDef)
                        and part.name in ("save", "delete")
                        and "Form" not in node.name
                    ):
                        found.setdefault(name(path), []).append(f"{name(path)}:{part.lineno}: {node.name}.{part.name}")
    check_exceptions(found, OWN_SAVE, "OWN_SAVE", "bulk_create and update() pass it by. Put the rule into the service:")


def kind_names() -> tuple[set[str], set[str]]:
    """Return the slugs of the field kinds, and the names of their classes."""
    from crm import fieldkinds

    classes = [
        value
        for value in vars(fieldkinds).values()
        if isinstance(value, type) and issubclass(value, fieldkinds.FieldKind)
    ]
    return {kind.slug for kind in classes if getattr(kind, "slug", "")}, {kind.__name__ for kind in classes}


def kind_ladders(path: Path, slugs: set[str], classes: set[str]) -> Iterator[str]:
    """Yield the lines that ask which field kind something is: `kind == "number"`, `kind in (…)`, match, isinstance."""

    def about_kind(node: ast.AST) -> bool:
        return bool(re.search(r"(^|\.|_)kind(\.slug)?$", ast.unparse(node)))

    def names_a_kind(node: ast.AST) -> bool:
        return any(isinstance(part, ast.Constant) and part.value in slugs for part in ast.walk(node))

    for node in ast.walk(tree(path)):
        hit = False
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            hit = any(map(about_kind, sides)) and any(map(names_a_kind, sides))
        elif isinstance(node, ast.Match):
            hit = about_kind(node.subject) and any(names_a_kind(case.pattern) for case in node.cases)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("isinstance", "issubclass")
            and len(node.args) == 2
        ):
            asked = {
                ast.unparse(part).rpartition(".")[2] for part in ast.walk(node.args[1]) if isinstance(part, ast.expr)
            }
            hit = about_kind(node.args[0]) and bool(asked & classes)
        if hit:
            yield f"{name(path)}:{node.lineno}: {ast.unparse(node)[:80].splitlines()[0]}"


def test_only_fieldkinds_asks_for_a_kind() -> None:
    slugs, classes = kind_names()
    assert {"text", "number", "choices"} <= slugs, "kind_names() no longer finds the kinds; mend this guard"
    found = {
        name(path): hits
        for path in modules()
        if not name(path).startswith("crm/fieldkinds/") and (hits := list(kind_ladders(path, slugs, classes)))
    }
    check_exceptions(
        found, KIND_COMPARISONS, "KIND_COMPARISONS",
        "Ask the kind's class: give FieldKind in crm/fieldkinds/kind.py an attribute or a method, and the kinds that differ their own:",
    )  # fmt: skip


# --- templates and static files ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", templates(), ids=name)
def test_templates_say_what_they_are_given(path: Path) -> None:
    opening = "{# Context:" if path.suffix == ".html" else ""
    assert read(path).startswith(opening), (
        f"Open {name(path)} with its contract on the first line: {{# Context: page (Page[LeadRow]), search. What it is. #}}"
    )


INLINE = {
    r"<style\b": "Move the rules to static/css/touchpoint.css; the CSP refuses inline styles",
    r"<[a-z][^>]*?\sstyle\s*=": "Use a class of static/css/touchpoint.css, or a data attribute that a script reads",
    r"<[a-z][^>]*?\son[a-z]+\s*=\s*[\"']": "Put a data attribute here and the listener into a module of static/js/",
    r"\bhx-on[:a-z-]*\s*=": "hx-on evaluates strings, which the CSP refuses. Put the listener into a module of static/js/",
    r"\bhx-(vals|headers|vars)\s*=\s*[\"']\s*js:": "js: evaluates strings, which the CSP refuses. Use plain JSON",
    r"(href|src|action)\s*=\s*[\"']\s*javascript:": "Use a button and a listener in a module of static/js/",
}
SCRIPT = re.compile(r"<script\b([^>]*)>", re.IGNORECASE)
DATA_BLOCK = re.compile(r"type=[\"']application/json[\"']")


@pytest.mark.parametrize("path", templates(), ids=name)
def test_templates_hold_no_script_and_no_style(path: Path) -> None:
    source = without_comments(read(path))
    for pattern, instruction in INLINE.items():
        hits = [
            f"line {source.count(chr(10), 0, hit.start()) + 1}" for hit in re.finditer(pattern, source, re.IGNORECASE)
        ]
        assert not hits, f"{name(path)} {', '.join(hits)}: {instruction}."
    for script in SCRIPT.finditer(source):
        attributes = script.group(1)
        assert " src=" in attributes or DATA_BLOCK.search(attributes), (
            f"{name(path)} line {source.count(chr(10), 0, script.start()) + 1}: put this script into a module of static/js/ "
            "and load it with src; values go into data attributes or {{ value|json_script }}."
        )


def test_no_asset_comes_from_elsewhere() -> None:
    """Links that a person follows may lead anywhere; what the browser loads by itself comes from us."""
    found = []
    address = r"(?:https?:)?//(?!www\.w3\.org/)[a-z0-9.-]+\.[a-z]"
    loads = rf"<(?:script|link|img|iframe|source|use|image|object|embed|form)\b[^>]*?(?:src|href|srcset|data|action)\s*=\s*[\"']{address}"
    for path in templates():
        found += lines(path, loads)
    for path in own_static():
        pattern = rf"[\"'(]\s*{address}" if path.suffix == ".js" else rf"(?:url\(|@import|href=|src=)\s*[\"']?{address}"
        found += lines(path, pattern)
    refuse(
        found,
        "Vendor it: add the package to scripts/vendor_assets.py and run `make assets`; the CSP and offline use need it:",
    )


def test_vendored_files_are_those_of_the_manifest() -> None:
    import hashlib
    import json

    wrong = []
    for package in json.loads(read(ROOT / "static/vendor/manifest.json")):
        folder = ROOT / "static/vendor" / f"{package['name']}-{package['version']}"
        here = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        wrong += [f"{folder.name}/{file}" for file in here.keys() | package["files"].keys() if here.get(file) != package["files"].get(file)]  # fmt: skip
    refuse(sorted(wrong), "Never edit vendored files; change scripts/vendor_assets.py and run `make assets`:")


# --- lock files -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("file", ["requirements/base.txt", "requirements/dev.txt"])
def test_lock_files_pin_and_hash_and_name_no_registry(file: str) -> None:
    source = read(ROOT / file)
    addresses = re.findall(
        r"(?m)^\s*(?:--(?:index-url|extra-index-url|find-links|trusted-host)|-[if]\s).*|^.*://.*$", source
    )
    refuse(addresses, f"{file} must not name a registry or an address. Run `make lock`:")
    entries = [entry for entry in re.split(r"(?m)^(?=[a-z0-9])", source, flags=re.IGNORECASE) if re.match(r"[a-zA-Z0-9]", entry)]  # fmt: skip
    loose = [
        entry.splitlines()[0] for entry in entries if "==" not in entry.splitlines()[0] or "--hash=sha256:" not in entry
    ]
    refuse(loose, f"Every package of {file} is pinned and hashed. Run `make lock`:")


def test_the_test_lock_holds_what_the_product_runs_on() -> None:
    """`make test` installs dev.txt alone and runs the product with it."""

    def pins(file: str) -> set[str]:
        return set(re.findall(r"(?m)^([a-z0-9._-]+(?:\[[^\]]*\])?==[^ \\;]+)", read(ROOT / file)))

    missing = {pin for pin in pins("requirements/base.txt") if re.sub(r"\[.*?\]", "", pin) not in {re.sub(r"\[.*?\]", "", other) for other in pins("requirements/dev.txt")}}  # fmt: skip
    refuse(sorted(missing), "requirements/base.txt and dev.txt disagree. Run `make lock`:")
