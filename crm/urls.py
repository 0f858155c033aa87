"""The site map. Every URL leads to a view that states who may come in."""

from django.contrib import admin
from django.urls import include, path

from crm import views

organization_urls = [
    path("", include("leads.urls")),
    path("", include("activities.urls")),
    path("notifications/", include("crm.urls_notifications")),
    path("reports/", include("reporting.urls")),
    path("settings/", views.settings_home, name="settings_home"),
    path("settings/members/", views.members, name="members"),
    path("settings/members/invite/", views.invite_member, name="invite_member"),
    path("settings/members/<str:member_id>/role/", views.change_role, name="change_role"),
    path("settings/members/<str:member_id>/remove/", views.remove_member, name="remove_member"),
    path("settings/roles/", views.roles, name="roles"),
    path("settings/plan/", views.plan, name="plan"),
    path("settings/api-keys/", views.api_keys, name="api_keys"),
    path("settings/api-keys/new/", views.api_key_create, name="api_key_create"),
    path("settings/api-keys/<str:key_id>/revoke/", views.api_key_revoke, name="api_key_revoke"),
    path("help/", views.help_page, name="help"),
]

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.health, name="health"),
    path("sign-in/<str:token>/", views.sign_in_link, name="sign_in_link"),
    path("accounts/", include("allauth.urls")),
    path("o/<slug:slug>/", include(organization_urls)),
    path("api/v1/", include("crm.api_urls")),
    path("staff/", admin.site.urls),
]
