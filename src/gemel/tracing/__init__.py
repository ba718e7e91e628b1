"""SELECTs read for what their columns and rows come from."""
