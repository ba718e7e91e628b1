"""Each export is evaluated as its tool would, from the text alone: every number is the query's, or is refused.

The definitions and rows are those of the differential tests' marketplace: roles, two hops, partitions, histories,
several times, NULLs and orphans, and metrics of every type drawn at random.
"""

import math
from types import SimpleNamespace

import duckdb
import pytest
import yaml

from bi import tools
from gemel.bi.exports.exported import Source
from gemel.bi.exports.formats import export
from gemel.bi.exports.members import members
from gemel.bi.exports.stars import make_stars
from gemel.compiler.compiled import compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import make_query
from gemel.dbt.semantic.definitions import parse_definitions
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import GemelError
from gemel.spec.manifest import Dimension
from gemel.spec.project import DbtProject
from worlds import marketplace
from worlds.tables import script

READERS = {
    "osi": lambda text: tools.osi(yaml.safe_load_all(text)),
    "osi-0.2": lambda text: tools.osi(yaml.safe_load_all(text)),
    "cube": lambda text: tools.cube(yaml.safe_load(text)),
    "lookml": tools.lookml,
    "snowflake": tools.snowflake,
    "databricks": tools.databricks,
    "superset": tools.superset,
}


@pytest.fixture(scope="module", params=[0, 3])
def place(request):
    """A marketplace: its definitions, its rows, and the answers of queries."""
    raw = marketplace.manifest(request.param)
    graph = bind(read_manifest(raw))
    database = duckdb.connect()
    tables = script(marketplace.COLUMNS, marketplace.world(request.param))
    database.execute("attach ':memory:' as market; use market;" + tables)
    source = Source(graph, "market", "duckdb", lambda: parse_definitions(raw, DbtProject()), lambda sql: {}, str)
    answers = {}

    def ask(metric, item):
        if (metric, item) not in answers:
            try:
                sql = compile_query(graph, make_query([metric], [item] if item else [])).sql
                answers[metric, item] = values(database, sql)
            except GemelError:
                answers[metric, item] = None
        return answers[metric, item]

    yield SimpleNamespace(source=source, graph=graph, database=database, ask=ask)
    database.close()


@pytest.mark.parametrize("format", READERS)
def test_every_exported_metric_is_the_querys_by_whatever_it_is_grouped(place, format):
    exported = export(format, place.source, ())
    models = {facts_of(model): model for model in READERS[format](exported.content)}
    stars = {star.facts.relation.name: star for star in make_stars(place.graph)[0]}
    compared = 0
    for name, model in models.items():
        star = stars[name]
        for metric in model.metrics:
            for item, key in groupings(star, model):
                want = place.ask(metric, item)
                if want is None:
                    continue
                got = values(place.database, model.sql(metric, [key] if key else []))
                fill = {None, *fills(place.graph, metric)}
                if want == {(): 0} and got == {(): None} and counts_distinct(place.graph, metric):
                    continue  # over no rows at all; docs/exports.md
                for group, value in want.items():
                    assert same(got.pop(group, "no such group"), value), (format, metric, item, group)
                    compared += 1
                assert set(got.values()) <= fill, (format, metric, item, got)
    assert exported.count + len(exported.refused) == sum(not metric.private for metric in place.graph.manifest.metrics)
    assert compared > 200
    assert {metric for model in models.values() for metric in model.metrics}.isdisjoint(
        e.metric for e in exported.refused
    )


def counts_distinct(graph, metric):
    return all(measure.agg == "count_distinct" for measure in graph.measures(graph.metric(metric)))


def facts_of(model):
    return model.source or model.tables[model.facts].split(".")[-1]


def groupings(star, model):
    """What to group by: the name in a query, and in the tool."""
    yield "", None
    facts = star.facts.name
    prefix = star.facts.model.primary_entity or next(
        each.name for each in star.facts.model.entities if each.type in ("primary", "unique", "natural")
    )
    for member in members(star):
        field = member.field
        item = field.name
        if field.table != facts:
            item = f"{field.table}__{field.name}"
        elif isinstance(field.element, Dimension):
            item = f"{prefix}__{field.name}"
        if field.grain:
            item += f"__{field.grain}"
        table = model.facts if field.table == facts else field.table
        names = [(table, field.name), (table, f"{field.name}__{field.grain or 'value'}"), ("", member.name)]
        names.append(("", item.removesuffix(f"__{field.grain}")))
        key = next((each for each in names if each in model.fields), None)
        if key:
            yield item, key


def values(database, sql):
    rows = database.execute(sql).fetchall()
    return {tuple(str(key).removesuffix(" 00:00:00") for key in row[:-1]): row[-1] for row in rows}


def same(got, want):
    if isinstance(want, float) and isinstance(got, float):
        return math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-12)
    return got == want


def fills(graph, metric):
    """What stands in for a missing value anywhere in a metric."""
    definition = graph.metric(metric).definition
    return {definition.fill_nulls_with} if hasattr(definition, "fill_nulls_with") else set()
