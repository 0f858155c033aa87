from django.urls import path

from crm import views_webhooks as views

urlpatterns = [
    path("", views.webhooks, name="webhooks"),
    path("new/", views.webhook_create, name="webhook_create"),
    path("<str:webhook_id>/", views.webhook, name="webhook"),
    path("<str:webhook_id>/edit/", views.webhook_edit, name="webhook_edit"),
    path("<str:webhook_id>/status/", views.webhook_status, name="webhook_status"),
    path("<str:webhook_id>/delete/", views.webhook_delete, name="webhook_delete"),
    path("<str:webhook_id>/deliveries/<str:delivery_id>/", views.webhook_delivery, name="webhook_delivery"),
    path("<str:webhook_id>/deliveries/<str:delivery_id>/replay/", views.webhook_replay, name="webhook_replay"),
]
