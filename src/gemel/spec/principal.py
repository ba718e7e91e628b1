"""Who asks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody on whose behalf an engine is asked."""

    name: str


OWNER = Principal("owner")
"""Whoever has the project's files and its profile: the shell, Python, dbt's own runs."""
