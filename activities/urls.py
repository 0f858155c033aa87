from django.urls import include, path

from activities import views_access, views_list, views_settings
from activities.views import cards, drafts, form, history, timeline

app_name = "activities"

urlpatterns = [
    path("activities/", views_list.activity_list, name="list"),
    path("drafts/", drafts.drafts, name="drafts"),
    path("leads/<str:lead_id>/timeline/", timeline.timeline, name="timeline"),
    path("leads/<str:lead_id>/log/<str:type_id>/", form.form_new, name="form_new"),
    path("leads/<str:lead_id>/log/<str:type_id>/autosave/", form.autosave_new, name="autosave"),
    path("activities/<str:activity_id>/", timeline.permalink, name="permalink"),
    path("activities/<str:activity_id>/edit/", form.form_edit, name="edit"),
    path("activities/<str:activity_id>/autosave/", form.autosave_existing, name="autosave_existing"),
    path("activities/<str:activity_id>/pin/", cards.pin, name="pin"),
    path("activities/<str:activity_id>/delete/", cards.delete, name="delete"),
    path("activities/<str:activity_id>/discard/", drafts.discard, name="discard"),
    path("activities/<str:activity_id>/restore/", cards.restore, name="restore"),
    path("activities/<str:activity_id>/history/", history.history, name="history"),
    path("settings/activities/", views_settings.types, name="types"),
    path("settings/activities/new/", views_settings.type_create, name="type_create"),
    path("settings/activities/order/", views_settings.type_order, name="type_order"),
    path("settings/activities/starters/", views_settings.starters, name="starters"),
    path("settings/activities/starters/remove/", views_settings.starters_remove, name="starters_remove"),
    path("settings/activities/<str:type_id>/", views_settings.type_page, name="type_page"),
    path("settings/activities/<str:type_id>/preview/", views_settings.type_preview, name="type_preview"),
    path("settings/activities/<str:type_id>/archive/", views_settings.type_archive, name="type_archive"),
    path("settings/activities/<str:type_id>/delete/", views_settings.type_delete, name="type_delete"),
    path("settings/activities/<str:type_id>/duplicate/", views_settings.type_duplicate, name="type_duplicate"),
    path("settings/fields/leads/", views_settings.lead_fields, name="lead_fields"),
    path("settings/fields/contacts/", views_settings.contact_fields, name="contact_fields"),
    path("settings/fields/shared/", views_settings.shared_fields, name="shared_fields"),
    path("settings/fields/shared/<str:field_id>/delete/", views_settings.shared_delete, name="shared_delete"),
    path("settings/fields/<str:owner>/new/", views_settings.field_create, name="field_create"),
    path("settings/fields/<str:owner>/preview/", views_settings.field_preview, name="field_preview"),
    path("settings/fields/<str:owner>/attach/", views_settings.field_attach, name="field_attach"),
    path("settings/fields/<str:owner>/order/", views_settings.field_order, name="field_order"),
    path("settings/fields/<str:owner>/<str:field_id>/", views_settings.field_edit, name="field_edit"),
    path("settings/fields/<str:owner>/<str:field_id>/options/", views_settings.field_options, name="field_options"),
    path("settings/fields/<str:owner>/<str:field_id>/options/order/", views_settings.option_order, name="option_order"),
    path("settings/fields/<str:owner>/<str:field_id>/options/merge/", views_settings.option_merge, name="option_merge"),
    path("settings/fields/<str:owner>/<str:field_id>/share/", views_settings.field_share, name="field_share"),
    path("settings/fields/<str:owner>/<str:field_id>/detach/", views_settings.field_detach, name="field_detach"),
    path("settings/fields/<str:owner>/<str:field_id>/delete/", views_settings.field_delete, name="field_delete"),
    path("settings/access/", views_access.access, name="access"),
    path("settings/import/", include("activities.urls_imports")),
]
