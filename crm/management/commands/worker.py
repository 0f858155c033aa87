"""Run background jobs until Ctrl-C or SIGTERM. Imports, bulk changes and conversions of fields that a
dead worker left are taken up again at once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from activities.imports import resume_all
from crm.jobs import run_worker
from crm.tasks import resume_conversions
from leads.tasks import resume_bulk


class Command(BaseCommand):
    help = __doc__

    def handle(self, **given: Any) -> None:
        resume_all()
        resume_bulk()
        resume_conversions()
        run_worker()
