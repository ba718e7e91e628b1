"""Everything of dbt: its artifacts read into values, its SQL rendered, its profile, its runs."""
