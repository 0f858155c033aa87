"""Make somebody a member of an organization and print their one-time sign-in link."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from crm.accounts import make_sign_in_link
from crm.management.find import organization_named, role_named
from crm.management.provision import join


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--organization", required=True, help="its slug")
        parser.add_argument("--role", default="user", help="admin, superuser, user, restricteduser, or a role's name")
        parser.add_argument("--first-name", default="")
        parser.add_argument("--last-name", default="")

    def handle(self, **given: Any) -> None:
        organization = organization_named(given["organization"])
        member = join(
            organization,
            given["email"],
            role_named(organization, given["role"]),
            first_name=given["first_name"],
            last_name=given["last_name"],
        )
        self.stdout.write(make_sign_in_link(member.user))
