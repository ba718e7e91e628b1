"""Definitions as written: dbt's artifacts and `feature_views/*.yml` read into frozen values."""
