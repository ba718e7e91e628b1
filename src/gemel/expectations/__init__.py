"""Metric tests: what is claimed beside a metric, as SQL that finds where it is not so, and as its outcome."""
