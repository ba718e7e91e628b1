"""The questions whose SQL a person has read, over the worked example's definitions: `golden/<name>.sql`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from sqlglot import exp, parse_one

from gemel.compiler.compiled import Context, compile_query, compiled
from gemel.compiler.features.detection import plan_fingerprint
from gemel.compiler.features.moments import cast_features, plan_features
from gemel.compiler.features.requests import plan_requests
from gemel.compiler.names.graph import Graph, bind
from gemel.compiler.plan import rewrites
from gemel.compiler.question.parsing import make_query
from gemel.compiler.sql import dialects, lowering
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.duckdb import DUCKDB
from gemel.engines.lookup import NAMES
from gemel.engines.postgres import POSTGRES
from gemel.spec.feature_views import DimensionFeature, FeatureView, MetricFeature
from gemel.spec.manifest import Relation
from gemel.spec.time import parse_window

HERE = Path(__file__).parent

Question = dict[str, Any]


def ask(metrics: str = "", group_by: str = "", /, **more: Any) -> Question:
    return {"metrics": metrics.split(), "group_by": group_by.split(), **more}


QUESTIONS: dict[str, Question] = {
    # Simple metrics: the aggregates, joins, filters
    "simple_total": ask("flights"),
    "simple_by_month": ask("flights", "metric_time__month"),
    "simple_count_of_a_column": ask("departures", "carrier"),
    "simple_average": ask("average_departure_delay", "flight__time_of_day"),
    "simple_distinct": ask("planes_in_use", "metric_time__month"),
    "simple_percentiles": ask("p90_departure_delay p95_arrival_delay", "carrier"),
    "join_of_one_hop": ask("flights", "carrier__name"),
    "join_of_two_hops": ask("seats_flown", "plane__maker__country"),
    "join_of_one_table_twice": ask("flights", "origin__name destination__name"),
    "filter_on_a_joined_column": ask("pacific_time_flights", "origin"),
    "filters_of_metric_and_query": ask(
        "long_haul_flights",
        "carrier__name",
        where=["{{ Dimension('plane__maker__country') }} = 'France' or {{ Dimension('flight__is_cancelled') }}"],
    ),
    "filter_by_a_metric": ask("late_rate", "flight__route", where=["{{ Metric('flights', ['destination']) }} >= 1000"]),
    "having_order_limit": ask(
        "flights late_rate", "carrier__name", having=["late_rate > 0.2"], order_by=["-late_rate"], limit=5
    ),
    "time_constraint_widened": ask("flights", "metric_time__month", start="2013-02-10", end="2013-03-05"),
    "date_part": ask("flights", "metric_time__extract_dow", order_by=["metric_time__extract_dow"]),
    "custom_grain": ask("flights", "metric_time__iata_season"),
    "totals": ask("flights late_rate", "origin", totals=True, having=["flights > 100000"], order_by=["-flights"]),
    # Ratios and derived metrics, several facts
    "ratio": ask("late_rate", "carrier__name metric_time__month"),
    "ratio_with_filters": ask("seats_per_departure", "metric_time__month"),
    "ratio_of_filtered_and_unfiltered": ask("late_arrival_rate", "origin"),
    "ratio_without_groups": ask("cancellation_rate"),
    "derived": ask("time_made_up", "carrier__name"),
    "several_metrics_of_one_fact": ask("flights long_haul_flights late_departures cancellation_rate", "origin"),
    "several_facts": ask("cancelled_flights precipitation", "metric_time__day origin__name"),
    "several_facts_without_groups": ask("flights precipitation"),
    "derived_of_several_facts": ask("cancelled_flights_per_inch", "metric_time__month"),
    "saved_query_weather": ask(
        "cancelled_flights cancellation_rate precipitation lowest_visibility average_temperature",
        "metric_time__day origin__name",
        where=["{{ TimeDimension('metric_time', 'month') }} < '2013-04-01'"],
    ),
    # The time spine: empty days, offsets, trailing windows
    "spine_fill": ask("diverted_flights", "metric_time__day"),
    "spine_fill_by_origin": ask("diverted_flights", "metric_time__day origin", start="2013-02-01", end="2013-02-28"),
    "offset_window": ask("flights_wow_growth", "metric_time__day"),
    "offset_window_by_month": ask("flights_wow_growth", "metric_time__month"),
    "offset_to_grain": ask("flights_vs_month_start", "metric_time__day origin"),
    "cumulative_window": ask("flights_7d", "metric_time__day"),
    "cumulative_window_by_carrier": ask("flights_7d", "metric_time__day carrier__name", start="2013-06-01"),
    "cumulative_by_month": ask("flights_7d", "metric_time__month"),
    "cumulative_to_date": ask("flights_to_date", "metric_time__day"),
    "cumulative_to_date_by_carrier": ask("flights_to_date", "metric_time__day carrier__name"),
    "cumulative_by_month_and_carrier": ask("flights_7d", "metric_time__month carrier"),
    "cumulative_to_date_by_month_and_carrier": ask("flights_to_date", "metric_time__month carrier"),
    "cumulative_average_by_month_and_carrier": ask("average_flights_7d", "metric_time__month carrier"),
    "cumulative_average_to_date_by_month_and_carrier": ask("average_miles_to_date", "metric_time__month carrier"),
    "cumulative_month_to_date": ask("flights_month_to_date", "metric_time__day"),
    "cumulative_distinct": ask("planes_in_use_28d", "metric_time__day"),
    "cumulative_ratio": ask("late_rate_7d", "metric_time__day"),
    "cumulative_total": ask("flights_to_date"),
    "over_a_window": ask("", "metric_time__day", metrics=["flights[7 days]", "late_rate[month to date]"]),
    "simple_and_cumulative": ask("flights flights_7d", "metric_time__day"),
    # Conversion, non-additive
    "conversions": ask("knock_on_departures", "metric_time__month"),
    "conversion_rate": ask("knock_on_rate", "carrier__name"),
    "non_additive": ask("closing_temperature", "metric_time__day"),
    # Without metrics
    "values_of_a_dimension": ask("", "carrier__name"),
    "values_of_two_models": ask("", "carrier__name plane__maker__country"),
    "values_of_time": ask("", "metric_time__month"),
    "values_least_and_greatest": ask("", "flight__distance", min_max_only=True),
    # Other engines
    **{
        f"{engine}_several_facts": ask(
            "late_rate long_haul_flights precipitation", "metric_time__month", dialect=engine
        )
        for engine in NAMES[1:]
    },
    "postgres_conversions": ask("knock_on_departures", "metric_time__month", dialect="postgres"),
    "snowflake_several_metrics": ask(
        "flights long_haul_flights seats_per_departure", "carrier__name", dialect="snowflake"
    ),
}

UNTIL = parse_one("cast('2014-01-01' as timestamp)", dialect="duckdb")


def window(text: str) -> Any:
    return parse_window(text)


FEATURE_TABLES: dict[str, FeatureView] = {
    "features_of_a_carrier": FeatureView(
        name="features_of_a_carrier",
        entities=("carrier",),
        schedule="day",
        known_at="flight__outcome_known_at",
        delay=window("2 hours"),
        features=(
            MetricFeature("flights_1d", "flights", window("1 day")),
            MetricFeature("flights_7d", "flights", window("7 days")),
            MetricFeature("late_rate_7d", "late_rate", window("7 days")),
            MetricFeature("average_departure_delay_7d", "average_departure_delay", window("7 days")),
            DimensionFeature("carrier__name", "carrier__name"),
        ),
    ),
    "features_at_every_hour": FeatureView(
        name="features_at_every_hour",
        entities=("origin",),
        schedule="hour",
        known_at="flight__outcome_known_at",
        ttl=window("3 hours"),
        features=(
            MetricFeature("departures_3h", "departures", window("3 hours")),
            MetricFeature("longest_departure_delay_all", "longest_departure_delay", None),
            MetricFeature("seats_per_departure_1d", "seats_per_departure", window("1 day")),
        ),
    ),
}

FINGERPRINTS = {
    "fingerprint_of_a_carrier": (FEATURE_TABLES["features_of_a_carrier"], DUCKDB),
    "postgres_fingerprint_of_an_origin": (FEATURE_TABLES["features_at_every_hour"], POSTGRES),
}
"""What feature tables are made of, for a later build to find what has changed."""


REQUESTS: dict[str, FeatureView] = {
    "features_at_any_moment": FeatureView(
        name="features_at_any_moment",
        entities=("carrier",),
        schedule="day",
        known_at="flight__outcome_known_at",
        delay=window("2 hours"),
        features=(
            MetricFeature("flights_7d", "flights", window("7 days")),
            MetricFeature("flights_all", "flights", None),
            MetricFeature("late_rate_7d", "late_rate", window("7 days")),
            MetricFeature("longest_departure_delay_28d", "longest_departure_delay", window("28 days")),
            DimensionFeature("carrier__name", "carrier__name"),
        ),
    ),
}


TYPES = {
    "flights_1d": "bigint",
    "flights_7d": "bigint",
    "flights_all": "bigint",
    "late_rate_7d": "double",
    "average_departure_delay_7d": "double",
    "longest_departure_delay_28d": "bigint",
    "carrier__name": "varchar",
}


@cache
def example() -> Graph:
    manifest = json.loads((HERE / "example_manifest.json").read_text())
    for name, measure, window in (
        ("average_flights_7d", "flights", {"window": {"count": 7, "granularity": "day"}}),
        ("average_miles_to_date", "miles_flown", {}),
    ):
        trailing = {**window, "period_agg": "average"}
        manifest["metrics"].append(
            {
                "name": name,
                "type": "cumulative",
                "type_params": {
                    "measure": {"name": measure},
                    "cumulative_type_params": trailing,
                    "input_measures": [],
                },
            }
        )
    return bind(read_manifest(manifest))


def sql_of(name: str) -> str:
    if name in FEATURE_TABLES:
        plan = rewrites.tidy(cast_features(plan_features(example(), FEATURE_TABLES[name], until=UNTIL), TYPES))
        return dialects.speak(lowering.lower(plan, dialects.named()), DUCKDB)
    if name in FINGERPRINTS:
        view, engine = FINGERPRINTS[name]
        assert engine.row_hash is not None
        return compiled(
            plan_fingerprint(example(), view, until=UNTIL, row_hash=engine.row_hash), Context.naming(engine.dialect)
        ).sql
    if name in REQUESTS:
        requests = Relation("requests", schema="main", database="temp")
        plan = rewrites.tidy(cast_features(plan_requests(example(), REQUESTS[name], requests=requests), TYPES))
        return dialects.speak(lowering.lower(plan, dialects.named()), DUCKDB)
    question = dict(QUESTIONS[name])
    dialect = question.pop("dialect", "duckdb")
    return compile_query(example(), make_query(**question), Context.elsewhere(dialect)).sql


def parsed(name: str) -> exp.Expr:
    dialect = (
        FINGERPRINTS[name][1].dialect if name in FINGERPRINTS else QUESTIONS.get(name, {}).get("dialect", "duckdb")
    )
    return parse_one(sql_of(name), dialect=dialect)
