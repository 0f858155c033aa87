"""Settings > Import & export."""

from django.urls import path

from activities import views_exports, views_import_runs, views_imports

urlpatterns = [
    path("", views_imports.import_export, name="import_export"),
    path("upload/", views_imports.import_upload, name="import_upload"),
    path("export/all.zip", views_exports.export_all, name="export_all"),
    path("export/leads.csv", views_exports.export_leads, name="export_leads"),
    path("export/<str:type_id>.csv", views_exports.export_type, name="export_type"),
    path("template/<str:type_id>.csv", views_exports.import_template, name="import_template"),
    path("<str:run_id>/map/", views_imports.import_map, name="import_map"),
    path("<str:run_id>/check/", views_import_runs.import_check, name="import_check"),
    path("<str:run_id>/", views_import_runs.import_run, name="import_run"),
    path("<str:run_id>/failed.csv", views_import_runs.import_failed, name="import_failed"),
    path("<str:run_id>/undo/", views_import_runs.import_undo, name="import_undo"),
]
