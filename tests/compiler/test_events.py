"""Conversions: under which time they are shown, and what the join of events carries."""

from dataclasses import replace

import pytest

from gemel.compiler.compiled import compile_query
from gemel.compiler.names.graph import Graph, bind
from gemel.spec.manifest import Manifest
from gemel.spec.metrics import Conversion, Metric
from gemel.spec.time import Window
from worlds.shop import METRICS, MODELS, SPINE, Shop, flat, of, question, time

FOLLOWED = Metric("followed", Conversion(of("visits"), of("orders"), "customer", "conversions", Window(7, "day")))


def visits_by(grain: str) -> Graph:
    """The shop, where the time of a visit is known by a grain."""
    seen = replace(MODELS[-1], dimensions=(time("visited_at", grain),))
    return bind(Manifest((*MODELS[:-1], seen), (*METRICS, FOLLOWED), time_spines=(SPINE,)))


def conversions(graph: Graph, group_by: str) -> str:
    return compile_query(graph, question("followed", group_by)).sql


@pytest.fixture
def shop():
    return Shop()


def test_what_the_day_of_a_visit_tells_is_read_from_it_after_the_join(shop):
    sql = flat(conversions(visits_by("day"), "metric_time__month metric_time__extract_dow"))
    assert "AS happened_at FROM visits" in sql
    assert "EXTRACT(ISODOW FROM starts.happened_at) AS metric_time__extract_dow" in sql
    shop.visit(1, "2024-01-05 23:00")
    shop.order(1, "2024-01-06 08:00")
    assert shop.run(conversions(visits_by("day"), "metric_time__month metric_time__extract_dow")) == [
        ("2024-01-01", 5, 1)
    ]


def test_a_week_in_two_months_shows_a_conversion_by_the_earlier_of_its_visits_months(shop):
    shop.visit(1, "2024-01-31 09:00")
    shop.visit(1, "2024-02-01 09:00")
    shop.order(1, "2024-02-02 09:00")
    shop.visit(2, "2024-02-01 09:00")
    shop.order(2, "2024-02-02 09:00")
    by_month = [("2024-01-01", 1), ("2024-02-01", 1)]
    assert shop.run(conversions(visits_by("week"), "metric_time__month")) == by_month
    assert shop.run(conversions(visits_by("week"), "metric_time__week")) == [("2024-01-29", 2)]


def test_days_are_compared_as_dates_and_a_count_of_events_carries_nothing(shop):
    sql = flat(conversions(visits_by("day"), "metric_time__month"))
    assert (
        "ends AS ( SELECT orders.customer_id AS customer, CAST(orders.ordered_at AS DATE) AS happened_at FROM orders"
    ) in sql
