"""Exact features: metrics of an entity at the moments of given rows, over windows that end exactly at those moments.

`F(entity, m, w)` is the same as on a schedule, except that `m` is a request's own time, less the view's delay. Facts
are summed by the grain at which they become known. A request sees those of `[m - w, m)`; facts known by the hour are
seen only when their hour is over.

Sums and counts are differences of running sums between the two ends of a window. What cannot be subtracted (a minimum,
or a sum of fractions, whose last digits would drift) is aggregated over a frame of the facts before the moment.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.features.cells import MOMENT, Bounds, Cells, cell_of
from gemel.compiler.features.histories import FIRST, first_moments, has_history
from gemel.compiler.features.moments import (
    cells_by_source,
    feature_term,
    over_window,
    sources_of,
    with_dimension,
)
from gemel.compiler.features.reach import find_window
from gemel.compiler.features.streams import ROW, FactRows, difference, moment_of, over, plan_sums
from gemel.compiler.features.whole_windows import equal_columns
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Converted, Leaf, Term
from gemel.compiler.plan.algebra import (
    Aggregate,
    Combine,
    Derive,
    Filter,
    Lookup,
    Named,
    Plan,
    Scan,
    Stack,
    Windowed,
)
from gemel.compiler.plan.parts import is_of_rows, of_one
from gemel.compiler.plan.planning import is_nothing
from gemel.compiler.plan.rewrites import tidy
from gemel.compiler.question.expressions import column, conjunction, equal, interval, present
from gemel.errors import About, BridgeError
from gemel.spec.feature_views import DimensionFeature, FeatureView, MetricFeature
from gemel.spec.manifest import Dimension, Relation
from gemel.spec.time import Window, finer


@dataclass(frozen=True, slots=True)
class StoredParts:
    """A table with the rows of `plan_parts`, and those of its columns that are never NULL."""

    table: Relation
    full: frozenset[str] = frozenset()


def plan_requests(
    graph: Graph,
    view: FeatureView,
    *,
    requests: Relation,
    drifting: Collection[str] = (),
    stored: StoredParts | None = None,
    streams: int = 1,
    whole: FeatureView | None = None,
) -> Derive:
    """The features of each row of `requests`, in no order. Columns: `__row`, then the features in order.

    `requests` has the columns `__row`, the entities and `event_timestamp`. `drifting` names the columns of
    `plan_parts` that are fractions. `stored` is the result of `plan_parts`, if it is in a table. `streams` is the
    number of threads for running sums. A `ttl` has no effect. A row has no features before the first fact of its entity
    in the `whole` view, of which `view` may be a part. Raises BridgeError (G51x).
    """
    terms, cells = _resolve(graph, view)
    keys = view.entities
    filled = [feature for feature, term in terms.items() if not is_nothing(term) or term.fill is not None]
    looks = dict.fromkeys(
        look
        for feature, term in terms.items()
        for source in sources_of(term)
        for look in cells[source].looks(find_window(graph, feature))
    )
    running = [look for look in looks if look.function == "sum" and look.value not in drifting]
    framed = [look for look in looks if look not in running]
    values = [Named(ROW, column(ROW, "requests")), *(Named(name, column(name, "requests")) for name in keys)]
    rows: Plan = Scan(requests, "requests")
    if running:
        facts = _fact_rows(cells, keys, stored)
        sums = plan_sums(view, requests, facts=facts, looks=running, streams=streams)
        if framed or filled or len(terms) < len(view.features):
            rows = _looked_up(rows, sums, "sums")
        else:  # every request is among the sums
            rows, values = Scan(sums, "sums"), [Named(ROW, column(ROW, "sums"))]
        values += [difference(look, facts) for look in running]
    if framed:
        rows = _looked_up(rows, _frames(view, requests, _fact_rows(cells, keys, stored), framed), "frames")
        values += [Named(look.name, column(look.name, "frames")) for look in framed]
    if filled or any(isinstance(each, DimensionFeature) and has_history(graph, view, each) for each in view.features):
        values.append(Named(MOMENT, moment_of(view)))
    rows = Scan(Derive(rows, tuple(values)), "features")
    if filled:
        rows = Lookup(
            rows,
            Scan(_first_moments(graph, whole or view), "since"),
            conjunction(equal_columns(keys, "features", "since")),
        )
    outputs = [Named(ROW, column(ROW, "features"))]
    for feature in view.features:
        if isinstance(feature, MetricFeature):
            value = over_window(terms[feature], cells, find_window(graph, feature))
            if feature in filled:
                is_known = exp.LTE(this=column(FIRST, "since"), expression=column(MOMENT, "features"))
                value = exp.case().when(is_known, value)
        else:
            rows, value = with_dimension(graph, view, feature, rows)
        outputs.append(Named(feature.name, value))
    return Derive(rows, tuple(outputs))


def plan_parts(graph: Graph, view: FeatureView) -> Plan | None:
    """The partial aggregates of the facts, whose types an engine can describe; None for a view of dimensions alone."""
    cells = _resolve(graph, view)[1]
    return _facts(cells, view.entities) if cells else None


def _resolve(graph: Graph, view: FeatureView) -> tuple[dict[MetricFeature, Term], Cells]:
    metrics = [feature for feature in view.features if isinstance(feature, MetricFeature)]
    terms = {feature: feature_term(graph, view, feature) for feature in metrics}
    cells = cells_by_source(
        terms.values(), lambda source, name: cell_of(graph, source, name, _grain(graph, source), Bounds())
    )
    for feature, term in terms.items():
        to_date = isinstance(find_window(graph, feature), str)
        if to_date or not all(cells[source].adds_up for source in sources_of(term)):
            raise BridgeError(
                "G556",
                f"metric {feature.metric!r} can be computed only at the moments of its table",
                hint="use --accuracy served",
                about=About("metric", feature.metric),
            )
    return terms, cells


def _first_moments(graph: Graph, view: FeatureView) -> Plan:
    """By entity, the first moment that sees a fact of any of the view's metrics."""
    metrics = [feature for feature in view.features if isinstance(feature, MetricFeature)]
    sources = [source for feature in metrics for source in sources_of(feature_term(graph, view, feature))]
    leaves = [source if isinstance(source, Leaf) else source.base for source in sources]
    return first_moments(graph, {leaf: _grain(graph, leaf) for leaf in leaves}, Bounds())


def _facts(cells: Cells, keys: tuple[str, ...]) -> Plan:
    """The facts, each at the first moment that can see it; facts of several models are summed by that moment."""
    buckets = [plan for cell in cells.values() for plan in cell.steps()]
    facts = tidy(buckets[0] if len(buckets) == 1 else Combine(tuple(buckets), (*keys, MOMENT)))
    if isinstance(facts, Aggregate):
        # One second rarely has two facts of one key, so summing by second first would save nothing.
        facts = Derive(facts.input, (*facts.keys, *(Named(part.name, of_one(part)) for part in facts.values)))
    return facts


def _grain(graph: Graph, source: Leaf | Converted) -> Window:
    """The grain of the time at which facts become known."""
    element = (source if isinstance(source, Leaf) else source.conversion).seen_at.element
    grain = graph.grain_of(element.grain) if isinstance(element, Dimension) and element.grain else "second"
    return Window(1, "microsecond" if finer(grain, "microsecond") else grain)


def _fact_rows(cells: Cells, keys: tuple[str, ...], stored: StoredParts | None) -> FactRows:
    facts = _facts(cells, keys)
    counts = frozenset(part.name for cell in cells.values() for part in cell.parts if is_of_rows(part))
    single = facts.outputs if isinstance(facts, Derive) else ()
    ones = frozenset(output.name for output in single if output.value == exp.Literal.number(1))
    rows = Scan(stored.table if stored else facts, "known")
    return FactRows(rows, keys, counts, ones & counts, stored.full if stored else frozenset(), bool(single))


def _frames(view: FeatureView, requests: Relation, facts: FactRows, looks: Iterable[Windowed]) -> Plan:
    """Aggregates over a frame of the facts before each request, by request. Requests are rows among the facts."""
    looks = list(looks)
    parts = tuple(dict.fromkeys(look.value for look in looks))
    of_facts = [Named(ROW, exp.null()), *(Named(name, column(name, "known")) for name in (*facts.keys, MOMENT, *parts))]
    of_requests = [
        *(Named(name, column(name, "requests")) for name in (ROW, *facts.keys)),
        Named(MOMENT, moment_of(view)),
        *(Named(part, exp.null()) for part in parts),
    ]
    stacked = Stack(
        (Derive(facts.rows, tuple(of_facts)), Derive(Scan(requests, "requests"), tuple(of_requests))),
        "stacked",
    )
    functions = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max}
    values = [Named(ROW, column(ROW, "stacked"))]
    for look in looks:
        window = exp.Window(
            partition_by=[column(key, "stacked") for key in facts.keys],
            order=exp.Order(expressions=[column(MOMENT, "stacked")]),
            spec=_frame(look.back),
        )
        values.append(Named(look.name, over(functions[look.function](this=column(look.value, "stacked")), window)))
    gathered = Scan(Derive(Scan(stacked, "stacked"), tuple(values)), "gathered")
    names = [ROW, *(look.name for look in looks)]
    mine = Filter(gathered, present(column(ROW, "gathered")))
    return Derive(mine, tuple(Named(name, column(name, "gathered")) for name in names))


def _frame(back: Window | str | None) -> exp.WindowSpec:
    """From just inside the window to the moment itself: a fact exactly as old as the window is no longer in it."""

    start: exp.Expr | str = "UNBOUNDED"
    if isinstance(back, Window):
        start = exp.Paren(this=exp.Sub(this=interval(back), expression=interval(Window(1, "microsecond"))))
    return exp.WindowSpec(kind="RANGE", start=start, start_side="PRECEDING", end="CURRENT ROW")


def _looked_up(rows: Plan, values: Plan, alias: str) -> Plan:
    return Lookup(rows, Scan(values, alias), equal(column(ROW, "requests"), column(ROW, alias)))
