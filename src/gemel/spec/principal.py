"""The user of an engine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """A user on whose behalf an engine runs queries."""

    name: str


OWNER = Principal("owner")
"""The owner of the project's files and profile: the shell, Python, dbt's own runs."""
