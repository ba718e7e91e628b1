"""Outcomes of metric tests: on DuckDB, on PostgreSQL, and against the definition in plain Python."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sales import COLUMNS, ROWS, failing_rows, outcomes

from gemel.engines.connections import duckdb as duck
from gemel.engines.connections.files import Profile
from gemel.engines.connections.postgres import Server
from gemel.engines.connections.postgres import Warehouse as Postgres
from trials import examples
from worlds.postgres import own_name, own_schema


def opened(rows):
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE sales ({COLUMNS})")
    if rows:
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?)", rows)
    return duck.Warehouse(Profile("", "", path=":memory:", database="memory"), connection)


@pytest.fixture
def on_duckdb():
    return opened(ROWS), None


@pytest.fixture(scope="module")
def on_postgres(needs_postgres):
    with own_schema(needs_postgres, own_name("expectations")) as schema:
        schema.connection.execute(f"CREATE TABLE {schema.name}.sales ({COLUMNS})")
        insert = f"INSERT INTO {schema.name}.sales VALUES (%s, %s, %s, %s, %s, %s)"
        schema.connection.cursor().executemany(insert, ROWS)
        with Postgres(Server(schema.connection.info.dbname, schema.options)) as warehouse:
            yield warehouse, schema.name


@pytest.fixture(params=["on_duckdb", "on_postgres"])
def ask(request):
    """Run the tests of a metric over the sales, and return the failures of each by its name."""
    warehouse, schema = request.getfixturevalue(request.param)

    def run(metric, *tests):
        by_name = outcomes(warehouse, {metric: list(tests)}, schema)
        return {name.split("__")[1]: failing_rows(outcome) for name, outcome in by_name.items()}

    return run


def test_an_expected_value_is_that_of_its_group_in_its_period(ask):
    rows = [
        {"sale__region": "north", "metric_time__month": "2024-01", "revenue": 30},
        {"sale__region": "south", "metric_time__month": "2024-02-01", "revenue": 6},
        {"sale__region": "south", "metric_time__month": "2024-01", "revenue": 5},
        {"sale__region": None, "metric_time__month": "2024-02", "revenue": None},
        {"sale__region": None, "metric_time__month": "2024-01", "revenue": None},
    ]
    assert ask("revenue", {"expect": {"rows": rows}})["expect"] == [
        ("south", "2024-01-01", None, 5, "missing"),
        ("south", "2024-02-01", 5, 6, "differs"),
        (None, "2024-01-01", None, None, "missing"),
    ]


def test_an_expected_value_of_everything_has_no_group(ask):
    failures = ask(
        "orders", {"name": "right", "expect": {"rows": [{"orders": 4}]}}, {"expect": {"rows": [{"orders": 5}]}}
    )
    assert failures == {"right": [], "expect": [(4, 5, "differs")]}


def test_a_row_that_expects_a_value_fails_on_null(ask):
    row = {"sale__region": None, "revenue": 0}
    assert ask("revenue", {"expect": {"rows": [row]}})["expect"] == [(None, None, 0, "null")]


def test_a_tolerance_is_an_amount_or_a_share_and_without_one_values_are_equal(ask):
    row = {"expect": {"rows": [{"prices": 8.08}]}}
    assert ask(
        "prices",
        {"name": "exact", **row},
        {"name": "near", **row, "tolerance": 0.1},
        {"name": "nearer", **row, "tolerance": 0.01},
        {"name": "share", **row, "tolerance": "1%"},
        {"name": "small_share", **row, "tolerance": "0.5 %"},
    ) == {
        "exact": [(8, 8.08, "differs")],
        "near": [],
        "nearer": [(8, 8.08, "differs")],
        "share": [],
        "small_share": [(8, 8.08, "differs")],
    }


def test_bounds_hold_for_each_group_and_null_violates_them(ask):
    by = {"group_by": "sale__region"}
    assert ask(
        "revenue",
        {"between": [6, 29], **by},
        {"at_least": 5, "less_than": 30, "allow_null": True, **by},
        {"more_than": 5, "at_most": 30, "allow_null": True, **by},
        {"not_null": True, **by},
    ) == {
        "between": [("north", 30, 29, "above"), ("south", 5, 6, "below"), (None, None, 6, "null")],
        "at_least_and_less_than": [("north", 30, 30, "not below")],
        "at_most_and_more_than": [("south", 5, 5, "not above")],
        "not_null": [(None, None, None, "null")],
    }


def test_a_test_without_groups_fails(ask):
    nowhere = {"filter": "{{ Dimension('sale__region') }} = 'moon'"}
    assert ask(
        "revenue",
        {"name": "grouped", "at_least": 0, "allow_null": True, "group_by": ["sale__channel"], **nowhere},
        {"name": "whole", "at_least": 0, **nowhere},
        {"name": "later", "at_least": 0, "grain": "day", "start_time": "2025-01-01"},
    ) == {
        "grouped": [(None, None, None, "no groups")],
        "whole": [(None, 0, "null")],
        "later": [(None, None, None, "no groups")],
    }


def test_a_filter_and_a_span_of_time_say_which_rows_count(ask):
    assert ask(
        "revenue",
        {"name": "web", "equals": 15, "filter": ["{{ Dimension('sale__channel') }} = 'web'"]},
        {"name": "january", "equals": 30, "start_time": "2024-01-01", "end_time": "2024-01-31"},
        {"name": "month", "equals": 30, "start_time": "2024-01", "end_time": "2024-01"},
    ) == {"web": [], "january": [], "month": []}


def test_a_metric_is_an_expression_of_others_in_each_group(ask):
    by = {"group_by": ["sale__region"], "allow_null": True}
    assert ask(
        "per_order",
        {"name": "right", "equals": "revenue / orders", "tolerance": 1e-9, **by},
        {"name": "wrong", "equals": "revenue / (orders - 1)", **by},
        {"name": "strict", "equals": "revenue / (orders - 1)", "group_by": ["sale__region"]},
    ) == {
        "right": [],
        "wrong": [("north", 15, 30, "differs")],
        "strict": [
            ("north", 15, 30, "differs"),
            ("south", 5, None, "nothing to compare with"),
            (None, None, None, "null"),
        ],
    }


def test_a_slice_is_compared_with_another_that_has_its_own_filter(ask):
    test = {
        "filter": "{{ Dimension('sale__channel') }} = 'web'",
        "group_by": "sale__region",
        "at_least": "0.6 * shops",
        "metrics": [{"name": "revenue", "alias": "shops", "filter": "{{ Dimension('sale__channel') }} = 'shop'"}],
    }
    assert ask("revenue", test)["at_least"] == [
        ("north", 10, 12, "below"),
        ("south", 5, None, "nothing to compare with"),
        (None, None, None, "null"),
    ]


def test_a_slice_without_rows_has_fallen_behind_one_that_has_some(ask):
    test = {
        "filter": "{{ Dimension('sale__channel') }} = 'shop'",
        "grain": "month",
        "at_least": "web",
        "metrics": [{"name": "orders", "alias": "web", "filter": "{{ Dimension('sale__channel') }} = 'web'"}],
    }
    assert ask("orders", test)["at_least"] == [("2024-02-01", None, 2, "null")]


def test_a_group_is_compared_with_the_total_of_its_period(ask):
    test = {"group_by": "sale__region", "grain": "month", "at_most": "0.5 * everywhere"}
    whole = [{"name": "orders", "alias": "everywhere", "group_by": []}]
    assert ask("orders", {**test, "metrics": whole})["at_most"] == [("north", "2024-01-01", 2, 1, "above")]


def test_a_missing_key_has_a_total_too(ask):
    test = {"group_by": ["sale__region", "sale__channel"], "equals": "all_channels"}
    whole = [{"name": "orders", "alias": "all_channels", "group_by": "sale__region"}]
    assert ask("orders", {**test, "metrics": whole})["equals"] == [
        ("north", "shop", 1, 2, "differs"),
        ("north", "web", 1, 2, "differs"),
    ]


def test_a_total_is_the_sum_over_its_groups(ask):
    summed = [{"name": "orders", "alias": "regions", "sum_over": "sale__region"}]
    averaged = [{"name": "per_order", "alias": "regions", "sum_over": ["sale__region"]}]
    assert ask("orders", {"equals": "regions", "grain": "month", "metrics": summed}) == {"equals": []}
    assert ask("per_order", {"equals": "regions", "metrics": averaged})["equals"] == [(8.75, 20, "differs")]


def test_not_a_number_violates_every_bound():
    warehouse = opened([*ROWS, (5, "west", "web", 1, float("nan"), "2024-03-01")])
    by_name = outcomes(warehouse, {"prices": [{"at_least": 0, "group_by": "sale__region", "allow_null": True}]})
    assert [(each.group[0][1], each.problem) for each in by_name["prices__at_least"].failures] == [
        ("west", "not a number")
    ]


def test_a_test_that_the_database_refuses_does_not_fail_the_others(on_duckdb):
    rows = [{"sale__region": "north", "sale__sold_at__day": "2024-01-05", "orders": 1}]
    number = [{"sale": "one", "orders": 1}]
    by_name = outcomes(
        on_duckdb[0],
        {"orders": [{"name": "good", "expect": {"rows": rows}}, {"name": "bad", "expect": {"rows": number}}]},
    )
    assert {name: (each.status, each.groups) for name, each in by_name.items()} == {
        "orders__good": ("pass", 1),
        "orders__bad": ("error", 0),
    }


REGIONS = st.sampled_from(["a", "b", None])
SALES = st.lists(st.tuples(REGIONS, st.sampled_from(["web", "shop"]), st.none() | st.integers(-3, 3)), max_size=8)


@examples(25)
@given(SALES, st.integers(-3, 3), st.booleans(), st.sampled_from([0, 1]))
def test_what_fails_is_what_the_definition_in_plain_python_fails(sales, bound, allow_null, tolerance):
    rows = [(n, region, channel, amount, None, "2024-01-01") for n, (region, channel, amount) in enumerate(sales)]
    common = {"group_by": "sale__region", "allow_null": allow_null}
    shops = {"name": "revenue", "alias": "shops", "filter": "{{ Dimension('sale__channel') }} = 'shop'"}
    web = "{{ Dimension('sale__channel') }} = 'web'"
    by_name = outcomes(
        opened(rows),
        {
            "revenue": [
                {"name": "bound", "at_least": bound, **common},
                {"name": "same", "equals": "orders", "tolerance": tolerance, **common},
                {"name": "slices", "at_most": "shops + 1", "filter": web, "metrics": [shops], **common},
                {"name": "known", "expect": {"rows": [{"sale__region": "a", "revenue": bound}]}},
            ]
        },
    )

    def revenue(wanted=None):
        groups = {}
        for region, channel, amount in sales:
            if wanted in (None, channel):
                groups.setdefault(region, []).append(amount)
        return {
            region: sum(filter(None, amounts)) if any(each is not None for each in amounts) else None
            for region, amounts in groups.items()
        }

    def naive(values, against, holds):
        groups = {*values, *against} if isinstance(against, dict) else {*values}
        if not groups:
            return {(None, "no groups")}
        wrong = set()
        for group in groups:
            value, other = values.get(group), against.get(group) if isinstance(against, dict) else against
            if value is None or other is None:
                word = "null" if value is None else "nothing to compare with"
                wrong |= set() if allow_null else {(group, word)}
            elif word := holds(value, other):
                wrong.add((group, word))
        return wrong

    orders = {}
    for region, _, _ in sales:
        orders[region] = orders.get(region, 0) + 1
    value = revenue().get("a")
    problem = None if value == bound else "null" if value is None else "differs"
    expected = {
        "bound": naive(revenue(), bound, lambda value, other: value < other and "below"),
        "same": naive(revenue(), orders, lambda value, other: abs(value - other) > tolerance and "differs"),
        "slices": naive(revenue("web"), revenue("shop"), lambda value, other: value > other + 1 and "above"),
        "known": {("a", problem if "a" in revenue() else "missing")} - {("a", None)},
    }
    actual = {
        name.split("__")[1]: {(each.group[0][1], each.problem) for each in outcome.failures}
        for name, outcome in by_name.items()
    }
    assert actual == expected
