"""The staff door: activities of every organization, imported and exported as a chosen member."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from activities import exports
from activities.models import Activity
from activities.resources import ActivityResource
from crm.models import Membership
from crm.staff_imports import StaffImportExportAdmin


@admin.register(Activity)
class ActivityAdmin(StaffImportExportAdmin):
    resource_classes = [ActivityResource]
    list_display = ("public_id", "type", "lead", "organization", "status", "user", "activity_at")
    list_filter = ("organization", "status")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Activity]:
        return super().get_queryset(request).select_related("type", "lead", "user", "organization")

    def export_as(self, actor: Membership) -> StreamingHttpResponse:
        """A zip with one CSV per type, as the member gets it in the product."""
        exports.note_export(actor, "everything")
        response = StreamingHttpResponse(exports.export_everything(actor), content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="{actor.organization.slug}.zip"'
        return response
