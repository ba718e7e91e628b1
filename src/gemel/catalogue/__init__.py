"""The catalogue: every definition as a page of a static site, with its lineage and a chart of its last year."""
