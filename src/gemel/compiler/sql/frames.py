"""The windows of moments in SQL: frames over the facts in order of time, or joins of the facts with the moments."""

from sqlglot import exp

from gemel.compiler.plan.algebra import Aggregate, AsOf, Join, Moments, Named, Scan, Summary, Windowed
from gemel.compiler.plan.facts import truncated
from gemel.compiler.plan.parts import in_sight
from gemel.compiler.question.expressions import column, conjunction, equal, interval
from gemel.spec.time import Window, seconds


def left_at(moment: exp.Expr, window: Window | str, step: Window) -> exp.Expr:
    """The first moment that does not see any more what `moment` was the first to see."""
    if isinstance(window, Window):
        return exp.Add(this=moment.copy(), expression=interval(window))
    over = exp.Add(this=_of_period(moment, window, step), expression=interval(Window(1, window)))
    return exp.Add(this=over, expression=interval(step))


def _of_period(moment: exp.Expr, grain: str, step: Window) -> exp.Expr:
    """The period that a moment looks at: of the step before it, since a fact at the moment itself is not seen."""
    return truncated(exp.Sub(this=moment.copy(), expression=interval(step)), grain, None)


def period_before(back: Window | str | None, spine: Moments, moments: str) -> list[exp.Expr]:
    """What a frame is cut by, besides the keys."""
    return [_of_period(column(spine.moment, moments), back, spine.schedule)] if isinstance(back, str) else []


def frame_name(back: Window | str | None) -> str:
    if back is None:
        return "until_now"
    if isinstance(back, str):
        return f"{back}_to_date"
    return f"last_{back.count}_{back.unit}s" if back.count > 1 else f"last_{back.unit}"


def in_windows(plan: AsOf, spine: Moments, values: list[Windowed]) -> Aggregate:
    """The windows of each moment by a join of the facts in the longest of them, and a sum of those in each."""
    fact, moment = (column(spine.moment, side) for side in ("facts", "moments"))
    longest = max((v.back for v in values if isinstance(v.back, Window)), key=seconds)
    on = [equal(column(key, "facts"), column(key, "moments")) for key in spine.keys]
    rows = Join(
        Scan(spine, "moments"), Scan(plan.facts, "facts"), conjunction([*on, in_sight(fact, moment, longest)]), "inner"
    )
    keys = tuple(Named(name, column(name, "moments")) for name in spine.columns)
    summaries = [
        Summary(
            v.name, v.function, column(v.value, "facts"), None if v.back == longest else in_sight(fact, moment, v.back)
        )
        for v in values
    ]
    return Aggregate(rows, keys, tuple(summaries))


def frame(back: Window | str | None, step: Window, kind: str) -> exp.WindowSpec:
    """From the first step inside the window to the moment itself. Moments are whole steps apart, each one row."""
    if not isinstance(back, Window):
        start: exp.Expr | str = "UNBOUNDED"
    else:
        start = interval(Window((seconds(back) - seconds(step)) // seconds(step) * step.count, step.unit))
    return exp.WindowSpec(kind=kind, start=start, start_side="PRECEDING", end="CURRENT ROW")
