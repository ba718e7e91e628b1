"""A small project to attack: a manifest and a DuckDB file with a canary beside the sales."""

import copy
import json
import re
import time
from pathlib import Path

import duckdb
from sqlglot import exp, parse

import gemel
from gemel.errors import GemelError
from worlds.sales import DEFINITIONS as WITHOUT_DAYS
from worlds.sales import ROWS

DAYS = {
    "node_relation": {"alias": "days", "schema_name": "main", "database": "warehouse"},
    "primary_column": {"name": "day", "time_granularity": "day"},
}
DEFINITIONS = WITHOUT_DAYS | {"project_configuration": {"time_spines": [DAYS]}}
SLOWEST = 30.0
"""Seconds of work that compiling may take on a busy machine; most take a few thousandths."""


class Fortress:
    """The project in a directory of its own. `definitions` are changed, and `sales` are other rows, for a test."""

    def __init__(self, directory: Path, definitions=DEFINITIONS, sales=ROWS, amount="decimal(10, 2)", at="date"):
        self.directory = directory
        self.manifest = directory / "semantic_manifest.json"
        self.manifest.write_text(json.dumps(definitions))
        self.database = directory / "warehouse.duckdb"
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(
                f"create table sales (sale_id int, customer text, region text, amount {amount}, sold_at {at})"
            )
            if sales:
                connection.execute(f"insert into sales values {sales}")
            connection.execute(
                "create table days as select unnest(range(date '2024-01-01', date '2024-04-01', "
                "interval 1 day))::date as day"
            )
            connection.execute("create table canary as select 'alive' as song")
            connection.execute("create sequence counter")
        self.project = gemel.load(self.manifest, database=self.database)
        self.before = self._state()

    def ask(self, *metrics, **question):
        """The rows."""
        return self.project.query(list(metrics), **question).rows()

    def attack(self, question):
        """What comes of a question, `answer` or a code; AssertionError where it is anything but."""
        begun = time.process_time()
        try:
            answer = self.project.query(**question)
            compiled = time.process_time() - begun
            assert compiled < SLOWEST, f"compiled in {compiled:.1f} s"
            statements = parse(answer.sql, dialect="duckdb")
            assert len(statements) == 1 and isinstance(statements[0], exp.Query), answer.sql
            assert "canary" not in {table.name.lower() for table in statements[0].find_all(exp.Table)}, answer.sql
            answer.rows()
            outcome = "answer"
        except GemelError as error:
            assert re.fullmatch(r"G\d{3}", error.code), error
            assert "bug in gemel" not in str(error)
            assert len(str(error)) < 5_000, str(error)[:5_000]
            outcome = error.code
        took = time.process_time() - begun
        assert took < 3 * SLOWEST, f"{took:.1f} s"
        return outcome

    def unharmed(self):
        """Whether no byte of the database and no file beside it has changed."""
        return self._state() == self.before

    def _state(self):
        files = sorted(each.name for each in self.directory.iterdir() if each.suffix != ".wal")
        return files, self.database.read_bytes()


def changed(*metrics):
    """The definitions with some metrics more, each in place of that of its name."""
    definitions = copy.deepcopy(DEFINITIONS)
    new = {metric["name"] for metric in metrics}
    definitions["metrics"] = [each for each in definitions["metrics"] if each["name"] not in new] + [*metrics]
    return definitions
