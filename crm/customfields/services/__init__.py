"""Writing field definitions. Adding, renaming, reordering or deleting a field touches no record: never a rewrite.

`definitions`: fields and their place in a form · `options`: the choices of a field · `sharing`: one field in several
places · `conversions`: another kind; `conversion_plans`, `conversion_previews`: what that would do · `copies`: the fields of
one form for another · `changes`: what all of them stand on.
"""

from crm.customfields.services.changes import field_for, roles_seeing_by, schema_change, use_for
from crm.customfields.services.conversion_plans import possible_kinds
from crm.customfields.services.conversion_previews import Preview, Progress, conversions_of, preview_conversion
from crm.customfields.services.conversions import cancel_conversion, convert_field
from crm.customfields.services.copies import copy_fields
from crm.customfields.services.definitions import (
    create_field,
    delete_field,
    records_holding,
    reorder_fields,
    update_field,
)
from crm.customfields.services.options import (
    MAX_OPTIONS,
    add_options,
    change_options,
    merge_options,
    move_merged_values,
    remove_option,
    rename_option,
    reorder_options,
    restore_option,
)
from crm.customfields.services.sharing import (
    attach_field,
    delete_shared_field,
    detach_field,
    records_holding_in,
    share_field,
)

__all__ = [
    "MAX_OPTIONS", "Preview", "Progress", "add_options", "attach_field", "cancel_conversion", "change_options",
    "conversions_of", "convert_field", "copy_fields", "create_field", "delete_field", "delete_shared_field", "detach_field", "field_for",
    "merge_options", "move_merged_values", "possible_kinds", "preview_conversion", "records_holding", "records_holding_in",
    "remove_option", "rename_option", "reorder_fields", "reorder_options", "restore_option", "roles_seeing_by",
    "schema_change", "share_field", "update_field", "use_for",
]  # fmt: skip
