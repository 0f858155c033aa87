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
