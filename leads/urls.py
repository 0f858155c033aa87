from django.urls import path

from leads import views

app_name = "leads"

urlpatterns = [
    path("leads/", views.lead_list, name="list"),
    path("leads/new/", views.lead_create, name="create"),
    path("leads/condition/", views.condition_row, name="condition"),
    path("leads/<str:lead_id>/", views.lead_page, name="page"),
    path("leads/<str:lead_id>/edit/", views.lead_edit, name="edit"),
    path("leads/<str:lead_id>/status/", views.lead_status, name="status"),
    path("leads/<str:lead_id>/delete/", views.lead_delete, name="delete"),
    path("leads/<str:lead_id>/contacts/new/", views.contact_create, name="contact_create"),
    path("leads/<str:lead_id>/tasks/", views.task_create, name="task_create"),
    path("contacts/", views.contact_list, name="contacts"),
    path("contacts/<str:contact_id>/edit/", views.contact_edit, name="contact_edit"),
    path("contacts/<str:contact_id>/delete/", views.contact_delete, name="contact_delete"),
    path("tasks/<str:task_id>/done/", views.task_done, name="task_done"),
    path("smart-views/", views.smart_views, name="smart_views"),
    path("smart-views/save/", views.smart_view_save, name="smart_view_save"),
    path("smart-views/<str:view_id>/", views.smart_view, name="smart_view"),
    path("smart-views/<str:view_id>/delete/", views.smart_view_delete, name="smart_view_delete"),
    path("palette/", views.palette, name="palette"),
    path("settings/statuses/", views.status_list, name="statuses"),
    path("settings/statuses/new/", views.status_create, name="status_create"),
    path("settings/statuses/order/", views.status_order, name="status_order"),
    path("settings/statuses/<str:status_id>/", views.status_edit, name="status_edit"),
    path("settings/statuses/<str:status_id>/delete/", views.status_delete, name="status_delete"),
]
