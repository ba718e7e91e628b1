"""A plan to the SQL text of an engine: `lower` makes a SELECT of it, `speak` writes the text."""
