"""Definitions as written: frozen values for the content of dbt's artifacts and `feature_views/*.yml`."""
