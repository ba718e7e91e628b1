"""Features, as plans of the same algebra: at the moments of a schedule, or at the moments of requests."""
