"""What is to be computed, and its rewrites: plan and tidy."""
