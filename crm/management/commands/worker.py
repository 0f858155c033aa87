"""Run background jobs until Ctrl-C or SIGTERM."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django_q.cluster import Cluster


class Command(BaseCommand):
    help = __doc__

    def handle(self, **given: Any) -> None:
        cluster = Cluster()
        cluster.start()
        # The cluster stops its processes on SIGINT and SIGTERM; this one only waits for the sentinel.
        if cluster.sentinel:
            cluster.sentinel.join()
