"""The wide view of a semantic model: a row for each of its rows, with all that it leads to and all that is aggregated.

Every join is many-to-one, so that no row is there twice. Columns are named as a query names them, `carrier__name`, a
time without its grain, and what is aggregated by its measure or its metric.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.bi.formulas import Formulas, Input, formulas_of, time_of
from gemel.compiler.algebra import Derive, Named
from gemel.compiler.expressions import conjunction, parenthesized, present
from gemel.compiler.facts import Facts
from gemel.compiler.graph import Attribute, Graph
from gemel.compiler.terms import PerEntity
from gemel.compiler.ways import FARTHEST_HOPS
from gemel.spec.manifest import Dimension, Entity

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


def plan_wide(graph: Graph, wide: Wide) -> Derive:
    """The rows, joined as far as the columns need, and the columns."""
    time = Attribute(wide.model, (), wide.time) if wide.time else None
    facts = Facts(graph, graph.models[wide.model], time, _refuse_metric)
    outputs = [Named(each.name, facts.value(each.attribute)) for each in wide.seen]
    outputs += [Named(each.name, _aggregated(facts, each)) for each in wide.formulas.inputs]
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


def _aggregated(facts: Facts, given: Input) -> exp.Expr:
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


def _refuse_metric(operand: PerEntity) -> Derive:
    raise AssertionError(f"no formula has a filter by metric {operand.name}")
