"""Sums and counts over windows that end at given moments: the difference of a running sum between their two ends.

A running sum is one stream of ordered rows, on one thread. The keys are distributed over several streams.
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
"""The column that identifies requests and their results."""

END, FACTS, PLACE = "__end", "__facts", "__place"
"""Columns of a stream: the kind of a row, the number of facts up to it, and its number among all rows."""


@dataclass(frozen=True, slots=True)
class FactRows:
    """The facts and the properties of their columns.

    `counts` count facts; those in `ones` are 1 for every fact, so the stream omits them. `full` are never NULL.
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

    def counter(self, part: str) -> str:
        """The column with the number of steps in a running value. Over no steps the value is NULL rather than zero."""
        return FACTS if part in self.full else f"{part}__seen"

    def columns(self, parts: Iterable[str]) -> list[str]:
        each = ((self.total(part), *(() if part in self.counts else (self.counter(part),))) for part in parts)
        return [*dict.fromkeys(name for names in each for name in names)]


def plan_sums(
    view: FeatureView, requests: Relation, facts: FactRows, looks: Iterable[Windowed], streams: int
) -> Aggregate:
    """The running sums at both ends of each window, with their numbers of facts, by request.

    Each request is among the facts once for each end. The sums of a stream run over all its keys: both ends have the
    same key, and the sum before that key is in both.
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


def difference(look: Windowed, facts: FactRows) -> Named:
    now, then = _ends(facts.total(look.value), look.back)
    since = exp.Sub(this=now, expression=then)
    if look.value in facts.counts:
        return Named(look.name, exp.Nullif(this=since, expression=exp.Literal.number(0)))
    count, count_before = _ends(facts.counter(look.value), look.back)
    return Named(look.name, exp.case().when(exp.GT(this=count, expression=count_before), since))


_FACT, _NOW = 0, 1
"""The kind of a row in the timeline: a fact, a request, or (higher numbers) the begin of one of its windows. Small
numbers are faster to sort than the windows' seconds."""


def _timeline(
    view: FeatureView, requests: Relation, facts: FactRows, parts: Iterable[str], backs: Mapping[Back, int]
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


def _share(rows: Stack, facts: FactRows, number: int, streams: int) -> Derive:
    """The rows of some of the keys. Each share has a timeline of its own, which holds no more rows than it needs.

    Facts and requests are distributed together, after their keys have the same type.
    """
    code = exp.Anonymous(this="HASH", expressions=[column(key, rows.title) for key in facts.keys])
    mine = equal(exp.Mod(this=code, expression=exp.Literal.number(streams)), exp.Literal.number(number))
    return Derive(Filter(Scan(rows, rows.title), mine), tuple(Named(c, column(c, rows.title)) for c in rows.columns))


def _stream(rows: Plan, facts: FactRows, parts: Iterable[str]) -> Derive:
    """Each end of a request's windows, with the running values up to it."""
    order = (*facts.keys, MOMENT, END)  # at one moment facts come first, as a request sees them
    ordered = Scan(Top(rows, tuple((name, False) for name in order)), "ordered")
    running: dict[str, exp.Expr] = {name: column(name, "ordered") for name in (ROW, END)}
    for part in parts:
        if part in facts.ones:
            continue
        total: exp.Expr = exp.Sum(this=column(part, "ordered"))
        count = exp.Count(this=column(part, "ordered"), big_int=True)
        if part in facts.counts:  # for single facts, a count is faster than a sum of ones
            total = count if facts.is_single else total
        elif part not in facts.full:
            running[facts.counter(part)] = over(count, _so_far())
        running[part] = over(total, _so_far())
    names = [name for name in facts.columns(parts) if name != FACTS]
    found = [Named(name, column(name, "running")) for name in (ROW, END, *names)]
    if FACTS in facts.columns(parts):
        running[PLACE] = _row_number()
        place = column(PLACE, "running")
        found.append(Named(FACTS, exp.Sub(this=place, expression=_row_number())))  # minus the requests up to it
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
    """A frame without ORDER BY: DuckDB then reads the rows once, instead of building a tree for each sum."""
    return exp.Window(spec=exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"))


def _is_astray(order: Sequence[str]) -> exp.Expr:
    """Whether a row comes after one that should follow it, which would make its sums wrong."""
    name, *rest = order
    own = column(name, "ordered")
    later: exp.Expr = exp.GT(this=_last(own), expression=own)
    if not rest:
        return later
    return exp.or_(later, exp.and_(equal(_last(own), own), _is_astray(rest)))


def _last(value: exp.Expr) -> exp.Window:
    """A value of the previous row."""
    return exp.Window(this=exp.Lag(this=value.copy()))


def _row_number() -> exp.Window:
    return exp.Window(this=exp.RowNumber())


def _in_order(alias: str, then: exp.Expr) -> exp.Expr:
    message = exp.Literal.string(
        "gemel: DuckDB did not keep the order of rows, for which its setting preserve_insertion_order must be true"
    )
    refused = exp.Anonymous(this="ERROR", expressions=[message])
    return exp.case().when(column("is_astray", alias), refused).else_(then)


def moment_of(view: FeatureView) -> exp.Expr:
    moment: exp.Expr = column(MOMENT, "requests")
    return exp.Sub(this=moment, expression=interval(view.delay)) if view.delay else moment


def _now(name: str) -> str:
    return f"{name}_now"


def _then(name: str, back: Back) -> str:
    """The column of a running value at the begin of a window."""
    return f"{name}_{seconds(back)}_seconds_before" if isinstance(back, Window) else f"{name}_ever"


def _ends(name: str, back: Back) -> tuple[exp.Expr, exp.Expr]:
    return column(_now(name), "sums"), _or_zero(column(_then(name, back), "sums"))


def _or_zero(value: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=value, expressions=[exp.Literal.number(0)])


def over(function: exp.Expr, window: exp.Window) -> exp.Expr:
    return exp.Window(**{**window.copy().args, "this": function})
