"""Benchmarks: ratios to hand-written native tables, measured in the same run. Never timed asserts."""
