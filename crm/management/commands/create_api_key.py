"""Make an API key for a member; the key alone is the last line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from crm.api_keys import create_key
from crm.management.find import member_named, organization_named
from crm.tenancy import scope


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--organization", required=True, help="its slug")
        parser.add_argument("--name", default="Command line")
        parser.add_argument("--read-only", action="store_true")

    def handle(self, **given: Any) -> None:
        organization = organization_named(given["organization"])
        with scope(organization):
            actor = member_named(organization, given["email"])
            _, plain = create_key(actor, given["name"], read_only=given["read_only"])
        self.stdout.write(plain)
