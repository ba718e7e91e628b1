"""Names looked up: bind and resolve."""
