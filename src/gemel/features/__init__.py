"""Metrics to features: feature tables that dbt builds, the Feast objects over them, and the proof that they agree."""
