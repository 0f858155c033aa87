"""Pages and fragments of activities: the timeline, the form, drafts, what can be done to a card."""
