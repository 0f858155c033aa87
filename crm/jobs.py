"""Background jobs. The only module that knows the queue; jobs are idempotent and name a function by its path."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import close_old_connections, transaction

log = logging.getLogger("touchpoint.jobs")
COURIER_SECONDS, FLOOD_SECONDS, UPKEEP_SECONDS = 1.0, 300, 3600


def enqueue(function_path: str, *args: Any, **kwargs: Any) -> None:
    """Run a function in a worker once the current transaction is committed. Arguments must be JSON-able."""

    def send() -> None:
        from django_q.tasks import async_task

        async_task(function_path, *args, **kwargs)

    transaction.on_commit(send)


def upkeep() -> None:
    """Have a worker bring up to date what follows from the data: every hour, and after much was written."""
    for path in settings.UPKEEP_JOBS:
        enqueue(path)


def run_worker() -> None:
    """Take jobs from the queue until SIGINT or SIGTERM; the job in hand is finished first."""
    from django_q.cluster import Cluster

    if sys.platform == "linux":
        os.register_at_fork(after_in_child=_end_with_parent(ctypes.CDLL(None)))
    cluster = Cluster()
    cluster.start()
    # The cluster's processes are forked by now, so a thread is safe. Deliveries do not wait behind long jobs.
    stopped = threading.Event()
    courier = threading.Thread(target=_deliver_until, args=(stopped,), name="webhooks", daemon=True)
    courier.start()
    # The cluster stops its processes on both signals; this one only waits for the sentinel.
    if cluster.sentinel:
        cluster.sentinel.join()
    stopped.set()
    courier.join(timeout=20)


def _end_with_parent(libc: ctypes.CDLL) -> Callable[[], None]:
    """Return what a forked process does to be killed when the one that forked it is gone.

    Orphans of a worker that was killed would go on reporting that there is one, while nobody sends what webhooks wait for.
    """
    set_signal_of_parents_death = 1
    return lambda: libc.prctl(set_signal_of_parents_death, signal.SIGKILL)


def _deliver_until(stopped: threading.Event) -> None:
    """Send what webhooks have to deliver, once a second, whatever goes wrong with one round."""
    from crm.webhooks.courier import deliver_due, forget_old, pause_flooded

    rounds, upkeep_at = 0, time.monotonic()
    while not stopped.is_set():
        taken = 0
        try:
            close_old_connections()
            taken = deliver_due()
            if rounds % FLOOD_SECONDS == 0:
                pause_flooded()
                forget_old()
            if time.monotonic() >= upkeep_at:
                upkeep_at += UPKEEP_SECONDS
                upkeep()
        except Exception:
            log.exception("A round of webhook deliveries failed; the next one tries again.")
        rounds += 1
        if not taken:
            stopped.wait(COURIER_SECONDS)


def last_sign_of_a_worker() -> tuple[bool, int]:
    """Return whether a worker reported lately, and how many jobs wait."""
    from django_q.brokers import get_broker
    from django_q.models import OrmQ
    from django_q.status import Stat

    return bool(Stat.get_all(broker=get_broker())), OrmQ.objects.count()
