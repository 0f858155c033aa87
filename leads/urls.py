from django.urls import path

from leads.views import contacts, in_place, lead, merging, palette, search, smart_views, statuses, tasks

app_name = "leads"

urlpatterns = [
    path("leads/", search.lead_list, name="list"),
    path("leads/new/", lead.lead_create, name="create"),
    path("leads/condition/", search.condition_row, name="condition"),
    path("leads/twins/", lead.lead_twins, name="twins"),
    path("leads/<str:lead_id>/", lead.lead_page, name="page"),
    path("leads/<str:lead_id>/edit/", lead.lead_edit, name="edit"),
    path("leads/<str:lead_id>/status/", lead.lead_status, name="status"),
    path("leads/<str:lead_id>/delete/", lead.lead_delete, name="delete"),
    path("leads/<str:lead_id>/merge/", merging.lead_merge, name="merge"),
    path("leads/<str:lead_id>/parts/<str:key>/", in_place.lead_part, name="part"),
    path("leads/<str:lead_id>/contacts/", contacts.lead_contacts, name="lead_contacts"),
    path("leads/<str:lead_id>/contacts/new/", contacts.contact_create, name="contact_create"),
    path("leads/<str:lead_id>/tasks/", tasks.lead_tasks, name="lead_tasks"),
    path("contacts/", contacts.contact_list, name="contacts"),
    path("contacts/rows/<str:channel>/", contacts.contact_row, name="contact_row"),
    path("contacts/restore/<str:event_id>/", contacts.contact_restore, name="contact_restore"),
    path("contacts/<str:contact_id>/edit/", contacts.contact_edit, name="contact_edit"),
    path("contacts/<str:contact_id>/delete/", contacts.contact_delete, name="contact_delete"),
    path("tasks/", tasks.my_tasks, name="my_tasks"),
    path("tasks/restore/<str:event_id>/", tasks.task_restore, name="task_restore"),
    path("tasks/<str:task_id>/", tasks.task_edit, name="task"),
    path("tasks/<str:task_id>/done/", tasks.task_done, name="task_done"),
    path("tasks/<str:task_id>/delete/", tasks.task_delete, name="task_delete"),
    path("smart-views/", smart_views.smart_views, name="smart_views"),
    path("smart-views/save/", smart_views.smart_view_save, name="smart_view_save"),
    path("smart-views/<str:view_id>/", smart_views.smart_view, name="smart_view"),
    path("smart-views/<str:view_id>/delete/", smart_views.smart_view_delete, name="smart_view_delete"),
    path("palette/", palette.palette, name="palette"),
    path("settings/statuses/", statuses.status_list, name="statuses"),
    path("settings/statuses/new/", statuses.status_create, name="status_create"),
    path("settings/statuses/order/", statuses.status_order, name="status_order"),
    path("settings/statuses/<str:status_id>/", statuses.status_edit, name="status_edit"),
    path("settings/statuses/<str:status_id>/delete/", statuses.status_delete, name="status_delete"),
]
