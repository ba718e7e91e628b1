"""What must hold of any answer, whoever computes it: no evaluator is asked here."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties.asking import by_sql, plain
from worlds import drawn
from worlds.questions import Question

ADDITIVE = {"sales": sum, "amount": sum, "amounts_known": sum, "amount_max": max, "amount_min": min}
ITEMS = ("sale__status", "customer__segment", "customer__region__zone", "shop__manager", "shop", "sale__paid_at__month")
CONDITIONS = (
    "{{ Dimension('sale__status') }} = 'done'",
    "{{ Dimension('customer__segment') }} <> 'gold'",
    "{{ TimeDimension('metric_time', 'day') }} < '2024-03-01'",
    "{{ Dimension('sale__status') }} = 'open' or {{ Entity('shop') }} > 1",
)

metrics = st.sampled_from(sorted(ADDITIVE))
items = st.lists(st.sampled_from(ITEMS), unique=True, min_size=1, max_size=2)


def total(values: list[Any], metric: str) -> Any:
    known = [value for value in values if value is not None]
    return ADDITIVE[metric](known) if known else None


def column(question: Question, tables: drawn.Tables) -> list[Any]:
    """The values of the last column."""
    return [row[-1] for row in by_sql(question, tables)[1]]


@given(metric=metrics, items=items, tables=drawn.worlds)
def test_the_groups_add_up_to_the_total(metric, items, tables):
    groups = column(Question((metric,), tuple(items)), tables)
    assert total(groups, metric) == total(column(Question((metric,)), tables), metric)


@pytest.mark.parametrize(
    ("fine", "coarse"), [("day", "week"), ("day", "month"), ("month", "year"), ("day", "fiscal_month")]
)
@given(metric=metrics, tables=drawn.worlds)
def test_the_finer_grain_adds_up_to_the_coarser(fine, coarse, metric, tables):
    both = by_sql(Question((metric,), (f"metric_time__{coarse}", f"metric_time__{fine}")), tables)[1]
    periods: dict[Any, list[Any]] = {}
    for period, _, value in both:
        periods.setdefault(plain(period), []).append(value)
    asked = by_sql(Question((metric,), (f"metric_time__{coarse}",)), tables)[1]
    assert {period: total(values, metric) for period, values in periods.items()} == {
        plain(period): value for period, value in asked
    }


@given(metric=metrics, condition=st.sampled_from(CONDITIONS), tables=drawn.worlds)
def test_a_filter_its_opposite_and_what_neither_knows_add_up(metric, condition, tables):
    parts = [condition, f"not ({condition})", f"({condition}) is null"]
    values = [value for part in parts for value in column(Question((metric,), where=(part,)), tables)]
    assert total(values, metric) == total(column(Question((metric,)), tables), metric)


@given(metric=metrics, tables=drawn.worlds, seed=st.integers(0, 99))
def test_the_order_of_the_rows_means_nothing(metric, tables, seed):
    question = Question((metric, "amount_median"), ("sale__status", "metric_time__week"))
    shuffled = {name: random.Random(seed).sample(rows, len(rows)) for name, rows in tables.items()}
    assert sorted(by_sql(question, tables)[1], key=repr) == sorted(by_sql(question, shuffled)[1], key=repr)


@given(tables=drawn.worlds, items=items)
def test_a_metric_says_the_same_in_company(tables, items):
    names = ("sales", "amount_per_sale", "buyers", "done_sales", "sales_filled")
    columns, rows = by_sql(Question(names, tuple(items)), tables)
    for name in names:
        alone = {tuple(map(plain, row[:-1])): row[-1] for row in by_sql(Question((name,), tuple(items)), tables)[1]}
        at = columns.index(name)
        missing = 0 if name == "sales_filled" else None
        for row in rows:
            assert row[at] == alone.get(tuple(map(plain, row[: len(items)])), missing)


@given(tables=drawn.worlds, items=items)
def test_a_join_neither_loses_nor_multiplies_facts(tables, items):
    counts = column(Question(("sales",), tuple(items)), tables)
    assert sum(counts) == len(tables["sales"])
