"""Reading reports: what is asked, the numbers, and the records behind them."""

from reporting.queries.asked import Asked, Filters, Tuned, filters_from, period_from, tuned
from reporting.queries.comparison import Comparison, comparison
from reporting.queries.overview import Series, series, tile_series
from reporting.queries.records import Behind, records_behind
from reporting.queries.reports import (
    activity_report,
    asked_of,
    filters_of,
    may_change,
    plain,
    report_for,
    reports_for,
    tiles_of,
    visible_tiles,
)
from reporting.queries.statuses import status_report

__all__ = [
    "Asked", "Behind", "Comparison", "Filters", "Series", "Tuned", "activity_report", "asked_of", "comparison",
    "filters_from", "filters_of", "may_change", "period_from", "plain", "records_behind", "report_for", "reports_for", "series",
    "status_report", "tile_series", "tiles_of", "tuned", "visible_tiles",
]  # fmt: skip
