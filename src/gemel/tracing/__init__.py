"""SELECTs to the origins of their columns and rows."""
