"""Feature views in an online store, written and read exactly as Feast 0.67 does, without importing it."""
