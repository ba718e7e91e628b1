"""Asking a world both ways, and comparing what comes back."""

import collections
import datetime as dt
import decimal
import random
from dataclasses import dataclass
from types import ModuleType
from typing import Any, get_args

from hypothesis import reject
from hypothesis import strategies as st

from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.errors import QueryError
from gemel.spec.metrics import MetricDefinition
from reference import evaluate, place_of
from reference_world import Undefined
from worlds import drawn
from worlds.questions import Asker, Question

KINDS = tuple(definition.__name__.lower() for definition in get_args(MetricDefinition))
"""Every type of metric."""

DAYS = [str(day) for day in drawn.DAYS]

# Said to be refused, with the reason and a way out: an offset above a filter on time and something else, or shown
# by a period that does not hold whole steps of it.
REFUSED = {"G320", "G324"}

Answer = tuple[list[str], list[tuple[Any, ...]]]


@dataclass
class Place:
    """A world's definitions (a module with MANIFEST, COLUMNS and VALUES), bound, and a database for its tables."""

    world: ModuleType
    dialect = "duckdb"

    def __post_init__(self) -> None:
        self.graph = bind(self.world.MANIFEST)
        self.warehouse = drawn.Warehouse(self.world.COLUMNS)


SHOP = Place(drawn)


def questions(*kinds: str) -> st.SearchStrategy[Question]:
    """Of metrics of these types, or of any."""
    return st.integers(0, 2**32).map(lambda seed: asked(seed, *kinds))


def asked(seed: int, *kinds: str) -> Question:
    """The question that a seed stands for."""
    return Asker(drawn.MANIFEST, drawn.VALUES, DAYS, only=kinds).question(random.Random(seed))


def asked_of(seed: int, metric: str) -> Question:
    """The question that a seed stands for of one metric, or of it beside plain sales."""
    asker = Asker(drawn.MANIFEST, drawn.VALUES, DAYS, only=("cumulative",))
    asker.public = [metric, metric, metric, "sales"]
    return asker.question(random.Random(seed))


def by_sql(question: Question, tables: drawn.Tables, place: Place = SHOP) -> Answer:
    sql = compile_query(place.graph, question.for_gemel(), Context.naming(place.dialect)).sql
    result = place.warehouse.holding(tables).execute(sql)
    return [column[0] for column in result.description], result.fetchall()


def by_definition(question: Question, tables: drawn.Tables, place: Place = SHOP) -> Answer:
    """Rejects the example where the question has no meaning."""
    try:
        return evaluate(place.world.MANIFEST, tables | drawn.SPINE_ROWS, question.for_gemel())
    except Undefined:
        reject()


def assert_same(question: Question, tables: drawn.Tables, place: Place = SHOP) -> None:
    """The same columns in the same order, the same rows, and in the order that was asked for."""
    columns, expected = by_definition(question, tables, place)
    unlimited = by_definition(question.without_limit(), tables, place)[1]
    try:
        names, rows = by_sql(question, tables, place)
    except QueryError as error:
        if error.code in REFUSED:
            reject()
        raise
    assert names == columns
    if question.limit is None:
        assert counted(rows) == counted(expected)
    else:
        assert len(rows) == len(expected)
        assert counted(rows) <= counted(unlimited)
    for name in question.order_by[:1]:
        at = place_of(name.lstrip("-"), names)
        assert [plain(row[at]) for row in rows] == [plain(row[at]) for row in expected]


def counted(rows: list[tuple[Any, ...]]) -> collections.Counter[tuple[Any, ...]]:
    return collections.Counter(tuple(map(plain, row)) for row in rows)


def plain(value: Any) -> Any:
    """Dates as midnights, numbers as floats of nine digits."""
    match value:
        case dt.datetime() | bool() | None:
            return value
        case dt.date():
            return dt.datetime.combine(value, dt.time())
        case int() | float() | decimal.Decimal():
            return float(f"{float(value):.9g}")
        case _:
            return value
