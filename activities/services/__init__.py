"""Writing types, activities and drafts."""
