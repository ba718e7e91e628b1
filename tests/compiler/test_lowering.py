"""Plans as SELECTs: the parts of SQL, each seen by itself. Whole queries are in `golden/`."""

import pytest
from sqlglot import exp

from gemel.compiler.plan.algebra import Aggregate, Combine, Derive, Distinct, Filter, Named, Scan, Summary, Top
from gemel.compiler.question.expressions import column, parse_expression
from gemel.compiler.sql import dialects
from gemel.compiler.sql.aggregates import aggregate
from gemel.compiler.sql.lowering import lower
from gemel.spec.manifest import Relation
from gemel.spec.metrics import Percentile
from worlds.shop import flat, sql

ORDERS = Scan(Relation("orders"), "orders")
BY_DATE = Aggregate(ORDERS, (Named("date", column("date", "orders")),), (Summary("n", "count", exp.Literal.number(1)),))


def lowered(plan):
    return flat(lower(plan, dialects.named()).sql("duckdb"))


def spelled(function, value="amount", where=None, *, grouped=True, percentile=None):
    condition = parse_expression(where) if where else None
    summary = Summary("x", function, parse_expression(value), condition, percentile)
    return aggregate(summary, grouped=grouped).sql("duckdb")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("sum", "SUM(amount)"),
        ("min", "MIN(amount)"),
        ("max", "MAX(amount)"),
        ("average", "AVG(amount)"),
        ("count", "COUNT(amount)"),
        ("count_distinct", "COUNT(DISTINCT amount)"),
    ],
)
def test_an_aggregate_is_its_function(function, text):
    assert spelled(function) == text


def test_a_percentile_keeps_its_kind():
    assert spelled("percentile", percentile=Percentile(0.5)) == "QUANTILE_CONT(amount, 0.5)"
    assert spelled("percentile", percentile=Percentile(0.9, discrete=True)) == "QUANTILE_DISC(amount, 0.9)"
    assert spelled("percentile", percentile=Percentile(0.9, approximate=True)) == "APPROX_QUANTILE(amount, 0.9)"


def test_a_count_of_rows_counts_stars_and_none_is_null():
    assert spelled("count", "1") == "COUNT(*)"
    assert spelled("count", "1", grouped=False) == "NULLIF(COUNT(*), 0)"
    assert spelled("count", "1", "late") == "NULLIF(COUNT(*) FILTER(WHERE late), 0)"


def test_a_sum_of_no_rows_is_null_and_needs_no_help():
    assert spelled("sum", "amount", "late") == "SUM(amount) FILTER(WHERE late)"


def test_a_filtered_count_tells_rows_without_a_value_from_no_rows():
    expected = "SUM(CASE WHEN amount IS NOT NULL THEN 1 ELSE 0 END) FILTER(WHERE late)"
    assert spelled("count", "amount", "late") == expected


def test_computing_on_an_aggregate_needs_no_select_of_its_own():
    doubled = Derive(BY_DATE, (Named("twice", parse_expression("n * 2")),))
    assert lowered(doubled) == "SELECT COUNT(*) * 2 AS twice FROM orders GROUP BY orders.date"


def test_a_value_is_bracketed_where_it_is_inserted():
    sums = Derive(BY_DATE, (Named("s", parse_expression("n + 1")),))
    assert "(COUNT(*) + 1) * 2 AS t" in lowered(Derive(sums, (Named("t", parse_expression("s * 2")),)))


def test_filters_on_rows_are_where_and_on_groups_having():
    filtered = Filter(ORDERS, parse_expression("orders.amount > 1"))
    grouped = Aggregate(filtered, BY_DATE.keys, BY_DATE.values)
    text = lowered(Filter(grouped, parse_expression("n > 2")))
    assert "WHERE orders.amount > 1 GROUP BY 1 HAVING COUNT(*) > 2" in text


def test_an_or_is_bracketed_among_other_conditions():
    one = Filter(ORDERS, parse_expression("orders.a or orders.b"))
    both = Filter(one, parse_expression("orders.c"))
    assert lowered(Distinct(both, BY_DATE.keys)).endswith("WHERE (orders.a OR orders.b) AND orders.c")


def test_equal_plans_share_one_cte():
    left, right = Scan(BY_DATE, "now"), Scan(BY_DATE, "before")
    text = lowered(Combine((Distinct(left, BY_DATE.keys[:0]), Distinct(right, BY_DATE.keys[:0])), ()))
    assert text.count("COUNT(*)") == 1


def test_results_meet_by_stacking_so_that_a_missing_key_is_a_group_too(shop):
    shop.order(None, "2024-01-01")
    shop.visit(None, "2024-01-01")
    assert shop.ask("orders visits", "customer") == [(None, 1, 1)]
    assert "UNION ALL" in sql("orders visits", "customer")


def test_a_limit_on_a_limit_keeps_both():
    inner = Top(BY_DATE, (("n", True),), 3)
    text = lowered(Top(inner, (("date", False),), 2))
    assert text.count("LIMIT") == 2


def test_nulls_come_last_in_either_direction(shop):
    for customer in (1, None, 2):
        shop.order(customer, "2024-01-01")
    for order, expected in [("customer", [1, 2, None]), ("-customer", [2, 1, None])]:
        found = shop.connection.execute(sql("orders", "customer", order_by=[order])).fetchall()
        assert [row[0] for row in found] == expected


def test_a_cte_is_defined_before_it_is_used(shop):
    shop.order(1, "2024-01-01")
    assert shop.ask("growth orders_7d visits", "metric_time")
