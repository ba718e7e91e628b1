"""The projects to compare on: the repository's worked example, a nasty one and a drawn one on random tables."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from differential import nasty_world
from differential.partner import MetricFlow
from gemel.dbt.semantic.reading import read_manifest
from gemel.spec.manifest import Manifest
from worlds import marketplace
from worlds.tables import script

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
Tables = dict[str, list[dict[str, Any]]]


@dataclass
class World:
    """Tables that both sides have before them. `tables` are None where they are too large for the reference."""

    database: duckdb.DuckDBPyConnection
    values: dict[str, list[Any]]
    days: list[str]
    tables: Tables | None


@dataclass
class Project:
    name: str
    manifest_file: Path
    manifest: Manifest

    def worlds(self, seed: int, metricflow: MetricFlow) -> Iterator[World]:
        return {"nasty": small_worlds, "market": small_worlds, "flights": flights}[self.name](self, seed, metricflow)


NAMES = ("nasty", "market", "flights")
DRAWN = {"nasty": nasty_world, "market": marketplace}


def prepare(name: str, folder: Path, *, seed: int = 0) -> Project:
    """Parsed by dbt (the worked example also built) into a folder; the market's definitions are drawn by `seed`."""
    if name == "market":
        file = folder / f"market_{seed}.json"
        file.write_text(json.dumps(marketplace.manifest(seed)))
        return Project(name, file, read_manifest(json.loads(file.read_text())))
    source = {"nasty": HERE / "nasty", "flights": ROOT}[name]
    profile = {"nasty": "nasty", "flights": "gemel_flights"}[name]
    output = {"type": "duckdb", "path": str(folder / f"{name}.duckdb"), "threads": 2}
    profiles = {profile: {"target": "dev", "outputs": {"dev": output}}}
    (folder / "profiles.yml").write_text(json.dumps(profiles))
    command = [str(Path(sys.executable).with_name("dbt")), "parse" if name == "nasty" else "run", "--quiet"]
    command += ["--no-partial-parse", "--profiles-dir", str(folder), "--target-path", str(folder)]
    environment = os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "0", "DBT_LOG_PATH": str(folder)}
    subprocess.run(command, cwd=source, env=environment, check=True)
    file = folder / "semantic_manifest.json"
    return Project(name, file, read_manifest(json.loads(file.read_text())))


def small_worlds(project: Project, seed: int, metricflow: MetricFlow) -> Iterator[World]:
    """One set of tables after another."""
    source = DRAWN[project.name]
    names = {table: [c.split()[0] for c in text.split(", ")] for table, text in source.COLUMNS.items()}
    for number in range(seed * 1000, seed * 1000 + 1000):
        drawn = source.world(number)
        statements = script(source.COLUMNS, drawn)
        metricflow.take(script=statements, name=project.name)
        database = duckdb.connect()
        database.execute(f"attach ':memory:' as {project.name}; use {project.name}; " + statements)
        tables = {name: [dict(zip(names[name], row, strict=True)) for row in rows] for name, rows in drawn.items()}
        values: dict[str, list[Any]] = {}
        for row in (row for name, rows in tables.items() if not name.startswith("spine") for row in rows):
            for column, value in row.items():
                values.setdefault(column, []).append(value)
        yield World(database, values, [str(day) for day in source.days()[10:110]], tables)
        database.close()


def flights(project: Project, seed: int, metricflow: MetricFlow) -> Iterator[World]:
    """The worked example, thinned out: MetricFlow's range joins would take minutes on all of it."""
    full = project.manifest_file.parent / "flights.duckdb"
    thin = project.manifest_file.parent / "thin" / "flights.duckdb"
    if not thin.exists():
        thin.parent.mkdir()
        with duckdb.connect(str(thin)) as database:
            database.execute(f"attach '{full}' as full_one (read_only)")
            tables = database.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = 'full_one'"
            ).fetchall()
            for schema, table in tables:
                database.execute(f'create schema if not exists "{schema}"')
                every = "where hash(flight_id) % 40 = 0" if table == "flights" else ""
                narrow = "where date_minute between '2013-01-01' and '2013-02-15'" if table.endswith("minute") else ""
                source = f'full_one."{schema}"."{table}"'
                database.execute(f'create table "{schema}"."{table}" as from {source} {every} {narrow}')
    metricflow.take(attach=str(thin), name="flights")
    database = duckdb.connect(str(thin), read_only=True)
    values: dict[str, list[Any]] = {}
    for model in project.manifest.models:
        relation = f'"{model.relation.schema}"."{model.relation.name}"'
        for column, kind, *_ in database.execute(f"describe {relation}").fetchall():
            if kind in ("VARCHAR", "BIGINT", "INTEGER", "SMALLINT"):
                sample = f'select distinct "{column}" from {relation} order by all limit 40'
                values[column] = [row[0] for row in database.execute(sample).fetchall()]
    days = [f"2013-{month:02}-{day:02}" for month in range(1, 13) for day in (1, 2, 14, 28)]
    while True:
        yield World(database, values, days, None)
