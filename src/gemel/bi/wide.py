"""The wide view of a semantic model: a row for each of its rows, with all that it leads to and all that is aggregated.

Every join is many-to-one, so that no row is there twice. Columns are named as a query names them, `carrier__name`, a
time without its grain, and what is aggregated by its measure or its metric.
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
"""PostgreSQL has room for 1,600, and BigQuery shows a tenth of its 10,000."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A column to group and filter by: an entity or a dimension, as the rows of the model see it."""

    name: str
    attribute: Attribute


@dataclass(frozen=True, slots=True)
class Wide:
    """What a wide view has. `lost` are the columns that a table with a history has and no time to look them up by."""

    model: str
    time: Dimension | None
    seen: tuple[Seen, ...]
    lost: tuple[str, ...]
    formulas: Formulas


def widen(graph: Graph, model: str, *, hops: int | None = None) -> Wide:
    """The wide view of a semantic model, with what at most that many hops lead to; by default, with everything."""
    time = time_of(graph, model)
    found = list(_seen(graph, model, hops))
    lost = [each for each in found if time is None and _has_history(graph, each.attribute)]
    kept = tuple(each for each in found if each not in lost)
    return Wide(model, time, kept, tuple(each.name for each in lost), formulas_of(graph, model))


def wide_model(graph: Graph, declared: DeclaredView, dialect: str) -> BiModel:
    """The dbt model, with the formulas beside it. Raises BiError (G706) for more columns than tables have."""
    about = About("semantic_model", declared.model)
    model = graph.models[declared.model]
    wide = widen(graph, declared.model, hops=declared.hops)
    count = len(wide.seen) + len(wide.formulas.inputs)
    if count > MOST_COLUMNS:
        raise BiError(
            "G706",
            f"the wide view of semantic model {declared.model!r} would have {count:,} columns",
            hint="say how many joins it goes at most, as `wide_view: {hops: 1}`",
            about=about,
        )
    said, unsaid = _told(wide, dialect)
    key = next((e.name for e in model.entities if e.type == "primary" and e.name not in graph.composites), None)
    columns = [Column(each.name, _described(each), cut=_is_time(each)) for each in wide.seen]
    columns += [_input_column(each, wide.formulas) for each in wide.formulas.inputs]
    meta = {"wide_view_of": declared.model, "metrics": said, "metrics_without_formula": unsaid}
    return BiModel(
        source=declared.file,
        plan=plan_wide(graph, wide),
        export=declared.export,
        description=_text(model, said),
        columns=tuple(columns),
        keys=tuple(each.name for each in wide.seen if key is not None and _is_of(each, key)),
        meta=meta | ({"columns_without_a_time": list(wide.lost)} if wide.lost else {}),
        about=about,
        each=key or "row",
    )


def plan_wide(graph: Graph, wide: Wide) -> Derive:
    """The rows, joined as far as the columns need, and the columns."""
    time = Attribute(wide.model, (), wide.time) if wide.time else None
    facts = Facts(graph, graph.models[wide.model], time, no_metric)
    outputs = [Named(each.name, facts.value(each.attribute)) for each in wide.seen]
    outputs += [Named(each.name, aggregated(facts, each)) for each in wide.formulas.inputs]
    return Derive(facts.rows, tuple(outputs))


def _seen(graph: Graph, model: str, hops: int | None) -> Iterator[Seen]:
    """Those that are reached in one way only: a name with two says neither. One column for each part of a key."""
    taken: set[tuple[object, ...]] = set()
    for segments, attribute in _attributes(graph, model, FARTHEST_HOPS if hops is None else hops).items():
        what = (attribute.hops, attribute.element)
        if what in taken:  # under another of the model's own keys
            continue
        taken.add(what)
        name = "__".join(segments)
        match attribute.element:
            case Entity(name=entity) if entity in graph.composites:
                for place, part in enumerate(graph.composites[entity]):
                    yield Seen(f"{name}__{part}", replace(attribute, component=place))
            case Dimension(grain=str() as grain):
                yield Seen(name, replace(attribute, grain=grain))
            case _:
                yield Seen(name, attribute)


def _attributes(graph: Graph, model: str, hops: int) -> dict[tuple[str, ...], Attribute]:
    """Hop by hop, until there is nothing more to find."""
    found = graph.attributes(model, 0)
    for length in range(1, hops + 1):
        more = graph.attributes(model, length)
        if len(more) == len(found) or len(more) > MOST_COLUMNS:
            return more
        found = more
    return found


def _has_history(graph: Graph, attribute: Attribute) -> bool:
    return any(graph.ways.has_validity(hop.model) for hop in attribute.hops)


def aggregated(facts: Facts, given: Input) -> exp.Expr:
    """What a column to aggregate holds."""
    leaf, value = given.leaf, facts.measured(given.leaf)
    one, zero = exp.Literal.number(1), exp.Literal.number(0)
    if given.holds == "rows":
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


def _told(wide: Wide, dialect: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The metrics that are said in a dialect, and why the others are not."""
    said: dict[str, Any] = {}
    unsaid: dict[str, str] = {}
    for each in wide.formulas.metrics:
        name = each.metric.name
        match each:
            case Formula():
                try:
                    said[name] = _entry(wide, each, say(each.expression, dialect))
                except QueryError as error:
                    unsaid[name] = error.message
            case NoFormula(reason=reason):
                unsaid[name] = reason
    return said, unsaid


def _entry(wide: Wide, formula: Formula, text: str) -> dict[str, Any]:
    time = next((each.name for each in wide.seen if _is_own(each, formula.time)), None)
    label = {"label": formula.metric.label} if formula.metric.label else {}
    return {**label, "type": formula.metric.type, "formula": text, **({"time": time} if time else {})}


def _is_own(seen: Seen, time: Dimension) -> bool:
    return not seen.attribute.hops and seen.attribute.element == time


def _is_of(seen: Seen, entity: str) -> bool:
    return not seen.attribute.hops and isinstance(seen.attribute.element, Entity) and seen.name == entity


def _text(model: SemanticModel, said: dict[str, Any]) -> str:
    """What people read in dbt's docs: the formulas, to be copied."""
    told = sentence(model.description or model.label or f"The semantic model {model.name}")
    told += " A row for each of its rows, with what it leads to."
    formulas = "; ".join(f"{name} = {entry['formula']}" for name, entry in said.items())
    return f"{told} Metrics, whatever columns it is grouped by: {formulas}." if formulas else told


def _is_time(seen: Seen) -> bool:
    return isinstance(seen.attribute.element, Dimension) and seen.attribute.element.is_time


def _described(seen: Seen) -> str | None:
    element = seen.attribute.element
    told = element.description or element.label
    by = f" By {element.grain}." if isinstance(element, Dimension) and element.grain else ""
    return f"{sentence(told)}{by}" if told else None


_HOW = {"count": "SUM", "sum": "SUM", "average": "AVG", "min": "MIN", "max": "MAX", "count_distinct": "COUNT(DISTINCT)"}


def _input_column(given: Input, formulas: Formulas) -> Column:
    """What is aggregated is of no use to group by, and says how to aggregate it."""
    measure = given.leaf.measure
    users = [each.metric.name for each in formulas.metrics if isinstance(each, Formula) and given in each.inputs]
    if given.holds == "rows":
        return Column(given.name, "1 for each row that counts.", meta={"aggregate": "COUNT", "metrics": users})
    told = measure.description or measure.label or f"What measure {measure.name} aggregates."
    if given.leaf.filters:
        told = f"{told.strip().rstrip('.')}, where {' and '.join(_filter_text(each) for each in given.leaf.filters)}."
    how = _HOW.get(measure.agg, measure.agg)
    return Column(given.name, told, meta={"measure": measure.name, "aggregate": how, "metrics": users})


def _filter_text(predicate: Predicate) -> str:
    """A filter as the view's reader sees it: the names of the columns, without dbt's braces."""
    names = [exp.column(key.name) for key in predicate.keys]
    return bound(predicate.template, names).sql(DIALECT) if names else predicate.template.tree.sql(DIALECT)
