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

DEFINITIONS = {
    "semantic_models": [
        {
            "name": "sales",
            "defaults": {"agg_time_dimension": "sold_at"},
            "node_relation": {"alias": "sales", "schema_name": "main", "database": "warehouse"},
            "entities": [
                {"name": "sale", "type": "primary", "expr": "sale_id"},
                {"name": "customer", "type": "foreign"},
            ],
            "dimensions": [
                {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
                {"name": "region", "type": "categorical"},
            ],
            "measures": [{"name": "amount", "agg": "sum"}, {"name": "sale_count", "agg": "count", "expr": "1"}],
        }
    ],
    "metrics": [
        {"name": "revenue", "type": "simple", "type_params": {"measure": {"name": "amount"}}},
        {"name": "orders", "type": "simple", "type_params": {"measure": {"name": "sale_count"}}},
        {
            "name": "per_order",
            "type": "ratio",
            "type_params": {"numerator": {"name": "revenue"}, "denominator": {"name": "orders"}},
        },
    ],
    "project_configuration": {
        "time_spines": [
            {
                "node_relation": {"alias": "days", "schema_name": "main", "database": "warehouse"},
                "primary_column": {"name": "day", "time_granularity": "day"},
            }
        ]
    },
}
SALES = """
    (1, 'a', 'north', 10.00, DATE '2024-01-05'),
    (2, 'a', 'south', 5.50, DATE '2024-01-20'),
    (3, 'b', 'north', 2.25, DATE '2024-02-01'),
    (4, NULL, NULL, 1.00, DATE '2024-02-29')
"""
SLOWEST = 30.0
"""Seconds of work that compiling may take on a busy machine; most take a few thousandths."""


class Fortress:
    """The project in a directory of its own. `definitions` are changed, and `sales` are other rows, for a test."""

    def __init__(self, directory: Path, definitions=DEFINITIONS, sales=SALES, amount="decimal(10, 2)", at="date"):
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
