"""Facts outside the time spine: what is accumulated, offset or joined to the spine has no row at their times."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from gemel.checks.tables import Tables, select_from, spine_column
from gemel.compiler.compiled import Context, compile_select, compiled
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Key, Leaf, Metrics, Resolved, Shifted, Span, Term, Trailing
from gemel.compiler.plan.algebra import Aggregate, Summary
from gemel.compiler.plan.facts import filtered, timestamp, truncated, within
from gemel.compiler.plan.meetings import own_step
from gemel.compiler.plan.planning import facts_of
from gemel.compiler.plan.spines import spine_for
from gemel.compiler.plan.trailing import spine_step_of
from gemel.compiler.question.expressions import column
from gemel.errors import About, DefinitionError, GemelError
from gemel.run import Runner
from gemel.spec.manifest import Dimension, SemanticModel, TimeSpine
from gemel.spec.time import GRAINS, coarsest, finer, floor, step


def off_spine(graph: Graph, tables: Tables, warehouse: Runner) -> Iterator[GemelError]:
    """The facts of each metric that uses a time spine which are outside it, by any grain that it can be queried at."""
    ends = _Ends(graph, warehouse)
    users: dict[tuple[str, str, TimeSpine], list[str]] = {}
    for metric in graph.metrics.values():
        if metric.private or metric.definition.on_spine is None:
            continue
        try:
            times = [(measure, graph.time_dimension(measure).grain or "day") for measure in graph.measures(metric)]
        except GemelError:
            continue  # reported with the measure
        for measure, grain in times:
            for spine in _spines_from(graph, grain):
                names = users.setdefault((measure.model, measure.time_dimension, spine), [])
                names += [metric.name] if metric.name not in names else []
    for (model_name, time_name, spine), names in users.items():
        model, time = graph.models[model_name], graph.dimension(model_name, time_name)
        if time is None or tables.type(model.relation, time.expr) is None:
            continue
        if tables.type(spine.relation, spine_column(spine.column)) is None:
            continue
        outside = ends.outside(model, time, spine, coarsest([time.grain or "day", spine.grain]))
        if outside is not None:
            yield _finding(spine, outside, model, names)


def off_spine_of(graph: Graph, resolved: Resolved, warehouse: Runner) -> Iterator[GemelError]:
    """The facts outside the time spine that a query asks for."""
    if not isinstance(resolved, Metrics):
        return
    ends = _Ends(graph, warehouse)
    users: dict[tuple[Leaf, TimeSpine, str], list[str]] = {}
    for output in resolved.outputs:
        for leaf, keys in _uses(graph, output.term):
            spine = spine_for(graph, keys)
            grain = min((graph.grain_of(key.grain or "day") for key in keys), key=GRAINS.index)
            names = users.setdefault((leaf, spine, coarsest([grain, spine.grain])), [])
            names += [output.name] if output.name not in names else []
    for (leaf, spine, grain), names in users.items():
        model, time = graph.models[leaf.measure.model], leaf.time.element
        assert isinstance(time, Dimension)
        outside = ends.outside(model, time, spine, grain, leaf.span)
        if outside is not None and leaf.filters:
            outside = _passing(graph, warehouse, leaf, outside)
        if outside is not None:
            yield _finding(spine, outside, model, names)


@dataclass(frozen=True, slots=True)
class _Outside:
    """Facts outside a spine, which holds the times of `inside`."""

    facts: int
    first: dt.datetime
    last: dt.datetime
    inside: Span

    def condition(self, moment: exp.Expr) -> exp.Expr:
        assert self.inside.start is not None and self.inside.end is not None
        before = exp.LT(this=moment.copy(), expression=timestamp(self.inside.start))
        after = exp.GTE(this=moment.copy(), expression=timestamp(self.inside.end))
        return exp.paren(exp.or_(before, after, copy=False))


class _Ends:
    """The first and the last time of each spine, read once."""

    def __init__(self, graph: Graph, warehouse: Runner) -> None:
        self._graph = graph
        self._warehouse = warehouse
        self._ends: dict[TimeSpine, tuple[dt.datetime, dt.datetime] | None] = {}

    def outside(
        self, model: SemanticModel, time: Dimension, spine: TimeSpine, grain: str, span: Span | None = None
    ) -> _Outside | None:
        """The facts outside a spine by a grain. None if there are none, or the spine has no rows at all: G165."""
        ends = self._of(spine)
        if ends is None:
            return None
        inside = Span(floor(ends[0], grain), step(floor(ends[1], grain), grain, 1))
        if span and span.start and span.end and _holds(inside, span.start, span.end):
            return None
        moment = column("c0", "facts")
        source = select_from(self._graph, self._warehouse, model.relation, [time.expr]).subquery("facts")
        outside = _Outside(0, ends[0], ends[1], inside)
        outputs = [exp.Count(this=exp.Star()), exp.Min(this=moment.copy()), exp.Max(this=moment.copy())]
        select = exp.select(*outputs).from_(source).where(outside.condition(moment), *within(moment, span))
        [(facts, first, last)] = _query(self._warehouse, select)
        return replace(outside, facts=facts, first=first, last=last) if facts else None

    def _of(self, spine: TimeSpine) -> tuple[dt.datetime, dt.datetime] | None:
        if spine not in self._ends:
            moment = truncated(column("c0", "steps"), spine.grain, None)
            texts = [spine_column(spine.column)]
            source = select_from(self._graph, self._warehouse, spine.relation, texts).subquery("steps")
            select = exp.select(exp.Min(this=moment), exp.Max(this=moment.copy())).from_(source)
            [(first, last)] = _query(self._warehouse, select)
            self._ends[spine] = None if first is None else (_moment(first), _moment(last))
        return self._ends[spine]


def _passing(graph: Graph, warehouse: Runner, leaf: Leaf, outside: _Outside) -> _Outside | None:
    """Those of the facts outside that pass the filters of a metric and of the query."""
    facts = facts_of(graph, leaf)
    rows = facts.where(leaf.filters, leaf.span)
    moment = facts.moment()
    counted = (
        Summary("facts", "count", exp.Literal.number(1)),
        Summary("first", "min", moment),
        Summary("last", "max", moment.copy()),
    )
    plan = Aggregate(filtered(rows, [outside.condition(moment)]), (), counted)
    context = Context.naming(warehouse.dialect, warehouse.catalogs())
    [(number, first, last)] = warehouse.rows(compiled(plan, context)).rows()
    return replace(outside, facts=number, first=first, last=last) if number else None


def _uses(graph: Graph, term: Term) -> Iterator[tuple[Leaf, tuple[Key, ...]]]:
    """The leaves that a term joins to a time spine, each with the keys that the spine must have."""
    match term:
        case Leaf():
            if term.spine:
                yield term, term.times
        case Trailing(leaf):
            yield leaf, tuple(dict.fromkeys((own_step(leaf.times, spine_step_of(graph, term)), *leaf.times)))
        case Shifted():
            for leaf in _leaves(term.term):
                yield replace(leaf, span=term.span), term.times
        case _:
            for inner, _ in term.inner:
                yield from _uses(graph, inner)


def _leaves(term: Term) -> Iterable[Leaf]:
    if isinstance(term, Leaf):
        return [term]
    return [leaf for inner, _ in term.inner for leaf in _leaves(inner)]


def _spines_from(graph: Graph, grain: str) -> Iterable[TimeSpine]:
    """The spines that a metric of a grain uses: by its own grain, or by a coarser one."""
    grains = GRAINS[GRAINS.index(grain) :]
    served = (each for each in grains if any(not finer(each, spine.grain) for spine in graph.spines))
    return dict.fromkeys(graph.spine(each) for each in served)


def _finding(spine: TimeSpine, outside: _Outside, model: SemanticModel, names: list[str]) -> GemelError:
    assert outside.inside.start is not None and outside.inside.end is not None
    facts = "1 fact" if outside.facts == 1 else f"{outside.facts:,} facts"
    last = outside.inside.end - dt.timedelta(microseconds=1)
    return DefinitionError(
        "G167",
        f"{facts} of {model.name!r}, {_when(outside)}, "
        f"{'is' if outside.facts == 1 else 'are'} outside time spine {spine.relation.name!r}, which has "
        f"{_day(outside.inside.start)} to {_day(last)}: {', '.join(names)} has no values at those times",
        hint="extend the time spine's dbt model to these times, or correct the times of the facts",
        about=About("time_spine", spine.relation.name),
        severity="warning",
    )


def _holds(inside: Span, start: dt.datetime, end: dt.datetime) -> bool:
    return inside.start is not None and inside.end is not None and inside.start <= start and end <= inside.end


def _when(outside: _Outside) -> str:
    first, last = _day(outside.first), _day(outside.last)
    return f"on {first}" if first == last else f"from {first} to {last}"


def _day(moment: dt.date) -> str:
    return str(moment)[:10]


def _moment(value: dt.date) -> dt.datetime:
    """The wall clock of a date or of a time that may have a zone."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return dt.datetime.combine(value, dt.time())


def _query(warehouse: Runner, select: exp.Select) -> list[tuple[Any, ...]]:
    return warehouse.rows(compile_select(select, warehouse.dialect)).rows()
