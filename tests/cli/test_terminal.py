"""What `gemel query` shows a person at a terminal, and only there."""

import datetime as dt
import json
import sys

import duckdb
import pytest

from gemel.cli.presentation import MOST, arrange, count_line, uncut_places
from gemel.compiler.compiled import Column
from gemel.text_tables import table
from sessions import on_terminal

DAY = Column("metric_time__day", role="time", grain="day")
REGION = Column("customer__region", role="dimension")
CUSTOMER = Column("customer", role="entity")
REVENUE = Column("revenue", role="metric")
TOTAL = Column("is_total", role="total")


def terminal(*command, columns=80):
    """The lines that a command writes to a terminal, stdout and stderr together."""
    code, written = on_terminal([sys.executable, "-m", "gemel", *command], columns=columns)
    assert code == 0, written
    return written.splitlines()


@pytest.fixture
def shop(files):
    return ("--manifest", str(files.manifest), "--database", str(files.database))


def test_rows_come_by_time_then_by_the_first_metric_the_largest_first():
    first, second = dt.date(2024, 1, 1), dt.date(2024, 1, 2)
    rows = [(second, "a", 1), (first, "b", None), (None, "a", 9), (first, "c", 2), (first, "a", 2), (second, "b", 5)]
    assert arrange([DAY, REGION, REVENUE], rows) == [
        (first, "a", 2),
        (first, "c", 2),
        (first, "b", None),
        (second, "b", 5),
        (second, "a", 1),
        (None, "a", 9),
    ]


def test_a_metric_that_is_not_a_number_comes_last_and_a_total_after_it():
    rows = [("all", 7.0, True), ("nan", float("nan"), False), ("low", 1.0, False), ("high", 6.0, False)]
    assert [row[0] for row in arrange([REGION, REVENUE, TOTAL], rows)] == ["high", "low", "nan", "all"]


def test_values_without_an_order_leave_the_rows_as_they_came():
    rows = [({"b": 1},), ({"a": 2},)]
    assert arrange([REVENUE], rows) == rows


def test_items_without_a_metric_are_sorted():
    assert arrange([REGION], [("b",), (None,), ("a",)]) == [("a",), ("b",), (None,)]


def test_a_long_answer_says_how_many_rows_there_are():
    assert count_line(MOST, 94_000).startswith("1,000 of 94,000 rows; --all")
    assert count_line(1, 1) == "1 row"


def test_times_and_keys_are_never_cut():
    columns = [DAY, CUSTOMER, REGION]
    rows = [(dt.datetime(2024, 1, 1, 12, 30), "customer-0123456789", "a region with a long name")]
    lines, left_out = table([column.name for column in columns], rows, width=60, uncut=uncut_places(columns))
    assert "2024-01-01 12:30:00  customer-0123456789" in lines[2]
    assert left_out == "long texts cut"


def test_one_column_left_out_is_one():
    assert table(["first_number", "second"], [(1, 2)], width=12)[1] == "1 column left out (second)"


def test_a_terminal_gets_an_order_and_a_count_and_a_pipe_gets_neither(shop, gemel):
    lines = terminal("query", "-m", "revenue", "-g", "sale__region", *shop)
    values = [line.split()[1] for line in lines[2:-1]]
    assert values == sorted(values, key=float, reverse=True)
    assert lines[-1] == f"{len(values)} rows" and len(values) > 1
    piped = gemel("query", "-m", "revenue", "-g", "sale__region")
    assert sorted(piped.out.splitlines()[2:]) == sorted(lines[2:-1])
    assert "rows" not in piped.out + piped.err


def test_quiet_says_no_count(shop):
    assert "row" not in terminal("query", "-q", "-m", "revenue", "-g", "sale__region", *shop)[-1]


def test_an_order_that_is_asked_for_is_kept(shop):
    lines = terminal("query", "-m", "revenue", "-g", "sale__region", "--order", "revenue", *shop)
    values = [float(line.split()[1]) for line in lines[2:-1]]
    assert values == sorted(values)


def test_days_and_months_are_dates_in_json_and_midnights_elsewhere(gemel, files):
    with duckdb.connect(str(files.database)) as connection:
        connection.execute("ALTER TABLE sales ALTER sold_at TYPE TIMESTAMP")
    for grain, first in (("day", "2024-01-05"), ("month", "2024-01-01")):
        name = f"metric_time__{grain}"
        rows = json.loads(gemel("query", "-m", "revenue", "-g", name, "--order", name, "--format", "json").out)
        assert rows[0][name] == first
    written = gemel("query", "-m", "revenue", "-g", "metric_time__month", "--format", "csv").out
    assert "2024-01-01T00:00:00" in written
