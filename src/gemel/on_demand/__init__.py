"""On-demand features: an expression over what comes with a request, as SQL and as the Python that Feast runs."""
