"""Background jobs. The only module that knows the queue; jobs are idempotent and name a function by its path."""

from __future__ import annotations

from typing import Any

from django.db import transaction


def enqueue(function_path: str, *args: Any, **kwargs: Any) -> None:
    """Run a function in a worker once the current transaction is committed. Arguments must be JSON-able."""

    def send() -> None:
        from django_q.tasks import async_task

        async_task(function_path, *args, **kwargs)

    transaction.on_commit(send)


def run_worker() -> None:
    """Take jobs from the queue until SIGINT or SIGTERM; the job in hand is finished first."""
    from django_q.cluster import Cluster

    cluster = Cluster()
    cluster.start()
    # The cluster stops its processes on both signals; this one only waits for the sentinel.
    if cluster.sentinel:
        cluster.sentinel.join()


def last_sign_of_a_worker() -> tuple[bool, int]:
    """Return whether a worker reported lately, and how many jobs wait."""
    from django_q.brokers import get_broker
    from django_q.models import OrmQ
    from django_q.status import Stat

    return bool(Stat.get_all(broker=get_broker())), OrmQ.objects.count()
