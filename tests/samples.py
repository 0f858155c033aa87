"""What every field kind accepts and refuses, at each door. One entry per kind; tests of kinds, forms, API and CSV use it.

`{option}`, `{user}`, `{contact}` in raw input stand for public ids, and `OPTION`, `USER`, `CONTACT` as stored values for
row ids: the test that makes the field fills them in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crm.fieldkinds import KINDS

OPTION, USER, CONTACT = object(), object(), object()


@dataclass(frozen=True)
class Good:
    """Raw input by door that gives one stored value, and what that value looks like afterwards."""

    form: Any
    api: Any
    csv: str
    stored: Any
    api_value: Any
    csv_text: str
    display: str


@dataclass(frozen=True)
class Sample:
    """A kind's values. `bad`: raw input and a part of the sentence it is refused with."""

    good: tuple[Good, ...]
    bad: tuple[tuple[Any, str], ...] = ()
    options: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


LONG = "x" * 10_001

SAMPLES: dict[str, Sample] = {
    "text": Sample(
        good=(
            Good("  Ada\r\nLovelace ", "Ada\nLovelace", "Ada\nLovelace", *["Ada Lovelace"] * 4),
            Good("12", 12, "12", *["12"] * 4),
            Good("=1+1", "=1+1", "=1+1", *["=1+1"] * 4),
            Good("<b>İß</b>", "<b>İß</b>", "<b>İß</b>", *["<b>İß</b>"] * 4),
        ),
        bad=(
            ("a\x00b", "contains a NUL character"),
            (LONG, "is 10,001 characters long; at most 10,000 fit"),
            (True, "must be text"),
            ({"a": 1}, "must be text"),
            ([["a"]], "must be text"),
            (["a", "b"], "takes one value, 2 were given"),
            ("\ud800", "contains broken characters"),
        ),
    ),
    "textarea": Sample(
        good=(Good("one\r\n\r\n two \n", "one\n\n two", "one\r\n\r\n two", *["one\n\n two"] * 4),),
        bad=(
            ("a\x00b", "contains a NUL character"),
            (LONG * 10, "is 100,010 characters long; at most 100,000 fit"),
            (False, "must be text"),
        ),
    ),
    "hidden": Sample(
        good=(Good("utm=spring", "utm=spring", "utm=spring", *["utm=spring"] * 4),),
        bad=(("a\x00b", "contains a NUL character"),),
    ),
    "number": Sample(
        good=(
            Good(" 12.50 ", 12.5, "12.5", "12.5", 12.5, "12.5", "12.5 kg"),
            Good("0", 0, "-0.0", "0", 0, "0", "0 kg"),
            Good("1,234,567.5", 1234567.5, "1234567.5", "1234567.5", 1234567.5, "1234567.5", "1,234,567.5 kg"),
            Good("1,234.5", "1234.5", "1\u00a0234.5", "1234.5", 1234.5, "1234.5", "1,234.5 kg"),
            Good("1e3", 1000, "1000.", "1000", 1000, "1000", "1,000 kg"),
            Good(".1", 0.1, "0.10", "0.1", 0.1, "0.1", "0.1 kg"),
            Good(
                "999999999999999999", 999999999999999999, "999999999999999999",
                "999999999999999999", 999999999999999999, "999999999999999999", "999,999,999,999,999,999 kg",
            ),
            Good(
                "0.0000000001", "0.0000000001", "1e-10", "0.0000000001", 1e-10, "0.0000000001", "0.0000000001 kg"
            ),
        ),
        bad=(
            ("12,5", "Use a point for decimals."),
            ("1,234", "can mean 1234 or 1.234"),
            ("twelve", "“twelve” is not one. Write it as 1234.5."),
            ("12.", None),  # a number, though half typed
            ("1.2.3", "is not one"),
            ("NaN", "is not one"),
            ("Infinity", "is not one"),
            (float("inf"), "is not one"),
            ("-5", "must be at least -3"),
            ("1e18", "18 digits before and 10 after"),
            ("0.00000000001", "18 digits before and 10 after"),
            ("123456789012345678.123456789012", "18 digits before and 10 after"),
            ("9" * 5000, "18 digits before and 10 after"),
            (True, "must be a number"),
            ({"a": 1}, "is not one"),
        ),
        settings={"unit": "kg", "minimum": "-3", "maximum": "999999999999999999"},
    ),
    "date": Sample(
        good=(
            Good("2024-02-29", "2024-02-29", "2024-02-29", *["2024-02-29"] * 3, "29 Feb 2024"),
            Good("2024-01-31T23:30", "2024-01-31T23:30:00+00:00", "2024-01-31", *["2024-01-31"] * 3, "31 Jan 2024"),
            Good("9999-12-31", "9999-12-31", "9999-12-31", *["9999-12-31"] * 3, "31 Dec 9999"),
        ),
        bad=(
            ("2023-02-29", "“2023-02-29” is not one"),
            ("31.01.2024", "must be a date such as 2024-01-31"),
            ("10000-01-01", "is not one"),
            ("0000-01-01", "is not one"),
            (True, "is not one"),
        ),
    ),
    "datetime": Sample(
        good=(
            Good(
                "2024-01-31T14:30", "2024-01-31T13:30:00Z", "2024-01-31 14:30",
                "2024-01-31T13:30:00+00:00", "2024-01-31T13:30:00+00:00", "2024-01-31T13:30:00+00:00",
                "31 Jan 2024, 14:30",
            ),
            # Berlin's clocks go from 02:00 to 03:00: 02:30 is not there, and means half an hour after the change.
            Good(
                "2024-03-31T02:30", "2024-03-31T03:30:00+02:00", "2024-03-31T02:30",
                "2024-03-31T01:30:00+00:00", "2024-03-31T01:30:00+00:00", "2024-03-31T01:30:00+00:00",
                "31 Mar 2024, 03:30",
            ),
        ),
        bad=(
            ("tomorrow", "must be a date and time such as 2024-01-31T14:30"),
            ("0001-01-01T00:00", "Use years 1 to 9999"),
            ("9999-12-31T23:59", "Use years 1 to 9999"),
            ("2024-01-31T25:00", "is not one"),
        ),
    ),
    "choices": Sample(
        good=(
            Good("{option}", "HubSpot", "hubspot", OPTION, "HubSpot", "HubSpot", "HubSpot"),
            Good(["{option}"], ["HubSpot"], " HubSpot ", OPTION, "HubSpot", "HubSpot", "HubSpot"),
        ),
        bad=(
            ("Pipedrive", "“Pipedrive” is not an option of Sample. Choose one of: HubSpot, A; B, None."),
            ("opt_0000000000000000", "is not an option"),
            (7, "is not an option"),
            ("\ud800\x00", "“??” is not an option"),
        ),
        options=("HubSpot", "A; B", "None"),
    ),
    "user": Sample(
        good=(
            Good("{user}", "{user}", "USER@ours.example", USER, "{user}", "user@ours.example", "Uma User"),
            Good("{user}", "Uma User", "uma user", USER, "{user}", "user@ours.example", "Uma User"),
        ),
        bad=(
            ("uma@elsewhere.example", "is not a member. Use an email, an exact name or an id for Sample."),
            ("{their_user}", "is not a member"),
            (12, "is not a member"),
        ),
    ),
    "contact": Sample(
        good=(
            Good("{contact}", "{contact}", "hello@acme.example", CONTACT, "{contact}", "{contact}", "Contact of Acme"),
            Good("{contact}", "Contact of Acme", "contact of acme", CONTACT, "{contact}", "{contact}", "Contact of Acme"),
        ),
        bad=(
            ("Contact of Bluth", "“Contact of Bluth” is not a contact of this lead. Choose one for Sample."),
            ("{their_contact}", "is not a contact of this lead"),
        ),
    ),
    "checkbox": Sample(
        good=(
            Good("yes", True, "TRUE", True, True, "yes", "Yes"),
            Good("no", False, "0", False, False, "no", "No"),
        ),
        bad=(("maybe", "must be yes or no; “maybe” is neither."), (2, "must be yes or no")),
    ),
    "url": Sample(
        good=(
            Good("example.com/a?b=1#c", "https://example.com/a?b=1#c", "example.com/a?b=1#c", *["https://example.com/a?b=1#c"] * 4),
            Good("localhost:8000", "https://localhost:8000", "localhost:8000", *["https://localhost:8000"] * 4),
            Good("http://intranet/", "http://intranet/", "http://intranet/", *["http://intranet/"] * 4),
            Good("https://münchen.example", "https://münchen.example", "münchen.example", *["https://münchen.example"] * 4),
        ),
        bad=(
            ("javascript:alert(1)", "must be a web address such as https://example.com."),
            (" JavaScript://example.com/%0aalert(1)", "must be a web address"),
            ("java\nscript:alert(1)", "must be a web address"),
            ("data:text/html,x", "must be a web address"),
            ("ftp://example.com", "must be a web address"),
            ("mailto:ada@example.com", "must be a web address"),
            ("https://", "must be a web address"),
            ("https://..", "must be a web address"),
            ("https://example.com:port", "must be a web address"),
            ("https://example.com/\x01", "must be a web address"),
            ("https://exa mple.com", "must be a web address"),
            ('https://example.com/"onclick="x', "must be a web address"),
            ("hello", "must be a web address"),
            ("https://example.com/" + "x" * 2000, "at most 2,000 fit"),
        ),
    ),
    "email": Sample(
        good=(Good(" Ada@Example.com ", "Ada@Example.com", "Ada@Example.com", *["Ada@Example.com"] * 4),),
        bad=(
            ("ada@", "must be an email address such as name@company.com."),
            ("ada@example.com, bob@example.com", "must be an email address"),
            ("ada@example.com\nBcc: x@example.com", "must be an email address"),
        ),
    ),
    "phone": Sample(
        good=(
            Good("+1 (202) 555-0143", "+12025550143", "+1 202.555.0143", *["+12025550143"] * 3, "+1 202-555-0143"),
            Good("030 / 123 45 67", "030 / 123 45 67", "030 / 123 45 67", *["030 / 123 45 67"] * 4),
            Good("+1 202 555 0143 ext. 5", "+1 202 555 0143 ext. 5", "+1 202 555 0143 ext. 5", *["+1 202 555 0143 ext. 5"] * 4),
        ),
        bad=(
            ("call me", "must be a phone number such as +1 202 555 0143."),
            ("12", "must be a phone number"),
            ("1" * 21, "must be a phone number"),
            ("<script>1234</script>", "must be a phone number"),
        ),
    ),
}  # fmt: skip


def missing_kinds() -> list[str]:
    """Return the kinds without a sample."""
    return [slug for slug in KINDS if not SAMPLES.get(slug, Sample(())).good]
