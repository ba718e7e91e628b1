"""A PostgreSQL schema that holds one world's tables after another, as drawn.Warehouse does in DuckDB."""

from dataclasses import replace

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


class Warehouse(drawn.Warehouse):
    """Tables of worlds in a schema of their own, which goes with them."""

    def __init__(self, url: str, schema: str, tables: dict[str, str] = drawn.COLUMNS) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.schema = schema
        self.connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
        self.connection.execute(f"SET search_path = {schema}; SET synchronous_commit = off")
        for name, columns in tables.items():
            self.connection.execute(f"CREATE TABLE {name} ({columns.replace('double', 'double precision')})")
        self._insert(drawn.SPINE_ROWS)

    def close(self) -> None:
        self.connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
        self.connection.close()


class Place:
    """As asking.Place, in PostgreSQL."""

    dialect = "postgres"

    def __init__(self, url: str, schema: str) -> None:
        self.world = drawn
        self.graph = bind(in_schema(drawn.MANIFEST, schema), "postgres")
        self.warehouse = Warehouse(url, schema)
