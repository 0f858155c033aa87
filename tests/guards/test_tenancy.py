"""Tenants are sealed: tables, managers and database constraints."""

import pytest
from django.apps import apps

from crm.tenancy import OutOfScope, TenantModel, scope
from leads.models import Lead

OURS = ("crm", "leads", "activities", "reporting")
# model → why it belongs to no organization
WITHOUT_ORGANIZATION = {
    "crm.Organization": "it is the tenant",
    "crm.User": "a person may be a member of several organizations",
    "crm.SignInLink": "it belongs to a user",
    "crm.ValueRef": "found through field ids and lead ids of one organization only",
    "crm.ValueNumber": "as ValueRef",
    "crm.ValueMoment": "as ValueRef",
    "crm.ValueText": "as ValueRef",
    "activities.LeadActivityFact": "found through type ids and lead ids of one organization only",
}


def our_models() -> list:
    return [model for model in apps.get_models() if model._meta.app_label in OURS and not model._meta.auto_created]


def test_every_table_belongs_to_an_organization() -> None:
    bare = [m._meta.label for m in our_models() if not issubclass(m, TenantModel)]
    assert sorted(bare) == sorted(WITHOUT_ORGANIZATION), (
        "Derive the model from crm.tenancy.TenantModel, or give the reason in WITHOUT_ORGANIZATION."
    )


def test_default_managers_fail_closed(db: None) -> None:
    for model in our_models():
        if issubclass(model, TenantModel):
            with pytest.raises(OutOfScope):
                list(model._default_manager.all()[:1])


def test_a_queryset_made_outside_reads_the_scope_it_runs_in(world) -> None:
    leads = Lead.objects.order_by("pk")
    with scope(world.ours.organization):
        ours = {lead.pk for lead in leads.all()}
    with scope(world.theirs.organization):
        theirs = {lead.pk for lead in leads.all()}
    assert ours and theirs and not ours & theirs


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_the_database_refuses_a_row_that_mixes_organizations(world) -> None:
    from django.db import IntegrityError

    from leads.models import Contact

    with scope(world.theirs.organization):
        lead = Lead.objects.first()
    with pytest.raises(IntegrityError):
        Contact.unscoped.create(organization=world.ours.organization, lead=lead, name="Smuggled")
