"""Apache Superset: a dataset for each fact table, in the ZIP file that Superset imports.

A dataset is one table, here the wide view of the facts: one row for each fact, with everything it joins and everything
that is aggregated. If dbt builds that view, it is the table of the dataset; otherwise the dataset has its SQL, so
nothing has to be built first. A metric is an expression over it.
"""

import io
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gemel.bi.exports.exported import Exported, Source, fit_stars, heading, notes
from gemel.bi.exports.members import one_line, without_empty
from gemel.bi.exports.stars import Refusal, Star, restrict
from gemel.bi.exports.texts import bare, write_expression
from gemel.bi.formulas import Formula, Input, formulas_of
from gemel.bi.wide import GroupColumn, Wide, plan_wide, widen
from gemel.bi.yaml_text import commented, dump
from gemel.compiler.compiled import Compiled, Context, compiled
from gemel.compiler.names.graph import LISTED_HOPS
from gemel.compiler.sql.dialects import engine_of, named
from gemel.errors import QueryError

TOOL = "Superset"
VERSION = "1.0.0"
_NAMES = uuid.UUID("7a0c3f0e-6c55-4b6e-9f43-0f1f5b6f7d11")
"""Namespace of the UUIDs of databases and datasets: they are stable, so a repeated import replaces."""


def export(source: Source, metrics: Sequence[str]) -> Exported:
    stars, refused = fit_stars(source, metrics)
    datasets: dict[str, tuple[Star, dict[str, Any]]] = {}
    for star in stars:
        kept, more = _expressible(source, star)
        refused += more
        if kept.metrics:
            datasets[kept.facts.model.name] = kept, _dataset(source, kept)
    kept_stars = [star for star, _ in datasets.values()]
    head = commented(heading("superset", TOOL, refused, kept_stars))
    files: dict[str, object] = {
        "metadata.yaml": {"version": VERSION, "type": "SqlaTable", "timestamp": "2000-01-01T00:00:00+00:00"},
        f"databases/{source.project}.yaml": _database(source),
    }
    files |= {f"datasets/{source.project}/{name}.yaml": content for name, (_, content) in datasets.items()}
    content = _zipped({f"gemel_{source.project}/{name}": head + dump(each) for name, each in files.items()})
    count = sum(len(star.metrics) for star in kept_stars)
    return Exported(TOOL, content, count, tuple(refused), tuple(notes(kept_stars)))


def _expressible(source: Source, star: Star) -> tuple[Star, list[Refusal]]:
    """Superset renders its content as templates, so metrics with `{{` in their SQL are refused."""
    refused = []
    formulas = _formulas(source, star)
    values = {each.name: each.value for each in plan_wide(source.graph, _wide(source, star, formulas)).outputs}
    for formula in formulas:
        read = [formula.expression, *(values[item.name] for item in formula.inputs)]
        try:
            text = " ".join(write_expression(each, source.dialect, bare(source.dialect)) for each in read)
        except QueryError as error:
            refused.append(Refusal(formula.metric.name, error.message))
            continue
        if "{{" in text or "{%" in text:
            refused.append(
                Refusal(formula.metric.name, "its SQL contains braces, which Superset renders as a template")
            )
    return restrict(star, refused), refused


def _formulas(source: Source, star: Star) -> list[Formula]:
    wanted = {each.metric.name for each in star.metrics}
    metrics = formulas_of(source.graph, star.facts.model.name).metrics
    return [each for each in metrics if isinstance(each, Formula) and each.metric.name in wanted]


def _wide(source: Source, star: Star, formulas: Sequence[Formula]) -> Wide:
    """The wide view with the columns that these metrics aggregate."""
    built = source.views.get(star.facts.model.name)
    wide = widen(source.graph, star.facts.model.name, hops=built.hops if built else LISTED_HOPS)
    used = {item for formula in formulas for item in formula.inputs}
    inputs = tuple(each for each in wide.formulas.inputs if each in used)
    return replace(wide, formulas=replace(wide.formulas, inputs=inputs))


def _compile(source: Source, wide: Wide) -> Compiled:
    engine = engine_of(source.dialect)
    tables = named(frozenset() if source.dialect == "duckdb" else None, home=engine)
    return compiled(plan_wide(source.graph, wide), Context(engine, tables))


def _dataset(source: Source, star: Star) -> dict[str, Any]:
    formulas = _formulas(source, star)
    wide = _wide(source, star, formulas)
    select = _compile(source, wide)
    types = source.types(select)
    built = source.views.get(star.facts.model.name)
    name = built.relation.name if built else f"{star.facts.model.name}_metrics"
    return without_empty(
        {
            "table_name": name,
            "main_dttm_col": next((each.name for each in wide.columns if _is(each, wide)), None),
            "description": one_line(star.facts.model.description),
            "schema": (built.relation if built else star.facts.relation).schema,
            "sql": None if built else select.sql,
            "uuid": str(uuid.uuid5(_NAMES, f"{source.project}.{star.facts.model.name}")),
            "columns": [_column(each, types) for each in wide.columns]
            + [_aggregated(each, types) for each in wide.formulas.inputs],
            "metrics": [_metric(source, each) for each in formulas],
            "version": VERSION,
            "database_uuid": _database_uuid(source),
        }
    )


def _is(column: GroupColumn, wide: Wide) -> bool:
    return wide.time is not None and not column.attribute.hops and column.attribute.element == wide.time


def _column(column: GroupColumn, types: Any) -> dict[str, Any]:
    element = column.attribute.element
    kind = types.get(column.name)
    return without_empty(
        {
            "column_name": column.name,
            "verbose_name": one_line(element.label),
            "description": one_line(element.description),
            "type": kind,
            "is_dttm": column.attribute.grain is not None,
        }
    ) | {"is_active": True, "groupby": True, "filterable": True}


def _aggregated(item: Input, types: Any) -> dict[str, Any]:
    """A column that only metrics read, and nobody groups by."""
    text = f"The values that measure {item.leaf.measure.name} aggregates."
    column = without_empty({"column_name": item.name, "description": text, "type": types.get(item.name)})
    return column | {"is_dttm": False, "is_active": True, "groupby": False, "filterable": False}


def _metric(source: Source, formula: Formula) -> dict[str, Any]:
    metric = formula.metric
    return without_empty(
        {
            "metric_name": metric.name,
            "verbose_name": one_line(metric.label),
            "expression": write_expression(formula.expression, source.dialect, bare(source.dialect)),
            "description": one_line(metric.description),
        }
    )


def _database(source: Source) -> dict[str, Any]:
    uri = source.uri()
    # A process that opens a DuckDB file for writing locks out all others.
    reads = {"engine_params": {"connect_args": {"read_only": True}}} if uri.startswith("duckdb:///") else {}
    return {
        "database_name": source.project,
        "sqlalchemy_uri": uri,
        "expose_in_sqllab": True,
        "extra": reads,
        "uuid": _database_uuid(source),
        "version": VERSION,
    }


def _database_uuid(source: Source) -> str:
    return str(uuid.uuid5(_NAMES, source.project))


def _zipped(files: dict[str, str]) -> bytes:
    """A ZIP file, with the same bytes for the same files."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), text)
    return written.getvalue()
