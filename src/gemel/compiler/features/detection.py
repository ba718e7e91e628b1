"""The fingerprint of a feature table's facts, from which a later build finds the steps whose facts have changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.compiler.features.cells import BEGAN, MOMENT, Bounds, Cells, Counted, Turned, cell_of
from gemel.compiler.features.histories import OwnRow, own_row
from gemel.compiler.features.moments import plan_cells, view_terms
from gemel.compiler.features.reach import find_latest
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Leaf
from gemel.compiler.plan.algebra import (
    Aggregate,
    Combine,
    Derive,
    Lookup,
    Named,
    Plan,
    Scan,
    Stack,
    Summary,
)
from gemel.compiler.plan.facts import filtered
from gemel.compiler.plan.parts import of_one
from gemel.compiler.plan.rewrites import tidy
from gemel.compiler.question.expressions import column, equal, free, interval, present
from gemel.engines.engine import RowHash
from gemel.spec.feature_views import DimensionFeature, FeatureView
from gemel.spec.manifest import Dimension
from gemel.spec.time import Window

FACTS, HASH = "facts", "hash"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Facts after their joins: the moment that first sees each, and the `columns` that are hashed."""

    rows: Derive
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """An entity's own row, with its dimensions that are features."""

    own: OwnRow
    dimensions: tuple[Dimension, ...]

    def values(self, graph: Graph) -> list[exp.Expr]:
        return [self.own.column(graph, each) for each in self.dimensions]


def plan_fingerprint(graph: Graph, view: FeatureView, *, until: exp.Expr, row_hash: RowHash) -> Plan:
    """For each moment of a row, the number of `facts` that it is the first to see, and the sum of their `hash`es.

    Whatever changes a row of the table changes the fingerprint of a moment at which the row is, or before. Facts are
    hashed after their joins and with what the table shows of their entities, and a version of a dimension is two facts:
    it began, and it ended. A sum tells two equal facts from none, and a XOR would not.
    """
    shown = _find_own_rows(graph, view)
    current = [each for each in shown if not each.own.edges]
    versioned = [each for each in shown if each.own.edges]
    bounds = Bounds(until=find_latest(view, until))
    cells = plan_cells(graph, view, view_terms(graph, view).values(), bounds)
    prepared = [(facts, current) for facts in _prepare(graph, view, cells, bounds, whole=bool(versioned))]
    prepared += [(facts, []) for each in versioned for facts in _prepare_versions(graph, view, each, bounds)]
    sums = []
    for number, (facts, beside) in enumerate(prepared, 1):
        # Equal rows of two kinds of facts are not the same.
        kind = [exp.Literal.number(number)] if len(prepared) > 1 else []
        rows, moment, values = _join(graph, view, facts, beside)
        summaries = (
            Summary(FACTS, "count", exp.Literal.number(1)),
            Summary(HASH, "sum", row_hash.of([*kind, *values])),
        )
        sums.append(Aggregate(rows, (moment,), summaries))
    if len(sums) == 1:
        return sums[0]
    together = Scan(Stack(tuple(sums), "by_step"), "by_step")
    totals = tuple(Summary(name, "sum", column(name, "by_step")) for name in (FACTS, HASH))
    return Aggregate(together, (Named(MOMENT, column(MOMENT, "by_step")),), totals)


def _find_own_rows(graph: Graph, view: FeatureView) -> list[Shown]:
    found: dict[Scan, Shown] = {}
    for feature in view.features:
        if isinstance(feature, DimensionFeature):
            own = own_row(graph, view.entities, feature.dimension)
            others = found[own.table].dimensions if own.table in found else ()
            found[own.table] = Shown(own, tuple(dict.fromkeys((*others, own.dimension))))
    return list(found.values())


def _prepare(graph: Graph, view: FeatureView, cells: Cells, bounds: Bounds, *, whole: bool) -> Iterator[Prepared]:
    """The facts of the metrics, once for all metrics of one model.

    With `whole` those that pass no filter are among them: an entity's rows then begin with its first fact.
    """
    parts: list[Plan] = []
    for source, cell in cells.items():
        if isinstance(cell, Turned):
            yield Prepared(cell.rows, (*cell.keys, BEGAN, *(part.name for part in cell.parts)))
            continue
        raw = () if cell.adds_up else (Summary(f"{cell.name}_value", "min", cell.events.value),)
        parts.append(_grouped(cell, (*cell.parts, *raw)))
        if whole and isinstance(source, Leaf) and source.filters:
            name = f"{cell.name}_unfiltered"
            unfiltered = cell_of(graph, replace(source, filters=()), name, Window(1, view.schedule), bounds)
            assert isinstance(unfiltered, Counted)
            parts.append(_grouped(unfiltered, (Summary(name, "count", exp.Literal.number(1)),)))
    names = (*view.entities, MOMENT)
    together = tidy(Combine(tuple(parts), names)) if len(parts) > 1 else parts[0] if parts else None
    for group in together.inputs if isinstance(together, Combine) else (together,):
        if isinstance(group, Aggregate):
            values = tuple(_values(group.values, seen={key.value for key in group.keys}))
            yield Prepared(
                Derive(group.input, (*group.keys, *values)), (*view.entities, *(value.name for value in values))
            )


def _grouped(cell: Counted, values: tuple[Summary, ...]) -> Aggregate:
    return Aggregate(cell.events.rows, (*cell.events.keys, cell.events.moment), values)


def _values(summaries: Sequence[Summary], seen: set[exp.Expr]) -> Iterator[Named]:
    """What one fact adds to each summary, without what is the same for every fact, or follows from another value."""
    whole = {(each.value, each.where) for each in summaries if each.function != "count"}
    for each in summaries:
        value = of_one(each)
        follows = each.function == "count" and (each.value, each.where) in whole
        if not follows and not isinstance(value, exp.Literal) and value not in seen:
            seen.add(value)
            yield Named(each.name, value)


def _prepare_versions(graph: Graph, view: FeatureView, shown: Shown, bounds: Bounds) -> Iterator[Prepared]:
    """The begins of an entity's versions, and their ends, each at the first moment at which it is known."""
    own = shown.own
    key = Named(own.entity, own.key)
    values = [Named(f"value_{number}", value) for number, value in enumerate(shown.values(graph), 1)]
    for turn in own.turns(graph, Window(1, view.schedule)):
        known = [present(own.key), present(turn)]
        assert bounds.until is not None
        rows = filtered(own.table, [*known, exp.LTE(this=turn.copy(), expression=bounds.until.copy())])
        outputs = (key, Named(MOMENT, turn), *values)
        yield Prepared(Derive(rows, outputs), (own.entity, *(value.name for value in values)))


def _join(
    graph: Graph, view: FeatureView, facts: Prepared, shown: Sequence[Shown]
) -> tuple[Plan, Named, list[exp.Expr]]:
    """Facts joined to what the table shows of their entities, the moment of the row that first sees each, and all that
    is hashed."""
    alias = free("known", {each.own.table.alias for each in shown})
    rows: Plan = Scan(facts.rows, alias)
    values: list[exp.Expr] = [column(name, alias) for name in facts.columns]
    for each in shown:
        rows = Lookup(rows, each.own.table, equal(column(each.own.entity, alias), each.own.key))
        values += each.values(graph)
    moment: exp.Expr = column(MOMENT, alias)
    if view.delay:
        moment = exp.Add(this=moment, expression=interval(view.delay))
    return rows, Named(MOMENT, moment), values
