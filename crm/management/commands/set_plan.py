"""Put an organization on another plan. Nothing is hidden or lost when it is over the new limits."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from crm.management.find import organization_named
from crm.plans import PLANS


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", help="its slug")
        parser.add_argument("plan", choices=list(PLANS))

    def handle(self, **given: Any) -> None:
        organization = organization_named(given["organization"])
        organization.plan = given["plan"]
        organization.save(update_fields=["plan"])
        self.stdout.write(f"{organization.name} is on the plan {PLANS[organization.plan].name} now.")
