"""Rewrites that make a plan cheaper and keep its meaning. `tidy(plan)` has the same result as `plan`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never, overload

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
    Lookup,
    Moments,
    Named,
    Plan,
    Scan,
    Stack,
    Top,
)
from gemel.compiler.plan.steps import share_steps
from gemel.compiler.question.expressions import column, conjunction, free, substitute
from gemel.compiler.question.verbatim import Verbatim, as_read
from gemel.spec.manifest import Relation


def tidy(plan: Plan) -> Plan:
    """Apply every rule at every node, innermost first. A plan that is used several times is tidied only once."""
    return _tidied(plan, {})


@overload
def _tidied(plan: Scan, done: dict[int, Plan]) -> Scan: ...
@overload
def _tidied(plan: Moments, done: dict[int, Plan]) -> Moments: ...
@overload
def _tidied(plan: Plan, done: dict[int, Plan]) -> Plan: ...
def _tidied(plan: Plan, done: dict[int, Plan]) -> Plan:
    """`done` has the tidied plans by identity, as comparing a plan by value walks through all of it."""
    if id(plan) in done:
        return done[id(plan)]
    tidied: Plan = plan
    match plan:
        case Scan(source=source):
            if not isinstance(source, Relation):
                tidied = replace(plan, source=_tidied(source, done))
        case Lookup(input=rows, right=right) | Join(input=rows, right=right):
            if not (_is_table(rows) and _is_table(right)):
                tidied = replace(plan, input=_tidied(rows, done), right=_tidied(right, done))
        case Moments(facts=facts, turns=turns):
            tidied = replace(plan, facts=_tidied(facts, done), turns=tuple(_tidied(turn, done) for turn in turns))
        case AsOf(spine=spine, facts=facts):
            if isinstance(spine, Calendar):
                tidied = replace(plan, spine=replace(spine, days=_tidied(spine.days, done)), facts=_tidied(facts, done))
            else:
                tidied = replace(plan, spine=_tidied(spine, done), facts=_tidied(facts, done))
        case Combine(inputs=inputs) | Stack(inputs=inputs):
            tidied = replace(plan, inputs=tuple(_tidied(part, done) for part in inputs))
        case Filter() | Aggregate() | Distinct() | Derive() | Top():
            tidied = replace(plan, input=_tidied(plan.input, done))
        case _:
            assert_never(plan)
    for rule in RULES.get(type(tidied), ()):
        tidied = rule(tidied)
    done[id(plan)] = tidied
    return tidied


def _is_table(rows: Plan) -> bool:
    return isinstance(rows, Scan) and isinstance(rows.source, Relation)


def join_derivations(plan: Plan) -> Plan:
    """Two computations of columns, one over the other, become one."""
    match plan:
        case Derive(input=Derive(input=inner, outputs=inner_outputs), outputs=outputs):
            values = {named.name: named.value for named in inner_outputs}
            return Derive(inner, tuple(Named(o.name, substitute(o.value, values)) for o in outputs))
        case _:
            return plan


def share_scans(plan: Plan) -> Plan:
    """Combined aggregates of the same facts by the same keys become one pass. Filters that differ move into the
    aggregates.

        Combine(sum(x) of facts where late, count(*) of facts)  ->  sum(x) filter (where late), count(*) of facts
    """
    if not isinstance(plan, Combine):
        return plan
    alike: dict[object, list[Plan]] = {}
    for part in plan.inputs:
        alike.setdefault(_likeness(part), []).append(part)
    merged = tuple(part for parts in alike.values() for part in _merge(parts))
    return merged[0] if len(merged) == 1 else replace(plan, inputs=merged)


RULES: Mapping[type, tuple[Callable[[Plan], Plan], ...]] = {
    Derive: (join_derivations,),
    Combine: (share_scans, share_steps),
}
"""The rules by the kind of node that they apply to."""


def _likeness(part: Plan) -> object:
    """What two results must have in common to be computed in one pass. Any other result is equal only to itself."""
    match part:
        case Aggregate(input=Join(input=Scan(source=Aggregate() as steps), right=right, on=on, how=how), keys=keys):
            return ("met", keys, right, on, how, _likeness(steps))
        case Aggregate(input=rows, keys=keys):
            return ("facts", keys, _split_rows(rows)[0])
        case Derive(input=Join(right=Scan(source=Aggregate() as facts) as right) as join, outputs=(*keys, _)) if (
            join.how == "inner" or (join.how == "left" and not any(_is_of(key, right.alias) for key in keys))
        ):
            # A row of the spine alone is there once for all results, unless there are other keys, of the facts.
            return ("shown", join.input, right.alias, join.on, join.how, tuple(keys), _likeness(facts))
        case AsOf(spine=Calendar(period_agg=str()) as calendar, facts=Aggregate() as facts, values=values):
            # The facts determine the first and last day of a period, and which days count: other rows, other days.
            return ("periods", calendar, values[0].back, facts.input, facts.keys)
        case AsOf(spine=Calendar() as calendar, facts=Aggregate() as facts, values=values):
            return ("seen", calendar, values[0].back, _likeness(facts))
        case Derive(input=(Aggregate() | AsOf()) as inner, outputs=outputs) if not _makes_values_up(outputs):
            return ("derived", _likeness(inner))
        case _:
            return part


def _makes_values_up(outputs: tuple[Named, ...]) -> bool:
    """Whether outputs have filled values, which would then appear in groups that only another aggregate has."""
    for output in outputs:
        found = output.value.find(*_MAKERS, Verbatim)
        if found is not None and (isinstance(found, _MAKERS) or as_read(output.value).find(*_MAKERS)):
            return True
    return False


_MAKERS = (exp.Coalesce, exp.Case, exp.If)


def _merge(parts: list[Plan]) -> list[Plan]:
    """Results of one likeness as one result; unchanged if something prevents that."""
    if len(parts) == 1:
        return parts
    names = [value.name for part in parts if isinstance(part, Aggregate | AsOf) for value in part.values]
    if len(set(names)) < len(names):
        return parts
    match parts[0]:
        case Aggregate(input=Join(input=Scan(source=Aggregate()) as scan) as join, keys=keys):
            joined_parts = [part for part in parts if isinstance(part, Aggregate)]
            steps = _merge([_steps(part) for part in joined_parts])
            if len(steps) > 1:
                return parts
            values = tuple(value for part in joined_parts for value in part.values)
            return [Aggregate(replace(join, input=replace(scan, source=steps[0])), keys, values)]
        case Aggregate():
            return _one_pass([part for part in parts if isinstance(part, Aggregate)])
        case AsOf():
            joins_in_time = [part for part in parts if isinstance(part, AsOf)]
            facts = _merge([part.facts for part in joins_in_time])
            if len(facts) > 1:
                return parts
            return [
                replace(
                    joins_in_time[0], facts=facts[0], values=tuple(v for part in joins_in_time for v in part.values)
                )
            ]
        case Derive(input=Join()):
            return _share_spine([part for part in parts if isinstance(part, Derive)])
        case Derive():
            derived = [part for part in parts if isinstance(part, Derive)]
            inner = _merge([part.input for part in derived])
            outputs = dict.fromkeys(output for part in derived for output in part.outputs)
            if len(inner) > 1 or len({output.name for output in outputs}) < len(outputs):
                return parts
            return [Derive(inner[0], tuple(outputs))]
        case _:
            return parts


def _steps(part: Aggregate) -> Plan:
    """The facts by steps of time from which an aggregate over a spine is built."""
    match part.input:
        case Join(input=Scan(source=Aggregate() as steps)):
            return steps
        case other:
            raise AssertionError(f"not met with a spine: {other}")


def _share_spine(parts: list[Derive]) -> list[Plan]:
    """Results over one spine: their facts in one pass, then one join."""
    joins = [part.input for part in parts if isinstance(part.input, Join)]
    facts = [join.right.source for join in joins if isinstance(join.right.source, Aggregate)]
    apart = _named_apart(facts)
    inner = _one_pass(apart)
    if len(inner) > 1:
        return list(parts)
    join = replace(joins[0], right=replace(joins[0].right, source=inner[0]))
    values = []
    for part, own, renamed in zip(parts, facts, apart, strict=True):
        names = {old.name: new.name for old, new in zip(own.values, renamed.values, strict=True)}
        shown = part.outputs[-1]
        values.append(Named(shown.name, _renamed(shown.value, join.right.alias, names)))
    return [Derive(join, (*parts[0].outputs[:-1], *values))]


def _named_apart(parts: list[Aggregate]) -> list[Aggregate]:
    """The same aggregates with unique names of values: the second `orders` becomes `orders_2`."""
    used = {key.name for key in parts[0].keys}
    result = []
    for part in parts:
        values = []
        for value in part.values:
            name = free(value.name, used)
            used.add(name)
            values.append(replace(value, name=name))
        result.append(replace(part, values=tuple(values)))
    return result


def _renamed(value: exp.Expr, alias: str, names: dict[str, str]) -> exp.Expr:
    def rename(node: exp.Expr) -> exp.Expr:
        is_value = isinstance(node, exp.Column) and node.text("table") == alias and node.name in names
        return column(names[node.name], alias) if is_value else node

    return value.transform(rename)


def _is_of(output: Named, alias: str) -> bool:
    return any(node.text("table") == alias for node in output.value.find_all(exp.Column))


def _one_pass(parts: list[Aggregate]) -> list[Plan]:
    apart = [_split_rows(part.input) for part in parts]
    lookups: dict[str, Lookup] = {}
    for _, joined, _ in apart:
        for lookup in joined:
            existing = lookups.setdefault(lookup.right.alias, lookup)
            if (existing.right, existing.on) != (lookup.right, lookup.on):
                return list(parts)  # one alias for two tables, which one SELECT cannot have
    shared = [p for p in apart[0][2] if all(p in predicates for _, _, predicates in apart)]
    own = [[p for p in predicates if p not in shared] for _, _, predicates in apart]
    rows: Plan = apart[0][0]
    for lookup in lookups.values():
        rows = replace(lookup, input=rows)
    for predicate in shared:
        rows = Filter(rows, predicate)
    if all(own):
        # Without this filter, groups would appear in which no aggregate has a row.
        rows = Filter(rows, exp.or_(*dict.fromkeys(conjunction(predicates) for predicates in own)))
    values = tuple(
        replace(value, where=conjunction([*([value.where] if value.where else []), *predicates]))
        if predicates
        else value
        for part, predicates in zip(parts, own, strict=True)
        for value in part.values
    )
    return [Aggregate(rows, parts[0].keys, values)]


def _split_rows(rows: Plan) -> tuple[Plan, list[Lookup], list[exp.Expr]]:
    """The rows below all lookups and filters, then the lookups, then the filters."""
    lookups: list[Lookup] = []
    predicates: list[exp.Expr] = []
    while isinstance(rows, Filter | Lookup):
        if isinstance(rows, Filter):
            predicates.append(rows.predicate)
        else:
            lookups.append(rows)
        rows = rows.input
    return rows, lookups[::-1], predicates[::-1]
