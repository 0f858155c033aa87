"""Put a backup in place of what is there. Stop the server and the worker first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from crm.backups import read_about, restore_backup
from crm.errors import InvalidInput
from crm.models import Organization


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="even where organizations are: they are replaced")

    def handle(self, **given: Any) -> None:
        source = given["file"].expanduser().resolve()
        try:
            about = read_about(source)
            here = _organizations()
            if here and not given["replace"]:
                raise CommandError(
                    f"This database holds {here} organization{'s' if here > 1 else ''}, which the backup would replace. "
                    "Make a backup of them first (manage.py backup), then say --replace."
                )
            restore_backup(source)
        except InvalidInput as error:
            raise CommandError(error.message) from error
        call_command("migrate", verbosity=0, interactive=False)
        call_command("sync_builtins")
        self.stdout.write(
            f"The backup of {about['made'][:16].replace('T', ' ')} UTC is in place: {_organizations()} organization(s)."
        )


def _organizations() -> int:
    """Return how many organizations are there; none in a database without tables."""
    try:
        return Organization.objects.count()
    except DatabaseError:
        connection.close()
        return 0
