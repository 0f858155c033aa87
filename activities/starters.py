"""Starter types: what a new organization can take in with one click, and give back with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StarterField:
    name: str
    kind: str
    options: tuple[str, ...] = ()
    more: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Starter:
    key: str
    name: str
    description: str
    icon: str
    color: str
    fields: tuple[StarterField, ...]


def _text(name: str) -> StarterField:
    return StarterField(name, "text")


def _choices(name: str, *options: str, several: bool = False) -> StarterField:
    return StarterField(name, "choices", options, (("multiple", True),) if several else ())


STARTERS: tuple[Starter, ...] = (
    Starter("qualifying-call", "Sales Qualifying Call", "The first real conversation: is there a need, and a fit?", "phone", "blue", (
        _text("Are they qualified?"),
        _choices("What is their current CRM?", "Close", "HubSpot", "Pipedrive", "Salesforce", "Spreadsheet", "None", "Other"),
        StarterField("How many users do they anticipate having?", "number", (), (("settings", {"minimum": "0"}),)),
        _choices("How did they hear about us?", "Search", "Partner referral", "Customer", "Event", "Podcast", "Other"),
        StarterField("What is their sales process like?", "textarea"),
    )),
    Starter("onboarding", "Customer Onboarding Checklist", "What is done, and what is next, for a new customer.", "checklist", "green", (
        StarterField("Kick-off held", "checkbox"),
        StarterField("Data imported", "checkbox"),
        StarterField("Team invited", "checkbox"),
        StarterField("Go-live date", "date"),
        StarterField("Onboarding manager", "user"),
        StarterField("Main contact", "contact"),
        StarterField("Notes", "textarea"),
    )),
    Starter("ticket", "Intercom ticket", "A support conversation, usually written by an integration.", "ticket", "orange", (
        _text("Subject"),
        _choices("Status", "Open", "Waiting", "Solved"),
        _choices("Priority", "Low", "Normal", "High", "Urgent"),
        StarterField("Ticket link", "url"),
        StarterField("Summary", "textarea"),
    )),
    Starter("invoice", "Stripe invoice", "An invoice as your billing system sees it.", "receipt", "purple", (
        _text("Invoice number"),
        StarterField("Amount", "number", (), (("settings", {"unit": "USD", "minimum": "0"}),)),
        _choices("State", "Draft", "Open", "Paid", "Uncollectible", "Void"),
        StarterField("Due", "date"),
        StarterField("Invoice link", "url"),
    )),
    Starter("nps", "NPS Feedback", "How likely are they to recommend you, and why?", "heart", "pink", (
        StarterField("Score", "number", (), (("settings", {"minimum": "0", "maximum": "10"}),)),
        StarterField("Comment", "textarea"),
        StarterField("Answered on", "datetime"),
    )),
    Starter("inbound", "Inbound Form", "Somebody filled in a form on your website.", "forms", "teal", (
        _text("Form"),
        StarterField("Email", "email"),
        StarterField("Phone", "phone"),
        _choices("Interested in", "Demo", "Pricing", "Partnership", "Support", several=True),
        StarterField("Message", "textarea"),
    )),
    Starter("linkedin", "Connected on LinkedIn", "A touchpoint with nothing to fill in: one click logs it.", "brand-linkedin", "azure", ()),
)  # fmt: skip
