"""On-demand features: an expression over the inputs of a request, as SQL and as the Python that Feast runs."""
