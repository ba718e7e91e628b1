"""Everything that concerns dbt: reading its artifacts and profile, rendering its SQL, running it."""
