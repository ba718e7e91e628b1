"""Metric tests: the claims written beside a metric, as SQL that selects the groups that fail, and as outcomes."""
