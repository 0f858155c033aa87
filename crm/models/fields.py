"""Custom fields and the search index of their values."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from django.utils.timezone import now

from crm import ids
from crm.models.organizations import User
from crm.tenancy import TenantModel


class FieldSet(TenantModel):
    """The fields of all leads, of all contacts, or of one activity type."""

    class Owner(models.TextChoices):
        LEAD = "lead"
        CONTACT = "contact"
        ACTIVITY = "activity"

    owner = models.CharField(max_length=10, choices=Owner.choices)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "organization",
                "owner",
                condition=~models.Q(owner="activity"),
                name="fieldset_one_for_leads_and_contacts",
            ),
            models.UniqueConstraint(fields=["organization", "id"], name="fieldset_in_organization"),
        ]


class CustomField(TenantModel):
    """A typed field. `id` is born once and never changes; `name` may at any time; another `kind` is another row (`known_as`)."""

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    description = models.CharField(max_length=280, blank=True)
    multiple = models.BooleanField(default=False)
    shared = models.BooleanField(default=False)
    builtin = models.CharField(
        max_length=40, blank=True, help_text="Key of a field declared in code, e.g. call.duration"
    )
    settings = models.JSONField(default=dict, help_text="By kind: unit, minimum, maximum")
    default = models.JSONField(null=True, help_text="A cleaned value, as stored in a record")
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)
    deleted_at = models.DateTimeField(null=True, help_text="Gone at once for everybody; a job removes the values")
    known_as = models.BigIntegerField(null=True, help_text="The number in its public id, where it is not the row's own")
    replaces = models.BigIntegerField(
        null=True, help_text="The field it takes the place of, while values are converted"
    )

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "id"], name="field_in_organization")]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("cf", self.number)

    @property
    def number(self) -> int:
        """The number by which clients and the event log know the field: a conversion changes its row, never this."""
        return self.known_as or self.pk


class FieldUse(TenantModel):
    """One field in one field set. Required, order and restrictions belong to the use, not to the field."""

    fieldset = models.ForeignKey(FieldSet, on_delete=models.CASCADE, related_name="uses")
    field = models.ForeignKey(CustomField, on_delete=models.CASCADE, related_name="uses")
    position = models.PositiveIntegerField(default=0)
    heading = models.CharField(max_length=200, blank=True, help_text="A section heading shown above the field")
    required = models.BooleanField(default=False)
    read_only = models.BooleanField(default=False, help_text="Written by API and import only")
    edit_roles = models.JSONField(default=list, help_text="Role ids; empty = every role")
    view_roles = models.JSONField(default=list, help_text="Role ids; empty = every role")
    show_when = models.JSONField(null=True, help_text='{"field": id, "values": [stored values]}')

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["fieldset", "field"], name="field_once_in_set")]


class FieldOption(TenantModel):
    """A choice of a field. Removed options stay on old values and stay searchable."""

    field = models.ForeignKey(CustomField, on_delete=models.CASCADE, related_name="options")
    label = models.CharField(max_length=200)
    color = models.CharField(max_length=20, blank=True)
    position = models.PositiveIntegerField(default=0)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("field", Lower("label"), name="option_label_once")]

    def __str__(self) -> str:
        return self.label

    @property
    def public_id(self) -> str:
        return ids.encode("opt", self.pk)


class ValueIndex(models.Model):
    """A search index over the JSON of records: rebuilt from it at any time, never the truth.

    `record_key` says whose value it is within the lead: the activity's id (> 0), 0 for the lead's own value,
    minus the contact's id (< 0) for a contact's. One table and one compiler serve all three, and shared fields stay
    apart. There are no foreign keys: rows are written and removed by `crm.customfields.values` alone.
    """

    field_id = models.BigIntegerField()
    lead_id = models.BigIntegerField()
    record_key = models.BigIntegerField()

    class Meta:
        abstract = True


class ValueRef(ValueIndex):
    """Option ids, user ids, contact ids, and 1 or 0 for a checkbox."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key", "v")
    v = models.BigIntegerField()

    class Meta:
        db_table = "value_ref"
        indexes: ClassVar = [models.Index(fields=["field_id", "v", "lead_id", "record_key"], name="value_ref_v")]


class ValueNumber(ValueIndex):
    """Numbers, for comparing and adding. The exact figure is the JSON's."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key", "v")
    v = models.DecimalField(max_digits=28, decimal_places=10)

    class Meta:
        db_table = "value_number"
        indexes: ClassVar = [models.Index(fields=["field_id", "v", "lead_id", "record_key"], name="value_number_v")]


class ValueMoment(ValueIndex):
    """Instants; calendar dates as midnight UTC."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key", "v")
    v = models.DateTimeField()

    class Meta:
        db_table = "value_moment"
        indexes: ClassVar = [models.Index(fields=["field_id", "v", "lead_id", "record_key"], name="value_moment_v")]


class ValueText(ValueIndex):
    """Text, folded (case and accents) and cut to 1,000 characters. A trigram index exists where PostgreSQL offers it."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key")
    v = models.CharField(max_length=1000)

    class Meta:
        db_table = "value_text"
