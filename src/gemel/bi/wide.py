"""The wide view of a semantic model: its rows, with everything they join and everything that is aggregated.

Every join is many-to-one, so no row is duplicated. Columns to group by have their names in queries, `carrier__name`,
a time without its grain; columns to aggregate have the name of their measure or metric.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from gemel.bi.declared import DeclaredView
from gemel.bi.formulas import Formula, Formulas, Input, NoFormula, formulas_of, no_metric, time_of
from gemel.bi.models import BiModel, Column, sentence
from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.joins import FARTHEST_HOPS
from gemel.compiler.names.terms import Predicate
from gemel.compiler.plan.algebra import Derive, Named
from gemel.compiler.plan.facts import Facts
from gemel.compiler.question.expressions import bound, conjunction, parenthesized, present
from gemel.compiler.sql.dialects import say
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, BiError, QueryError
from gemel.spec.manifest import Dimension, Entity, SemanticModel

MOST_COLUMNS = 1_000
"""PostgreSQL allows 1,600; BigQuery allows 10,000, and shows a tenth of them."""


@dataclass(frozen=True, slots=True)
class GroupColumn:
    """A column to group and filter by: an entity or a dimension that the rows of the model reach."""

    name: str
    attribute: Attribute


@dataclass(frozen=True, slots=True)
class Wide:
    """The content of a wide view. `lost` are columns of histories, if the model has no time to look them up by."""

    model: str
    time: Dimension | None
    columns: tuple[GroupColumn, ...]
    lost: tuple[str, ...]
    formulas: Formulas


def widen(graph: Graph, model: str, *, hops: int | None = None) -> Wide:
    """The wide view of a semantic model, with the tables within `hops` joins; by default, with all of them."""
    time = time_of(graph, model)
    columns = list(_group_columns(graph, model, hops))
    lost = [each for each in columns if time is None and _has_history(graph, each.attribute)]
    kept = tuple(each for each in columns if each not in lost)
    return Wide(model, time, kept, tuple(each.name for each in lost), formulas_of(graph, model))


def wide_model(graph: Graph, declared: DeclaredView, dialect: str) -> BiModel:
    """The dbt model, with the formulas of its metrics. Raises BiError (G706) if it would have too many columns."""
    about = About("semantic_model", declared.model)
    model = graph.models[declared.model]
    wide = widen(graph, declared.model, hops=declared.hops)
    count = len(wide.columns) + len(wide.formulas.inputs)
    if count > MOST_COLUMNS:
        raise BiError(
            "G706",
            f"the wide view of semantic model {declared.model!r} would have {count:,} columns",
            hint="limit the number of joins, for example `wide_view: {hops: 1}`",
            about=about,
        )
    formulas, reasons = _write_formulas(wide, dialect)
    key = next((e.name for e in model.entities if e.type == "primary" and e.name not in graph.composites), None)
    columns = [Column(each.name, _describe_column(each), cut=_is_time(each)) for each in wide.columns]
    columns += [_input_column(each, wide.formulas) for each in wide.formulas.inputs]
    meta = {"wide_view_of": declared.model, "metrics": formulas, "metrics_without_formula": reasons}
    return BiModel(
        source=declared.file,
        plan=plan_wide(graph, wide),
        export=declared.export,
        description=_description(model, formulas),
        columns=tuple(columns),
        keys=tuple(each.name for each in wide.columns if key is not None and _is_of(each, key)),
        meta=meta | ({"columns_without_a_time": list(wide.lost)} if wide.lost else {}),
        about=about,
        each=key or "row",
    )


def plan_wide(graph: Graph, wide: Wide) -> Derive:
    """The rows with the joins that the columns need, and the columns."""
    time = Attribute(wide.model, (), wide.time) if wide.time else None
    facts = Facts(graph, graph.models[wide.model], time, no_metric)
    outputs = [Named(each.name, facts.value(each.attribute)) for each in wide.columns]
    outputs += [Named(each.name, aggregated(facts, each)) for each in wide.formulas.inputs]
    return Derive(facts.rows, tuple(outputs))


def _group_columns(graph: Graph, model: str, hops: int | None) -> Iterator[GroupColumn]:
    """The columns with one join path: a name with two is ambiguous. One column for each part of a composite key."""
    existing: set[tuple[object, ...]] = set()
    for segments, attribute in _attributes(graph, model, FARTHEST_HOPS if hops is None else hops).items():
        target = (attribute.hops, attribute.element)
        if target in existing:  # under another of the model's own keys
            continue
        existing.add(target)
        name = "__".join(segments)
        match attribute.element:
            case Entity(name=entity) if entity in graph.composites:
                for place, part in enumerate(graph.composites[entity]):
                    yield GroupColumn(f"{name}__{part}", replace(attribute, component=place))
            case Dimension(grain=str() as grain):
                yield GroupColumn(name, replace(attribute, grain=grain))
            case _:
                yield GroupColumn(name, attribute)


def _attributes(graph: Graph, model: str, hops: int) -> dict[tuple[str, ...], Attribute]:
    """Hop by hop, until there is nothing more."""
    attributes = graph.attributes(model, 0)
    for length in range(1, hops + 1):
        more = graph.attributes(model, length)
        if len(more) == len(attributes) or len(more) > MOST_COLUMNS:
            return more
        attributes = more
    return attributes


def _has_history(graph: Graph, attribute: Attribute) -> bool:
    return any(graph.ways.has_validity(hop.model) for hop in attribute.hops)


def aggregated(facts: Facts, column: Input) -> exp.Expr:
    """The value of a column to aggregate."""
    leaf, value = column.leaf, facts.measured(column.leaf)
    one, zero = exp.Literal.number(1), exp.Literal.number(0)
    if column.holds == "rows":
        value = one
    elif leaf.measure.agg == "count":
        value = (
            one
            if isinstance(value, exp.Literal)
            else exp.case().when(present(parenthesized(value.copy())), one).else_(zero)
        )
    if not leaf.filters:
        return value
    return exp.case().when(conjunction([facts.predicate(each) for each in leaf.filters]), value)


def _write_formulas(wide: Wide, dialect: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The metrics with a formula in the dialect, and the reasons why the others have none."""
    formulas: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for each in wide.formulas.metrics:
        name = each.metric.name
        match each:
            case Formula():
                try:
                    formulas[name] = _entry(wide, each, say(each.expression, dialect))
                except QueryError as error:
                    reasons[name] = error.message
            case NoFormula(reason=reason):
                reasons[name] = reason
    return formulas, reasons


def _entry(wide: Wide, formula: Formula, text: str) -> dict[str, Any]:
    own = ((each.name, each.attribute) for each in wide.columns if not each.attribute.hops)
    time = next((name for name, attribute in own if attribute.element == formula.time), None)
    label = {"label": formula.metric.label} if formula.metric.label else {}
    return {**label, "type": formula.metric.type, "formula": text, **({"time": time} if time else {})}


def _is_of(column: GroupColumn, entity: str) -> bool:
    return not column.attribute.hops and isinstance(column.attribute.element, Entity) and column.name == entity


def _description(model: SemanticModel, formulas: dict[str, Any]) -> str:
    """The text in dbt's docs, with the formulas to copy."""
    text = sentence(model.description or model.label or f"The semantic model {model.name}")
    text += " One row for each of its rows, with everything they join."
    listed = "; ".join(f"{name} = {entry['formula']}" for name, entry in formulas.items())
    return f"{text} Formulas of metrics, for any grouping: {listed}." if listed else text


def _is_time(column: GroupColumn) -> bool:
    return isinstance(column.attribute.element, Dimension) and column.attribute.element.is_time


def _describe_column(column: GroupColumn) -> str | None:
    element = column.attribute.element
    text = element.description or element.label
    by = f" By {element.grain}." if isinstance(element, Dimension) and element.grain else ""
    return f"{sentence(text)}{by}" if text else None


_HOW = {"count": "SUM", "sum": "SUM", "average": "AVG", "min": "MIN", "max": "MAX", "count_distinct": "COUNT(DISTINCT)"}


def _input_column(item: Input, formulas: Formulas) -> Column:
    """A column to aggregate, with its aggregate in its meta."""
    measure = item.leaf.measure
    users = [each.metric.name for each in formulas.metrics if isinstance(each, Formula) and item in each.inputs]
    if item.holds == "rows":
        return Column(item.name, "1 for each row that is counted.", meta={"aggregate": "COUNT", "metrics": users})
    text = measure.description or measure.label or f"The values that measure {measure.name} aggregates."
    if item.leaf.filters:
        text = f"{text.strip().rstrip('.')}, where {' and '.join(_filter_text(each) for each in item.leaf.filters)}."
    how = _HOW.get(measure.agg, measure.agg)
    return Column(item.name, text, meta={"measure": measure.name, "aggregate": how, "metrics": users})


def _filter_text(predicate: Predicate) -> str:
    """A filter over the names of the columns of the view, without dbt's braces."""
    names = [exp.column(key.name) for key in predicate.keys]
    return bound(predicate.template, names).sql(DIALECT) if names else predicate.template.tree.sql(DIALECT)
