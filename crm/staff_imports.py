"""The staff door to imports and exports: django-import-export's pages, acting as a member that the operator chooses.

Rows go through the same resources and services as in the product, so the member's rights, limits and events hold here too.
It is for small files; larger ones go through Settings > Import & export.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from import_export.admin import ImportExportModelAdmin
from import_export.formats import base_formats
from import_export.forms import ConfirmImportForm, ImportForm

from crm import events
from crm.imports.resource import Options
from crm.models import Membership
from crm.permissions import Perm, has
from crm.tenancy import scope

MAX_BYTES = 5_000_000


class MemberField(forms.ModelChoiceField):
    """A live member of any organization who may do this."""

    def __init__(self, perm: Perm, **more: Any) -> None:
        self.perm = perm
        members = Membership.unscoped.select_related("user", "organization", "role").filter(removed_at=None)
        super().__init__(members.order_by("organization__name", "user__email"), label="Act as", **more)

    def label_from_instance(self, member: Membership) -> str:
        return f"{member.organization.name}: {member.user.full_name} ({member.user.email}), {member.role.name}"

    def clean(self, value: Any) -> Membership:
        member = super().clean(value)
        if member is None:
            raise ValidationError("Choose a member to act as.")
        if not has(member, self.perm):
            name, role = member.user.full_name, member.role.name
            raise ValidationError(f"The role {role} of {name} does not include “{self.perm.words}”.")
        return member


class StaffImportForm(ImportForm):
    member = MemberField(Perm.BULK_IMPORT)
    import_file = forms.FileField(
        label="File to import",
        help_text=(
            f"CSV or TSV of at most {MAX_BYTES // 1_000_000} MB, with the exact column names: it is written while you wait. "
            "Larger files and XLSX go through Settings > Import & export, where columns are matched and a worker writes them."
        ),
    )
    field_order = ["resource", "member", "import_file", "format"]

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > MAX_BYTES:
            raise ValidationError(
                f"Files of more than {MAX_BYTES // 1_000_000} MB go through Settings > Import & export."
            )
        return file


class StaffConfirmForm(ConfirmImportForm):
    member = MemberField(Perm.BULK_IMPORT, widget=forms.HiddenInput())


class StaffExportForm(forms.Form):
    member = MemberField(Perm.EXPORT)


class StaffImportExportAdmin(ImportExportModelAdmin):
    """Lists records of every organization, changes none by hand, and imports and exports as a chosen member."""

    import_form_class = StaffImportForm
    confirm_form_class = StaffConfirmForm
    import_formats = [base_formats.CSV, base_formats.TSV]
    skip_admin_log = True  # the event log says who did what
    list_per_page = 50
    show_full_result_count = False

    def export_as(self, actor: Membership) -> HttpResponseBase:
        """Return the file a member gets."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.model.unscoped.select_related("organization").order_by("-pk")

    # --- rights of the operator -------------------------------------------------------------------------------------
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_import_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    # --- import -----------------------------------------------------------------------------------------------------
    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        member = _member_of(kwargs.get("form"))
        # Before a member is chosen, the page only names the resource.
        return {"actor": member, "options": Options(zone=str(member.zone)) if member else Options()}

    def get_confirm_form_initial(self, request: HttpRequest, import_form: Any) -> dict[str, Any]:
        initial = super().get_confirm_form_initial(request, import_form)
        return initial | {"member": import_form.cleaned_data["member"].pk} if import_form else initial

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = self.create_import_form(request) if request.method == "POST" else None
        with _acting_as(_member_of(form)):
            if form is not None and (file := request.FILES.get("import_file")):
                file.seek(0)
            return super().import_action(request, **kwargs)

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = self.create_confirm_form(request) if request.method == "POST" else None
        with _acting_as(_member_of(form)):
            return super().process_import(request, **kwargs)

    # --- export -----------------------------------------------------------------------------------------------------
    def export_action(self, request: HttpRequest) -> HttpResponseBase:
        if not self.has_export_permission(request):
            raise PermissionDenied
        form = StaffExportForm(request.POST or None)
        if form.is_valid():
            with _acting_as(form.cleaned_data["member"]):
                return self.export_as(form.cleaned_data["member"])
        context = self.admin_site.each_context(request) | {"title": "Export", "form": form, "opts": self.model._meta}
        return TemplateResponse(request, "admin/staff_export.html", context)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Exports are whole: there is no export of ticked rows."""
        return {}


def _member_of(form: Any) -> Membership | None:
    if form is None or not form.is_bound or not form.is_valid():
        return None
    found: Membership = form.cleaned_data["member"]
    return found


@contextmanager
def _acting_as(member: Membership | None) -> Iterator[None]:
    """Open the member's organization and the import's door; without a member nothing is open."""
    if member is None:
        yield
        return
    with scope(member.organization), events.door("import"):
        yield
