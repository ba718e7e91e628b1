"""Connections to where the data is."""
