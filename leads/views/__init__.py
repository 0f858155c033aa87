"""Pages of leads, contacts, tasks, Smart Views and lead statuses."""
