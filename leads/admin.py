"""The staff door: leads and contacts of every organization, imported and exported as a chosen member."""

from django.contrib import admin
from django.http import StreamingHttpResponse
from django.utils.module_loading import import_string

from crm.models import Membership
from crm.staff_imports import StaffImportExportAdmin
from leads.models import Contact, Lead
from leads.resources import LeadResource


class _LeadFile(StaffImportExportAdmin):
    """Leads and contacts travel in one file, one row per contact."""

    resource_classes = [LeadResource]

    def export_as(self, actor: Membership) -> StreamingHttpResponse:
        exports = import_string("activities.exports.export_leads"), import_string("activities.exports.note_export")
        exports[1](actor, "leads")
        response = StreamingHttpResponse(exports[0](actor), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="leads.csv"'
        return response


@admin.register(Lead)
class LeadAdmin(_LeadFile):
    list_display = ("name", "organization", "contacts_count", "source", "date_created")
    search_fields = ("name",)
    list_filter = ("organization",)


@admin.register(Contact)
class ContactAdmin(_LeadFile):
    list_display = ("name", "title", "organization", "date_created")
    search_fields = ("name",)
    list_filter = ("organization",)
