"""Writing leads, contacts, statuses, tasks and Smart Views: one module each."""

from leads.services.contacts import (
    activities_with,
    clean_point,
    contact_state,
    create_contact,
    delete_contact,
    restore_contact,
    update_contact,
)
from leads.services.editing import EditedMeanwhile, marks
from leads.services.index import CHANNELS, contact_points, search_text
from leads.services.leads import (
    ADDRESS_PARTS,
    Observer,
    create_lead,
    delete_lead,
    lead_state,
    status_named,
    update_lead,
)
from leads.services.merging import MergePlan, merge_leads, plan_merge
from leads.services.smart_views import delete_smart_view, save_smart_view
from leads.services.statuses import COLORS, MOVED_AT_ONCE, create_status, delete_status, reorder_statuses, update_status
from leads.services.tasks import (
    can_delete_task,
    can_edit_task,
    create_task,
    delete_task,
    restore_task,
    task_state,
    update_task,
)

__all__ = [
    "ADDRESS_PARTS",
    "CHANNELS",
    "COLORS",
    "MOVED_AT_ONCE",
    "EditedMeanwhile",
    "MergePlan",
    "Observer",
    "activities_with",
    "can_delete_task",
    "can_edit_task",
    "clean_point",
    "contact_points",
    "contact_state",
    "create_contact",
    "create_lead",
    "create_status",
    "create_task",
    "delete_contact",
    "delete_lead",
    "delete_smart_view",
    "delete_status",
    "delete_task",
    "lead_state",
    "marks",
    "merge_leads",
    "plan_merge",
    "reorder_statuses",
    "restore_contact",
    "restore_task",
    "save_smart_view",
    "search_text",
    "status_named",
    "task_state",
    "update_contact",
    "update_lead",
    "update_status",
    "update_task",
]  # fmt: skip
