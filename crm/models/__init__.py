"""Tables of the foundation: organizations, people, roles, custom fields and their search index, events, imports."""

from crm.models.developer import IdempotencyKey, WebhookDelivery, WebhookSubscription
from crm.models.fields import (
    CustomField,
    FieldOption,
    FieldSet,
    FieldUse,
    ValueIndex,
    ValueMoment,
    ValueNumber,
    ValueRef,
    ValueText,
)
from crm.models.log import Event, ImportRow, ImportRun, Notification
from crm.models.organizations import (
    ApiKey,
    Membership,
    Organization,
    Role,
    SignInLink,
    Team,
    UsageCounter,
    User,
    UserManager,
    new_version,
)

__all__ = [
    "ApiKey",
    "CustomField",
    "Event",
    "FieldOption",
    "FieldSet",
    "FieldUse",
    "IdempotencyKey",
    "ImportRow",
    "ImportRun",
    "Membership",
    "Notification",
    "Organization",
    "Role",
    "SignInLink",
    "Team",
    "UsageCounter",
    "User",
    "UserManager",
    "ValueIndex",
    "ValueMoment",
    "ValueNumber",
    "ValueRef",
    "ValueText",
    "WebhookDelivery",
    "WebhookSubscription",
    "new_version",
]
