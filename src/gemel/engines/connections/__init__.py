"""Connections to where the data is; every result is Arrow."""
