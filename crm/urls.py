"""The site map. Every URL leads to a view that states who may come in."""

from django.contrib import admin
from django.urls import include, path

import activities.admin  # noqa: F401 (these three are what the staff door lists)
import crm.admin  # noqa: F401
import leads.admin  # noqa: F401
from crm.views import api_keys, home, members, organization, roles, teams

organization_urls = [
    path("", include("leads.urls")),
    path("", include("activities.urls")),
    path("notifications/", include("crm.urls_notifications")),
    path("reports/", include("reporting.urls")),
    path("settings/", home.settings_home, name="settings_home"),
    path("settings/organization/", organization.organization, name="organization"),
    path("settings/plan/", organization.plan, name="plan"),
    path("settings/members/", members.members, name="members"),
    path("settings/members/invite/", members.invite, name="invite_member"),
    path("settings/members/<str:member_id>/role/", members.change_role, name="change_role"),
    path("settings/members/<str:member_id>/link/", members.resend, name="resend_link"),
    path("settings/members/<str:member_id>/sign-out/", members.sign_out, name="sign_out_member"),
    path("settings/members/<str:member_id>/remove/", members.remove, name="remove_member"),
    path("settings/roles/", roles.roles, name="roles"),
    path("settings/roles/clone/", roles.clone, name="role_clone"),
    path("settings/roles/<str:role_id>/", roles.role, name="role"),
    path("settings/roles/<str:role_id>/delete/", roles.delete, name="role_delete"),
    path("settings/teams/", teams.teams, name="teams"),
    path("settings/teams/new/", teams.create, name="team_create"),
    path("settings/teams/<str:team_id>/rename/", teams.rename, name="team_rename"),
    path("settings/teams/<str:team_id>/delete/", teams.delete, name="team_delete"),
    path("settings/teams/<str:team_id>/members/", teams.add, name="team_add"),
    path("settings/teams/<str:team_id>/members/<str:member_id>/remove/", teams.take_out, name="team_take_out"),
    path("settings/api-keys/", api_keys.api_keys, name="api_keys"),
    path("settings/api-keys/new/", api_keys.api_key_create, name="api_key_create"),
    path("settings/api-keys/<str:key_id>/revoke/", api_keys.api_key_revoke, name="api_key_revoke"),
    path("settings/webhooks/", include("crm.urls_webhooks")),
    path("help/", home.help_page, name="help"),
]

urlpatterns = [
    path("", home.home, name="home"),
    path("healthz", home.health, name="health"),
    path("sign-in/<str:token>/", home.sign_in_link, name="sign_in_link"),
    path("accounts/", include("allauth.urls")),
    path("f/", include("activities.urls_public")),
    path("o/<slug:slug>/", include(organization_urls)),
    path("api/v1/", include("crm.api_urls")),
    path("staff/", admin.site.urls),
]
