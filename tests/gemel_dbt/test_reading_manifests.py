"""Manifests that real dbts wrote of one project, in either YAML: one form, but for what a dbt loses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gemel.dbt.semantic.reading import read_manifest
from gemel.spec.manifest import Export, Manifest, Relation, TimeSpine
from gemel.spec.metrics import Conversion, Cumulative, Derived, MetricInput, NonAdditive, Percentile, Ratio, Simple
from gemel.spec.time import Window

FOLDER = Path(__file__).parents[1] / "worlds" / "manifests"
NAMES = ("dbt-1.11-legacy", "dbt-1.12-legacy", "dbt-1.12-newer", "dbt-2-newer")


def read(name: str) -> Manifest:
    return read_manifest(json.loads((FOLDER / f"{name}.semantic.json").read_text()))


def ordered(manifest: Manifest) -> Manifest:
    """With the items by name: each dbt has an order of its own."""
    return replace(
        manifest,
        models=tuple(sorted(manifest.models, key=lambda model: model.name)),
        metrics=tuple(sorted(manifest.metrics, key=lambda metric: metric.name)),
    )


def unnamed(manifest: Manifest) -> Manifest:
    """Without what the newer YAML has no place for: a measure's name and words, a semantic model's label.

    dbt's own words for a metric that it created (`create_metric`) are words of the legacy YAML too.
    """

    def metric(item):
        if isinstance(item.definition, Simple):
            bare = replace(item.definition.measure, name=item.name, label=None, description=None)
            item = replace(item, definition=replace(item.definition, measure=bare))
        is_created = (item.description or "").startswith("Metric created from measure")
        return replace(item, description=None if is_created else item.description)

    return replace(
        manifest,
        models=tuple(replace(model, label=None) for model in manifest.models),
        metrics=tuple(map(metric, manifest.metrics)),
    )


def changed(manifest: Manifest, **changes) -> Manifest:
    """With some metrics changed: `changed(manifest, revenue=lambda metric: replace(metric, ...))`."""
    return replace(
        manifest,
        metrics=tuple(changes.get(metric.name, lambda same: same)(metric) for metric in manifest.metrics),
    )


@pytest.fixture(scope="module")
def legacy():
    return read("dbt-1.11-legacy")


@pytest.fixture(scope="module")
def metrics(legacy):
    return {metric.name: metric for metric in legacy.metrics}


# --- the same from each ---------------------------------------------------------------------------------------


def test_both_versions_write_the_legacy_yaml_alike(legacy):
    assert read("dbt-1.12-legacy") == legacy


def test_the_newer_yaml_reads_as_the_legacy_but_for_what_dbt_loses(legacy):
    def unfilled(metric):
        return replace(metric, definition=replace(metric.definition, fill_nulls_with=None))

    def approximate(metric):
        measure = metric.definition.measure
        measure = replace(measure, percentile=replace(measure.percentile, approximate=True))
        return replace(metric, definition=replace(metric.definition, measure=measure))

    lossy = changed(legacy, filled_orders=unfilled, sevens=unfilled, p25_continuous=approximate)
    assert ordered(unnamed(read("dbt-1.12-newer"))) == ordered(unnamed(lossy))


def test_the_rust_dbt_reads_as_the_legacy_but_for_what_it_loses(legacy):
    def approximate(metric):
        measure = metric.definition.measure
        measure = replace(measure, percentile=replace(measure.percentile, approximate=True))
        return replace(metric, definition=replace(metric.definition, measure=measure))

    def standing(metric):
        first, second = metric.definition.inputs
        return replace(
            metric, definition=replace(metric.definition, inputs=(first, replace(second, offset_window=None)))
        )

    def joined(filters):
        return (" and ".join(f"({text.strip()})" for text in filters),)

    def one_filter(metric):
        return replace(metric, filters=joined(metric.filters))

    def one_filter_inside(metric):
        *others, last = metric.definition.inputs
        inputs = (*others, replace(last, filters=joined(last.filters)))
        return replace(metric, definition=replace(metric.definition, inputs=inputs))

    lossy = changed(
        legacy,
        p25_continuous=approximate,
        fiscal_growth=standing,
        # make.py writes lists of filters as one for it.
        big_web_revenue=one_filter,
        growth=one_filter_inside,
    )
    lossy = replace(
        lossy,
        models=tuple(replace(model, default_time_dimension=None) for model in lossy.models),
        saved_queries=tuple(replace(query, order_by=(), limit=None) for query in lossy.saved_queries),
    )
    assert ordered(unnamed(read("dbt-2-newer"))) == ordered(unnamed(lossy))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_private_is_left_where_every_measure_has_its_metric(name):
    assert not [metric.name for metric in read(name).metrics if metric.private]


@pytest.mark.parametrize("name", NAMES)
def test_no_metric_relies_on_input_measures(name):
    data = json.loads((FOLDER / f"{name}.semantic.json").read_text())
    for metric in data["metrics"]:
        metric["type_params"].pop("input_measures")
    assert read_manifest(data) == read(name)


# --- and it is this -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "agg", "expr"),
    [
        ("revenue", "sum", "amount"),
        ("tax", "sum", "tax"),
        ("orders", "count", "1"),
        ("emails", "count", "email"),
        ("buyers", "count_distinct", "customer_id"),
        ("average_order", "average", "amount"),
        ("smallest", "min", "amount"),
        ("largest", "max", "amount"),
        ("web_orders", "sum", "channel = 'web'"),
        ("is_gift", "sum", "is_gift"),
        ("middle_order", "percentile", "amount"),
    ],
)
def test_every_aggregate_is_read(metrics, name, agg, expr):
    measure = metrics[name].definition.measure
    assert (measure.agg, measure.expr, measure.model, measure.time_dimension) == (agg, expr, "orders", "ordered_at")


def test_percentiles_keep_what_kind_they_are(metrics):
    assert {name: metrics[name].definition.measure.percentile for name in ("middle_order", "p90", "p99_discrete")} == {
        "middle_order": Percentile(0.5),
        "p90": Percentile(0.9),
        "p99_discrete": Percentile(0.99, discrete=True),
    }


def test_a_measure_that_does_not_add_up_over_time_says_when_it_counts(metrics):
    assert metrics["closing_balance"].definition.measure.non_additive == NonAdditive("as_of", "max", ("account",))
    assert metrics["opening_balance"].definition.measure.non_additive == NonAdditive("as_of", "min")


def test_simple_metrics_keep_their_time_fill_spine_grain_and_filters(metrics):
    assert metrics["paid_revenue"].definition.measure.time_dimension == "paid_on"
    fills = {name: metrics[name].definition for name in ("orders", "spined_orders", "filled_orders", "sevens")}
    assert {name: (simple.fill_nulls_with, simple.join_to_timespine) for name, simple in fills.items()} == {
        "orders": (None, False),
        "spined_orders": (None, True),
        "filled_orders": (0, True),
        "sevens": (7, False),
    }
    assert metrics["tax"].time_granularity == "month"
    assert metrics["revenue"].meta == {"owner": "sales", "tier": 1}
    assert metrics["average_order"].label == "Average order"
    assert metrics["big_web_revenue"].filters == (
        "{{ Dimension('order_ref__channel') }} = 'web'",
        "{{ Dimension('order_ref__is_big') }}",
        "{{ TimeDimension('metric_time', 'month') }} >= '2024-01-01' or {{ Entity('listing_id') }} is null\n",
    )


def test_metrics_of_metrics_keep_alias_filter_and_offset(metrics):
    is_big = ("{{ Dimension('order_ref__is_big') }}",)
    assert metrics["web_share"].definition == Ratio(
        MetricInput("web_orders", alias="big_web", filters=is_big), MetricInput("orders")
    )
    assert metrics["growth"].definition == Derived(
        "(now - before) / month_start",
        (
            MetricInput("revenue", alias="now"),
            MetricInput("revenue", alias="before", offset_window=Window(2, "week")),
            MetricInput(
                "revenue",
                alias="month_start",
                filters=("{{ Dimension('order_ref__status') }} = 'paid'", "{{ Metric('orders', ['customer']) }} > 2"),
                offset_to_grain="month",
            ),
        ),
    )
    assert metrics["growth_and_share"].definition.inputs == (MetricInput("growth"), MetricInput("web_share"))
    assert metrics["fiscal_growth"].definition.inputs[1].offset_window == Window(1, "fiscal_year")


def test_cumulative_metrics_are_read_from_either_place(metrics):
    web = ("{{ Dimension('order_ref__channel') }} = 'web'",)
    revenue = MetricInput("revenue")
    assert {name: m.definition for name, m in metrics.items() if m.type == "cumulative"} == {
        "week_revenue": Cumulative(revenue, window=Window(7, "day")),
        "month_revenue": Cumulative(revenue, grain_to_date="month"),
        "all_revenue": Cumulative(revenue),
        "last_fortnight": Cumulative(MetricInput("filled_orders"), window=Window(2, "week"), period_agg="last"),
        "quarterly": Cumulative(replace(revenue, filters=web), window=Window(12, "week"), period_agg="average"),
        "year_to_date": Cumulative(revenue, grain_to_date="year"),
    }
    assert metrics["year_to_date"].filters == ("{{ Dimension('order_ref__status') }} <> 'void'",)


def test_conversions_keep_window_constants_and_calculation(metrics):
    is_big = ("{{ Dimension('order_ref__is_big') }}",)
    assert metrics["visit_to_order"].definition == Conversion(
        MetricInput("visits"),
        MetricInput("orders", filters=is_big),
        "customer",
        "conversion_rate",
        Window(7, "day"),
        (("channel", "channel"),),
    )
    assert metrics["visitors_who_ordered"].definition == Conversion(
        MetricInput("visits"), MetricInput("filled_orders"), "customer", "conversions"
    )


def test_models_keep_keys_partitions_validity_and_grains(legacy):
    models = {model.name: model for model in legacy.models}
    orders = models["orders"]
    assert orders.relation == Relation("OrderFacts", "main_mart", "memory")
    assert [(e.name, e.type, e.expr) for e in orders.entities] == [
        ("order_ref", "primary", "order_id"),
        ("customer", "foreign", "customer_id"),
        ("listing_id", "foreign", "listing_id"),
        ("invoice", "unique", "'inv-' || invoice_no"),
    ]
    assert [(d.name, d.expr, d.grain, d.is_partition) for d in orders.dimensions] == [
        ("ordered_at", "ordered_at", "hour", False),
        ("status", "status", None, False),
        ("channel", "channel", None, False),
        ("ds", "ds", None, True),
        ("paid_on", "cast(paid_at as date)", "day", False),
        ("is_big", "amount > 100", None, False),
    ]
    history = models["listing_history"]
    assert [(e.name, e.type) for e in history.entities] == [("listing_id", "natural")]
    assert [(d.name, d.expr, d.validity) for d in history.dimensions] == [
        ("valid_from", "valid_from", "start"),
        ("valid_to", "ended_at", "end"),
        ("capacity", "capacity", None),
    ]
    assert {model.name: model.primary_entity for model in legacy.models if model.primary_entity} == {
        "listing_history": "listing_version",
        "balances": "snapshot",
        "regions": "region",
    }


def test_the_legacy_spine_yields_to_the_one_by_day(legacy):
    assert legacy.time_spines == (
        TimeSpine(
            Relation("time_spine_daily", "main", "memory"),
            "day",
            "day",
            (("fiscal_week", "fiscal_week_start"), ("fiscal_year", "fiscal_year")),
        ),
        TimeSpine(Relation("time_spine_hourly", "main", "memory"), "hour", "hour"),
    )


def test_the_legacy_spine_alone_is_one():
    data = json.loads((FOLDER / "dbt-1.11-legacy.semantic.json").read_text())
    days = [spine for spine in data["project_configuration"]["time_spines"] if spine["custom_granularities"]]
    data["project_configuration"]["time_spines"].remove(*days)
    data["metrics"] = [metric for metric in data["metrics"] if metric["name"] != "fiscal_growth"]
    assert read_manifest(data).time_spines[-1] == TimeSpine(
        Relation("metricflow_time_spine", "main", "memory"), "date_day", "day"
    )


def test_saved_queries_keep_their_exports(legacy):
    (query,) = legacy.saved_queries
    assert (query.metrics, query.limit) == (("revenue", "web_share", "emails"), 10)
    assert query.order_by == ("Metric('revenue').descending(True)", "TimeDimension('metric_time', 'fiscal_week')")
    assert len(query.where) == 2
    assert query.exports == (
        Export("monthly_table", "table", schema="bi", alias="Monthly_T"),
        Export("monthly_view", "view", schema="main", alias="monthly_view"),
    )
