"""Feature views in an online store: written and read as Feast 0.67 does, bit for bit, without importing it."""
