"""Features in front of the same plan: moments, windows, requests."""
