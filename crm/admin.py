"""The staff door: organizations and users, for operators."""

from django.contrib import admin

from crm.models import Organization, User


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "plan", "timezone", "date_created")
    search_fields = ("name", "slug")
    readonly_fields = ("schema_version", "date_created", "date_updated")


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("email", "first_name", "last_name", "is_active", "is_staff")
    search_fields = ("email", "first_name", "last_name")
    fields = ("email", "first_name", "last_name", "timezone", "is_active", "is_staff", "is_superuser")
