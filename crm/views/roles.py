"""Settings > Roles & permissions: the matrix, cloning, custom roles."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.errors import InvalidInput
from crm.forms import CloneRoleForm, RoleForm
from crm.htmx import redirect_to
from crm.models import Role
from crm.permissions import PERM_WORDS, Perm, has, permissions_of
from crm.roles import (
    assignment_fields,
    clone_role,
    delete_role,
    role_for,
    roles_with_counts,
    update_role,
)


@member_page()
@require_GET
def roles(request: HttpRequest) -> HttpResponse:
    rows = roles_with_counts(request.actor)
    return render(request, "settings/roles.html", _matrix(request, rows, CloneRoleForm(rows)))


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def clone(request: HttpRequest) -> HttpResponse:
    rows = roles_with_counts(request.actor)
    form = CloneRoleForm(rows, request.POST)
    if form.is_valid():
        try:
            role = clone_role(
                request.actor, role_for(request.actor, form.cleaned_data["source"]), form.cleaned_data["name"]
            )
        except InvalidInput as error:
            form.take(error)
        else:
            return redirect("role", slug=request.organization.slug, role_id=role.public_id)
    return render(request, "settings/roles.html", _matrix(request, rows, form), status=422)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_http_methods(["GET", "POST"])
def role(request: HttpRequest, role_id: str) -> HttpResponse:
    row = role_for(request.actor, role_id)
    fields = assignment_fields(request.actor)
    if request.method == "GET":
        return render(request, "settings/role.html", {"section": "roles", "role": row, "form": RoleForm(row, fields)})
    form = RoleForm(row, fields, request.POST)
    if form.is_valid():
        try:
            row = update_role(request.actor, row, form.changes())
        except InvalidInput as error:
            form.take(error)
        else:
            messages.success(request, f"The role {row.name} is saved.")
            return redirect("roles", slug=request.organization.slug)
    return render(request, "settings/role.html", {"section": "roles", "role": row, "form": form}, status=422)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def delete(request: HttpRequest, role_id: str) -> HttpResponse:
    row = role_for(request.actor, role_id)
    try:
        delete_role(request.actor, row)
    except InvalidInput as error:
        form = RoleForm(row, assignment_fields(request.actor))
        context = {"section": "roles", "role": row, "form": form, "refusal": error.message}
        return render(request, "settings/role.html", context, status=422)
    messages.success(request, f"The role {row.name} is deleted.")
    return redirect_to(request, reverse("roles", args=[request.organization.slug]))


def _matrix(request: HttpRequest, rows: list[Role], form: CloneRoleForm) -> dict[str, Any]:
    allowed = {row.pk: permissions_of(row) for row in rows}
    fields = {field.id: field.name for field in assignment_fields(request.actor)}
    limited = [
        {
            "role": row,
            "fields": [fields[number] for number in row.visibility_fields if number in fields],
            "sees_unassigned": row.sees_unassigned,
        }
        for row in rows
        if Perm.VIEW_ALL_LEADS not in allowed[row.pk]
    ]
    return {
        "section": "roles",
        "roles": rows,
        "limited": limited,
        "matrix": [(perm.words, PERM_WORDS[perm], [perm in allowed[row.pk] for row in rows]) for perm in Perm],
        "form": form,
        "may_manage": bool(has(request.actor, Perm.MANAGE_ORGANIZATION)),
    }
