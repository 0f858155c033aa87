"""The settings pages of rules, public forms, and of who sees what. Part of the namespace `activities`."""

from django.urls import path

from activities import views_access, views_forms, views_rules

urlpatterns = [
    path("access/", views_access.access, name="access"),
    path("rules/", views_rules.rules, name="rules"),
    path("rules/new/", views_rules.rule_create, name="rule_create"),
    path("rules/<str:rule_id>/", views_rules.rule_page, name="rule"),
    path("rules/<str:rule_id>/switch/", views_rules.rule_switch, name="rule_switch"),
    path("rules/<str:rule_id>/delete/", views_rules.rule_delete, name="rule_delete"),
    path("forms/", views_forms.forms, name="forms"),
    path("forms/new/", views_forms.form_create, name="form_create"),
    path("forms/<str:form_id>/", views_forms.form_page, name="form"),
    path("forms/<str:form_id>/preview/", views_forms.form_preview, name="form_preview"),
    path("forms/<str:form_id>/address/", views_forms.form_address, name="form_address"),
    path("forms/<str:form_id>/delete/", views_forms.form_delete, name="form_delete"),
]
