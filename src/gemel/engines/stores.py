"""Feast's side of an engine: the source that names a feature table, and the offline store that reads it.

Nothing here imports Feast. The arguments are those of the classes in `feast.infra.offline_stores`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemel.dbt.profile import Target

FEAST = "feast"
CONTRIB = "feast.infra.offline_stores.contrib"

Arguments = dict[str, str]
Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Where dbt builds a feature table: the names as the engine stores them; `sql` is the full name, quoted for SQL."""

    database: str
    schema: str
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class FeastStore:
    """The class of the Feast source, and its module.

    `arguments` name the table for the source, as Python text. `settings` are the offline store of
    `feature_store.yaml`: how to reach the database, from the target of dbt's profile.
    """

    source: str
    module: str
    arguments: Callable[[Table], Arguments]
    settings: Callable[["TargetSettings"], Settings]


class TargetSettings:
    """The settings of a target for a committed file: plain settings as they are, secrets as `${VARIABLE}`."""

    def __init__(self, target: "Target | None", adapter: str) -> None:
        self._target = target
        self._settings = target.render() if target else {}
        self._prefix = adapter.upper()

    def get(self, *names: str) -> Any:
        """The first of these settings that has a value; None if none has."""
        return next((self._settings[name] for name in names if self._settings.get(name) not in (None, "")), None)

    def plain(self, *names: str) -> Any:
        """As `get`; a variable to fill in where the profile has no value."""
        value = self.get(*names)
        return value if value is not None else f"${{{self._prefix}_{names[0].upper()}}}"

    def secret(self, *names: str) -> str:
        """The environment variable that the profile reads, or one to set."""
        variables = [self._target.find_variable(name) for name in names] if self._target else []
        return f"${{{next(filter(None, variables), f'{self._prefix}_{names[0].upper()}')}}}"


def in_sql(table: Table) -> Arguments:
    """The full name as one string, quoted as SQL requires."""
    return {"table": repr(table.sql) if '"' in table.sql else f'"{table.sql}"'}


def dotted(table: Table) -> Arguments:
    """The full name as one string, without quotes."""
    return quoted(table=".".join(filter(None, (table.database, table.schema, table.name))))


def split(table: Table) -> Arguments:
    """Each part of the name as its own argument."""
    return quoted(database=table.database, schema=table.schema, table=table.name)


def quoted(**arguments: str) -> Arguments:
    return {name: f'"{value}"' for name, value in arguments.items() if value}
