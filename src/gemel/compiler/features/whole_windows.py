"""Features that steps of time do not add up to: distinct counts and percentiles, each over one window.

A distinct count is a running sum of changes: a value enters the window with a fact, and leaves it after its last fact.
A percentile reads every fact in the window of every moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.compiler.plan.algebra import Aggregate, Derive, Distinct, Join, Moments, Named, Plan, Scan, Stack, Summary
from gemel.compiler.plan.distinct import Back, Names, in_spans
from gemel.compiler.plan.parts import in_sight
from gemel.compiler.question.expressions import column, conjunction, equal, interval
from gemel.spec.time import Window


@dataclass(frozen=True, slots=True)
class Events:
    """Single facts: `keys`, the `moment` that first sees them, and `value`, as expressions over `rows`."""

    rows: Plan
    keys: tuple[Named, ...]
    moment: Named
    value: exp.Expr


def plan_changes(events: Events, name: str, back: Back, step: Window) -> Aggregate:
    """The change of the count of distinct values in the window, by key and moment, in column `name`.

    A moment sees the step that ends at it, so a period to date is that of this step.

    a window of 7 days   facts (ann, Jan 1, x), (ann, Jan 3, x)   ->  (ann, Jan 1, 1), (ann, Jan 10, -1)
    """
    names = Names(name, "value", "opens", "closes", "")
    seen = Scan(Distinct(events.rows, (*events.keys, events.moment, Named(names.value, events.value))), "events")
    at: exp.Expr = column(events.moment.name, "events")
    lag = interval(step) if isinstance(back, str) else None
    at = exp.Sub(this=at, expression=lag) if lag else at
    keys = [Named(each.name, column(each.name, "events")) for each in (*events.keys, Named(names.value, events.value))]
    spans = Scan(in_spans(seen, tuple(keys), at, back, names), "spans")
    came = _ends(events, spans, names.opens, names, lag)
    if back is None:
        return came
    went = _ends(events, spans, names.closes, names, lag)
    gone = [Named(c, exp.Neg(this=column(c)) if c == name else column(c)) for c in went.columns]
    changes = Scan(Stack((came, Derive(went, tuple(gone))), "changes"), "changes")
    by = tuple(Named(each.name, column(each.name, "changes")) for each in (*events.keys, events.moment))
    return Aggregate(changes, by, (Summary(name, "sum", column(name, "changes")),))


def _ends(events: Events, spans: Scan, at: str, names: Names, lag: exp.Expr | None) -> Aggregate:
    """By moment, how many values have their end `at` that moment. NULL enters and leaves too, but is not counted."""
    keys = tuple(Named(each.name, column(each.name, "spans")) for each in events.keys)
    end = column(at, "spans")
    moment = Named(events.moment.name, exp.Add(this=end, expression=lag.copy()) if lag else end)
    return Aggregate(spans, (*keys, moment), (Summary(names.count, "count", column(names.value, "spans")),))


def plan_gathered(events: Events, moments: Moments, back: Back, summary: Summary) -> Aggregate:
    """The `summary` of all values in the window, by key and moment; a moment that sees no fact has no row."""
    each = Scan(Derive(events.rows, (*events.keys, events.moment, Named("value", events.value))), "events")
    on = equal_columns([key.name for key in events.keys], "events", "moments")
    fact, moment = (column(events.moment.name, side) for side in ("events", "moments"))
    rows = Join(Scan(moments, "moments"), each, conjunction([*on, in_sight(fact, moment, back)]), "inner")
    keys = tuple(Named(name, column(name, "moments")) for name in moments.columns)
    return Aggregate(rows, keys, (replace(summary, value=column("value", "events")),))


def equal_columns(names: Sequence[str], left: str, right: str) -> list[exp.Expr]:
    """`left.carrier = right.carrier`, for each name."""
    return [equal(column(name, left), column(name, right)) for name in names]
