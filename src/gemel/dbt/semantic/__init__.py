"""dbt's semantic_manifest.json, read into a Manifest."""
