"""Distinct values over windows, on a time spine that lacks some days: as counted from the raw rows on each day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.compiler.compiled import compile_query
from gemel.compiler.question.parsing import make_query
from gemel.spec.metrics import Cumulative, Metric, MetricInput
from gemel.spec.time import Window
from worlds.shop import Shop, with_metrics


@pytest.fixture(scope="module")
def shop():
    return Shop()


# Hours over days can be defined, as in MetricFlow, and not be asked for (G313).
GRAPH = with_metrics(Metric("buyers_30h", Cumulative(MetricInput("buyers"), Window(30, "hour"), period_agg="last")))
ORDERS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, None]),
        st.sampled_from([*(f"2024-01-{day:02} 10:00" for day in (1, 2, 4, 5, 9, 30, 31)), "2023-12-31 00:00", None]),
        st.sampled_from(["done", "open", None]),
    ),
    max_size=8,
)
SEES = {
    "2 days": "ordered_at::date > day - interval 2 day",
    "1 week": "ordered_at::date > day - interval 1 week",
    "30 hours": "ordered_at::date > day - interval 30 hour",
    "1 month": "ordered_at::date > day - interval 1 month",
    "week to date": "ordered_at::date >= date_trunc('week', day)",
    "all": "true",
}


@pytest.mark.parametrize("keys", ["", "order__status"])
@pytest.mark.parametrize("window", SEES)
@given(orders=ORDERS, gaps=st.sets(st.integers(1, 31)))
def test_every_day_that_the_spine_has_counts_the_distinct_customers_of_what_it_sees(shop, window, keys, orders, gaps):
    shop.connection.execute("begin")
    for day in gaps:
        shop.connection.execute("delete from days where day(day) = ?", [day])
    for customer, at, status in orders:
        shop.order(customer, at, status=status)
    shown = "day, status" if keys else "day"
    naive = f"""select {shown}, count(distinct customer_id) from orders join days
        on ordered_at::date <= day and {SEES[window]} group by {shown}"""
    metric = "buyers_30h" if window == "30 hours" else f"buyers[{window}]"
    sql = compile_query(GRAPH, make_query([metric], f"metric_time__day {keys}".split())).sql
    found, expected = shop.run(sql), shop.run(naive)
    shop.connection.execute("rollback")
    assert found == expected
