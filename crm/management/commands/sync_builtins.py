"""Give every organization the built-in kinds and fields that were added since it was made. Safe to repeat."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from activities.services.types import install_builtins
from crm.models import Organization
from crm.tenancy import scope


class Command(BaseCommand):
    help = __doc__

    def handle(self, **given: Any) -> None:
        for organization in Organization.objects.all():
            with scope(organization):
                install_builtins(organization)
