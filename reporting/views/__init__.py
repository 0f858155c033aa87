"""Pages: Activity Overview, Activity Comparison, the records behind a number, saved reports."""
