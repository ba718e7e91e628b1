"""A shop to ask questions of: orders lead to customers, to their regions, to countries; visits lead to customers."""

import datetime as dt
from typing import Any

import duckdb
from sqlglot import exp

from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.features.moments import plan_features
from gemel.compiler.names.graph import Graph, bind
from gemel.compiler.names.resolution import resolve
from gemel.compiler.plan import rewrites
from gemel.compiler.plan.planning import plan
from gemel.compiler.question.parsing import make_query
from gemel.compiler.question.query import Query
from gemel.compiler.sql import dialects, lowering
from gemel.engines.duckdb import DUCKDB
from gemel.spec.feature_views import FeatureView
from gemel.spec.manifest import Dimension, Entity, Manifest, Relation, SemanticModel, TimeSpine
from gemel.spec.metrics import Cumulative, Derived, Measure, Metric, MetricInput, NonAdditive, Ratio, Simple
from gemel.spec.time import Window

COLUMNS = {
    "orders": "order_id int, customer_id int, ordered_at timestamp, status text, amount int, paid_at timestamp",
    "customers": "customer_id int, region_id int, segment text",
    "regions": "region_id int, country_id int, region_name text",
    "countries": "country_id int, country_name text",
    "visits": "visit_id int, customer_id int, visited_at timestamp, minutes int",
    "days": "day date, season text",
}


def model(name: str, entities: dict[str, str], *dimensions: Dimension, clock: str | None = None) -> SemanticModel:
    """`entities` are `{"customer": "foreign"}`, each in the column customer_id."""
    made = tuple(Entity(entity, kind, f"{entity}_id") for entity, kind in entities.items())
    return SemanticModel(name, Relation(name), None, made, dimensions, clock)


def word(name: str, expr: str | None = None) -> Dimension:
    return Dimension(name, expr or name)


def time(name: str, grain: str = "day", **more: Any) -> Dimension:
    return Dimension(name, name, grain=grain, **more)


def over(measure: Measure, name: str, *filters: str, **more: Any) -> Metric:
    return Metric(name, Simple(measure, **more), filters)


def of(name: str, alias: str | None = None, *filters: str, **more: Any) -> MetricInput:
    return MetricInput(name, alias, filters, **more)


ORDERS = Measure("orders", "orders", "count", "1", "ordered_at")
REVENUE = Measure("revenue", "orders", "sum", "amount", "ordered_at")
BUYERS = Measure("buyers", "orders", "count_distinct", "customer_id", "ordered_at")
AVERAGE = Measure("average_amount", "orders", "average", "amount", "ordered_at")
LARGEST = Measure("largest", "orders", "max", "amount", "ordered_at")
PRICED = Measure("priced", "orders", "count", "amount", "ordered_at")
LAST_AMOUNT = Measure(
    "last_amount", "orders", "sum", "amount", "ordered_at", non_additive=NonAdditive("ordered_at", "max")
)
VISITS = Measure("visits", "visits", "count", "1", "visited_at")
DONE = "{{ Dimension('order__status') }} = 'done'"

YESTERDAY = of("orders", "before", offset_window=Window(1, "day"))

MODELS = (
    model(
        "orders",
        {"order": "primary", "customer": "foreign"},
        time("ordered_at"),
        time("paid_at"),
        word("status"),
        word("is_large", "amount > 10"),
        clock="ordered_at",
    ),
    model("customers", {"customer": "primary", "region": "foreign"}, word("segment")),
    model("regions", {"region": "primary", "country": "foreign"}, word("region_name")),
    model("countries", {"country": "primary"}, word("country_name")),
    model("visits", {"visit": "primary", "customer": "foreign"}, time("visited_at", "hour"), clock="visited_at"),
)

METRICS = (
    over(ORDERS, "orders"),
    over(REVENUE, "revenue"),
    over(BUYERS, "buyers"),
    over(AVERAGE, "average_amount"),
    over(LARGEST, "largest"),
    over(PRICED, "priced"),
    over(LAST_AMOUNT, "last_amount"),
    over(VISITS, "visits"),
    over(ORDERS, "done_orders", DONE),
    over(PRICED, "done_priced", DONE),
    over(ORDERS, "gold_orders", "{{ Dimension('customer__segment') }} = 'gold'"),
    over(ORDERS, "filled_orders", fill_nulls_with=0, join_to_timespine=True),
    Metric("done_share", Ratio(of("orders", "done", DONE), of("orders", "every"))),
    Metric("revenue_per_order", Ratio(of("revenue"), of("orders"))),
    Metric("revenue_per_visit", Ratio(of("revenue"), of("visits"))),
    Metric("doubled", Derived("2 * done", (of("orders", "done", DONE),)), ("{{ Entity('customer') }} > 1",)),
    Metric("nested", Derived("revenue_per_order / doubled", (of("revenue_per_order"), of("doubled")))),
    Metric("orders_7d", Cumulative(of("orders"), Window(7, "day"))),
    Metric("revenue_7d", Cumulative(of("revenue"), Window(7, "day"))),
    Metric("orders_to_date", Cumulative(of("orders"), grain_to_date="month")),
    Metric("orders_of_season", Cumulative(of("orders"), grain_to_date="season")),
    Metric("growth", Derived("orders - before", (of("orders"), YESTERDAY))),
)

SPINE = TimeSpine(Relation("days"), "day", "day", (("season", "season"),))
MANIFEST = Manifest(MODELS, METRICS, time_spines=(SPINE,))
GRAPH = bind(MANIFEST)


def with_metrics(*metrics: Metric) -> Graph:
    """The shop's graph with some metrics more."""
    return bind(Manifest(MODELS, (*METRICS, *metrics), time_spines=(SPINE,)))


class Shop:
    """The shop's tables in a DuckDB in memory, empty at first. Days are those of January 2024, with their season."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        for name, columns in COLUMNS.items():
            self.connection.execute(f"create table {name} ({columns})")
        self.connection.execute(
            "insert into days select day::date, case when day < '2024-01-06' then 'feast' else 'plain' end "
            "from generate_series(date '2024-01-01', date '2024-01-31', interval 1 day) as days(day)"
        )

    def order(self, customer: int | None, at: str | None, amount: int | None = 10, status: str | None = "done") -> None:
        self.connection.execute(
            "insert into orders select (select count(*) from orders), ?, ?::timestamp, ?, ?, ?::timestamp",
            [customer, at, status, amount, at],
        )

    def visit(self, customer: int | None, at: str) -> None:
        self.connection.execute("insert into visits values (1, ?, ?::timestamp, 5)", [customer, at])

    def customer(self, key: int, region: int | None = None, segment: str | None = None) -> None:
        self.connection.execute("insert into customers values (?, ?, ?)", [key, region, segment])

    def ask(self, metrics: str = "", group_by: str = "", /, **more: Any) -> list[tuple[Any, ...]]:
        """The rows, in order. Items stand with blanks between."""
        return self.run(compile_query(GRAPH, question(metrics, group_by, **more)).sql)

    def features(self, view: FeatureView, graph: Graph = GRAPH, *, until: str = "2024-02-01") -> list[tuple[Any, ...]]:
        plan = plan_features(graph, view, until=moment(until))
        select = lowering.lower(rewrites.tidy(plan), dialects.named())
        return self.run(dialects.speak(select, DUCKDB))

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows, in order; a midnight is shown as its day, another moment as text too."""
        rows = [tuple(map(shown, row)) for row in self.connection.execute(sql).fetchall()]
        return sorted(rows, key=lambda row: [(value is None, str(value)) for value in row])


def shown(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return str(value.date()) if value.time() == dt.time() else f"{value:%Y-%m-%d %H:%M}"
    return str(value) if isinstance(value, dt.date) else value


def question(metrics: str = "", group_by: str = "", /, **more: Any) -> Query:
    return make_query(metrics.split(), group_by.split(), **more)


def sql(metrics: str = "", group_by: str = "", /, dialect: str = "duckdb", **more: Any) -> str:
    return compile_query(GRAPH, question(metrics, group_by, **more), Context.elsewhere(dialect)).sql


def flat(text: str) -> str:
    """SQL on one line."""
    return " ".join(text.split())


def untidied(query: Query) -> str:
    return dialects.speak(lowering.lower(plan(GRAPH, resolve(GRAPH, query)), dialects.named()), DUCKDB)


def moment(text: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), exp.DataType.Type.TIMESTAMP)
