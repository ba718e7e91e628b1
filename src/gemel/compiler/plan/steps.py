"""Combined results that are built from steps of time: one pass over the facts makes the steps of all of them."""

from collections.abc import Iterable
from dataclasses import replace

from sqlglot import exp

from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Calendar,
    Combine,
    Derive,
    Distinct,
    Filter,
    Join,
    Named,
    Plan,
    Scan,
    Summary,
)
from gemel.compiler.plan.facts import truncated
from gemel.compiler.plan.parts import gather
from gemel.compiler.question.expressions import column, free
from gemel.spec.time import finer


def share_steps(plan: Plan) -> Plan:
    """Steps of the same facts become one. Plain results that can be derived from the steps are: a month's flights from
    the days of a trailing sum.

    At least one result must have steps on a time spine, whose times give the combined column its type.
    """
    if not isinstance(plan, Combine):
        return plan
    common: dict[object, Aggregate] = {}
    for steps in filter(None, map(_steps_of, plan.inputs)):
        common[_alike(steps)] = _with(common.get(_alike(steps), steps), steps.values)
    for part in plan.inputs if common else ():
        if isinstance(part, Aggregate) and (source := _find_steps(part, common)):
            common[_alike(source)] = _with(source, part.values)
    return replace(plan, inputs=tuple(_shared(part, common) for part in plan.inputs)) if common else plan


def _steps_of(part: Plan) -> Aggregate | None:
    """The facts by steps of time in a result that joins them to a spine."""
    match part:
        case AsOf(spine=Calendar(), facts=Aggregate() as steps):
            return steps
        case Join(input=Scan(source=Aggregate() as steps), right=Scan(alias="spine")):
            return steps
        case Join(input=Scan(alias="spine"), right=Scan(source=Aggregate() as steps)):
            return steps
        case Aggregate(input=inner) | Derive(input=inner) | Distinct(input=inner) | Filter(input=inner):
            return _steps_of(inner)
        case Scan(source=(Aggregate() | Derive()) as inner):
            return _steps_of(inner)
        case _:
            return None


def _alike(steps: Aggregate) -> object:
    return steps.input, steps.keys


def _with(steps: Aggregate, values: Iterable[Summary]) -> Aggregate:
    """The steps with some more values, under their own names if those are not used yet."""
    for value in values:
        if _name_of(value, steps) is None:
            steps = replace(steps, values=(*steps.values, replace(value, name=free(value.name, steps.columns))))
    return steps


def _name_of(value: Summary, steps: Aggregate) -> str | None:
    return next((held.name for held in steps.values if replace(held, name=value.name) == value), None)


def _find_steps(part: Aggregate, common: dict[object, Aggregate]) -> Aggregate | None:
    """The steps from which a result of facts can be derived."""
    if any(value.function not in ("sum", "count", "min", "max") for value in part.values):
        return None
    for steps in common.values():
        if part.input == steps.input and all(_by_step(key.value, steps) is not None for key in part.keys):
            return steps
    return None


def _by_step(key: exp.Expr, steps: Aggregate) -> exp.Expr | None:
    """A key of facts, derived from their steps; None if it cannot be."""
    for step in steps.keys:
        step_column = column(step.name, "facts")
        match key, step.value:
            case _, same if same == key:
                return step_column
            case exp.TimestampTrunc(this=time, unit=exp.Var(this=unit)), exp.TsOrDsToDate(this=day) if time == day:
                if unit == "DAY":
                    return step_column
                return truncated(step_column, unit.lower(), None) if finer("day", unit.lower()) else None
            case exp.Extract(this=part, expression=time), exp.TsOrDsToDate(this=day) if time == day:
                return exp.Extract(this=part, expression=step_column)
    return None


def _shared(part: Plan, common: dict[object, Aggregate]) -> Plan:
    own = _steps_of(part)
    if own is not None:
        steps = common[_alike(own)]
        return _on(part, steps) if set(own.values) <= set(steps.values) else part
    if isinstance(part, Aggregate) and (source := _find_steps(part, common)):
        return _derive_from_steps(part, source)
    return part


def _on(part: Plan, steps: Aggregate) -> Plan:
    """A result with its steps replaced."""
    match part:
        case AsOf():
            return replace(part, facts=steps)
        case Join(input=Scan(source=Aggregate()) as facts, right=Scan(alias="spine")):
            return replace(part, input=replace(facts, source=steps))
        case Join(right=facts):
            return replace(part, right=replace(facts, source=steps))
        case Aggregate(input=inner) | Derive(input=inner) | Distinct(input=inner) | Filter(input=inner):
            return replace(part, input=_on(inner, steps))
        case Scan(source=(Aggregate() | Derive()) as inner):
            return replace(part, source=_on(inner, steps))
        case _:
            raise AssertionError(f"no steps in {part}")


def _derive_from_steps(part: Aggregate, steps: Aggregate) -> Plan:
    """A result of facts, derived from their steps."""
    keys = [Named(key.name, _by_step(key.value, steps) or exp.null()) for key in part.keys]
    held = [(value, column(_name_of(value, steps) or "", "facts")) for value in part.values]
    rows = Scan(steps, "facts")
    if {key.value for key in keys} == {column(step.name, "facts") for step in steps.keys}:
        outputs = (*keys, *(Named(value.name, held_column) for value, held_column in held))
        plain = all(output.value == column(output.name, "facts") for output in outputs)
        return steps if plain and len(outputs) == len(steps.columns) else Derive(rows, outputs)
    gathered = Aggregate(rows, tuple(keys), tuple(Summary(v.name, gather(v), held_column) for v, held_column in held))
    outputs = tuple(Named(key.name, column(key.name)) for key in keys)
    return Derive(gathered, (*outputs, *(Named(value.name, _cast_count(value)) for value in part.values)))


def _cast_count(value: Summary) -> exp.Expr:
    """A sum of counts, cast to the type of a count."""

    whole = column(value.name)
    return exp.cast(whole, exp.DataType.Type.BIGINT) if value.function == "count" else whole
