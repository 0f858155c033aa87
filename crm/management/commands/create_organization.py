"""Make an organization and print its first admin's one-time sign-in link."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from crm.accounts import make_sign_in_link
from crm.errors import TouchpointError
from crm.management.provision import provision_organization
from crm.plans import DEFAULT_PLAN, PLANS


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--slug", required=True, help="the part of the address: /o/<slug>/")
        parser.add_argument("--plan", default=DEFAULT_PLAN, choices=list(PLANS))
        parser.add_argument("--admin", required=True, help="email of the first admin")
        parser.add_argument("--timezone", default="UTC")

    def handle(self, **given: Any) -> None:
        try:
            admin = provision_organization(
                given["name"], given["slug"], given["admin"], plan=given["plan"], timezone=given["timezone"]
            )
        except TouchpointError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{admin.organization.name} is ready. {admin.user.email} signs in once with:")
        self.stdout.write(make_sign_in_link(admin.user))
