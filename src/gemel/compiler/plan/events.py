"""Conversions: events that follow another event of the same entity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.names.terms import Converted, Key
from gemel.compiler.plan.algebra import Aggregate, Derive, Filter, Join, Named, Plan, Scan, Summary
from gemel.compiler.plan.facts import Facts, filtered, stepped, truncated
from gemel.compiler.plan.parts import summary
from gemel.compiler.question.expressions import column, conjunction, equal, interval, present
from gemel.spec.time import DATE_PARTS, finer, is_standard

AT = "happened_at"


@dataclass(frozen=True, slots=True)
class Followed:
    """Conversion events, each with the base event that it follows: the times of the two (at the grain at which they
    are compared), the base event's groups and the conversion's value, as expressions over `rows`."""

    rows: Plan
    began: exp.Expr
    ended: exp.Expr
    groups: tuple[Named, ...]
    value: exp.Expr


def plan_converted(base: Facts, conversion: Facts, converted: Converted, name: str) -> Plan:
    """Count each conversion event once, at the latest base event at or before it, in the groups of that event."""
    followed = follow(base, conversion, converted, name)
    return Aggregate(followed.rows, followed.groups, (summary(converted.conversion, name, followed.value),))


def follow(
    base: Facts,
    conversion: Facts,
    converted: Converted,
    name: str,
    between: Callable[[exp.Expr], Sequence[exp.Expr]] = lambda time: (),
) -> Followed:
    """The conversion events of base events. `between` gives conditions on the time of both, and `name` is a column
    name that is not used yet.

        base (a, Jan 1, ads), (a, Jan 3, mail)   conversion (a, Jan 4)   ->  (mail, Jan 3, Jan 4)

    Base events of one entity at one time are one event; if their groups differ, it has the smallest value.
    """
    same = _names(converted)
    pairs = list(zip(same, converted.same, strict=True))
    keys = [Named(key.name, base.operand(attribute)) for key, attribute in converted.base.keys]
    left = [Named(name, base.value(attribute)) for name, (attribute, _) in pairs]
    at = Named(AT, stepped(base.moment(), converted.grain))
    base_rows: Plan = base.where(converted.base.filters, converted.base.span)
    base_rows = _present(filtered(base_rows, between(base.moment())), [*left, at])
    starts: Plan
    if _is_decided_by_time(converted):
        # Events of one entity at one time are then in one group, so any of them represents all.
        starts = Derive(base_rows, (*left, at))
        groups = [Named(key.name, truncated(column(AT, "starts"), key.grain, key.part)) for key in converted.base.times]
    else:
        starts = Aggregate(base_rows, (*left, at), tuple(Summary(key.name, "min", key.value) for key in keys))
        groups = [Named(key.name, column(key.name, "starts")) for key in keys]

    right = [Named(name, conversion.value(attribute)) for name, (_, attribute) in pairs]
    when = Named(AT, stepped(conversion.moment(), converted.grain))
    measured = Named(name, conversion.measured(converted.conversion))
    conversion_rows = filtered(conversion.where(converted.conversion.filters), between(conversion.moment()))
    conversion_rows = _present(conversion_rows, [*right, when])
    is_constant = isinstance(measured.value, exp.Literal)
    ends = Derive(conversion_rows, (*right, when) if is_constant else (*right, when, measured))

    on: list[exp.Expr] = [equal(column(key, "ends"), column(key, "starts")) for key in same]
    on.append(exp.GTE(this=column(AT, "ends"), expression=column(AT, "starts")))
    followed: Plan = Join(Scan(ends, "ends"), Scan(starts, "starts"), conjunction(on), "asof")
    if converted.window:
        oldest = exp.Sub(this=column(AT, "ends"), expression=interval(converted.window))
        followed = Filter(followed, exp.GT(this=column(AT, "starts"), expression=oldest))
    value = measured.value if is_constant else column(name, "ends")
    return Followed(followed, column(AT, "starts"), column(AT, "ends"), tuple(groups), value)


def _names(converted: Converted) -> list[str]:
    """Names for what has to be equal: its own names where they are not used yet."""
    used = {key.name for key, _ in converted.base.keys} | {AT}
    names = [left.element.name for left, _ in converted.same]
    return [f"{name}_{place}" if name in used or names.count(name) > 1 else name for place, name in enumerate(names)]


def _is_decided_by_time(converted: Converted) -> bool:
    """Whether the time of a base event, at the grain at which times are compared, determines all its groups."""
    leaf = converted.base
    return all(key in leaf.times and _has_one_value(converted.grain, key) for key, _ in leaf.keys)


def _has_one_value(grain: str, key: Key) -> bool:
    """Whether a time at a grain has one value of a time key: a day has one month and one day of the week, but a week
    can have two months."""
    if grain == "week":
        return key.grain == "week"
    if key.part:
        return not finer(DATE_PARTS[key.part], grain)
    return key.grain is not None and is_standard(key.grain) and not finer(key.grain, grain)


def _present(rows: Plan, values: list[Named]) -> Plan:
    """Drop the events without an entity or a time."""
    for value in values:
        rows = Filter(rows, present(value.value))
    return rows
