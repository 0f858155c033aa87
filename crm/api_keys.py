"""API keys: shown once, kept as a hash, acting with their creator's rights as they are at each request."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import cache
from threading import Lock
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import get_random_string

from crm import events, ids
from crm.errors import InvalidInput, NotFound
from crm.models import ApiKey, Membership
from crm.permissions import Perm, has

UNAUTHORIZED = "Unauthorized"


def create_key(
    actor: Membership, name: str, *, read_only: bool = False, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key for the actor; returns its row and the key itself, which nobody can read again."""
    name = " ".join(name.split())
    if not name or len(name) > 100:
        raise InvalidInput(fields={"name": "An API key needs a name of at most 100 characters."})
    if expires_at and expires_at <= timezone.now():
        raise InvalidInput(fields={"expires_at": "The key would be expired already. Choose a later time."})
    prefix, secret = f"api_{get_random_string(22)}", get_random_string(22)
    with transaction.atomic():
        row = ApiKey.objects.create(
            organization=actor.organization, membership=actor, name=name, prefix=prefix, secret_hash=_hash(secret),
            read_only=read_only, expires_at=expires_at,
        )  # fmt: skip
        events.record(actor, "created", "api_key", row.pk, after={"name": name, "read_only": read_only})
    return row, f"{prefix}.{secret}"


def keys_for(actor: Membership) -> list[ApiKey]:
    """Return the actor's keys, or all of the organization's for those who manage it; newest first."""
    rows = ApiKey.objects.select_related("membership__user").order_by("-pk")
    return list(rows if has(actor, Perm.MANAGE_ORGANIZATION) else rows.filter(membership=actor))


def revoke(actor: Membership, public_id: str) -> None:
    """Stop a key at once. Raises `NotFound` for one the actor may not see."""
    number = ids.decode("api", public_id)
    row = next((row for row in keys_for(actor) if row.pk == number), None)
    if row is None:
        raise NotFound("There is no such API key.")
    if row.revoked_at is None:
        with transaction.atomic():
            row.revoked_at = timezone.now()
            row.save(update_fields=["revoked_at"])
            events.record(actor, "updated", "api_key", row.pk, changed=["revoked_at"], after={"name": row.name})


def find_key(plain: str) -> ApiKey | None:
    """Return the live key this text is, its membership loaded; None for a wrong, expired or revoked one.

    A key whose creator was removed or deactivated is dead as well. Notes the use, at most once a minute.
    """
    prefix, _, secret = plain.partition(".")
    row = _row_of(prefix)
    if row is None or not hmac.compare_digest(row.secret_hash, _hash(secret)):
        return None
    now, member = timezone.now(), row.membership
    if (row.expires_at and row.expires_at <= now) or member.removed_at or not member.user.is_active:
        return None
    if row.last_used_at is None or now - row.last_used_at > timedelta(minutes=1):
        ApiKey.unscoped.filter(pk=row.pk).update(last_used_at=now)
    return row


def why_refused(plain: str) -> str:
    """Return what to answer to a key that `find_key` did not find.

    Whoever holds the whole key learns what became of it; for everybody else there is one word.
    """
    prefix, _, secret = plain.partition(".")
    row = ApiKey.unscoped.select_related("membership__user").filter(prefix=prefix).first() if secret else None
    if row is None or not hmac.compare_digest(row.secret_hash, _hash(secret)):
        return UNAUTHORIZED
    ended, words = row.revoked_at, "was revoked"
    if ended is None and row.expires_at and row.expires_at <= timezone.now():
        ended, words = row.expires_at, "expired"
    if ended is None:
        return f"{UNAUTHORIZED}: the member who made the API key “{row.name}” is no longer one. Use another key."
    return f"{UNAUTHORIZED}: the API key “{row.name}” {words} on {ended.astimezone(UTC):%Y-%m-%d at %H:%M} UTC. Use another key."


# Every request asks for its key with member, user, role and organization. The database is asked each time, so rights are
# live; what is saved is compiling the statement and making the objects while none of its values has changed.
_KEPT = 1000
_known: OrderedDict[str, tuple[tuple[Any, ...], ApiKey]] = OrderedDict()
_known_lock = Lock()


def _row_of(prefix: str) -> ApiKey | None:
    with connection.cursor() as cursor:
        cursor.execute(_statement(), [prefix])
        stored = cursor.fetchone()
    if stored is None:
        return None
    with _known_lock:
        before, row = _known.get(prefix, ((), None))
    if row is None or before != stored:
        row = _keys().filter(prefix=prefix).first()
        if row is None:
            return None
        with _known_lock:
            _known[prefix] = (stored, row)
            while len(_known) > _KEPT:
                _known.popitem(last=False)
    return _own(row)


def _keys() -> QuerySet[ApiKey]:
    rows = ApiKey.unscoped.select_related("membership__user", "membership__organization", "membership__role")
    return rows.filter(revoked_at=None)


@cache
def _statement() -> str:
    """Return the SQL of a live key with everything around it; its one parameter is the prefix."""
    statement, parameters = _keys().filter(prefix="").query.sql_with_params()
    assert parameters == ("",)
    return str(statement)


def _own(row: ApiKey) -> ApiKey:
    """Return a key whose objects are this request's alone."""
    key, member = copy(row), copy(row.membership)
    member.user, member.role, member.organization = copy(member.user), copy(member.role), copy(member.organization)
    key.membership = member
    return key


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
