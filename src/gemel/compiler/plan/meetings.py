"""Facts joined to the rows of a time spine: first summed by steps of time, if the aggregate can be built from steps."""

from collections.abc import Callable, Sequence

from sqlglot import exp

from gemel.compiler.names.graph import Attribute
from gemel.compiler.names.terms import Key, Leaf, PerEntity, Predicate
from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Derive,
    Join,
    Named,
    Plan,
    Scan,
    Summary,
)
from gemel.compiler.plan.facts import Facts, filtered, stepped, truncated
from gemel.compiler.plan.parts import combine_parts, gather, parts, summary
from gemel.compiler.question.expressions import bound, column

Condition = Callable[[exp.Expr], exp.Expr]
"""Makes the condition by which facts join a row of the spine, given the facts' time."""

BASE = "step"  # the column that holds the spine's own step, where no asked column does


def own_step(times: Sequence[Key], base: str) -> Key:
    """The key for the facts' own step of time on the spine: that of the query at this grain, or one more column."""
    return next((key for key in times if key.grain == base), Key(BASE, (), base))


def meet_spine(
    facts: Facts,
    leaf: Leaf,
    name: str,
    others: Sequence[tuple[Key, Attribute | PerEntity]],
    spine: Scan,
    meets: Condition,
    times: Sequence[Key],
    day: Key,
    mixed: Sequence[Predicate] = (),
) -> Plan:
    """A leaf's facts joined to spine rows, aggregated by the spine's `times` and the facts' `others`.

    An aggregate that can be built from steps is first summed by step, which keeps facts from being multiplied.
    """
    shown = [Named(key.name, column(key.name, "spine")) for key in times]
    if mixed or (by_step := sum_by_step(facts, leaf, day, others)) is None:
        keys = [Named(key.name, facts.operand(attribute)) for key, attribute in others]
        after = [_mixed(facts, leaf, predicate, day) for predicate in mixed]
        moment = stepped(facts.moment(), day.grain)
        met = filtered(Join(facts.where(leaf.filters, leaf.span), spine, meets(moment), "inner"), after)
        met = facts.boundary(met, leaf, shown[0])
        return Aggregate(met, (*shown, *keys), (summary(leaf, name, facts.measured(leaf)),))
    keys = [Named(key.name, column(key.name, "facts")) for key, _ in others]
    met = Join(Scan(by_step, "facts"), spine, meets(column(day.name, "facts")), "inner")
    return derive_value(Aggregate(met, (*shown, *keys), summarize_parts(by_step, leaf, name)), by_step, leaf, name)


def sum_by_step(
    facts: Facts, leaf: Leaf, day: Key, others: Sequence[tuple[Key, Attribute | PerEntity]]
) -> Aggregate | None:
    """The parts of a leaf by steps of time and other keys; None if it cannot be built from parts."""
    kept = parts(leaf, leaf.measure.name, facts.measured(leaf))
    if leaf.measure.non_additive or kept is None:
        return None
    keys = [Named(key.name, facts.operand(attribute)) for key, attribute in others]
    moment = Named(day.name, stepped(facts.moment(), day.grain))
    return Aggregate(facts.where(leaf.filters, leaf.span), (moment, *keys), kept)


def summarize_parts(by_step: Aggregate, leaf: Leaf, name: str) -> tuple[Summary, ...]:
    """The summaries that combine the parts of a leaf by step, named after `name`."""
    plain = leaf.measure.name
    return tuple(
        Summary(name + part.name.removeprefix(plain), gather(part), column(part.name, "facts"))
        for part in by_step.values
    )


def derive_value(rows: AsOf | Aggregate, by_step: Aggregate, leaf: Leaf, name: str) -> Derive:
    """The value of a leaf from its combined parts in `rows`."""
    names = [key for key in rows.columns if key not in {part.name for part in rows.values}]
    value = combine_parts(by_step.values, lambda part: column(name + part.removeprefix(leaf.measure.name)))
    return Derive(rows, (*(Named(key, column(key)) for key in names), Named(name, value)))


def _mixed(facts: Facts, leaf: Leaf, predicate: Predicate, day: Key) -> exp.Expr:
    """A filter on time and other things, after facts are joined to the spine: its time is that of the spine."""

    values = []
    for operand in predicate.operands:
        if isinstance(operand, Attribute) and leaf.is_time(operand):
            values.append(truncated(column(day.name, "spine"), operand.grain, operand.part))
        else:
            values.append(facts.operand(operand))
    return bound(predicate.template, values)
