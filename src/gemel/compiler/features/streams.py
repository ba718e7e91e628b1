"""Sums and counts over windows that end at given moments, off running sums: the difference between their two ends.

A running sum is one stream of rows in order, which is one thread's work: keys are dealt out to several streams.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.features.cells import MOMENT
from gemel.compiler.plan.algebra import Aggregate, Derive, Filter, Named, Plan, Scan, Stack, Summary, Top, Windowed
from gemel.compiler.plan.distinct import Back
from gemel.compiler.question.expressions import column, equal, interval, present
from gemel.spec.feature_views import FeatureView
from gemel.spec.manifest import Relation
from gemel.spec.time import Window, seconds

ROW = "__row"
"""The column of the requests that tells them apart, and the results."""

END, FACTS, PLACE = "__end", "__facts", "__place"
"""Of a row of a stream: what it is, how many facts there are up to it, and rows of any kind."""


@dataclass(frozen=True, slots=True)
class Known:
    """The facts, and what their columns are.

    `counts` count facts; `ones` of them say 1 of every fact, so that they need not be carried. `full` are never NULL.
    """

    rows: Scan
    keys: tuple[str, ...]
    counts: frozenset[str]
    ones: frozenset[str]
    full: frozenset[str]
    is_single: bool

    def total(self, part: str) -> str:
        """The column with the running value of a part."""
        return FACTS if part in self.ones else part

    def seen(self, part: str) -> str:
        """The column that tells how many steps a running value is over: of none it is no value, which is not zero."""
        return FACTS if part in self.full else f"{part}__seen"

    def columns(self, parts: Iterable[str]) -> list[str]:
        each = ((self.total(part), *(() if part in self.counts else (self.seen(part),))) for part in parts)
        return [*dict.fromkeys(name for names in each for name in names)]


def plan_sums(
    view: FeatureView, requests: Relation, facts: Known, looks: Iterable[Windowed], streams: int
) -> Aggregate:
    """By request, the running sums at both ends of each window, and how many facts they are of.

    Requests stand among the facts once for each end. A stream's sums run over all its keys: both ends are of one key,
    so that what was summed before it is in both.
    """
    looks = list(looks)
    parts = tuple(dict.fromkeys(look.value for look in looks))
    backs = {look.back: number for number, look in enumerate({look.back: look for look in looks}.values(), _NOW + 1)}
    rows = _timeline(view, requests, facts, parts, backs)
    if streams == 1:
        ends: Plan = _stream(Stack(rows, "timeline"), facts, parts)
    else:
        shares = (_share(Stack(rows, f"timeline_{number + 1}"), facts, number, streams) for number in range(streams))
        ends = Stack(tuple(_stream(share, facts, parts) for share in shares), "ends")
    values = {}
    for look in looks:
        for name in facts.columns([look.value]):
            for end, number in ((_now(name), _NOW), (_then(name, look.back), backs[look.back])):
                at_end = equal(column(END, "ends"), exp.Literal.number(number))
                values[end] = Summary(end, "max", column(name, "ends"), at_end)
    found: Plan = Scan(ends, "ends")
    if FACTS in facts.columns(parts):
        found = Filter(found, _in_order("ends", exp.true()))
    return Aggregate(found, (Named(ROW, column(ROW, "ends")),), tuple(values.values()))


def difference(look: Windowed, facts: Known) -> Named:
    now, then = _ends(facts.total(look.value), look.back)
    since = exp.Sub(this=now, expression=then)
    if look.value in facts.counts:
        return Named(look.name, exp.Nullif(this=since, expression=exp.Literal.number(0)))
    seen, unseen = _ends(facts.seen(look.value), look.back)
    return Named(look.name, exp.case().when(exp.GT(this=seen, expression=unseen), since))


_FACT, _NOW = 0, 1
"""What a row of the timeline is: a fact, a request, or (higher numbers) where one of its windows begins. Small numbers
are quicker to put in order than the windows' seconds."""


def _timeline(
    view: FeatureView, requests: Relation, facts: Known, parts: Iterable[str], backs: Mapping[Back, int]
) -> tuple[Plan, ...]:
    carried = [part for part in parts if part not in facts.ones]
    names = (ROW, *facts.keys, MOMENT, END, *carried)
    of_facts: dict[str, exp.Expr] = {name: column(name, "known") for name in (*facts.keys, MOMENT, *carried)}
    of_facts |= {ROW: exp.null(), END: exp.Literal.number(_FACT)}
    rows: list[Plan] = [Derive(facts.rows, tuple(Named(name, of_facts[name]) for name in names))]
    for number, moment in (
        (_NOW, moment_of(view)),
        *((number, _before(view, back)) for back, number in backs.items()),
    ):
        edge: dict[str, exp.Expr] = {name: column(name, "requests") for name in (ROW, *facts.keys)}
        edge |= {part: exp.null() for part in carried} | {MOMENT: moment, END: exp.Literal.number(number)}
        rows.append(Derive(Scan(requests, "requests"), tuple(Named(name, edge[name]) for name in names)))
    return tuple(rows)


def _share(rows: Stack, facts: Known, number: int, streams: int) -> Derive:
    """The rows of some of the keys. A timeline of its own for each share: the engine then takes no more rows into it.

    Known and requests are dealt out together, when their keys have become of one type.
    """
    code = exp.Anonymous(this="HASH", expressions=[column(key, rows.title) for key in facts.keys])
    mine = equal(exp.Mod(this=code, expression=exp.Literal.number(streams)), exp.Literal.number(number))
    return Derive(Filter(Scan(rows, rows.title), mine), tuple(Named(c, column(c, rows.title)) for c in rows.columns))


def _stream(rows: Plan, facts: Known, parts: Iterable[str]) -> Derive:
    """Each end of a request with the running values up to it."""
    order = (*facts.keys, MOMENT, END)  # at one moment facts come first: they are seen
    ordered = Scan(Top(rows, tuple((name, False) for name in order)), "ordered")
    running: dict[str, exp.Expr] = {name: column(name, "ordered") for name in (ROW, END)}
    for part in parts:
        if part in facts.ones:
            continue
        total: exp.Expr = exp.Sum(this=column(part, "ordered"))
        count = exp.Count(this=column(part, "ordered"), big_int=True)
        if part in facts.counts:  # of single facts a count is quicker than a sum of ones
            total = count if facts.is_single else total
        elif part not in facts.full:
            running[facts.seen(part)] = over(count, _so_far())
        running[part] = over(total, _so_far())
    names = [name for name in facts.columns(parts) if name != FACTS]
    found = [Named(name, column(name, "running")) for name in (ROW, END, *names)]
    if FACTS in facts.columns(parts):
        running[PLACE] = _row_number()
        place = column(PLACE, "running")
        found.append(Named(FACTS, exp.Sub(this=place, expression=_row_number())))  # less the requests up to it
        found.append(Named("is_astray", exp.GT(this=_last(place), expression=place)))
    running["is_astray"] = _is_astray(order)
    summed = Scan(Derive(ordered, tuple(Named(name, value) for name, value in running.items())), "running")
    return Derive(Filter(summed, _in_order("running", present(column(ROW, "running")))), tuple(found))


def _before(view: FeatureView, back: Back) -> exp.Expr:
    """The moment at which a window begins."""
    if not isinstance(back, Window):
        return exp.cast(exp.Literal.string("-infinity"), exp.DataType.Type.TIMESTAMP)
    return exp.Sub(this=moment_of(view), expression=interval(back))


def _so_far() -> exp.Window:
    """Without an ORDER BY of its own: DuckDB then goes once over the rows, where it would build a tree for each sum."""
    return exp.Window(spec=exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"))


def _is_astray(order: Sequence[str]) -> exp.Expr:
    """Whether a row comes after one that it should come before, by which its sums would be wrong."""
    name, *rest = order
    own = column(name, "ordered")
    later: exp.Expr = exp.GT(this=_last(own), expression=own)
    if not rest:
        return later
    return exp.or_(later, exp.and_(equal(_last(own), own), _is_astray(rest)))


def _last(value: exp.Expr) -> exp.Window:
    """A value of the row before."""
    return exp.Window(this=exp.Lag(this=value.copy()))


def _row_number() -> exp.Window:
    return exp.Window(this=exp.RowNumber())


def _in_order(alias: str, then: exp.Expr) -> exp.Expr:
    told = exp.Literal.string(
        "gemel: DuckDB did not keep the order of rows, for which its setting preserve_insertion_order must be true"
    )
    refused = exp.Anonymous(this="ERROR", expressions=[told])
    return exp.case().when(column("is_astray", alias), refused).else_(then)


def moment_of(view: FeatureView) -> exp.Expr:
    moment: exp.Expr = column(MOMENT, "requests")
    return exp.Sub(this=moment, expression=interval(view.delay)) if view.delay else moment


def _now(name: str) -> str:
    return f"{name}_now"


def _then(name: str, back: Back) -> str:
    """A running value where a window begins."""
    return f"{name}_{seconds(back)}_seconds_before" if isinstance(back, Window) else f"{name}_ever"


def _ends(name: str, back: Back) -> tuple[exp.Expr, exp.Expr]:
    return column(_now(name), "sums"), _or_zero(column(_then(name, back), "sums"))


def _or_zero(value: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=value, expressions=[exp.Literal.number(0)])


def over(function: exp.Expr, window: exp.Window) -> exp.Expr:
    return exp.Window(**{**window.copy().args, "this": function})
