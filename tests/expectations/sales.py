"""Sales, as a manifest and a table, with metrics to test."""

from typing import Any

from gemel.compiler.names.graph import Graph, bind
from gemel.dbt.semantic.reading import read_valid
from gemel.expectations.outcomes import Outcome, run
from gemel.run import Runner
from gemel.spec.metric_tests import read_metric_tests

COLUMNS = "sale_id int, region varchar(9), channel varchar(9), amount int, price double precision, sold_at timestamp"

ROWS: list[tuple[Any, ...]] = [
    (1, "north", "web", 10, 1.5, "2024-01-05 10:00"),
    (2, "north", "shop", 20, 2.5, "2024-01-20 00:00"),
    (3, "south", "web", 5, None, "2024-02-01 00:00"),
    (4, None, "web", None, 4.0, "2024-02-29 23:59"),
]


def manifest(tests: dict[str, Any], schema: str | None = None) -> dict[str, Any]:
    """`tests` are those of each metric by name."""

    def metric(name: str, type: str, **params: Any) -> dict[str, Any]:
        config = {"meta": {"gemel": {"tests": tests[name]}}} if name in tests else {}
        return {"name": name, "type": type, "type_params": params, "config": config}

    return {
        "semantic_models": [
            {
                "name": "sales",
                "defaults": {"agg_time_dimension": "sold_at"},
                "node_relation": {"alias": "sales", "schema_name": schema, "database": None},
                "entities": [{"name": "sale", "type": "primary", "expr": "sale_id"}],
                "dimensions": [
                    {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "second"}},
                    {"name": "region", "type": "categorical"},
                    {"name": "channel", "type": "categorical"},
                ],
                "measures": [
                    {"name": "amount", "agg": "sum"},
                    {"name": "sale_count", "agg": "count", "expr": "1"},
                    {"name": "price", "agg": "sum"},
                ],
            }
        ],
        "metrics": [
            metric("revenue", "simple", measure={"name": "amount"}),
            metric("orders", "simple", measure={"name": "sale_count"}),
            metric("prices", "simple", measure={"name": "price"}),
            metric("per_order", "ratio", numerator={"name": "revenue"}, denominator={"name": "orders"}),
        ],
        "saved_queries": [],
    }


def graph_of(tests: dict[str, Any], dialect: str = "duckdb", schema: str | None = None) -> Graph:
    read, problems = read_valid(manifest(tests, schema))
    assert not problems
    return bind(read, dialect)


def outcomes(warehouse: Any, tests: dict[str, Any], schema: str | None = None) -> dict[str, Outcome]:
    """The outcomes of the tests, by name."""
    graph = graph_of(tests, warehouse.dialect, schema)
    read, problems = read_metric_tests(graph.metrics.values())
    assert [str(problem) for problem in problems] == []
    return {outcome.test.full_name: outcome for outcome in run(graph, read, Runner(warehouse))}


def failing_rows(outcome: Outcome) -> list[tuple[Any, ...]]:
    """Each failure: the values of its group, the value of the metric, the expected value, the problem."""
    assert outcome.error is None, outcome.error
    return [
        (*(_plain(value) for _, value in each.group), _plain(each.value), _plain(each.expected), each.problem)
        for each in outcome.failures
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "year"):
        return f"{value:%Y-%m-%d}"
    return value if value is None or isinstance(value, str) else float(value)
