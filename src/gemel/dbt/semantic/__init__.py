"""Reads dbt's semantic_manifest.json into a Manifest."""
