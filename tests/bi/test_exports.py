"""Which kinds of metrics each format gets, and the reasons for the others; docs/exports.md has the same table."""

import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bi.test_export_numbers import READERS
from gemel.bi.exports.exported import Source, View
from gemel.bi.exports.formats import FORMATS, export
from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.definitions import Definitions
from gemel.errors import FormatError
from gemel.spec.manifest import Dimension, Entity, Manifest, Relation
from gemel.spec.metrics import Conversion, Cumulative, Derived, Measure, Metric, Percentile, Ratio
from gemel.spec.time import Window
from worlds.shop import (
    AVERAGE,
    BUYERS,
    LARGEST,
    LAST_AMOUNT,
    METRICS,
    MODELS,
    ORDERS,
    PRICED,
    REVENUE,
    SPINE,
    model,
    of,
    over,
    time,
    word,
)

PAGE = (Path(__file__).parents[2] / "docs/exports.md").read_text()
GOLD = "{{ Dimension('customer__segment') }} = 'gold'"
DONE = "{{ Dimension('order__status') }} = 'done'"
MEDIAN = Measure("median", "orders", "percentile", "amount", "ordered_at", percentile=Percentile(0.5))
NEAR = Measure("near", "orders", "percentile", "amount", "ordered_at", percentile=Percentile(0.5, approximate=True))
FACE = Measure("face", "orders", "sum", "case when status = '{{ a }}' then amount end", "ordered_at")
EVENTS = Conversion(of("orders"), of("visits"), "customer")

KINDS = {
    "`sum`, `min`, `max`, `average`": (over(REVENUE, "a"), over(LARGEST, "b"), over(AVERAGE, "c")),
    "`count`": (over(ORDERS, "a"), over(PRICED, "b")),
    "`count_distinct`": (over(BUYERS, "a"),),
    "`median`, `percentile`": (over(MEDIAN, "a"),),
    "approximate `percentile`": (over(NEAR, "a"),),
    "filter on the facts": (over(REVENUE, "a", DONE), over(BUYERS, "b", DONE)),
    "filter on a table they join": (over(ORDERS, "a", GOLD),),
    "filter on a table with a history": (over(ORDERS, "a", "{{ Dimension('tier__rank') }} = 'gold'"),),
    "the same, two steps away": (over(ORDERS, "a", "{{ Dimension('customer__tier__rank') }} = 'gold'"),),
    "filter by a metric": (over(ORDERS, "a", "{{ Metric('visits', ['customer']) }} > 1"),),
    "`fill_nulls_with`": (over(REVENUE, "a", DONE, fill_nulls_with=0),),
    "`join_to_timespine`": (over(ORDERS, "a", join_to_timespine=True),),
    "`non_additive_dimension`": (over(LAST_AMOUNT, "a"),),
    "ratio": (Metric("a", Ratio(of("orders", "done", DONE), of("orders", "every"))),),
    "derived": (Metric("a", Derived("2 * done / every", (of("orders", "done", DONE), of("orders", "every")))),),
    "ratio, derived of several fact tables": (Metric("a", Ratio(of("revenue"), of("visits"))),),
    "`offset_window`, `offset_to_grain`": (
        Metric(
            "a", Derived("now - then", (of("orders", "now"), of("orders", "then", offset_window=Window(1, "week"))))
        ),
        Metric("b", Derived("now - then", (of("orders", "now"), of("orders", "then", offset_to_grain="month")))),
    ),
    "cumulative": (
        Metric("a", Cumulative(of("orders"), Window(7, "day"))),
        Metric("b", Cumulative(of("orders"), grain_to_date="month")),
        Metric("c", Cumulative(of("orders"))),
    ),
    "conversion": (Metric("a", EVENTS),),
}
COLUMNS = {"OSI": "osi", "Superset": "superset", "LookML": "lookml", "Cube": "cube", "Snowflake": "snowflake"}
COLUMNS["Databricks"] = "databricks"

TIERS = model(
    "tiers",
    {"tier": "natural"},
    word("rank"),
    Dimension("since", "since", grain="day", validity="start"),
    Dimension("until", "until", grain="day", validity="end"),
)
FAR = tuple(
    each
    if each.name != "customers"
    else model("customers", {"customer": "primary", "tier": "foreign"}, word("segment"))
    for each in MODELS
)
NEAR_BY = (
    model("orders", {"order": "primary", "tier": "foreign"}, time("ordered_at"), clock="ordered_at"),
    *(each for each in MODELS if each.name != "orders"),
)


def source(*metrics, dialect="duckdb", models=MODELS):
    graph = bind(Manifest(models, (*METRICS, *metrics), time_spines=(SPINE,)), dialect)
    return Source(graph, "shop", dialect, lambda: Definitions({}, {}, {}), lambda sql: {}, lambda: "duckdb:///x")


def gets(format, metrics):
    filters = " ".join(text for each in metrics for text in each.filters)
    models = MODELS if "tier" not in filters else (*(FAR if "customer" in filters else NEAR_BY), TIERS)
    exported = export(format, source(*metrics, models=models), [each.name for each in metrics])
    kept = {metric for each in READERS[format](exported.content) for metric in each.metrics}
    assert kept | {each.metric for each in exported.refused} == {each.name for each in metrics}
    assert len(kept) in (0, len(metrics)), f"{format} gets a part of {metrics}"
    return bool(kept)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_of_each_kind_of_metric_what_each_format_gets(kind):
    heads, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")
    ][: len(KINDS) + 2]
    assert heads[1:] == [*COLUMNS]
    assert [row[0] for row in rows] == [*KINDS]
    [cells] = [row[1:] for row in rows if row[0] == kind]
    assert cells == ["yes" if gets(format, KINDS[kind]) else "refused" for format in COLUMNS.values()]


def test_both_versions_of_osi_get_the_same():
    metrics = [each for kind in KINDS.values() for each in kind if each.name == "a"]
    for metric in metrics[:6]:
        assert gets("osi", (metric,)) == gets("osi-0.2", (metric,))


def test_every_format_is_on_the_page():
    assert all(f"gemel export {format}" in PAGE for format in FORMATS)


def test_an_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(FormatError, match="G721 there is no format 'lookmel'") as error:
        export("lookmel", source(), ())
    assert error.value.hint == "did you mean lookml?"


def test_a_project_without_metrics_has_nothing_to_export():
    graph = bind(Manifest(MODELS, ()))
    with pytest.raises(FormatError, match="G722 there is no metric to export"):
        export("cube", Source(graph, "shop", "duckdb", lambda: Definitions({}, {}, {}), lambda sql: {}, str), ())


def test_an_export_has_the_reasons_at_its_top():
    text = export("cube", source(), ["orders", "orders_7d", "growth"]).content
    assert text.startswith(
        "# Generated by `gemel export cube` from dbt's definitions: change those and run it again.\n"
    )
    assert "#   orders_7d: it accumulates over 7 days, and a group has only its own rows\n" in text
    assert "#   growth: it looks at orders at another time (1 day)\n" in text


@pytest.mark.parametrize(("format", "words"), [("cube", "'{'"), ("lookml", "'{{'"), ("superset", "braces")])
def test_what_a_tool_would_render_is_refused(format, words):
    exported = export(format, source(over(FACE, "faces")), ["faces", "orders"])
    [refused] = exported.refused
    assert (refused.metric, words in refused.reason) == ("faces", True)


def test_superset_reads_the_wide_view_where_dbt_builds_it():
    built = replace(source(), views={"orders": View(Relation("orders_wide", "bi", "warehouse"), 1)})
    exported = export("superset", built, ["revenue", "visits"])
    with zipfile.ZipFile(io.BytesIO(exported.content)) as archive:
        orders, visits = (
            yaml.safe_load(archive.read(f"gemel_shop/datasets/shop/{n}.yaml")) for n in ("orders", "visits")
        )
    assert (orders["schema"], orders["table_name"], "sql" in orders) == ("bi", "orders_wide", False)
    assert [each["expression"] for each in orders["metrics"]] == ["SUM(revenue)"]
    assert {each["column_name"] for each in orders["columns"]} >= {"order__status", "customer__segment", "revenue"}
    assert not any("region_name" in each["column_name"] for each in orders["columns"])  # two joins away
    assert (visits["table_name"], "FROM visits" in visits["sql"]) == ("visits_metrics", True)


def test_superset_opens_a_duckdb_file_for_reading_only_so_that_others_can_read_it_too():
    content = export("superset", source(), ["orders"]).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        [name] = [name for name in archive.namelist() if "/databases/" in name]
        database = yaml.safe_load(archive.read(name))
    assert database["sqlalchemy_uri"].startswith("duckdb:///")
    assert database["extra"] == {"engine_params": {"connect_args": {"read_only": True}}}


def test_a_metric_of_a_dimensions_name_does_not_hide_it():
    """Every name is unique among the members of a table."""
    for format in ("lookml", "cube", "databricks", "snowflake", "superset"):
        exported = export(format, source(over(ORDERS, "status", DONE)), ["status"])
        [model] = READERS[format](exported.content)
        assert any(name.endswith("status") and name != "status" for _, name in model.fields), (format, model.fields)


def test_a_day_of_a_column_that_others_read_has_another_name_in_a_shared_namespace():
    hour = Dimension("ordered_hour", "ordered_at", grain="hour")
    orders = model("orders", {"order": "primary"}, time("ordered_at"), hour, word("status"), clock="ordered_at")
    for format in ("osi", "snowflake"):
        text = export(format, source(models=(orders,)), ["orders"]).content
        [read] = READERS[format](text)
        assert {name for _, name in read.fields} >= {"ordered_at__day", "ordered_hour"}


def test_a_key_of_several_columns_joins_by_all_of_them():
    lines = model("lines", {}, time("sold_at"), clock="sold_at")
    lines = type(lines)(**{**fields_of(lines), "entities": (Entity("line", "foreign", "(order_id, line_no)"),)})
    details = model("details", {}, word("note"))
    details = type(details)(**{**fields_of(details), "entities": (Entity("line", "primary", "(order_id, line_no)"),)})
    sold = Measure("sold", "lines", "count", "1", "sold_at")
    graph = bind(Manifest((lines, details), (over(sold, "sold", "{{ Dimension('line__note') }} = 'x'"),)))
    definitions = Source(graph, "shop", "duckdb", lambda: Definitions({}, {}, {}), lambda sql: {}, str)
    for format in READERS:
        [read] = READERS[format](export(format, definitions, ()).content)
        text = " ".join([read.tables[read.facts], *(on for on, _ in read.joins.values())]).replace('"', "")
        assert len(re.findall(r"order_id", text)) >= 2 and len(re.findall(r"line_no", text)) >= 2, (format, text)


def fields_of(value):
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
