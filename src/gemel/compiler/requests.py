"""Exact features: metrics of an entity at the moments of given rows, over the window that ends at that very moment.

`F(entity, m, w)` as on a schedule, except that `m` is a request's own time, less the view's delay. Facts are summed by
the grain at which they become known, so a request sees those of `[m - w, m)`, and of an hour that is known as an hour
nothing before it is over.

Sums and counts are read off running sums, as the difference between the two ends of a window. What cannot be taken
back from a running value (a minimum, a sum of fractions, whose last digits would drift) is gathered over a frame of the
facts before.
"""

from collections.abc import Collection, Iterable, Sequence

from sqlglot import exp

from gemel.compiler.algebra import (
    Aggregate,
    Combine,
    Derive,
    Filter,
    Lookup,
    Named,
    Plan,
    Scan,
    Stack,
    Summary,
    Top,
    Windowed,
)
from gemel.compiler.cells import MOMENT, Bounds, Cell, cell_of
from gemel.compiler.expressions import column, equal, interval, present
from gemel.compiler.graph import Graph
from gemel.compiler.histories import own_row
from gemel.compiler.moments import (
    DimensionFeature,
    FeatureQuery,
    MetricFeature,
    cells_by_source,
    feature_term,
    over_window,
    sight,
    sources_of,
    typed,
    with_dimension,
)
from gemel.compiler.parts import is_of_rows, of_one
from gemel.compiler.rules import tidy
from gemel.compiler.sightings import Back
from gemel.compiler.terms import Converted, Leaf, Term
from gemel.errors import About, BridgeError
from gemel.spec.manifest import Dimension, Relation
from gemel.spec.time import Window, finer, seconds

ROW = "__row"
"""The column of the requests that tells them apart, and the results."""

Cells = dict[Leaf | Converted, Cell]


def plan_requests(graph: Graph, query: FeatureQuery, requests: Relation, *, drifting: Collection[str] = ()) -> Plan:
    """Columns: `__row`, then the features in order; one row for each row of `requests`, in no order.

    `requests` has the columns `__row`, the entities and `event_timestamp`. `drifting` names the columns of
    `plan_parts` that are fractions. `until` and `every_step` of the query are not looked at. Raises BridgeError (G51x).
    """
    terms, cells = _resolved(graph, query)
    keys = query.entities
    counts = {part.name for cell in cells.values() for part in cell.parts if is_of_rows(part)}
    looks = dict.fromkeys(
        look
        for feature, term in terms.items()
        for source in sources_of(term)
        for look in cells[source].looks(sight(graph, feature))
    )
    running = [look for look in looks if look.function == "sum" and look.value not in drifting]
    framed = [look for look in looks if look not in running]
    rows: Plan = Scan(requests, "requests")
    values = [Named(name, column(name, "requests")) for name in (ROW, *keys)]
    if running:
        rows = _looked_up(rows, _sums(query, requests, _facts(cells, keys), keys, running, counts), "sums")
        values += [_difference(look, counts) for look in running]
    if framed:
        rows = _looked_up(rows, _frames(query, requests, _facts(cells, keys), keys, framed), "frames")
        values += [Named(look.name, column(look.name, "frames")) for look in framed]
    if any(_has_history(graph, query, feature) for feature in query.features):
        values.append(Named(MOMENT, _moment(query)))
    rows = Scan(Derive(rows, tuple(values)), "features")
    outputs = [Named(ROW, column(ROW, "features"))]
    for feature in query.features:
        if isinstance(feature, MetricFeature):
            value = over_window(terms[feature], cells, sight(graph, feature))
        else:
            rows, value = with_dimension(graph, query, feature, rows)
        outputs.append(Named(feature.column, typed(value, feature.type)))
    return Derive(rows, tuple(outputs))


def plan_parts(graph: Graph, query: FeatureQuery) -> Plan | None:
    """What is summed of the facts, for an engine to say its types; None of dimensions alone, which need no facts."""
    cells = _resolved(graph, query)[1]
    return _facts(cells, query.entities) if cells else None


def _resolved(graph: Graph, query: FeatureQuery) -> tuple[dict[MetricFeature, Term], Cells]:
    metrics = [feature for feature in query.features if isinstance(feature, MetricFeature)]
    terms = {feature: feature_term(graph, query, feature) for feature in metrics}
    cells = cells_by_source(
        terms.values(), lambda source, name: cell_of(graph, source, name, _grain(graph, source), Bounds())
    )
    for feature, term in terms.items():
        to_date = isinstance(sight(graph, feature), str)
        if to_date or not all(cells[source].adds_up for source in sources_of(term)):
            raise BridgeError(
                "G556",
                f"metric {feature.metric!r} can be computed at the moments of its table, and at no others",
                hint="use --accuracy served",
                about=About("metric", feature.metric),
            )
    return terms, cells


def _has_history(graph: Graph, query: FeatureQuery, feature: MetricFeature | DimensionFeature) -> bool:
    """Whether a feature is looked up as of the moment."""
    return isinstance(feature, DimensionFeature) and bool(own_row(graph, query.entities, feature.dimension).edges)


def _facts(cells: Cells, keys: tuple[str, ...]) -> Plan:
    """The facts, each under the first moment that can see it; those of several models are summed by that moment."""
    buckets = [plan for cell in cells.values() for plan in cell.steps()]
    facts = tidy(buckets[0] if len(buckets) == 1 else Combine(tuple(buckets), (*keys, MOMENT)))
    if isinstance(facts, Aggregate):
        # Seconds rarely have two facts of one key, so that summing them first is work for nothing.
        facts = Derive(facts.input, (*facts.keys, *(Named(part.name, of_one(part)) for part in facts.values)))
    return facts


def _grain(graph: Graph, source: Leaf | Converted) -> Window:
    """How finely it is known when a fact becomes known."""
    element = (source if isinstance(source, Leaf) else source.conversion).time.element
    grain = graph.grain_of(element.grain) if isinstance(element, Dimension) and element.grain else "second"
    return Window(1, "microsecond" if finer(grain, "microsecond") else grain)


def _sums(
    query: FeatureQuery,
    requests: Relation,
    facts: Plan,
    keys: tuple[str, ...],
    looks: Iterable[Windowed],
    counts: Collection[str],
) -> Plan:
    """By request, the running sums at both ends of each window, and how many facts they are of.

    Requests stand among the facts once for each end. The sums run over all keys in one stream: both ends are of one
    key, so that what was summed before it is in both.
    """
    looks = list(looks)
    parts = tuple(dict.fromkeys(look.value for look in looks))
    names = (ROW, *keys, MOMENT, "back", *parts)
    of_facts: dict[str, exp.Expr] = {name: column(name, "known") for name in (*keys, MOMENT, *parts)}
    of_facts |= {ROW: exp.null(), "back": exp.Literal.number(_FACT)}
    rows: list[Plan] = [Derive(Scan(facts, "known"), tuple(Named(name, of_facts[name]) for name in names))]
    backs = dict.fromkeys(look.back for look in looks)
    for moment, back in ((_moment(query), _NOW), *((_before(query, each), _back(each)) for each in backs)):
        edge: dict[str, exp.Expr] = {name: column(name, "requests") for name in (ROW, *keys)} | dict.fromkeys(
            parts, exp.null()
        )
        edge |= {MOMENT: moment, "back": exp.Literal.number(back)}
        rows.append(Derive(Scan(requests, "requests"), tuple(Named(name, edge[name].copy()) for name in names)))
    order = (*keys, MOMENT, "back")  # at one moment facts come first: they are seen
    ordered = Scan(Top(Stack(tuple(rows), "timeline"), tuple((name, False) for name in order)), "ordered")
    sums = [Named(name, column(name, "ordered")) for name in (ROW, "back")]
    for part in parts:
        total: exp.Expr = exp.Sum(this=column(part, "ordered"))
        count = exp.Count(this=column(part, "ordered"), big_int=True)
        if part in counts:  # of single facts a count is quicker than a sum of ones
            total = count if isinstance(facts, Derive) else total
        else:
            sums.append(Named(_seen(part), _over(count, _so_far())))
        sums.append(Named(part, _over(total, _so_far())))
    sums.append(Named("is_astray", _is_astray(order)))
    found = Filter(Scan(Derive(ordered, tuple(sums)), "running"), _in_order())
    ends = dict.fromkeys(
        (part, back)
        for look in looks
        for part in (look.value, *([] if look.value in counts else [_seen(look.value)]))
        for back in (_NOW, _back(look.back))
    )
    values = [
        Summary(
            _end(part, back), "max", column(part, "running"), equal(column("back", "running"), exp.Literal.number(back))
        )
        for part, back in ends
    ]
    return Aggregate(found, (Named(ROW, column(ROW, "running")),), tuple(values))


_FACT, _NOW, _EVER = -1, 0, -2
"""What a row of the timeline is: a fact, a request, or one end of its window in seconds before it."""


def _before(query: FeatureQuery, back: Back) -> exp.Expr:
    """The moment at which a window begins."""
    if not isinstance(back, Window):
        return exp.cast(exp.Literal.string("-infinity"), exp.DataType.Type.TIMESTAMP)
    return exp.Sub(this=_moment(query), expression=interval(back))


def _so_far() -> exp.Window:
    """Without an ORDER BY of its own: DuckDB then goes once over the rows, where it would build a tree for each sum."""
    return exp.Window(spec=exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"))


def _is_astray(order: Sequence[str]) -> exp.Expr:
    """Whether a row comes after one that it should come before, by which its sums would be wrong."""
    name, *rest = order
    own, last = column(name, "ordered"), exp.Window(this=exp.Lag(this=column(name, "ordered")))
    later: exp.Expr = exp.GT(this=last, expression=own)
    if not rest:
        return later
    return exp.or_(later, exp.and_(equal(last.copy(), own.copy()), _is_astray(rest)))


def _in_order() -> exp.Expr:
    told = exp.Literal.string(
        "gemel: DuckDB did not keep the order of rows, for which its setting preserve_insertion_order must be true"
    )
    refused = exp.Anonymous(this="ERROR", expressions=[told])
    return exp.case().when(column("is_astray", "running"), refused).else_(present(column(ROW, "running")))


def _moment(query: FeatureQuery) -> exp.Expr:
    moment: exp.Expr = column(MOMENT, "requests")
    return exp.Sub(this=moment, expression=interval(query.delay)) if query.delay else moment


def _back(back: Back) -> int:
    """The end of a window as the seconds between it and the moment."""
    return seconds(back) if isinstance(back, Window) else _EVER


def _end(part: str, back: int) -> str:
    names = {_NOW: f"{part}_now", _EVER: f"{part}_ever"}
    return names.get(back, f"{part}_{back}_seconds_before")


def _seen(part: str) -> str:
    """How many steps a running sum is over: of none it is no value, which is not zero."""
    return f"{part}__seen"


def _difference(look: Windowed, counts: Collection[str]) -> Named:
    now, before = (column(_end(look.value, back), "sums") for back in (_NOW, _back(look.back)))
    since = exp.Sub(this=now, expression=_or_zero(before))
    if look.value in counts:
        return Named(look.name, exp.Nullif(this=since, expression=exp.Literal.number(0)))
    seen, unseen = (column(_end(_seen(look.value), back), "sums") for back in (_NOW, _back(look.back)))
    return Named(look.name, exp.case().when(exp.GT(this=seen, expression=_or_zero(unseen)), since))


def _or_zero(value: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=value, expressions=[exp.Literal.number(0)])


def _frames(
    query: FeatureQuery, requests: Relation, facts: Plan, keys: tuple[str, ...], looks: Iterable[Windowed]
) -> Plan:
    """By request, what is gathered over the frame of facts before it. Requests stand among the facts."""
    looks = list(looks)
    parts = tuple(dict.fromkeys(look.value for look in looks))
    of_facts = [Named(ROW, exp.null()), *(Named(name, column(name, "known")) for name in (*keys, MOMENT, *parts))]
    of_requests = [
        *(Named(name, column(name, "requests")) for name in (ROW, *keys)),
        Named(MOMENT, _moment(query)),
        *(Named(part, exp.null()) for part in parts),
    ]
    stacked = Stack(
        (Derive(Scan(facts, "known"), tuple(of_facts)), Derive(Scan(requests, "requests"), tuple(of_requests))),
        "stacked",
    )
    functions = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max}
    values = [Named(ROW, column(ROW, "stacked"))]
    for look in looks:
        window = exp.Window(
            partition_by=[column(key, "stacked") for key in keys],
            order=exp.Order(expressions=[column(MOMENT, "stacked")]),
            spec=_frame(look.back),
        )
        values.append(Named(look.name, _over(functions[look.function](this=column(look.value, "stacked")), window)))
    gathered = Scan(Derive(Scan(stacked, "stacked"), tuple(values)), "gathered")
    names = [ROW, *(look.name for look in looks)]
    mine = Filter(gathered, present(column(ROW, "gathered")))
    return Derive(mine, tuple(Named(name, column(name, "gathered")) for name in names))


def _frame(back: Window | str | None) -> exp.WindowSpec:
    """From just inside the window to the moment itself: a fact as old as the window has left it."""
    start: exp.Expr | str = "UNBOUNDED"
    if isinstance(back, Window):
        start = exp.Paren(this=exp.Sub(this=interval(back), expression=interval(Window(1, "microsecond"))))
    return exp.WindowSpec(kind="RANGE", start=start, start_side="PRECEDING", end="CURRENT ROW")


def _over(function: exp.Expr, window: exp.Window) -> exp.Expr:
    return exp.Window(**{**window.copy().args, "this": function})


def _looked_up(rows: Plan, values: Plan, alias: str) -> Plan:
    return Lookup(rows, Scan(values, alias), equal(column(ROW, "requests"), column(ROW, alias)))
