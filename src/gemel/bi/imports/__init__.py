"""Definitions of other formats as dbt's YAML."""
