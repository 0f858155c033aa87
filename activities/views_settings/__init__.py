"""Settings > Custom Activities, the fields of leads, contacts and types, their options, and shared fields."""

from activities.views_settings.conversion import field_convert, field_convert_cancel, field_converting
from activities.views_settings.fields import (
    contact_fields,
    field_create,
    field_delete,
    field_edit,
    field_order,
    field_preview,
    lead_fields,
)
from activities.views_settings.options import field_options, option_merge, option_order
from activities.views_settings.sharing import (
    field_attach,
    field_detach,
    field_share,
    shared_delete,
    shared_fields,
)
from activities.views_settings.types import (
    starters,
    starters_remove,
    type_archive,
    type_create,
    type_delete,
    type_duplicate,
    type_order,
    type_page,
    types,
)

__all__ = [
    "contact_fields", "field_attach", "field_convert", "field_convert_cancel", "field_converting", "field_create", "field_delete", "field_detach",
    "field_edit", "field_options", "field_order", "field_preview", "field_share", "lead_fields", "option_merge",
    "option_order", "shared_delete", "shared_fields", "starters", "starters_remove", "type_archive", "type_create",
    "type_delete", "type_duplicate", "type_order", "type_page", "types",
]  # fmt: skip
