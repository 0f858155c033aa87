"""Print a one-time sign-in link for a user."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from crm.accounts import make_sign_in_link, reset_second_step
from crm.models import User

DEMO_ADMIN = "maya@demo.example"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("email", nargs="?")
        who.add_argument("--demo", action="store_true", help="the demo organization's admin")
        parser.add_argument(
            "--reset-second-step", action="store_true", help="for a lost phone: codes, keys and recovery codes go first"
        )

    def handle(self, **given: Any) -> None:
        email = DEMO_ADMIN if given["demo"] else given["email"]
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            raise CommandError(f"There is no user {email}. Make one with create_organization or create_member.")
        if given["reset_second_step"]:
            removed = reset_second_step(user)
            self.stdout.write(f"{removed or 'No'} second step{'' if removed == 1 else 's'} of {user.email} removed.")
        self.stdout.write(make_sign_in_link(user))
