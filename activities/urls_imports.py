"""Settings > Import & export."""

from django.urls import path

from activities import views_imports as views

urlpatterns = [
    path("", views.import_export, name="import_export"),
    path("upload/", views.import_upload, name="import_upload"),
    path("export/all.zip", views.export_all, name="export_all"),
    path("export/leads.csv", views.export_leads, name="export_leads"),
    path("export/<str:type_id>.csv", views.export_type, name="export_type"),
    path("template/<str:type_id>.csv", views.import_template, name="import_template"),
    path("<str:run_id>/map/", views.import_map, name="import_map"),
    path("<str:run_id>/check/", views.import_check, name="import_check"),
    path("<str:run_id>/", views.import_run, name="import_run"),
    path("<str:run_id>/failed.csv", views.import_failed, name="import_failed"),
    path("<str:run_id>/undo/", views.import_undo, name="import_undo"),
]
