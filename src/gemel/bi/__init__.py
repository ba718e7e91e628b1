"""What BI tools read: saved queries and semantic models as dbt models, and metrics as plain SQL over them."""
