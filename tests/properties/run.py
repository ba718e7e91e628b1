"""Features asked of engines that our tests do not need, against the reference evaluator; with chdb and pyspark,

    python tests/properties/run.py clickhouse --examples 400
    python tests/properties/run.py spark --examples 25

ClickHouse runs in this process (chdb), Spark beside it (it needs Java). It prints nothing while the property holds.
"""

import argparse
import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any, Protocol

from hypothesis import HealthCheck, given, reject, settings

sys.path.insert(0, str(Path(__file__).parent.parent))

from compiler.test_moments import assert_newest, views
from gemel.compiler.names.graph import bind
from gemel.compiler.sql.dialects import engine_of
from gemel.engines.clickhouse import CLICKHOUSE
from gemel.engines.engine import Capability
from gemel.errors import QueryError
from worlds import drawn
from worlds.postgres import in_schema


class Engine(Protocol):
    """Takes a world's tables, and answers SQL."""

    def holding(self, tables: drawn.Tables) -> "Engine": ...
    def execute(self, sql: str) -> "Engine": ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...


def columns_of(table: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind in (each.split() for each in drawn.COLUMNS[table].split(", "))]


_CLICKHOUSE = {
    "int": "Int32",
    "timestamp": "DateTime64(6, 'UTC')",
    "text": "String",
    "double": "Float64",
    "date": "Date32",
}
_SPARK = {"int": "int", "timestamp": "timestamp_ntz", "text": "string", "double": "double", "date": "date"}


class ClickHouse:
    """Answers with the settings that the generated dbt models have."""

    def __init__(self) -> None:
        from chdb import session

        self._session = session.Session()
        self._settings = json.loads(dict(CLICKHOUSE.model_config)["query_settings"])
        self._session.query("CREATE DATABASE IF NOT EXISTS main")
        for table in drawn.COLUMNS:
            columns = ", ".join(f"{name} Nullable({_CLICKHOUSE[kind]})" for name, kind in columns_of(table))
            self._session.query(f"CREATE TABLE main.{table} ({columns}) ENGINE = Memory")

    def holding(self, tables: drawn.Tables) -> "ClickHouse":
        for table, rows in tables.items():
            self._session.query(f"TRUNCATE TABLE main.{table}")
            if rows:
                values = ", ".join("(" + ", ".join(map(drawn.literal, row.values())) + ")" for row in rows)
                self._session.query(f"INSERT INTO main.{table} ({', '.join(rows[0])}) VALUES {values}")
        return self

    def execute(self, sql: str) -> "ClickHouse":
        chosen = ", ".join(f"{name} = {value}" for name, value in self._settings.items())
        self._answer = json.loads(str(self._session.query(f"{sql} SETTINGS {chosen} FORMAT JSONCompact")))
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        kinds = [each["type"] for each in self._answer["meta"]]
        return [tuple(map(self._value, row, kinds)) for row in self._answer["data"]]

    def _value(self, value: Any, kind: str) -> Any:
        if value is None or "String" in kind:
            return value
        if "DateTime" in kind:
            return dt.datetime.fromisoformat(value).replace(tzinfo=None)
        return float(value)


class Spark:
    """Answers in UTC, of tables that are views."""

    def __init__(self) -> None:
        from pyspark.sql import SparkSession

        made = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        made = made.config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "1")
        self._session = made.config("spark.ui.showConsoleProgress", "false").getOrCreate()
        self._session.sparkContext.setLogLevel("ERROR")
        self._session.sql("CREATE DATABASE IF NOT EXISTS main")

    def holding(self, tables: drawn.Tables) -> "Spark":
        for table, rows in tables.items():
            columns = columns_of(table)
            shown = ", ".join(f"CAST({name} AS {_SPARK[kind]}) AS {name}" for name, kind in columns)
            values = ["(" + ", ".join(map(drawn.literal, row.values())) + ")" for row in rows]
            none = "(" + ", ".join("NULL" for _ in columns) + ")"
            source = f"VALUES {', '.join(values or [none])} AS t ({', '.join(name for name, _ in columns)})"
            where = "" if rows else " WHERE false"
            self._session.sql(f"SELECT {shown} FROM {source}{where}").createOrReplaceTempView(table)
        return self

    def execute(self, sql: str) -> "Spark":
        self._answer = self._session.sql(sql).collect()
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._answer]


ENGINES: dict[str, tuple[type[Engine], str | None]] = {"clickhouse": (ClickHouse, "main"), "spark": (Spark, None)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--examples", type=int, default=100)
    asked = parser.parse_args()
    kind, schema = ENGINES[asked.engine]
    engine, graph = kind(), bind(in_schema(drawn.MANIFEST, schema), asked.engine)
    ranges = engine_of(asked.engine).has(Capability.RANGES)

    @settings(max_examples=asked.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(words=views(), tables=drawn.worlds)
    def holds(words: Any, tables: drawn.Tables) -> None:
        try:
            assert_newest(words, tables, ranges=ranges, graph=graph, warehouse=engine, dialect=asked.engine)
        except QueryError as error:
            if error.code != "G327":
                raise
            reject()  # it says that the engine cannot say it

    holds()


if __name__ == "__main__":
    main()
