"""After new code is in place: back up, bring database and static files up to date, and say whether all is well.

The first time it makes them: an empty database is not backed up.
"""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from crm.jobs import upkeep
from crm.sqlite import tell_planner


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-backup", action="store_true", help="when you have one of your own")

    def handle(self, **given: Any) -> None:
        if not given["no_backup"] and connection.introspection.table_names():
            call_command("backup", stdout=self.stdout)
        call_command("migrate", verbosity=0, interactive=False)
        tell_planner(connection)  # a migration that makes a table anew loses its figures
        call_command("createcachetable", verbosity=0)
        call_command("sync_builtins")
        call_command("collectstatic", verbosity=0, interactive=False)
        upkeep()
        self.stdout.write("Database and static files are up to date. Start the server and the worker.")
        call_command("doctor", stopped=True, stdout=self.stdout)
