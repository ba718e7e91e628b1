"""Schemas of PostgreSQL that no other process has; and a world's tables in one, as drawn.Warehouse has them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from gemel.compiler.names.graph import bind
from gemel.spec.manifest import Manifest
from worlds import drawn


def in_schema(manifest: Manifest, schema: str | None) -> Manifest:
    """The same definitions over tables in another schema."""
    return replace(
        manifest,
        models=tuple(replace(m, relation=replace(m.relation, schema=schema)) for m in manifest.models),
        time_spines=tuple(replace(s, relation=replace(s.relation, schema=schema)) for s in manifest.time_spines),
    )


@dataclass(frozen=True)
class Schema:
    """A schema of this process's own, and a connection to its server."""

    name: str
    connection: psycopg.Connection[tuple[Any, ...]]

    @property
    def options(self) -> dict[str, Any]:
        info = self.connection.info
        return {"host": info.host, "port": info.port, "user": info.user, "password": info.password}

    def output(self, **more: Any) -> dict[str, Any]:
        """It as an output of profiles.yml."""
        server = {**self.options, "password": self.connection.info.password or "none"}
        place = {"dbname": self.connection.info.dbname, "schema": self.name}
        return {"type": "postgres", **server, **place, "threads": 1, **more}


def own_name(name: str) -> str:
    """A name for a schema that no other process has."""
    return f"gemel_{name}_{os.getpid()}"


@contextmanager
def own_schema(url: str, name: str) -> Iterator[Schema]:
    """An empty schema. When it goes, so do those whose names begin with its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
        try:
            yield Schema(name, connection)
        finally:
            gone = connection.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", [name])
            for (each,) in gone.fetchall():
                connection.execute(f'DROP SCHEMA "{each}" CASCADE')


class Warehouse(drawn.Warehouse):
    """Tables of worlds in a schema of their own, which goes with them."""

    def __init__(self, schema: Schema, tables: dict[str, str] = drawn.COLUMNS) -> None:
        self.connection = schema.connection
        self.connection.execute(f"SET search_path = {schema.name}; SET synchronous_commit = off")
        for name, columns in tables.items():
            self.connection.execute(f"CREATE TABLE {name} ({columns.replace('double', 'double precision')})")
        self.held = drawn.filled(drawn.SPINE_ROWS)
        self.connection.execute(self.held)


class Place:
    """As asking.Place, in PostgreSQL."""

    dialect = "postgres"

    def __init__(self, schema: Schema) -> None:
        self.world = drawn
        self.graph = bind(in_schema(drawn.MANIFEST, schema.name), "postgres")
        self.warehouse = Warehouse(schema)
