"""Connections to the databases; every result is available as Arrow."""
