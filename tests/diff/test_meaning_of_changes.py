"""Two states of a shop: what changed by meaning, and who is touched."""

import copy
import json

import pytest

from gemel.dbt.manifest import parse_project
from gemel.dbt.variables import Variables
from gemel.diff.meaning import compare
from gemel.diff.report import why
from gemel.diff.states import State
from gemel.features.bound import Bound
from gemel.session import open_session

SHOP = {
    "semantic_models": [
        {
            "name": "sales",
            "defaults": {"agg_time_dimension": "sold_at"},
            "node_relation": {"alias": "sales", "schema_name": "main", "database": "shop"},
            "entities": [
                {"name": "sale", "type": "primary", "expr": "sale_id"},
                {"name": "customer", "type": "foreign", "expr": "customer_id"},
            ],
            "dimensions": [
                {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
                {"name": "is_big", "type": "categorical", "expr": "amount > 100"},
                {"name": "channel", "type": "categorical"},
            ],
            "measures": [
                {"name": "amount", "agg": "sum"},
                {"name": "sale_count", "agg": "count", "expr": "sale_id"},
                {"name": "late_count", "agg": "sum_boolean", "expr": "is_late"},
            ],
        },
        {
            "name": "customers",
            "node_relation": {"alias": "customers", "schema_name": "main", "database": "shop"},
            "entities": [{"name": "customer", "type": "primary", "expr": "customer_id"}],
            "dimensions": [{"name": "region", "type": "categorical"}],
        },
    ],
    "metrics": [
        {"name": "revenue", "type": "simple", "label": "Revenue", "type_params": {"measure": {"name": "amount"}}},
        {"name": "orders", "type": "simple", "type_params": {"measure": {"name": "sale_count"}}},
        {"name": "late_orders", "type": "simple", "type_params": {"measure": {"name": "late_count"}}},
        {
            "name": "late_rate",
            "type": "ratio",
            "type_params": {"numerator": {"name": "late_orders"}, "denominator": {"name": "orders"}},
        },
        {
            "name": "per_order",
            "type": "derived",
            "type_params": {
                "expr": "r / n",
                "metrics": [{"name": "revenue", "alias": "r"}, {"name": "orders", "alias": "n"}],
            },
        },
        {
            "name": "big_orders",
            "type": "simple",
            "type_params": {"measure": {"name": "sale_count"}},
            "filter": {
                "where_filters": [
                    {"where_sql_template": "{{ Dimension('sale__is_big') }}"},
                    {"where_sql_template": "{{ Dimension('sale__channel') }} = 'web'"},
                ]
            },
        },
        {
            "name": "northern",
            "type": "simple",
            "type_params": {"measure": {"name": "sale_count"}},
            "filter": {"where_filters": [{"where_sql_template": "{{ Dimension('customer__region') }} = 'north'"}]},
        },
    ],
    "saved_queries": [
        {"name": "lateness", "query_params": {"metrics": ["late_rate"], "group_by": ["Dimension('sale__channel')"]}}
    ],
}
SQL = {
    "sales": """
        with bought as (select * from {{ ref('stg_sales') }})
        select sale_id, customer_id, sold_at, channel, amount, delay > 15 as is_late from bought where amount > 0
    """,
    "stg_sales": "select id as sale_id, customer_id, at as sold_at, channel, cents / 100.0 as amount, delay from {{ source('raw', 'sales') }}",  # noqa: E501
    "customers": "select * from {{ source('raw', 'customers') }}",
}
PARENTS = {"sales": ["model.s.stg_sales"], "stg_sales": ["source.s.raw.sales"], "customers": ["source.s.raw.customers"]}


def manifest(sql, exposures=()):
    nodes = {
        f"model.s.{name}": {
            "resource_type": "model",
            "name": name,
            "alias": name,
            "schema": "main",
            "database": "shop",
            "package_name": "s",
            "relation_name": f'"shop"."main"."{name}"',
            "raw_code": text,
            "config": {"materialized": "table"},
            "depends_on": {"nodes": PARENTS[name], "macros": ["macro.s.cents"] if "cents(" in text else []},
            "original_file_path": f"models/{name}.sql",
        }
        for name, text in sql.items()
    }
    sources = {
        f"source.s.raw.{name}": {
            "resource_type": "source",
            "source_name": "raw",
            "name": name,
            "schema": "raw",
            "database": "shop",
            "relation_name": f'"shop"."raw"."{name}"',
        }
        for name in ("sales", "customers")
    }
    return {
        "metadata": {"project_name": "s"},
        "nodes": nodes,
        "sources": sources,
        "exposures": {each["name"]: each for each in exposures},
    }


@pytest.fixture
def state(tmp_path):
    def make(shop=SHOP, sql=SQL, **more):
        file = tmp_path / f"semantic_manifest_{len(list(tmp_path.iterdir()))}.json"
        file.write_text(json.dumps(shop))
        variables, macros, exposures = (more.get(key) or {} for key in ("variables", "macros", "exposures"))
        data = {**manifest(sql, exposures), "macros": macros}
        return State("a state", open_session(file), parse_project(data), Bound((), ()), variables=Variables(variables))

    return make


def changed(text, old, new):
    """A copy in which one text is another."""
    explain = json.dumps(text)
    assert explain.count(old) == 1, explain.count(old)
    return json.loads(explain.replace(old, new))


def explain(before, after):
    return {(each.how, each.kind, each.name): why(each) for each in compare(before, after)}


def names(before, after, kind):
    return {(each.how, each.name) for each in compare(before, after) if each.kind == kind}


def test_a_state_is_as_itself(state):
    assert compare(state(), state()) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"expr": "r / n", "metrics": [{"name": "revenue", "alias": "r"}, {"name": "orders", "alias": "n"}]',
         '"expr": "a/b", "metrics": [{"name": "orders", "alias": "b"}, {"name": "revenue", "alias": "a"}]'),
        ('"expr": "amount > 100"', '"expr": "(AMOUNT   > 100) /* a comment */"'),
        ("{{ Dimension('sale__channel') }} = 'web'", "{{Dimension( 'sale__channel' )}}='web'"),
    ],
    ids=["other aliases in another order", "blanks, case, brackets and a comment", "blanks in a filter"],
)  # fmt: skip
def test_a_definition_that_is_written_otherwise_is_the_same(state, old, new):
    assert compare(state(), state(changed(SHOP, old, new))) == ()


@pytest.mark.parametrize(
    ("before", "same", "other"),
    [
        ("to_char(sold_at, 'YYYY')", "TO_CHAR( Sold_at, 'YYYY' ) -- a year", "to_char(sold_at, 'MM')"),
        ("levenshtein(channel, 'a', 1, 2, 3)", "levenshtein(channel,'a',1,2,3)", "levenshtein(channel, 'a', 1, 2, 4)"),
        (
            "regexp_replace(channel, 'a', 'b', 'g')",
            "Regexp_Replace(channel, 'a', 'b', 'g')",
            "regexp_replace(channel, 'a', 'b')",
        ),
        ("f(channel passing by amount)", "F(channel PASSING BY amount)", "f(amount passing by channel)"),
    ],
)
def test_a_function_is_compared_by_all_that_is_written(state, before, same, other):
    expr, condition = '"expr": "amount > 100"', "{{ Dimension('sale__channel') }} = 'web'"

    def of(text):
        dimension = "{{ Dimension('sale__channel') }}"
        in_filter = text.lower().replace("channel", dimension, 1).replace("amount", "1").replace("sold_at", dimension)
        return state(changed(changed(SHOP, expr, f'"expr": "{text}"'), condition, f"'1' = {in_filter}"))

    assert compare(of(before), of(same)) == ()
    assert names(of(before), of(other), "dimension") == {("changed", "sales.is_big")}
    assert ("changed", "big_orders") in names(of(before), of(other), "metric")


def test_the_order_of_definitions_keys_and_filters_is_none(state):
    other = copy.deepcopy(SHOP)
    other["metrics"] = [dict(reversed(metric.items())) for metric in reversed(other["metrics"])]
    other["semantic_models"].reverse()
    for metric in other["metrics"]:
        metric.get("filter", {}).get("where_filters", []).reverse()
    assert compare(state(), state(other)) == ()


def test_a_changed_description_alone_is_reported_as_such(state):
    assert explain(state(), state(changed(SHOP, '"label": "Revenue"', '"label": "Net revenue"'))) == {
        ("description", "metric", "revenue"): ""
    }


def test_a_renamed_metric_is_gone_and_there_is_one_that_means_the_same(state):
    other = json.loads(json.dumps(SHOP).replace('"late_rate"', '"share_late"'))
    causes = explain(state(), state(other))
    assert causes["removed", "metric", "late_rate"] == "same meaning as added share_late"
    assert causes["added", "metric", "share_late"] == "same meaning as removed late_rate"
    assert ("changed", "saved query", "lateness") in causes


def test_a_renamed_measure_is_no_change(state):
    other = json.loads(json.dumps(SHOP).replace("late_count", "count_of_late"))
    assert compare(state(), state(other)) == ()


def test_a_measure_is_its_metric_s_own_and_touches_what_is_made_of_it(state):
    causes = explain(state(), state(changed(SHOP, '"expr": "is_late"', '"expr": "is_very_late"')))
    assert causes.keys() == {
        ("changed", "metric", "late_orders"),
        ("touched", "metric", "late_rate"),
        ("touched", "saved query", "lateness"),
    }
    assert causes["changed", "metric", "late_orders"].startswith("measure late_count: ")
    assert causes["touched", "metric", "late_rate"].startswith("metric late_orders <- measure late_count")
    assert causes["touched", "saved query", "lateness"].startswith("metric late_rate <- metric late_orders <- measure")


def test_a_dimension_in_a_filter_touches_the_metric(state):
    causes = explain(state(), state(changed(SHOP, '"amount > 100"', '"amount > 200"')))
    assert causes == {
        ("changed", "dimension", "sales.is_big"): "its own definition",
        ("touched", "metric", "big_orders"): "dimension sales.is_big: amount > 100 -> amount > 200",
    }


def test_a_filter_of_its_own_changes_the_metric(state):
    causes = explain(state(), state(changed(SHOP, "= 'web'", "= 'shop'")))
    assert causes == {("changed", "metric", "big_orders"): "its own definition"}


def test_a_join_touches_what_is_looked_up_over_it(state):
    old = '"name": "customers", "node_relation": {"alias": "customers"'
    for before, after in ((old, old.replace('"alias": "customers"', '"alias": "clients"')),):
        causes = explain(state(), state(changed(SHOP, before, after)))
        assert ("touched", "metric", "northern") in causes
        assert {name for _, kind, name in causes if kind == "metric"} == {"northern"}
    other = copy.deepcopy(SHOP)
    other["semantic_models"][1]["entities"][0]["expr"] = "old_id"
    causes = explain(state(), state(other))
    assert causes["touched", "metric", "northern"].startswith("entity customers.customer: primary customer_id -> ")
    assert {name for _, kind, name in causes if kind == "metric"} == {"northern"}


def test_what_is_grouped_by_touches_a_saved_query(state):
    other = changed(
        SHOP,
        '{"name": "channel", "type": "categorical"}',
        '{"name": "channel", "type": "categorical", "expr": "upper(channel)"}',
    )
    causes = explain(state(), state(other))
    assert ("touched", "saved query", "lateness") in causes
    assert ("touched", "metric", "big_orders") in causes  # which is filtered by it
    assert ("touched", "metric", "late_rate") not in causes


def test_a_column_of_a_dbt_model_touches_what_reads_it_and_nothing_else(state):
    causes = explain(state(), state(sql={**SQL, "sales": SQL["sales"].replace("> 15", "> 30")}))
    assert causes == {
        ("changed", "model", "sales"): "is_late",
        ("touched", "metric", "late_orders"): "model sales (is_late)",
        ("touched", "metric", "late_rate"): "metric late_orders <- model sales (is_late)",
        ("touched", "saved query", "lateness"): "metric late_rate <- metric late_orders <- model sales (is_late)",
    }


def test_a_column_further_up_is_followed_through_the_models(state):
    causes = explain(
        state(), state(sql={**SQL, "stg_sales": SQL["stg_sales"].replace("delay from", "delay + 1 as delay from")})
    )
    assert causes["changed", "model", "stg_sales"] == "delay"
    assert causes["touched", "model", "sales"] == "model stg_sales (delay)"
    assert (
        causes["touched", "metric", "late_rate"] == "metric late_orders <- is_late of sales <- model stg_sales (delay)"
    )
    assert ("touched", "metric", "revenue") not in causes


def test_which_rows_there_are_touches_every_metric_of_a_model(state):
    causes = names(state(), state(sql={**SQL, "sales": SQL["sales"].replace("> 0", ">= 0")}), "metric")
    assert causes == {("touched", metric["name"]) for metric in SHOP["metrics"]}


def test_a_model_that_is_written_otherwise_is_the_same(state):
    text = """
        {{ config(materialized='view') }}
        -- What was bought.
        with b as (select s.* from {{ ref("stg_sales") }} as s)
        select b.sale_id, b.customer_id, b.sold_at, b.channel, b.amount, (b.delay > 15) as is_late
        from b where b.amount > 0
    """.replace("(b.delay > 15)", "b.delay > 15")
    assert compare(state(), state(sql={**SQL, "sales": text})) == ()


def test_a_variable_and_a_macro_change_the_models_that_use_them(state):
    by_var = {**SQL, "sales": SQL["sales"].replace("> 15", "> {{ var('late') }}")}
    causes = names(
        state(sql=by_var, variables={"late": 15}), state(sql=by_var, variables={"s": {"late": 30}}), "metric"
    )
    assert causes == {("touched", "late_orders"), ("touched", "late_rate")}
    by_macro = {**SQL, "stg_sales": SQL["stg_sales"].replace("cents / 100.0", "{{ cents('cents') }}")}
    macro = {"unique_id": "macro.s.cents", "package_name": "s", "depends_on": {"macros": []}}
    one, other = (
        {"macro.s.cents": {**macro, "macro_sql": "{% macro cents(c) %}" + f"{{{{ c }}}} / {by}" + "{% endmacro %}"}}
        for by in ("100.0", "1000.0")
    )
    assert compare(state(), state(sql=by_macro, macros=one)) == ()
    causes = names(state(sql=by_macro, macros=one), state(sql=by_macro, macros=other), "metric")
    assert {("touched", "revenue"), ("touched", "per_order")} <= causes
    assert ("touched", "late_rate") in causes  # whose rows are those with an amount


def test_sql_that_only_dbt_can_render_touches_rather_more_than_too_little(state):
    opaque = {**SQL, "sales": SQL["sales"].replace("channel,", "channel, {{ dbt_utils.star(ref('stg_sales')) }},")}
    assert compare(state(sql=opaque), state(sql=opaque)) == ()
    up = {**opaque, "stg_sales": SQL["stg_sales"].replace("cents / 100.0", "cents / 10.0")}
    assert ("touched", "revenue") in names(state(sql=opaque), state(sql=up), "metric")
    branch = {**SQL, "sales": SQL["sales"] + "{% if target.name == 'dev' %} and amount < 9 {% endif %}"}
    assert compare(state(sql=branch), state(sql=branch)) == ()
    up = {**branch, "stg_sales": SQL["stg_sales"].replace("cents / 100.0", "cents / 10.0")}
    assert names(state(sql=branch), state(sql=up), "metric") == {("touched", m["name"]) for m in SHOP["metrics"]}


def test_a_time_spine_touches_what_has_a_row_in_every_bucket_of_time(state):
    shop = copy.deepcopy(SHOP)
    shop["project_configuration"] = {
        "time_spines": [
            {
                "node_relation": {"alias": "customers", "schema_name": "main", "database": "shop"},
                "primary_column": {"name": "day", "time_granularity": "day"},
            }
        ]
    }
    shop["metrics"][0]["type_params"]["measure"]["join_to_timespine"] = True
    window = {"window": {"count": 7, "granularity": "day"}}
    used = {"measure": {"name": "sale_count"}, "cumulative_type_params": window}
    shop["metrics"].append({"name": "lately", "type": "cumulative", "type_params": used})
    other = {**SQL, "customers": SQL["customers"] + " where day < '2024-01-01'"}
    causes = names(state(shop), state(shop, other), "metric")
    assert causes == {("touched", name) for name in ("revenue", "per_order", "lately", "northern")}


def test_an_exposure_is_touched_by_the_models_and_metrics_that_it_depends_on(state):
    def exposure(name, *nodes):
        return {"name": name, "type": "dashboard", "depends_on": {"nodes": [*nodes]}, "owner": {"name": "a"}}

    exposures = [
        exposure("by_model", "model.s.sales"),
        exposure("by_metric", "metric.s.late_rate"),
        exposure("of_customers", "model.s.customers"),
    ]
    other = {**SQL, "sales": SQL["sales"].replace("> 15", "> 30")}
    causes = explain(state(exposures=exposures), state(sql=other, exposures=exposures))
    assert causes["touched", "exposure", "by_model"] == "model sales (is_late)"
    assert causes["touched", "exposure", "by_metric"].startswith("metric late_rate <- metric late_orders")
    assert ("touched", "exposure", "of_customers") not in causes


def test_hundreds_of_metrics_are_compared_in_seconds(state):
    import time

    many = copy.deepcopy(SHOP)
    many["metrics"] += [
        {
            "name": f"rate_{number}",
            "type": "ratio",
            "type_params": {"numerator": {"name": "late_orders"}, "denominator": {"name": "orders"}},
            "filter": {"where_filters": [{"where_sql_template": f"{{{{ Dimension('sale__channel') }}}} = '{number}'"}]},
        }
        for number in range(500)
    ]
    before, after = state(many), state(many, {**SQL, "sales": SQL["sales"].replace("> 15", "> 30")})
    began = time.perf_counter()
    causes = compare(before, after)
    assert len([each for each in causes if each.kind == "metric"]) == 502
    assert time.perf_counter() - began < 30
