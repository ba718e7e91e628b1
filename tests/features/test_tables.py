"""What stands in a feature table: F(entity, m, w) is the metric over the facts knowable in [m - w, m)."""

import datetime as dt
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gemel.features import tables
from trials import examples
from worlds.feature_shop import Shop, days, model_of, render

ORDERS = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        features: [{metric: orders, windows: [1 day, 3 days]}]
"""


def with_keys(*lines):
    """ORDERS with more keys: `"delay: 2 hours"`."""
    return ORDERS.replace("        schedule: day\n", "".join(f"        {line}\n" for line in ("schedule: day", *lines)))


def metric(text):
    return ORDERS.replace("{metric: orders, windows: [1 day, 3 days]}", text)


def test_a_row_stands_at_each_moment_at_which_a_window_gains_or_loses_a_fact(shop):
    shop.sell("a", "2024-01-02 10:00")
    shop.sell("a", "2024-01-03 10:00")
    assert days(shop.table(ORDERS), "customer", "orders_1d", "orders_3d") == [
        ("01-03", "a", 1, 1),
        ("01-04", "a", 1, 2),
        ("01-05", "a", None, 2),
        ("01-06", "a", None, 1),
        ("01-07", "a", None, None),
    ]


def test_a_sale_at_midnight_is_not_known_at_that_midnight(shop):
    shop.sell("a", "2024-01-02 00:00")
    assert days(shop.table(ORDERS), "orders_1d")[0] == ("01-03", 1)


def test_the_last_microsecond_before_a_moment_is_known_at_it(shop):
    shop.sell("a", "2024-01-01 23:59:59.999999")
    assert days(shop.table(ORDERS), "orders_1d")[0] == ("01-02", 1)


def test_with_a_ttl_there_is_a_row_at_every_step_from_the_first_fact_on(shop):
    shop.sell("a", "2024-01-02 10:00")
    rows = shop.table(with_keys("ttl: 1 day"), until="2024-01-09 05:00:00")
    assert days(rows, "orders_3d") == [
        ("01-03", 1),
        ("01-04", 1),
        ("01-05", 1),
        ("01-06", None),
        ("01-07", None),
        ("01-08", None),
        ("01-09", None),
    ]


def test_a_delay_moves_the_moment_and_not_the_content(shop):
    shop.sell("a", "2024-01-02 10:00")
    shop.sell("a", "2024-01-03 01:00")  # within the delay, and not yet in the day
    first = shop.table(with_keys("delay: 2 hours"))[0]
    assert (first["event_timestamp"], first["orders_1d"]) == (dt.datetime(2024, 1, 3, 2), 1)


def test_facts_count_from_when_they_are_known_not_from_when_they_are_reported(shop):
    shop.sell("a", "2024-01-02 10:00", settled="2024-01-05 10:00")
    assert days(shop.table(with_keys("known_at: sale__settled_at")), "orders_1d")[0] == ("01-06", 1)


def test_facts_of_nobody_and_facts_never_known_do_not_count(shop):
    shop.sell(None, "2024-01-02 10:00")
    shop.sell("a", None)
    shop.sell("b", "2024-01-02 10:00")
    assert {row["customer"] for row in shop.table(ORDERS)} == {"b"}


def test_a_day_that_is_not_over_has_no_row_yet(shop):
    shop.sell("a", "2024-01-02 10:00")
    shop.sell("a", "2024-01-03 10:00")
    assert days(shop.table(ORDERS, until="2024-01-03 12:00:00"), "orders_3d") == [("01-03", 1)]
    assert days(shop.table(ORDERS, until="2024-01-04 00:00:00"), "orders_3d") == [("01-03", 1), ("01-04", 2)]
    late = with_keys("delay: 2 hours")
    assert days(shop.table(late, until="2024-01-04 01:00:00"), "orders_3d") == [("01-03", 1)]


def test_a_ratio_comes_with_its_two_sides(shop):
    shop.sell("a", "2024-01-02 10:00", returned=True)
    shop.sell("a", "2024-01-02 11:00")
    first = shop.table(metric("{metric: return_rate, windows: [1 day], name: rate}"))[0]
    assert (first["rate"], first["rate__numerator"], first["rate__denominator"]) == (0.5, 1, 2)


def test_a_metrics_own_filter_and_its_fill_hold(shop):
    shop.sell("a", "2024-01-02 10:00", region="north", returned=True)
    shop.sell("a", "2024-01-03 11:00", region="south")
    rows = shop.table(metric("{metric: northern, windows: [1 day]}, {metric: returns_or_none, windows: [1 day]}"))
    assert days(rows, "northern_1d", "returns_or_none_1d") == [("01-03", 1, 1), ("01-04", None, 0), ("01-05", None, 0)]


def test_one_side_of_a_ratio_can_have_a_filter_of_its_own(shop):
    shop.sell("a", "2024-01-02 10:00", region="north")
    shop.sell("a", "2024-01-02 11:00", region="south")
    first = shop.table(metric("{metric: northern_share, windows: [1 day]}"))[0]
    assert [first[f"northern_share_1d{part}"] for part in ("", "__numerator", "__denominator")] == [0.5, 1, 2]


@pytest.mark.parametrize(("kind", "seen_at"), [("timestamp", "04 00"), ("date", "04 00")])
def test_a_version_that_begins_in_the_middle_of_a_day_is_not_known_at_its_start(shop, kind, seen_at):
    """By the definition it begins on a day, and nothing of a day counts before the day is over."""
    shop.sell("a", "2024-01-02 10:00")
    shop.con.execute(f"alter table ranks alter ranked_from type {kind}")
    shop.con.execute(
        "insert into ranks values ('a', 'tin', '2023-01-01', '2024-01-03'), ('a', 'gold', '2024-01-03', null)"
    )
    if kind == "timestamp":
        shop.con.execute("update ranks set ranked_from = '2024-01-03 14:30' where rank = 'gold'")
    view = metric("{metric: orders, windows: [1 day]}, {dimension: customer__rank}")
    rows = shop.table(view.replace("schedule: day", "schedule: hour\n        ttl: 1 hour"), until="2024-01-04 03:00")
    assert {row["rank"] for row in rows if row["event_timestamp"] < dt.datetime(2024, 1, 4)} == {"tin"}
    [first] = [row for row in rows if f"{row['event_timestamp']:%d %H}" == seen_at]
    assert first["rank"] == "gold"


def test_several_entities_make_one_key(shop):
    shop.sell("a", "2024-01-02 10:00", shop=1)
    shop.sell("a", "2024-01-02 11:00", shop=2)
    rows = shop.table(ORDERS.replace("entity: customer", "entity: [customer, shop]"))
    assert [(row["customer"], row["shop"], row["orders_1d"]) for row in rows[:3:2]] == [("a", 1, 1), ("a", 1, None)]
    assert len(rows) == 6


def test_every_column_has_exactly_the_type_of_its_feast_definition(shop):
    shop.sell("a", "2024-01-02 10:00", Decimal("1.50"))
    shop.con.execute("insert into customers values ('a', 'Ada', 1815)")
    [row, *_] = shop.table(
        metric(
            "{metric: revenue, windows: [1 day]}, {metric: revenue, windows: [2 days], dtype: float32}, "
            "{dimension: customer__nick, as_of: current}, {dimension: customer__born, dtype: string, as_of: current}"
        )
    )
    assert row["created_timestamp"] == dt.datetime(2024, 3, 2, 12)
    del row["event_timestamp"], row["created_timestamp"]
    assert row == {"customer": "a", "revenue_1d": 1.5, "revenue_2d": 1.5, "nick": "Ada", "born": "1815"}


NAIVE = {
    "orders": lambda sales: len(sales) or None,
    "revenue": lambda sales: sum(sale.amount for sale in sales) if sales else None,
    "average_amount": lambda sales: sum(sale.amount for sale in sales) / len(sales) if sales else None,
    "return_rate": lambda sales: sum(sale.returned for sale in sales) / len(sales) if sales else None,
}
WINDOWS = {"1d": 1, "3d": 3, "7d": 7, "all": 10_000}
START = dt.datetime(2024, 1, 1)
SALES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 15 * 24), st.integers(-5, 5), st.booleans()),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(("until", "fresh"), [("2024-01-12 12:00", 1), ("2024-01-13 00:00:01", 0)])
def test_a_dbt_test_checks_that_the_newest_row_is_fresh(shop, until, fresh):
    shop.sell("a", "2024-01-09 10:00")
    bound = shop.bound(with_keys("freshness: 3 days"))
    [model] = yaml.safe_load(tables.properties(tables.Tables(shop.graph), bound, shop.types(bound)))["models"]
    [test] = [each["accepted_values"] for each in model["data_tests"] if "accepted_values" in each]
    shop.con.execute("create table buying as select timestamp '2024-01-10' as event_timestamp")
    [(found,)] = shop.con.execute(f"select {render(test['arguments']['values'][0], until)}").fetchall()
    assert (test["name"], found) == ("buying_is_fresh", fresh)


@examples(30)
@given(sales=SALES, ttl=st.booleans(), moment=st.integers(0, 24))
def test_the_newest_row_at_any_moment_is_the_metric_over_the_window_before_it(sales, ttl, moment):
    shop = Shop()
    sold = []
    for customer, hour, amount, returned in sales:
        at = START + dt.timedelta(hours=hour)
        shop.sell(customer, at.isoformat(sep=" "), amount, returned=returned)
        sold.append(Sale(customer, at, amount, returned))
    windows = "[1 day, 3 days, 7 days, all]"
    text = metric(", ".join(f"{{metric: {name}, windows: {windows}}}" for name in NAIVE))
    text = text.replace("schedule: day", "schedule: day\n        ttl: 2 days") if ttl else text
    rows = shop.rows(*model_of(text))
    asked = START + dt.timedelta(days=moment)
    for customer in "ab":
        seen = [row for row in rows if row["customer"] == customer and row["event_timestamp"] <= asked]
        for name, naive in NAIVE.items():
            for suffix, length in WINDOWS.items():
                begin = asked - dt.timedelta(days=length)
                known = [sale for sale in sold if sale.customer == customer and begin <= sale.at < asked]
                found = seen[-1][f"{name}_{suffix}"] if seen else None
                assert found == pytest.approx(naive(known)), (customer, name, suffix)
    shop.con.close()


class Sale:
    def __init__(self, customer, at, amount, returned):
        self.customer, self.at, self.amount, self.returned = customer, at, amount, returned
