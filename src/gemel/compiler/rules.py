"""Rewrites that keep a plan's meaning and make it cheaper. `tidy(plan)` gives what `plan` gives."""

from dataclasses import replace
from typing import assert_never

from sqlglot import exp

from gemel.compiler.algebra import (
    Aggregate,
    AsOf,
    Combine,
    Derive,
    Distinct,
    Filter,
    Join,
    Lookup,
    Moments,
    Plan,
    Scan,
    Stack,
    Top,
)
from gemel.compiler.expressions import conjunction
from gemel.spec.manifest import Relation


def tidy(plan: Plan) -> Plan:
    """Every rule at every node, innermost first."""
    plan = _inside(plan)
    for rule in RULES:
        plan = rule(plan)
    return plan


def share_scans(plan: Plan) -> Plan:
    """Aggregates of the same facts by the same keys, combined, become one pass; what differs between their filters
    moves into the aggregates.

        Combine(sum(x) of facts where late, count(*) of facts)  ->  sum(x) filter (where late), count(*) of facts
    """
    if not isinstance(plan, Combine):
        return plan
    groups: dict[object, list[Plan]] = {}
    for part in plan.inputs:
        groups.setdefault(_facts(part), []).append(part)
    merged: list[Plan] = []
    for parts in groups.values():
        merged += _merge([part for part in parts if isinstance(part, Aggregate)]) if len(parts) > 1 else parts
    return merged[0] if len(merged) == 1 else replace(plan, inputs=tuple(merged))


RULES = (share_scans,)


def _facts(part: Plan) -> object:
    """What two aggregates must have in common to share a scan; anything else is only equal to itself."""
    if not isinstance(part, Aggregate):
        return part
    scan, _, _ = _taken_apart(part.input)
    return (scan, part.keys)


def _merge(parts: list[Aggregate]) -> list[Plan]:
    apart = [_taken_apart(part.input) for part in parts]
    lookups: dict[str, Lookup] = {}
    for _, joined, _ in apart:
        for lookup in joined:
            known = lookups.setdefault(lookup.right.alias, lookup)
            if (known.right, known.on) != (lookup.right, lookup.on):
                return list(parts)  # one name for two tables: they cannot stand in one SELECT
    shared = [p for p in apart[0][2] if all(p in predicates for _, _, predicates in apart)]
    own = [[p for p in predicates if p not in shared] for _, _, predicates in apart]
    rows: Plan = apart[0][0]
    for lookup in lookups.values():
        rows = replace(lookup, input=rows)
    for predicate in shared:
        rows = Filter(rows, predicate)
    if all(own):
        # Without it, groups would appear in which no aggregate has a row.
        rows = Filter(rows, exp.or_(*dict.fromkeys(_all(predicates) for predicates in own)))
    values = tuple(
        replace(value, where=_all([*([value.where] if value.where else []), *predicates])) if predicates else value
        for part, predicates in zip(parts, own, strict=True)
        for value in part.values
    )
    return [Aggregate(rows, parts[0].keys, values)]


def _all(predicates: list[exp.Expr]) -> exp.Expr:
    return conjunction(predicates)


def _taken_apart(rows: Plan) -> tuple[Plan, list[Lookup], list[exp.Expr]]:
    """Rows as what no rule looks into, the lookups on it, and the filters."""
    lookups: list[Lookup] = []
    predicates: list[exp.Expr] = []
    while isinstance(rows, Filter | Lookup):
        if isinstance(rows, Filter):
            predicates.append(rows.predicate)
        else:
            lookups.append(rows)
        rows = rows.input
    return rows, lookups[::-1], predicates[::-1]


def _inside(plan: Plan) -> Plan:
    """The plan with every plan that it is made of tidied."""
    match plan:
        case Scan():
            return _scan(plan)
        case Lookup(input=rows, right=right) | Join(input=rows, right=right):
            return replace(plan, input=tidy(rows), right=_scan(right))
        case Moments(facts=facts):
            return replace(plan, facts=tidy(facts))
        case AsOf(spine=spine, facts=facts):
            return replace(plan, spine=replace(spine, facts=tidy(spine.facts)), facts=tidy(facts))
        case Combine(inputs=inputs) | Stack(inputs=inputs):
            return replace(plan, inputs=tuple(tidy(part) for part in inputs))
        case Filter() | Aggregate() | Distinct() | Derive() | Top():
            return replace(plan, input=tidy(plan.input))
        case _:
            assert_never(plan)


def _scan(scan: Scan) -> Scan:
    return scan if isinstance(scan.source, Relation) else replace(scan, source=tidy(scan.source))
