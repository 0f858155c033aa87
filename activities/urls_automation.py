"""The settings pages of rules and of who sees what. Part of the namespace `activities`."""

from django.urls import path

from activities import views_access, views_rules

urlpatterns = [
    path("access/", views_access.access, name="access"),
    path("rules/", views_rules.rules, name="rules"),
    path("rules/new/", views_rules.rule_create, name="rule_create"),
    path("rules/<str:rule_id>/", views_rules.rule_page, name="rule"),
    path("rules/<str:rule_id>/switch/", views_rules.rule_switch, name="rule_switch"),
    path("rules/<str:rule_id>/delete/", views_rules.rule_delete, name="rule_delete"),
]
