"""A question as asked."""
