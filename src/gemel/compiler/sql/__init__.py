"""A plan to the SQL text of an engine: lower and speak."""
