"""What dbt writes into semantic_manifest.json, and what it is read as."""

import cProfile
import struct

import pytest

from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import About, Problems, ProjectError
from gemel.spec.manifest import Relation, TimeSpine
from gemel.spec.metrics import Conversion, Cumulative, Derived, MetricInput, NonAdditive, Percentile, Ratio, Simple
from gemel.spec.time import Window


def sales(*measures, **changed):
    """A semantic model with one entity of each side, a time and a text."""
    return {
        "name": "sales",
        "defaults": {"agg_time_dimension": "sold_at"},
        "node_relation": {"alias": "sales", "schema_name": "main", "database": "shop", "relation_name": ""},
        "primary_entity": None,
        "entities": [{"name": "sale", "type": "primary", "expr": "sale_id"}, {"name": "customer", "type": "foreign"}],
        "dimensions": [
            {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "hour"}},
            {"name": "region", "type": "categorical", "expr": "upper(region)"},
        ],
        "measures": list(measures),
        **changed,
    }


def amount(**changed):
    return {"name": "amount", "agg": "sum", **changed}


def metric(name, kind, filter=None, **type_params):
    return {"name": name, "type": kind, "type_params": type_params, "filter": filter}


def shop(*metrics, models=None, **others):
    return {"semantic_models": models or [sales(amount())], "metrics": list(metrics), **others}


def read_metric(data, name):
    return {metric.name: metric for metric in read_manifest(data).metrics}[name]


def read_measure(**measure):
    data = shop(metric("m", "simple", measure={"name": measure["name"]}), models=[sales(measure)])
    return read_metric(data, "m").definition.measure


def problems(data):
    with pytest.raises(Problems) as caught:
        read_manifest(data)
    return [(error.code, error.about) for error in caught.value.errors]


def only_problem(data):
    with pytest.raises(Problems) as caught:
        read_manifest(data)
    (error,) = caught.value.errors
    return error


# --- models ---------------------------------------------------------------------------------------------------


def test_a_model_is_read_with_its_relation_entities_and_dimensions():
    (model,) = read_manifest(shop()).models
    assert model.relation == Relation("sales", schema="main", database="shop")
    assert [(e.name, e.type, e.expr) for e in model.entities] == [
        ("sale", "primary", "sale_id"),
        ("customer", "foreign", "customer"),
    ]
    assert [(d.name, d.expr, d.grain) for d in model.dimensions] == [
        ("sold_at", "sold_at", "hour"),
        ("region", "upper(region)", None),
    ]
    assert model.default_time_dimension == "sold_at"


def test_a_time_dimension_without_a_grain_has_days():
    model = sales(amount(), dimensions=[{"name": "sold_at", "type": "time"}])
    assert read_manifest(shop(models=[model])).models[0].dimensions[0].grain == "day"


def test_validity_and_partitions_are_kept():
    dimensions = [
        {
            "name": "a",
            "type": "time",
            "type_params": {"time_granularity": "day", "validity_params": {"is_start": True}},
        },
        {"name": "b", "type": "time", "type_params": {"time_granularity": "day", "validity_params": {"is_end": True}}},
        {"name": "ds", "type": "categorical", "is_partition": True},
    ]
    model = read_manifest(shop(models=[sales(dimensions=dimensions)])).models[0]
    assert [(d.validity, d.is_partition) for d in model.dimensions] == [("start", False), ("end", False), (None, True)]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"shop"."main"."s.t"', Relation("s.t", "main", "shop")),
        ("`shop`.`main`.`t`", Relation("t", "main", "shop")),
        ("main.t", Relation("t", "main")),
        ("t", Relation("t")),
    ],
)
def test_a_relation_name_is_taken_apart_where_dbt_gives_no_alias(written, read):
    model = sales(node_relation={"relation_name": written})
    assert read_manifest(shop(models=[model])).models[0].relation == read


def test_names_are_lower_case_wherever_they_stand():
    model = sales({"name": "Amount", "agg": "sum"}, name="Sales", defaults={"agg_time_dimension": "Sold_At"})
    manifest = read_manifest(shop(metric("Revenue", "simple", measure={"name": "AMOUNT"}), models=[model]))
    assert manifest.models[0].name == "sales"
    assert manifest.metrics[0].name == "revenue"
    assert manifest.metrics[0].definition.measure.time_dimension == "sold_at"


# --- measures -------------------------------------------------------------------------------------------------


def test_an_expression_defaults_to_the_name():
    assert read_measure(name="amount", agg="max").expr == "amount"


def test_a_sum_of_ones_is_a_count_of_rows():
    measure = read_measure(name="sales", agg="sum", expr="1")
    assert (measure.agg, measure.expr) == ("count", "1")


def test_a_count_stays_a_count():
    measure = read_measure(name="emails", agg="count", expr="email")
    assert (measure.agg, measure.expr) == ("count", "email")


def test_a_count_without_an_expression_is_refused():
    error = only_problem(shop(models=[sales({"name": "emails", "agg": "count"})]))
    assert (error.code, error.about) == ("G126", About("semantic_model", "sales", "emails"))
    assert "expr: 1" in error.hint


def test_sum_boolean_sums_the_true_ones():
    measure = read_measure(name="is_web", agg="sum_boolean", expr="channel = 'web'")
    assert (measure.agg, measure.expr, measure.is_flag) == ("sum", "channel = 'web'", True)


def test_a_median_is_the_continuous_percentile_in_the_middle():
    measure = read_measure(name="mid", agg="median", expr="amount", agg_params={"use_approximate_percentile": True})
    assert measure.agg == "percentile"
    assert measure.percentile == Percentile(0.5, discrete=False, approximate=True)


@pytest.mark.parametrize("params", [{"percentile": 0.9}, {"use_discrete_percentile": True}])
def test_a_median_with_another_percentile_is_refused(params):
    assert only_problem(shop(models=[sales({"name": "m", "agg": "median", "agg_params": params})])).code == "G127"


@pytest.mark.parametrize("fraction", [None, 90, -0.1, "0.9", True])
def test_a_percentile_needs_a_fraction(fraction):
    measure = {"name": "p", "agg": "percentile", "agg_params": {"percentile": fraction}}
    assert only_problem(shop(models=[sales(measure)])).code == "G127"


@pytest.mark.parametrize("fraction", [0.9, 0.99, 0.999, 0.05, 1 / 3, 0.5, 0.9375, 0, 1])
def test_a_fraction_of_32_bits_is_read_as_the_decimal_that_it_was(fraction):
    """The Rust dbt writes 0.8999999761581421 for 0.9."""
    (narrow,) = struct.unpack("f", struct.pack("f", fraction))
    for written in (fraction, narrow):
        measure = read_measure(name="p", agg="percentile", agg_params={"percentile": written})
        assert measure.percentile.fraction == pytest.approx(fraction, abs=5e-8)
    assert read_measure(name="p", agg="percentile", agg_params={"percentile": fraction}).percentile.fraction == fraction


def test_nine_tenths_of_32_bits_are_nine_tenths():
    measure = read_measure(name="p", agg="percentile", agg_params={"percentile": 0.8999999761581421})
    assert measure.percentile.fraction == 0.9


def test_a_measure_has_its_own_time_or_its_models():
    assert read_measure(name="amount", agg="sum").time_dimension == "sold_at"
    assert read_measure(name="amount", agg="sum", agg_time_dimension="paid_at").time_dimension == "paid_at"


def test_a_measure_without_any_time_is_refused():
    assert only_problem(shop(models=[sales(amount(), defaults=None)])).code == "G128"


def test_a_non_additive_dimension_is_taken_at_its_first_by_default():
    written = {"name": "Sold_At", "window_groupings": ["Customer"]}
    assert read_measure(name="stock", agg="sum", non_additive_dimension=written).non_additive == NonAdditive(
        "sold_at", "min", ("customer",)
    )


def test_two_measures_with_the_same_name_are_refused():
    models = [sales(amount()), sales(amount(), name="returns")]
    assert problems(shop(models=models)) == [("G125", About("semantic_model", "returns", "amount"))]


# --- simple metrics -------------------------------------------------------------------------------------------


def test_a_legacy_metric_takes_its_measures_filter_first_and_its_own_after():
    data = shop(
        metric(
            "revenue",
            "simple",
            filter={"where_filters": [{"where_sql_template": "b"}, {"where_sql_template": "c"}]},
            measure={"name": "amount", "filter": {"where_sql_template": "a"}, "fill_nulls_with": 0},
        )
    )
    revenue = read_metric(data, "revenue")
    assert revenue.filters == ("a", "b", "c")
    assert (revenue.definition.fill_nulls_with, revenue.definition.join_to_timespine) == (0, False)


def test_a_metric_that_aggregates_by_itself_reads_as_one_over_a_measure():
    newer = metric(
        "revenue",
        "simple",
        expr="amount",
        metric_aggregation_params={"semantic_model": "sales", "agg": "sum", "agg_time_dimension": "sold_at"},
        fill_nulls_with=0,
        join_to_timespine=True,
    )
    older = metric("revenue", "simple", measure={"name": "revenue", "fill_nulls_with": 0, "join_to_timespine": True})
    measure = {"name": "revenue", "agg": "sum", "expr": "amount"}
    assert read_metric(shop(newer), "revenue") == read_metric(shop(older, models=[sales(measure)]), "revenue")


def test_a_hidden_metric_is_private():
    assert read_metric(shop(metric("m", "simple", measure="amount", is_private=True)), "m").private


def test_an_expression_beside_a_measure_is_ignored():
    data = shop(metric("revenue", "simple", measure={"name": "amount"}, expr="something_else"))
    assert read_metric(data, "revenue").definition.measure.expr == "amount"


def test_create_metric_makes_a_metric_of_a_measure():
    data = shop(models=[sales(amount(create_metric=True, label="Amount"))])
    (created,) = read_manifest(data).metrics
    assert (created.name, created.type, created.label, created.private) == ("amount", "simple", "Amount", False)


def test_gemel_settings_of_a_semantic_model_do_not_apply_to_metrics_that_its_measures_create():
    meta = {"unit": "euro", "gemel": {"wide_view": True}}
    item = {**metric("amount", "simple", measure="amount"), "config": {"meta": meta}}
    own = {**metric("total", "simple", measure="amount"), "config": {"meta": {"gemel": {"tests": []}}}}
    model = {**sales(amount(create_metric=False)), "config": {"meta": meta}}  # as dbt writes it
    created, written = read_manifest(shop(item, own, models=[model])).metrics
    assert created.meta == {"unit": "euro"}
    assert written.meta == {"gemel": {"tests": []}}


def test_create_metric_leaves_a_metric_of_that_name_alone():
    data = shop(metric("amount", "simple", "x > 1", measure="amount"), models=[sales(amount(create_metric=True))])
    (written,) = read_manifest(data).metrics
    assert written.filters == ("x > 1",)


def test_create_metric_with_the_name_of_another_kind_of_metric_is_refused():
    data = shop(
        metric("amount", "ratio", numerator="amount", denominator="amount"), models=[sales(amount(create_metric=True))]
    )
    assert problems(data) == [("G125", About("metric", "amount"))]


# --- metrics of metrics ---------------------------------------------------------------------------------------

REVENUE = metric("revenue", "simple", measure={"name": "amount"})


def test_a_ratio_has_two_sides_with_filter_and_alias():
    data = shop(REVENUE, metric("share", "ratio", numerator={"name": "revenue", "filter": "x"}, denominator="revenue"))
    assert read_metric(data, "share").definition == Ratio(
        MetricInput("revenue", filters=("x",)), MetricInput("revenue")
    )


def test_two_inputs_with_the_same_name_are_refused_unless_they_are_the_same():
    ago = {"name": "revenue", "offset_window": "1 week"}
    growth = metric("growth", "derived", expr="revenue - revenue", metrics=[{"name": "revenue"}, ago])
    error = only_problem(shop(metric("revenue", "simple", measure="amount"), growth))
    assert (error.code, error.message) == ("G125", "two different inputs of metric 'growth' are named 'revenue'")
    twice = metric("twice", "derived", expr="revenue + revenue", metrics=["revenue", {"name": "revenue"}])
    assert read_metric(shop(metric("revenue", "simple", measure="amount"), twice), "twice").type == "derived"


def test_a_derived_metric_keeps_its_expression_and_its_offsets():
    inputs = [
        {"name": "revenue", "alias": "now"},
        {"name": "revenue", "alias": "then", "offset_window": {"count": 2, "granularity": "weeks"}},
        {"name": "revenue", "alias": "first", "offset_to_grain": "Month"},
    ]
    data = shop(REVENUE, metric("growth", "derived", expr="now / then", metrics=inputs))
    assert read_metric(data, "growth").definition == Derived(
        "now / then",
        (
            MetricInput("revenue", alias="now"),
            MetricInput("revenue", alias="then", offset_window=Window(2, "week")),
            MetricInput("revenue", alias="first", offset_to_grain="month"),
        ),
    )


@pytest.mark.parametrize(
    "params",
    [
        {"measure": {"name": "amount"}, "window": {"count": 7, "granularity": "days"}},
        {"measure": {"name": "amount"}, "cumulative_type_params": {"window": "7 days", "period_agg": "first"}},
        {
            "measure": {"name": "amount"},
            "window": {"count": 1, "granularity": "day"},
            "cumulative_type_params": {"window": {"count": 7, "granularity": "day"}},
        },
    ],
)
def test_a_cumulative_window_is_read_where_either_spec_puts_it(params):
    definition = read_metric(shop(metric("week", "cumulative", **params)), "week").definition
    assert definition == Cumulative(MetricInput("_amount"), window=Window(7, "day"))


def test_a_cumulative_metric_over_a_metric_needs_nothing_private():
    data = shop(
        REVENUE, metric("mtd", "cumulative", cumulative_type_params={"metric": "revenue", "grain_to_date": "month"})
    )
    manifest = read_manifest(data)
    assert [m.name for m in manifest.metrics] == ["revenue", "mtd"]
    assert manifest.metrics[1].definition == Cumulative(MetricInput("revenue"), grain_to_date="month")


def test_equal_measure_inputs_share_one_private_metric():
    filled = {"name": "amount", "fill_nulls_with": 0, "join_to_timespine": True}
    data = shop(
        metric("a", "cumulative", measure={"name": "amount"}),
        metric("b", "cumulative", measure={"name": "amount", "filter": "x"}),
        metric("c", "cumulative", measure=filled),
    )
    manifest = read_manifest(data)
    private = [m for m in manifest.metrics if m.private]
    assert [m.name for m in private] == ["_amount", "_amount__fill_0__spine"]
    assert private[1].definition == Simple(private[0].definition.measure, fill_nulls_with=0, join_to_timespine=True)
    assert manifest.metrics[1].definition.input == MetricInput("_amount", filters=("x",))


def test_a_measure_input_is_the_metric_that_is_written_over_just_that_measure():
    data = shop(
        metric("mtd", "cumulative", measure={"name": "amount", "filter": "x"}, grain_to_date="month"),
        metric("big", "simple", "amount > 9", measure="amount"),
        {**metric("monthly", "simple", measure="amount"), "time_granularity": "month"},
        metric("filled", "simple", measure={"name": "amount", "fill_nulls_with": 0}),
        REVENUE,
        metric("again", "simple", measure="amount"),
    )
    manifest = read_manifest(data)
    assert manifest.metrics[0].definition.input == MetricInput("revenue", filters=("x",))
    assert not any(m.private for m in manifest.metrics)


def test_a_cumulative_metric_cannot_have_a_window_and_a_grain():
    data = shop(metric("a", "cumulative", measure="amount", window="7 days", grain_to_date="month"))
    assert only_problem(data).code == "G129"


def test_a_conversion_reads_measures_and_metrics_alike():
    params = {
        "entity": "Customer",
        "base_measure": {"name": "amount"},
        "conversion_metric": {"name": "revenue"},
        "calculation": "conversions",
        "window": {"count": 7, "granularity": "days"},
        "constant_properties": [{"base_property": "region", "conversion_property": "region"}],
    }
    data = shop(REVENUE, metric("conv", "conversion", conversion_type_params=params))
    assert read_metric(data, "conv").definition == Conversion(
        MetricInput("revenue"),
        MetricInput("revenue"),
        "customer",
        "conversions",
        Window(7, "day"),
        (("region", "region"),),
    )


# --- windows, grains, spines, saved queries -------------------------------------------------------------------

SPINE = {
    "node_relation": {"alias": "days", "schema_name": "main"},
    "primary_column": {"name": "ds", "time_granularity": "day"},
    "custom_granularities": [{"name": "fiscal_week"}, {"name": "season", "column_name": "season_start"}],
}


def test_custom_grains_come_with_the_spine_and_lose_their_plural():
    data = shop(
        metric("b", "simple", measure="amount"),
        metric("a", "derived", expr="b", metrics=[{"name": "b", "offset_window": "3 fiscal_weeks"}]),
        project_configuration={"time_spines": [SPINE]},
    )
    manifest = read_manifest(data)
    assert manifest.time_spines == (
        TimeSpine(
            Relation("days", "main"),
            "ds",
            "day",
            (("fiscal_week", "fiscal_week"), ("season", "season_start")),
        ),
    )
    [used] = next(each for each in manifest.metrics if each.name == "a").definition.inputs
    assert used.offset_window == Window(3, "fiscal_week")


@pytest.mark.parametrize(
    ("params", "code"),
    [({"window": "3 fiscal_weeks"}, "G123"), ({"cumulative_type_params": {"grain_to_date": "fiscal_week"}}, "G122")],
)
def test_a_custom_grain_is_no_window_and_no_start_of_a_period(params, code):
    spines = {"time_spines": [SPINE]}
    cumulative = metric("a", "cumulative", measure="amount", **params)
    assert only_problem(shop(cumulative, project_configuration=spines)).code == code


def test_a_legacy_spine_counts_where_no_newer_one_has_its_grain():
    old = {"location": "shop.main.spine", "column_name": "ds", "grain": "day"}
    hourly = {**old, "grain": "hour"}
    spines = read_manifest(
        shop(project_configuration={"time_spines": [SPINE], "time_spine_table_configurations": [old, hourly]})
    ).time_spines
    assert [(spine.relation.name, spine.grain) for spine in spines] == [("days", "day"), ("spine", "hour")]


@pytest.mark.parametrize("window", ["7", "seven days", "7 moons", "0 days", {"count": "7"}, ["7 days"]])
def test_a_window_that_is_not_a_count_and_a_grain_is_refused(window):
    assert only_problem(shop(metric("a", "cumulative", measure="amount", window=window))).code == "G123"


def test_a_saved_query_comes_with_its_exports():
    saved = {
        "name": "monthly",
        "query_params": {
            "metrics": ["revenue"],
            "group_by": ["TimeDimension('metric_time', 'month')"],
            "where": {"where_filters": [{"where_sql_template": "x"}]},
            "order_by": ["-revenue"],
            "limit": 3,
        },
        "exports": [{"name": "t", "config": {"export_as": "view", "schema_name": "bi", "alias": "monthly_v"}}],
    }
    (query,) = read_manifest(shop(REVENUE, saved_queries=[saved])).saved_queries
    assert (query.metrics, query.where, query.order_by, query.limit) == (("revenue",), ("x",), ("-revenue",), 3)
    (export,) = query.exports
    assert (export.kind, export.schema, export.alias) == ("view", "bi", "monthly_v")


# --- invalid definitions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, [], "x", {}, {"semantic_models": {}}, {"nodes": {}}])
def test_other_json_is_not_a_semantic_manifest(data):
    with pytest.raises(ProjectError) as caught:
        read_manifest(data)
    assert caught.value.code == "G602"


def test_all_problems_are_reported_at_once_with_what_they_are_about():
    data = shop(
        metric("a", "simple", measure={"name": "amuont"}),
        metric("b", "simpel"),
        metric("c", "ratio", numerator="amount"),
        metric("d", "derived", expr="x", metrics=["nope"]),
        metric("e", "simple", metric_aggregation_params={"semantic_model": "sale", "agg": "sum"}),
        {"type": "simple"},
        saved_queries=[{"name": "q", "query_params": {"metrics": ["a", "z"]}}],
    )
    assert problems(data) == [
        ("G101", About("metric", "a")),
        ("G122", About("metric", "b")),
        ("G121", About("metric", "c")),
        ("G101", About("metric", "d")),
        ("G101", About("metric", "e")),
        ("G121", None),
        ("G101", About("saved_query", "q")),
    ]


def test_an_invalid_measure_is_not_reported_again_for_the_metrics_over_it():
    data = shop(metric("a", "simple", measure={"name": "amount"}), models=[sales(amount(agg="summ"))])
    assert problems(data) == [("G122", About("semantic_model", "sales", "amount"))]


def test_unknown_keys_are_ignored():
    data = shop({**REVENUE, "invented_in": "dbt 3"}, semantic_views=[], models=[sales(amount(time="machine"))])
    assert [m.name for m in read_manifest(data).metrics] == ["revenue"]


def test_reading_time_grows_no_faster_than_the_metrics():
    def calls(count):
        data = shop(*(metric(f"m{i}", "simple", "x > 1", measure={"name": "amount"}) for i in range(count)))
        profile = cProfile.Profile()
        profile.runcall(read_manifest, data)
        return sum(each.callcount for each in profile.getstats())

    assert calls(2000) < 2.2 * calls(1000)
