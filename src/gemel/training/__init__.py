"""Training sets: each row of a spine with its features as they were at its moment."""
