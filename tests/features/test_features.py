"""Which feature views have a meaning, and what is reported of those that have none, or none yet."""

from textwrap import dedent

import pytest

from gemel.compiler.compiled import compile_table
from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.connections.duckdb import Warehouse
from gemel.engines.connections.files import Profile
from gemel.errors import Problems, WarehouseError
from gemel.features.binding import bind_features
from gemel.features.columns import TypeSources, decide_types, read_recorded
from gemel.features.infinities import find_infinite_facts, find_infinite_rows
from gemel.features.tables import Tables
from gemel.run import Runner
from gemel.spec.feature_views import parse_feature_views
from gemel.spec.project import DbtProject
from worlds.feature_shop import MANIFEST, model

VIEW = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        features:
          - {metric: orders, windows: [7 days]}
          - MORE
    feature_services:
      - name: churn_v1
        features: [buying]
        owner: ada@example.com
"""

LONE = VIEW.replace("          - MORE\n", "")


def refusals(shop, text):
    with pytest.raises(Problems) as caught:
        shop.bound(text)
    return [str(error) for error in caught.value.errors]


def more(text):
    return VIEW.replace("MORE", text)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("{metric: ordrs, windows: [7 days]}", "G201 no metric named 'ordrs'\n  hint: did you mean orders?"),
        ("{metric: orders}", "G570 metric 'orders'"),
        ("{metric: revenue_ever, windows: [7 days]}", "G517 metric 'revenue_ever' is accumulated"),
        (
            "{dimension: customer__nik}",
            "G518 'customer__nik' is not a dimension of customer\n  hint: did you mean customer__nick",
        ),
        ("{dimension: sale__region}", "G518"),
        (
            "{dimension: customer__supplier__city}",
            "G518 'customer__supplier__city' is not a dimension of customer\n"
            "  hint: a dimension of another entity cannot be a feature: join it into the dbt model of customer, "
            "as its dimension",
        ),
    ],
)
def test_a_feature_without_a_meaning_is_refused_where_it_is_asked_for(shop, feature, message):
    [error] = refusals(shop, more(feature))
    assert error.startswith("feature_views/shop.yml:8:")
    assert message in error


def test_an_entity_that_nothing_has_and_one_that_the_metric_does_not_reach(shop):
    assert "feature_views/shop.yml:3:11: G506" in refusals(shop, LONE.replace("entity: customer", "entity: custmer"))[0]
    [error] = refusals(
        shop, more("{metric: revenue, windows: [1 day]}").replace("entity: customer", "entity: supplier")
    )[:1]
    assert "'supplier'" in error and "orders" in error


def test_a_known_at_that_the_facts_do_not_have_is_refused(shop):
    text = more("{metric: revenue, windows: [1 day]}").replace(
        "schedule: day", "schedule: day\n        known_at: sale__setled_at"
    )
    [error] = refusals(shop, text)  # at its line, and not once for each metric
    assert error.startswith("feature_views/shop.yml:6:15: G516 ") and "did you mean sale__settled_at" in error


def test_a_schedule_finer_than_the_facts_are_known_would_tell_the_future(shop):
    text = VIEW.replace("schedule: day", "schedule: hour\n        known_at: sale__sold_on").replace(
        "          - MORE\n", ""
    )
    [error] = refusals(shop, text)
    assert "G522 the facts of metric 'orders' are known by day, but the view's schedule is by hour" in error


def test_a_view_needs_a_metric_to_have_rows(shop):
    text = VIEW.replace("{metric: orders, windows: [7 days]}", "{dimension: customer__nick}").replace(
        "          - MORE\n", ""
    )
    assert "G511" in refusals(shop, text)[0]


def test_a_view_named_like_a_model_would_take_its_table(shop):
    assert (
        "G503 feature view 'sales' has the name of a dbt model"
        in refusals(shop, more("{metric: revenue, windows: [1 day]}").replace("buying", "sales"))[0]
    )


def test_the_table_beside_an_incremental_one_has_a_name_of_its_own(shop):
    text = more("{metric: revenue, windows: [1 day]}").replace(
        "schedule: day", "schedule: day\n        lookback: 2 days"
    )
    other = """
    feature_views:
      - name: buying__fingerprint
        entity: shop
        schedule: day
        features: [{metric: orders, windows: [7 days]}]
    """

    def bound(text):
        return bind_features(shop.graph, parse_feature_views([("a.yml", dedent(text)), ("b.yml", dedent(other))]))

    with pytest.raises(Problems, match="G503 feature view 'buying' keeps a table 'buying__fingerprint' beside its own"):
        bound(text)
    assert len(bound(text.replace("2 days", "2 days\n        detect: false")).views) == 2


def test_a_ratios_sides_can_clash_with_another_feature(shop):
    text = more(
        "{metric: return_rate, windows: [1 day], name: r}\n"
        "          - {metric: orders, windows: [1 day], name: r__numerator}"
    )
    assert "G503 two columns of feature view 'buying' would be named 'r__numerator'" in refusals(shop, text)[0]


def test_a_service_cannot_have_two_columns_of_one_name(shop):
    again = """
    feature_views:
      - name: again
        entity: shop
        schedule: day
        features: [{metric: orders, windows: [7 days]}]
    """
    first = dedent(more("{metric: revenue, windows: [1 day]}").replace("[buying]", "[buying, again]"))
    spec = parse_feature_views([("a.yml", first), ("b.yml", dedent(again))])
    with pytest.raises(Problems) as caught:
        bind_features(shop.graph, spec)
    assert "G507 feature service 'churn_v1' would have two columns named 'orders_7d'" in str(caught.value)


def test_a_dimension_without_history_is_warned_of_unless_the_view_says_current(shop):
    [warning] = shop.bound(more("{dimension: customer__nick}")).warnings
    assert "feature_views/shop.yml:8:21: warning G520 'customer__nick' has no history" in str(warning)
    assert shop.bound(more("{dimension: customer__nick, as_of: current}")).warnings == ()


def test_a_metric_that_says_when_its_facts_are_known_is_heard(shop):
    [warning] = shop.bound(more("{metric: settled, windows: [1 day]}")).warnings
    assert "G521" in str(warning)
    assert "write `known_at: sale__settled_at`" in str(warning)


def test_what_a_metric_is_made_of_is_heard_too_and_its_own_time_is_no_surprise(shop):
    text = more("{metric: settled_share, windows: [1 day]}")
    [warning] = shop.bound(text).warnings
    assert "G521 the meta of metric 'settled' says" in str(warning)
    assert not shop.bound(more("{metric: sold_when_sold, windows: [1 day]}")).warnings


def test_types_come_from_the_view_then_the_definition_then_the_engine(shop):
    text = more(
        "{metric: revenue, windows: [1 day]}\n          - {metric: revenue, windows: [2 days], dtype: int64}\n"
        "          - {metric: return_rate, windows: [1 day]}\n          - {dimension: customer__born}"
    )
    bound = shop.bound(text)
    assert shop.types(bound) == {
        "buying": {
            "customer": "string",
            "orders_7d": "int64",
            "revenue_1d": "float64",
            "revenue_2d": "int64",
            "return_rate_1d": "float64",
            "return_rate_1d__numerator": "int64",
            "return_rate_1d__denominator": "int64",
            "born": "int64",
        }
    }


def test_without_a_database_types_are_those_of_the_last_time_and_else_asked_for(shop):
    bound = shop.bound(more("{metric: revenue, windows: [1 day]}"))
    with pytest.raises(Problems) as caught:
        decide_types(Tables(shop.graph), bound, TypeSources())
    assert [error.code for error in caught.value.errors] == ["G523", "G523"]
    columns = [{"name": "customer", "data_type": "BIGINT"}, {"name": "revenue_1d", "data_type": "DOUBLE"}]
    recorded = read_recorded({"models": [{"name": "buying", "columns": columns}]})
    assert decide_types(Tables(shop.graph), bound, TypeSources(recorded=recorded))["buying"] == {
        "customer": "int64",
        "orders_7d": "int64",
        "revenue_1d": "float64",
    }


def test_a_table_that_is_not_built_yet_tells_no_type_and_another_fault_is_reported(shop):
    bound = shop.bound(more("{metric: revenue, windows: [1 day]}"))

    def failing(code):
        def describe(sql):
            raise WarehouseError(code, "no")

        return describe

    with pytest.raises(Problems):
        decide_types(Tables(shop.graph), bound, TypeSources(failing("G405")))
    with pytest.raises(WarehouseError):
        decide_types(Tables(shop.graph), bound, TypeSources(failing("G406")))


def test_a_key_that_no_store_can_find_is_refused():
    changed = {
        **MANIFEST,
        "semantic_models": [
            *MANIFEST["semantic_models"][:1],
            model("customers", [{"name": "customer", "type": "primary"}], []),
        ],
    }
    graph = bind(read_manifest(changed))
    bound = bind_features(graph, parse_feature_views([("a.yml", dedent(LONE))]))
    with pytest.raises(Problems) as caught:
        decide_types(Tables(graph), bound, TypeSources(lambda sql: (("customer", "DOUBLE"), ("orders_7d", "BIGINT"))))
    assert "G524 entity 'customer' is DOUBLE, which cannot be a key in Feast's stores" in str(caught.value)


def test_a_view_about_a_key_of_two_columns_says_how_to_be_about_both():
    sales, *others = MANIFEST["semantic_models"]
    pair = {"name": "line", "type": "foreign", "expr": "(customer_id, region)"}
    changed = MANIFEST | {"semantic_models": [sales | {"entities": [*sales["entities"], pair]}, *others]}
    text = dedent(LONE.replace("entity: customer", "entity: line"))
    with pytest.raises(Problems) as caught:
        bind_features(bind(read_manifest(changed)), parse_feature_views([("a.yml", text)]))
    [error] = caught.value.errors
    assert error.code == "G508"
    assert error.hint == "define an entity for each of customer_id, region, and write `entities:` with all of them"


@pytest.mark.parametrize("kind", ["HUGEINT", "UBIGINT"])
def test_keys_that_need_not_fit_into_64_bits_are_refused(shop, kind):
    shop.con.execute(f"alter table sales alter customer type {kind} using null")
    with pytest.raises(Problems) as caught:
        shop.types(shop.bound(LONE))
    assert f"G524 entity 'customer' is {kind}, but a key in Feast's stores must be a text or a BIGINT" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("settings", "feature", "type_"),
    [
        ({}, "{metric: revenue, windows: [7 days]}", "int64"),
        ({"type": "decimal"}, "{metric: revenue, windows: [7 days]}", "float64"),
        ({"type": "decimal"}, "{metric: revenue, windows: [7 days], dtype: string}", "string"),
    ],
)
def test_a_sum_of_whole_numbers_is_an_int64_and_a_decimal_has_all_digits_as_a_text(shop, settings, feature, type_):
    metrics = [
        metric | {"config": {"meta": {"gemel": settings}}} if metric["name"] == "revenue" else metric
        for metric in MANIFEST["metrics"]
    ]
    shop.con.execute("alter table sales alter amount type bigint")
    shop.con.execute(f"insert into sales (customer, sold_at, amount) select 'a', '2024-01-02', {2**62} from range(2)")
    graph = bind(read_manifest(MANIFEST | {"metrics": metrics}))
    bound = bind_features(graph, parse_feature_views([("a.yml", dedent(VIEW.replace("MORE", feature)))]))
    runner = Runner(Warehouse(Profile("", "", path=":memory:", database="memory"), shop.con))
    tables = Tables(graph)
    types = decide_types(tables, bound, TypeSources(runner.describe))["buying"]
    assert types["revenue_7d"] == type_
    if type_ == "string":
        [view] = bound.views
        rows = shop.rows(view, tables.model(view, types, dbt=DbtProject()), "2024-01-04 00:00:00")
        assert [row["revenue_7d"] for row in rows] == [str(2**63)] * len(rows) and rows


def test_facts_known_before_all_time_are_reported_and_those_never_known_are_not(shop):
    warehouse = Runner(Warehouse(Profile("", "", path=":memory:", database="memory"), shop.con))
    views = shop.bound(LONE).views
    shop.sell("a", "2024-01-02 10:00")
    shop.sell("a", "infinity")
    assert list(find_infinite_facts(shop.graph, views, warehouse)) == []
    shop.sell("a", "-infinity")
    [error] = find_infinite_facts(shop.graph, views, warehouse)
    assert (error.code, error.place.line) == ("G537", 3)
    assert "has facts that become known at '-infinity' (sales.sold_at, 1 of them)" in error.message


def test_an_infinite_time_in_a_feature_table_is_reported_of_its_column(shop):
    warehouse = Runner(Warehouse(Profile("", "", path=":memory:", database="memory"), shop.con))
    [view] = shop.bound(LONE).views
    shop.con.execute("create table buying as select timestamp 'infinity' as event_timestamp, 1 as orders_7d")
    built = dict(warehouse.describe(compile_table("buying", "duckdb")))
    [error] = find_infinite_rows(view, built, "memory.main.buying", warehouse)
    assert "'event_timestamp' of feature view 'buying' is infinite in 1 row of its table" in str(error)
    shop.con.execute("update buying set event_timestamp = '9999-12-31'")
    assert list(find_infinite_rows(view, built, "memory.main.buying", warehouse)) == []
