"""Names, looked up: `bind` makes a graph of a manifest, `resolve` looks up the names of a query in it."""
