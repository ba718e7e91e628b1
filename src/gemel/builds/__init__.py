"""What built a relation: recorded in the warehouse by the hooks of generated dbt models, and in copies of tables."""
