"""The worked example for PostgreSQL and Redis; `make postgres` runs this, and then `gemel build`.

The raw Parquet files go into the schema `nycflights13` by COPY, and the project's own files into `build/postgres`. What
gemel generates is of one kind of warehouse: at the top of the repository it is DuckDB's.

The server is that of target `postgres` in profiles.yml; Redis is REDIS_URL, by default on loopback.
"""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import yaml
from psycopg import sql
from pyarrow import parquet

from gemel.dbt.profile import Target, read_target
from gemel.engines.connections.postgres import Server, read_server
from gemel.engines.postgres import POSTGRES
from gemel.engines.stores import TargetSettings
from gemel.features.repository import store_yaml

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "postgres"
SOURCE = "nycflights13"
FILES = ("dbt_project.yml", "profiles.yml", "models/staging", "models/marts", "semantic", "metrics", "tests/dbt")
TYPES = {"int32": "integer", "int64": "bigint", "double": "double precision", "string": "text", "bool": "boolean"}


def main() -> None:
    target = read_target(ROOT, target="postgres")
    load(read_server(target), SOURCE)
    copy(COPY)
    redis = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
    write_store(COPY / "feature_views" / "feature_store.yaml", target, redis)


def load(server: Server, schema: str, tables: tuple[str, ...] = ()) -> None:
    """Every Parquet file beside this script, or those of some names, as a table of the schema, made anew."""
    with psycopg.connect(**server.options, dbname=server.database) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        for file in sorted(Path(__file__).parent.glob("*.parquet")):
            if not tables or file.stem in tables:
                rows = _load(connection, sql.Identifier(schema, file.stem), file)
                print(f"{schema}.{file.stem}: {rows:,} rows", file=sys.stderr)


def _load(connection: psycopg.Connection, table: sql.Identifier, file: Path) -> int:
    held = parquet.read_table(file)
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(each.name), sql.SQL(_type(each.type)))  # type: ignore[arg-type]
        for each in held.schema
    ]
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(table))
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(columns)))
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copied:
        for batch in held.to_batches(10_000):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                copied.write_row(row)
    return int(held.num_rows)


def _type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return TYPES[str(kind)]


def copy(to: Path) -> None:
    """The project without what is generated."""
    for name in FILES:
        if (to / name).is_dir():
            shutil.rmtree(to / name)
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, to / name)
    (to / "feature_views").mkdir(exist_ok=True)
    for file in (ROOT / "feature_views").glob("*.yml"):
        shutil.copy(file, to / "feature_views")


def write_store(file: Path, target: Target, redis: str) -> None:
    """feature_store.yaml as gemel writes it, but with Redis online. What is there is never overwritten by gemel."""
    content = yaml.safe_load(store_yaml("gemel_flights", POSTGRES, TargetSettings(target, POSTGRES.name)))
    parts = urlsplit(redis)
    connection = f"{parts.hostname}:{parts.port or 6379},db={parts.path.strip('/') or 0}"
    if parts.password:
        connection += f",password={parts.password}"
    content["online_store"] = {"type": "redis", "connection_string": connection}
    file.write_text(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    main()
