"""A dbt model's SQL to what its columns and rows are made of; and, where that is not known, why."""

from dataclasses import replace

import pytest

from gemel.dbt.rendering import Renderer
from gemel.graph.graph import MeaningGraph
from gemel.graph.nodes import Definitions
from gemel.graph.tables import DbtTables
from gemel.graph.tree import format_trees
from gemel.spec.project import DbtProject
from gemel.tracing.models import Models
from worlds.market import table

RAW = table("till.raw", kind="source", columns=("id", "documented"))
ORDERS = table("orders", RAW.id, compiled="select id, customer_id, amount, status, sold_at from market.till.raw")
CUSTOMERS = table("customers", RAW.id, compiled="select id as customer_id, name, country from market.till.raw")


def trace_model(sql, *, dialect="duckdb", parents=(ORDERS, CUSTOMERS), **more):
    """What `sql` makes of orders (id, customer_id, amount, status, sold_at), customers (customer_id, name, country)."""
    more = {"compiled": sql} | more
    model = table("mart", *(each.id for each in parents), **more)
    every = {each.id: each for each in (RAW, ORDERS, CUSTOMERS, *parents, model)}
    return tables_of(every, dialect).relation(model)


def tables_of(nodes, dialect="duckdb"):
    renderer = Renderer(DbtProject("market", nodes=nodes))
    return DbtTables(Models(renderer, dialect, renderer.render_built), {}, {}, frozenset())


def column(traced, name):
    return set(traced.columns[name].uses)


def orders(*names, why="identity"):
    return {(f"column:orders.{name}", why) for name in names}


def test_a_column_that_is_handed_on_and_one_that_is_computed():
    traced = trace_model(
        "select id as sale, amount * 2 as double, upper(status) as state, 1 as one from market.main.orders"
    )
    assert column(traced, "sale") == orders("id")
    assert column(traced, "double") == orders("amount", why="transformation")
    assert column(traced, "state") == orders("status", why="transformation")
    assert column(traced, "one") == set()
    assert set(traced.rows.uses) == {("rows:orders", "rows")}


def test_what_decides_by_rows_is_no_part_of_a_value():
    traced = trace_model(
        "select c.country, sum(o.amount) as revenue from market.main.orders o "
        "join market.main.customers c on o.customer_id = c.customer_id where o.status = 'paid' "
        "group by 1 having count(o.id) > 1"
    )
    assert column(traced, "revenue") == orders("amount", why="aggregation")
    assert column(traced, "country") == {("column:customers.country", "identity")}
    assert set(traced.rows.uses) == {
        ("rows:orders", "rows"),
        ("rows:customers", "rows"),
        ("column:orders.customer_id", "join"),
        ("column:customers.customer_id", "join"),
        ("column:orders.status", "filter"),
        ("column:customers.country", "group_by"),
        ("column:orders.id", "filter"),
    }


def test_a_condition_and_the_order_of_a_window_bear_otherwise_than_the_value():
    traced = trace_model(
        "select case when status = 'paid' then amount else 0 end as paid, "
        "sum(amount) over (partition by customer_id order by sold_at) as running, "
        "sum(amount) filter (where status = 'x') over () as some from market.main.orders"
    )
    assert column(traced, "paid") == orders("status", why="conditional") | orders("amount", why="transformation")
    assert column(traced, "running") == (
        orders("customer_id", "sold_at", why="window") | orders("amount", why="transformation")
    )
    assert column(traced, "some") >= orders("status", why="conditional")


def test_through_ctes_and_stars_of_known_columns():
    traced = trace_model(
        "with o as (select * from market.main.orders), "
        "both as (select o.*, c.country from o join market.main.customers c using (customer_id)) select * from both"
    )
    assert list(traced.columns) == ["id", "customer_id", "amount", "status", "sold_at", "country"]
    assert column(traced, "amount") == orders("amount")
    assert {("column:orders.customer_id", "join"), ("column:customers.customer_id", "join")} <= set(traced.rows.uses)


def test_a_star_without_some_columns_and_with_another_in_place():
    traced = trace_model("select * exclude (status) replace (amount / 100 as amount) from market.main.orders")
    assert list(traced.columns) == ["id", "customer_id", "amount", "sold_at"]
    assert column(traced, "amount") == orders("amount", why="transformation")


def test_a_star_over_a_source_of_unknown_columns_hands_on_whatever_is_asked_for():
    traced = trace_model("with s as (select * from market.till.raw) select *, a + b as c from s", parents=(RAW,))
    assert column(traced, "c") == {("column:till.raw.a", "transformation"), ("column:till.raw.b", "transformation")}
    assert set(traced.rest("anything").uses) == {("column:till.raw.anything", "identity")}
    assert column(traced, "documented") == {("column:till.raw.documented", "identity")}


def test_a_bare_column_of_one_of_two_unknown_tables_is_said_to_be_lost():
    other = table("till.other", kind="source")
    traced = trace_model("select a from market.till.raw join market.till.other on true", parents=(RAW, other))
    assert column(traced, "a") == {("source:till.raw", "table"), ("source:till.other", "table")}
    assert traced.gaps == {"a": "a is of raw or other, whose columns are not known"}


def test_a_union_is_stacked_by_place_and_a_distinct_one_decides_by_every_column():
    traced = trace_model(
        "select id, amount from market.main.orders union all select customer_id, 0 from market.main.customers"
    )
    assert column(traced, "id") == orders("id") | {("column:customers.customer_id", "identity")}
    assert column(traced, "amount") == orders("amount")
    traced = trace_model("select id from market.main.orders union select customer_id from market.main.customers")
    assert ("column:orders.id", "group_by") in traced.rows.uses
    traced = trace_model("select id from market.main.orders except select customer_id from market.main.customers")
    assert column(traced, "id") == orders("id")
    assert ("column:customers.customer_id", "filter") in traced.rows.uses


def test_selects_inside_expressions_and_filters():
    traced = trace_model(
        "select id, (select max(name) from market.main.customers c where c.customer_id = o.customer_id) as who "
        "from market.main.orders o where customer_id in (select customer_id from market.main.customers)"
    )
    assert ("column:customers.name", "aggregation") in column(traced, "who")
    assert ("column:orders.customer_id", "filter") in column(traced, "who")
    assert ("column:customers.customer_id", "filter") in traced.rows.uses


def test_a_recursive_cte_comes_back_to_what_it_began_with():
    traced = trace_model(
        "with recursive up (n, boss) as (select id, customer_id from market.main.orders union all "
        "select o.id, up.boss from market.main.orders o join up on o.customer_id = up.n) select n, boss from up"
    )
    assert column(traced, "n") == orders("id")
    assert column(traced, "boss") == orders("customer_id")


def test_an_alias_used_again_and_groups_by_place_or_by_all():
    traced = trace_model("select amount * 2 as twice, twice + 1 as more from market.main.orders")
    assert column(traced, "more") == orders("amount", why="transformation")
    traced = trace_model("select status, sum(amount) as total from market.main.orders group by all")
    assert ("column:orders.status", "group_by") in traced.rows.uses


def test_functions_and_values_in_from_have_columns_of_what_they_take():
    traced = trace_model(
        "select u.tag, v.x from market.main.orders o, unnest(o.status) as u(tag), (values (1)) as v(x)"
    )
    assert column(traced, "tag") == orders("status", why="transformation")
    assert column(traced, "x") == set()


def test_the_order_of_rows_counts_where_there_is_a_limit():
    assert ("column:orders.sold_at", "sort") not in trace_model(
        "select id from market.main.orders order by sold_at"
    ).rows.uses
    assert ("column:orders.sold_at", "sort") in trace_model(
        "select id from market.main.orders order by sold_at limit 1"
    ).rows.uses
    ranked = "select id from market.main.orders qualify row_number() over (order by sold_at) = 1"
    assert ("column:orders.sold_at", "filter") in trace_model(ranked).rows.uses
    first = "select distinct on (customer_id) amount from market.main.orders order by customer_id, sold_at"
    assert set(trace_model(first).rows.uses) == {
        ("rows:orders", "rows"),
        ("column:orders.customer_id", "group_by"),
        ("column:orders.customer_id", "sort"),
        ("column:orders.sold_at", "sort"),
    }


def test_a_window_by_name_is_what_its_name_stands_for():
    traced = trace_model("select sum(amount) over w as s from market.main.orders window w as (order by sold_at)")
    assert column(traced, "s") == orders("amount", why="transformation") | orders("sold_at", why="window")
    traced = trace_model(
        "select sum(amount) over b as s from market.main.orders "
        "window a as (partition by status), b as (a order by sold_at) qualify rank() over b = 1"
    )
    assert orders("status", "sold_at", why="window") <= column(traced, "s")
    assert orders("status", "sold_at", why="filter") <= set(traced.rows.uses)


def test_joins_that_name_no_columns_or_give_none():
    traced = trace_model("select amount, name from market.main.orders natural join market.main.customers")
    keys = {("column:orders.customer_id", "join"), ("column:customers.customer_id", "join")}
    assert set(traced.rows.uses) == {("rows:orders", "rows"), ("rows:customers", "rows")} | keys
    for join in (
        "semi join market.main.customers c on c.customer_id = o.customer_id and c.country = 'FR'",
        "anti join market.main.customers c using (customer_id)",
    ):
        traced = trace_model(f"select * from market.main.orders o {join}")
        assert {("rows:customers", "rows")} | keys <= set(traced.rows.uses)
        assert [*traced.columns] == ["id", "customer_id", "amount", "status", "sold_at"]
    assert ("column:customers.country", "join") in trace_model(
        "select o.id from market.main.orders o semi join market.main.customers on country = 'FR'"
    ).rows.uses


def test_a_natural_join_of_unknown_columns_is_said_to_be_lost():
    other = table("till.other", kind="source")
    traced = trace_model("select id from market.main.orders natural join market.till.other", parents=(ORDERS, other))
    assert ("source:till.other", "table") in traced.rows.uses
    assert traced.gaps == {"": "a NATURAL JOIN is by the columns that its tables share, and not all are known"}


def test_a_whole_row_as_a_value_is_made_of_all_its_columns():
    traced = trace_model("select c as customer from market.main.customers c")
    assert column(traced, "customer") >= {(f"column:customers.{name}", "identity") for name in ("name", "country")}
    traced = trace_model("select r as row from market.till.raw r", parents=(RAW,))
    assert ("column:till.raw.documented", "identity") in traced.columns["row"].uses
    assert ("column:till.raw.r", "identity") not in traced.columns["row"].uses


@pytest.mark.parametrize(
    "dialect, sql",
    [
        ("snowflake", "select ID as SALE from MARKET.MAIN.ORDERS"),
        ("bigquery", "select id as sale from `market`.`main`.`orders`"),
        ("postgres", 'select "orders"."id" as sale from "market"."main"."orders"'),
        ("tsql", "select [id] as sale from [market].[main].[orders]"),
    ],
)
def test_names_are_found_as_each_dialect_writes_them(dialect, sql):
    assert column(trace_model(sql, dialect=dialect), "sale") == orders("id")


def test_a_source_that_is_a_file_or_a_function_is_known_by_what_dbt_writes():
    for relation in ("'data/raw.parquet'", "read_csv('data/raw.csv', header = true)"):
        raw = table("till.files", kind="source")
        raw = replace(raw, relation_name=relation)
        traced = trace_model(f"select a from {relation}", parents=(raw,))
        assert column(traced, "a") == {("column:till.files.a", "identity")}


def test_an_ephemeral_model_is_a_model_although_dbt_writes_it_into_its_readers():
    half = table("half", ORDERS.id, compiled="select amount / 2 as half from market.main.orders")
    half = replace(half, materialized="ephemeral", relation_name=None)
    sql = (
        "with __dbt__cte__half as (select amount / 2 as half from market.main.orders) select half from __dbt__cte__half"
    )
    assert column(trace_model(sql, parents=(half,)), "half") == {("column:half.half", "identity")}


def test_what_dbt_has_not_compiled_is_read_where_only_refs_stand_in_it():
    raw = (
        "{{ config(materialized='table', meta={'a': 1}) }} {# why #} "
        "select id from {{ ref('orders') }} where orders.amount > 0"
    )
    traced = trace_model(None, raw=raw)
    assert column(traced, "id") == orders("id")
    assert ("column:orders.amount", "filter") in traced.rows.uses
    source = trace_model(None, raw="select a from {{ source('till', 'raw') }}", parents=(RAW,))
    assert column(source, "a") == {("column:till.raw.a", "identity")}


@pytest.mark.parametrize(
    "more, reason",
    [
        ({"language": "python"}, "it is a Python model"),
        ({}, "target/manifest.json has no SQL of it: run `dbt compile`"),
        (
            {"raw": "select id from {{ ref('orders') }} {% if target.name == 'dev' %} where amount > 0 {% endif %}"},
            "it is not compiled, and only dbt can render it: run `dbt compile`",
        ),
        ({"compiled": "select select from"}, "its SQL cannot be parsed: "),
        ({"compiled": "select 1; select 2"}, "its SQL is 2 statements"),
        ({"compiled": "delete from market.main.orders"}, "it is not a SELECT"),
        (
            {"compiled": "pivot market.main.orders on status using sum(amount)"},
            "it pivots by values that are not written out",
        ),
        ({"compiled": "select columns('a.*') from market.main.orders"}, "COLUMNS() chooses its columns by a pattern"),
    ],
)
def test_what_cannot_be_followed_says_why(more, reason):
    traced = trace_model(None, **more)
    assert traced.missed is not None
    assert traced.missed.startswith(reason)


def test_what_only_dbt_can_render_may_be_anything_and_the_rest_is_followed():
    traced = trace_model(
        None, raw="select id, {{ cents('amount') }} as money from {{ ref('orders') }} where status = 'paid'"
    )
    assert column(traced, "id") == orders("id")
    assert ("model:orders", "table") in column(traced, "money")
    assert ("column:orders.status", "filter") in traced.rows.uses
    assert traced.gaps == {"": "it is not compiled, and only dbt can render it: run `dbt compile`"}


def test_a_table_that_dbt_does_not_know_is_reported():
    assert trace_model("select a from elsewhere.secret").gaps == {
        "": "it reads elsewhere.secret, which dbt does not know of"
    }


def test_a_column_that_the_sql_does_not_make_is_reported():
    tables = tables_of({ORDERS.id: ORDERS, RAW.id: RAW})
    assert [gap.reason for gap in tables.gaps("column:orders.gone")] == [
        "the SQL of its table has no column of that name"
    ]
    assert tables.gaps("column:orders.amount") == ()
    assert tables.gaps("column:till.raw.whatever") == ()


def test_models_stand_on_each_other_hundreds_deep():
    chain = [table("m0", RAW.id, compiled="select a from market.till.raw")]
    for number in range(1, 400):
        before = chain[-1]
        chain.append(table(f"m{number}", before.id, compiled=f"select * from market.main.{before.name}"))
    tables = tables_of({each.id: each for each in (RAW, *chain)})
    assert {*tables.relation(chain[-1]).columns["a"].uses} == {("column:m398.a", "identity")}
    lineage = MeaningGraph(Definitions({}, {}), tables)
    assert len(list(format_trees(lineage, lineage.find("m399.a"), sides=("up",)))) == 403
