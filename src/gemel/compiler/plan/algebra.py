"""What is to be computed, as a small algebra of frozen values. Equal plans are the same plan, so they share one CTE.

Scalars are sqlglot trees. Over rows (`Scan`, `Lookup`, `Join`, and `Filter` over them) a column is `alias.column`, of
whatever the alias stands for. Over results (everything from `Aggregate` up) it is a bare name, one of the node's
`columns`.
"""

from dataclasses import dataclass
from typing import Literal, assert_never

from sqlglot import exp

from gemel.spec.manifest import Relation
from gemel.spec.time import Window


@dataclass(frozen=True, slots=True)
class Named:
    """A scalar and the name of the column that it becomes."""

    name: str
    value: exp.Expr


@dataclass(frozen=True, slots=True)
class Scan:
    """The rows of a table, or of a result, under the name `alias`."""

    source: "Relation | Plan"
    alias: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Each row of `input` with the one row of `right` that belongs to it, or NULLs: a many-to-one LEFT JOIN.

    flights (JFK), (XXX)   airports (JFK, "John F Kennedy Intl")   ->  (JFK, "John F Kennedy Intl"), (XXX, NULL)
    """

    input: "Plan"
    right: Scan
    on: exp.Expr


@dataclass(frozen=True, slots=True)
class Join:
    """Each row of `input` with every row of `right` that fits, so that rows may multiply: days with the facts before
    them, facts with the days on which they are shown.

    "left" keeps a row that nothing fits, with NULLs, and "full" those of both sides; "inner" drops it; "asof" takes
    of the rows that fit only the one that is last by the inequality in `on`, and drops a row that nothing fits.
    """

    input: "Plan"
    right: Scan
    on: exp.Expr
    how: Literal["inner", "left", "full", "asof"]


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows for which `predicate` is true; NULL is not."""

    input: "Plan"
    predicate: exp.Expr


@dataclass(frozen=True, slots=True)
class Summary:
    """One aggregate: a function over `value` of the rows where `where` is true (None: of all).

    A summary of no rows is NULL, a count too; only a count of distinct values over no rows at all is 0.
    """

    name: str
    function: str
    value: exp.Expr
    where: exp.Expr | None = None
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One row a group of `keys`; NULL is a group. Without keys, one row, also over no rows at all.

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
    """Each different row of some expressions, once: the values of dimensions, or the buckets of a time spine."""

    input: "Plan"
    keys: tuple[Named, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys)


@dataclass(frozen=True, slots=True)
class Combine:
    """Results of several facts brought together on their common keys; a group that one lacks is NULL there.

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
    """The rows of several results with the same columns, one result after the other. `title` says what they are."""

    inputs: tuple["Plan", ...]
    title: str = "together"

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.inputs[0])


@dataclass(frozen=True, slots=True)
class Moments:
    """Keys and the moments at which to look at them, made from `facts` (one row a key and moment).

    With `every`, every step of the `schedule` from a key's first moment to `until`. Without, only where what is seen
    changes: a fact comes in, or is as old as one of the `windows` (or of another period of a grain) and leaves it, and
    at the `turns`, which have the same columns. No moment is after `until`.

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
    """The rows of a time spine, for each key of which they can see a fact.

    `days` are the spine's rows, whose column `moment` says when they look.

        days (Jan 1), (Jan 2), (Jan 3)   fact (AA, Jan 2), all time  ->  (Jan 2, AA), (Jan 3, AA)
    """

    days: "Plan"
    moment: str
    keys: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*columns(self.days), *self.keys)


@dataclass(frozen=True, slots=True)
class Windowed:
    """`value` of the facts that a moment can see, gathered by `function` (sum, min, max).

    A window sees `moment - back < t <= moment`; a grain, from the start of its period on; None, all time before, too.
    """

    name: str
    function: str
    value: str
    back: Window | str | None = None


@dataclass(frozen=True, slots=True)
class AsOf:
    """Each moment of `spine` with the facts that it can see; `facts` has one row a key and moment, sums and the like.

    On a calendar all `values` look back as far, as that decides which rows there are.

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
    """The columns of a result, computed anew from those of `input`, row by row."""

    input: "Plan"
    outputs: tuple[Named, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Top:
    """Rows in an order (name, descending), at most `limit` of them."""

    input: "Plan"
    order: tuple[tuple[str, bool], ...]
    limit: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.input)


Plan = Scan | Lookup | Join | Filter | Aggregate | Distinct | Combine | Stack | Moments | AsOf | Derive | Top


def columns(plan: Plan) -> tuple[str, ...]:
    """The names of a result's columns; rows have none of their own."""
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
    """Whether a plan's columns are `alias.column` (rows) rather than bare names (a result)."""
    while isinstance(plan, Filter):
        plan = plan.input
    return isinstance(plan, Scan | Lookup | Join)
