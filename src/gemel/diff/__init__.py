"""Two states of a project beside each other: what changed by meaning, who is touched, and how far numbers move."""
