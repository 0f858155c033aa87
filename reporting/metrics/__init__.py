"""Metrics: what a number on a report is about, and the records behind it."""

from reporting.metrics.catalogue import MetricCatalogue, catalogue, metric_for
from reporting.metrics.kinds import Metric

__all__ = ["Metric", "MetricCatalogue", "catalogue", "metric_for"]
