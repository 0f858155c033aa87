"""Write everything into one file: database, uploaded files, secret key. People may go on working."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from crm.backups import make_backup
from crm.errors import InvalidInput


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="default: DATA_DIR/backups/touchpoint-<time>.tar.gz")

    def handle(self, **given: Any) -> None:
        name = f"touchpoint-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
        target = (given["file"] or settings.DATA_DIR / "backups" / name).expanduser().resolve()
        if target.exists():
            raise CommandError(f"{target} exists already. Name another file.")
        try:
            made = make_backup(target)
        except InvalidInput as error:
            raise CommandError(error.message) from error
        self.stdout.write(
            f"Everything is in {made} ({made.stat().st_size / 1e6:,.1f} MB). Restore it with: manage.py restore {made}"
        )
