from django.urls import path

from crm.views import notifications as views

urlpatterns = [
    path("", views.notifications, name="notifications"),
    path("read/", views.notifications_read, name="notifications_read"),
    path("<str:notification_id>/", views.notification_open, name="notification_open"),
    path("<str:notification_id>/mark/", views.notification_mark, name="notification_mark"),
]
