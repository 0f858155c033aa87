"""The API's site map: one router per resource family, the OpenAPI document and its page."""

from django.urls import path

from activities import api_events as gone_activities  # noqa: F401 (registers how the event log shows them)
from activities.api import router as activities
from activities.api_builtin import router as builtin
from activities.api_comments import router as comments
from activities.api_exports import export_file
from activities.api_exports import router as exports
from activities.api_fields import router as fields
from activities.api_imports import router as imports
from activities.api_organization import router as people
from activities.api_shared_fields import router as shared_fields
from activities.api_types import router as types
from crm.api import CloseApi
from crm.api_docs import docs, openapi
from crm.api_events import router as events
from crm.api_groups import router as groups
from crm.api_people import empty_router
from crm.api_webhooks import router as webhooks
from leads import api_events as gone_leads  # noqa: F401 (likewise)
from leads.api import router as leads
from leads.api_bulk import router as bulk
from leads.api_lists import router as lists
from leads.api_search import router as search
from leads.api_smart_views import router as smart_views
from reporting.api import router as reports

api = CloseApi(
    title="Touchpoint API",
    version="1",
    description="Close's dialect of REST: clients written for Close work unchanged. See /api/v1/docs/ for a quick start.",
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
)
for router in (
    people, groups, leads, lists, smart_views, bulk, search, activities, builtin, comments, types, fields, shared_fields, imports, exports, reports, events, webhooks, empty_router,
):  # fmt: skip
    api.add_router("", router)

urlpatterns = [
    path("openapi.json", openapi(api), name="openapi"),
    path("docs/", docs(api), name="api_docs"),
    path("export/file/<str:token>/", export_file, name="export_file"),
    path("", api.urls),
]
