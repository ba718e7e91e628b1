"""Plans: `plan` makes one of a resolved query, `tidy` makes it cheaper."""
