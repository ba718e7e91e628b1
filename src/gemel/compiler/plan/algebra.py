"""A small algebra of frozen values for what is to be computed. Equal plans are the same plan and share one CTE.

Scalars are sqlglot trees. Over rows (`Scan`, `Lookup`, `Join`, and a `Filter` of these) a column is `alias.column`.
Over results (the nodes from `Aggregate` on) it is a bare name, one of the node's `columns`.
"""

from dataclasses import dataclass
from typing import Literal, assert_never

from sqlglot import exp

from gemel.spec.manifest import Relation
from gemel.spec.metrics import Aggregation, Percentile, PeriodAgg
from gemel.spec.time import Window


@dataclass(frozen=True, slots=True)
class Named:
    """A scalar with the name of its column."""

    name: str
    value: exp.Expr


@dataclass(frozen=True, slots=True)
class Scan:
    """The rows of a table, or of a result, under the name `alias`."""

    source: "Relation | Plan"
    alias: str


@dataclass(frozen=True, slots=True)
class Versions:
    """The rows of a history: `keys` (with the partitions by which it is joined) have at most one at any time.

    A version holds `start <= t < end`; an `end` of NULL is open. Half a history lacks one of them.
    """

    model: str
    entity: str
    keys: tuple[Named, ...]
    start: exp.Expr | None
    end: exp.Expr | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """Each row of `input` with the one row of `right` that matches it, or NULLs: a many-to-one LEFT JOIN.

    flights (JFK), (XXX)   airports (JFK, "John F Kennedy Intl")   ->  (JFK, "John F Kennedy Intl"), (XXX, NULL)

    If `right` is a history, `versions` are its rows: only one of them matches if they do not overlap.
    """

    input: "Plan"
    right: Scan
    on: exp.Expr
    versions: Versions | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Each row of `input` with every row of `right` that matches it. Rows may multiply: days with the facts before
    them, facts with the days that show them.

    "inner" drops a row without a match. "left" keeps such a row of `input`, with NULLs, and "full" such rows of both
    sides. "asof" takes only the last match, by the inequality in `on`, and drops a row without one.
    """

    input: "Plan"
    right: Scan
    on: exp.Expr
    how: Literal["inner", "left", "full", "asof"]


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows for which `predicate` is true, and neither false nor NULL."""

    input: "Plan"
    predicate: exp.Expr


@dataclass(frozen=True, slots=True)
class Summary:
    """One aggregate: a function over `value`, of the rows where `where` is true (None: of all rows).

    A summary of no rows is NULL, even a count; only a count of distinct values without any rows is 0.
    """

    name: str
    function: Aggregation
    value: exp.Expr
    where: exp.Expr | None = None
    percentile: Percentile | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One row for each group of `keys`; NULL is a group. Without keys there is one row, even if there is no input.

    (AA, 3), (AA, 4), (NULL, 1)   by carrier, sum  ->  (AA, 7), (NULL, 1)
    """

    input: "Plan"
    keys: tuple[Named, ...]
    values: tuple[Summary, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*(key.name for key in self.keys), *(value.name for value in self.values))


@dataclass(frozen=True, slots=True)
class Distinct:
    """The distinct rows of some expressions: the values of dimensions, or the periods of a time spine."""

    input: "Plan"
    keys: tuple[Named, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys)


@dataclass(frozen=True, slots=True)
class Combine:
    """Results of several facts, combined on their common keys; a value is NULL in a group that its result lacks.

    (Jan, flights 3), (Feb, flights 4)   (Jan, rain 1), (NULL, rain 2)
    ->  (Jan, 3, 1), (Feb, 4, NULL), (NULL, NULL, 2)
    """

    inputs: tuple["Plan", ...]
    keys: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        values = [c for plan in self.inputs for c in columns(plan) if c not in self.keys]
        return (*self.keys, *dict.fromkeys(values))


@dataclass(frozen=True, slots=True)
class Stack:
    """The rows of several results with the same columns: a UNION ALL. `title` names them."""

    inputs: tuple["Plan", ...]
    title: str = "together"

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.inputs[0])


@dataclass(frozen=True, slots=True)
class Moments:
    """Keys with the moments at which to look at them, made from `facts` (one row for each key and moment).

    With `every`, the moments are all steps of the `schedule` from a key's first one to `until`. Otherwise they are
    those at which a value can change: a fact arrives, a fact leaves one of the `windows` (or the period of a grain),
    or one of the `turns` occurs, which have the same columns. No moment is after `until`.

        fact (AA, Jan 2), a window of 7 days  ->  (AA, Jan 2), (AA, Jan 9)
    """

    facts: "Plan"
    keys: tuple[str, ...]
    moment: str
    windows: tuple[Window | str, ...]
    until: exp.Expr
    schedule: Window
    every: bool = False
    turns: tuple["Plan", ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.keys, self.moment)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The rows of a time spine, each with every key that has a fact in its window.

    `days` are the spine's rows; their column `moment` is the end of the window.

        days (Jan 1), (Jan 2), (Jan 3)   fact (AA, Jan 2), all time  ->  (Jan 2, AA), (Jan 3, AA)

    With a `period_agg`, each key has only the first or last of these rows in each period, or the average of their sums.
    The columns of `days` other than `moment` are the period. An average has no moment. Over all time, the days of a
    period must follow one another.

        days (Jan 1, Jan), (Jan 2, Jan), (Jan 3, Jan)   fact (AA, Jan 2), last  ->  (Jan 3, Jan, AA)
    """

    days: "Plan"
    moment: str
    keys: tuple[str, ...]
    period_agg: PeriodAgg | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        hidden = self.moment if self.period_agg == "average" else None
        return (*(name for name in columns(self.days) if name != hidden), *self.keys)


@dataclass(frozen=True, slots=True)
class Windowed:
    """`value` of the facts in a moment's window, aggregated by `function` (sum, min, max).

    A window `back` holds `moment - back < t <= moment`; a grain holds its period up to the moment; None holds all time
    up to the moment.
    """

    name: str
    function: Aggregation
    value: str
    back: Window | str | None = None


@dataclass(frozen=True, slots=True)
class AsOf:
    """Each moment of `spine` with the facts in its windows; `facts` has one row of partial aggregates for each key and
    moment.

    On a calendar all `values` have the same window, as it decides which rows there are.

    spine (AA, Jan 3)   facts (AA, Jan 1, 10), (AA, Jan 3, 7)   sum, all time  ->  (AA, Jan 3, 17)
    """

    spine: Moments | Calendar
    facts: "Plan"
    step: Window
    values: tuple[Windowed, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.spine.columns, *(value.name for value in self.values))


@dataclass(frozen=True, slots=True)
class Derive:
    """A result whose columns are computed from those of `input`, row by row."""

    input: "Plan"
    outputs: tuple[Named, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Top:
    """At most `limit` rows, ordered by `order`: pairs of a column and whether it is descending."""

    input: "Plan"
    order: tuple[tuple[str, bool], ...]
    limit: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.input)


Plan = Scan | Lookup | Join | Filter | Aggregate | Distinct | Combine | Stack | Moments | AsOf | Derive | Top


def columns(plan: Plan) -> tuple[str, ...]:
    """The names of a result's columns; none for rows."""
    match plan:
        case Aggregate() | Distinct() | Combine() | Stack() | Moments() | AsOf() | Derive() | Top():
            return plan.columns
        case Filter():
            return columns(plan.input)
        case Scan() | Lookup() | Join():
            return ()
        case _:
            assert_never(plan)


def is_rows(plan: Plan) -> bool:
    """Whether a plan has rows (columns are `alias.column`) rather than a result (bare names)."""
    while isinstance(plan, Filter):
        plan = plan.input
    return isinstance(plan, Scan | Lookup | Join)
