"""Time spines: their rows and the buckets of time on them, and rows for buckets without a fact."""

from collections.abc import Sequence

from sqlglot import exp

from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.terms import Key, Leaf, PerEntity, Predicate, Span
from gemel.compiler.plan.algebra import (
    Derive,
    Distinct,
    Filter,
    Join,
    Lookup,
    Named,
    Plan,
    Scan,
)
from gemel.compiler.plan.facts import Facts, filtered, stepped, truncated, within
from gemel.compiler.question.expressions import bound, column, conjunction, equal
from gemel.spec.manifest import TimeSpine
from gemel.spec.time import GRAINS, finer, is_standard


def spine_for(graph: Graph, times: Sequence[Key], only_time: Sequence[Predicate] = ()) -> TimeSpine:
    """The coarsest time spine that has all of some time keys, and what filters on time speak of; a date part needs
    days."""
    times = [*times, *(key for predicate in only_time for key in _spoken(predicate))]
    grains = [key.grain or "day" for key in times]
    finest = min((graph.grain_of(grain) for grain in grains), key=GRAINS.index, default="day")
    custom = [graph.custom_grains[grain] for grain in grains if not is_standard(grain)]
    return next((spine for spine in custom if not finer(finest, spine.grain)), None) or graph.spine(finest)


def spine_value(graph: Graph, spine: TimeSpine, key: Key) -> exp.Expr:
    """A time key as a column of `spine_rows`: a custom grain is a column there, a standard one is truncated."""
    if key.grain and not is_standard(key.grain):
        owner = graph.custom_grains[key.grain]
        return column(dict(owner.custom)[key.grain], "spine" if owner == spine else f"{key.grain}__spine")
    return truncated(column(spine.column, "spine"), key.grain, key.part)


def spine_rows(graph: Graph, spine: TimeSpine, times: Sequence[Key]) -> Plan:
    """The rows of a spine, with the custom grains that another spine has."""
    rows: Plan = Scan(spine.relation, "spine")
    for grain in dict.fromkeys(key.grain for key in times if key.grain and not is_standard(key.grain)):
        owner = graph.custom_grains[grain]
        if owner != spine:
            alias = f"{grain}__spine"
            step_of_owner = truncated(column(spine.column, "spine"), owner.grain, None)
            rows = Lookup(rows, Scan(owner.relation, alias), equal(step_of_owner, column(owner.column, alias)))
    return rows


def buckets(
    graph: Graph,
    spine: TimeSpine,
    times: Sequence[Key],
    span: Span | None = None,
    only_time: Sequence[Predicate] = (),
) -> Derive | Distinct:
    """The different values of time keys over a spine, within a span, where filters that speak of time alone hold."""
    conditions = within(column(spine.column, "spine"), span)
    spoken = [_spoken(predicate) for predicate in only_time]
    for predicate, keys in zip(only_time, spoken, strict=True):
        conditions.append(bound(predicate.template, [spine_value(graph, spine, key) for key in keys]))
    rows = filtered(spine_rows(graph, spine, [*times, *(key for each in spoken for key in each)]), conditions)
    values = tuple(Named(key.name, spine_value(graph, spine, key)) for key in times)
    # A spine has one row a step, so its own grain among the keys makes every row different.
    return Derive(rows, values) if any(key.grain == spine.grain for key in times) else Distinct(rows, values)


def _spoken(predicate: Predicate) -> list[Key]:
    """The times that a filter on nothing else speaks of, as keys."""
    return [Key("", (), o.grain, o.part) for o in predicate.operands if isinstance(o, Attribute)]


def looked_up(facts: Facts, leaf: Leaf, attribute: Attribute | PerEntity) -> exp.Expr:
    """A key of facts that a time spine will meet. The spine shows the time, so the facts' own may be of any type."""
    if isinstance(attribute, Attribute) and leaf.is_time(attribute) and attribute.grain == "day":
        return stepped(facts.moment(), "day")
    return facts.operand(attribute)


def over_spine(graph: Graph, leaf: Leaf, name: str, result: Plan) -> Plan:
    """Every bucket of the time spine, with the leaf's value where it has one. Other keys are NULL in empty buckets.

    Filters that speak of time alone bound the spine too. Others that came from outside hold for the filled result
    again, where it has what they speak of: an empty bucket has no status, so `status = 'done'` drops it.
    """
    times = leaf.times
    only_time = [predicate for predicate in leaf.filters if leaf.is_only_time(predicate)]
    spine = spine_for(graph, times, only_time)
    source = buckets(graph, spine, times, leaf.span, only_time)
    on = [equal(column(key.name, "spine"), column(key.name, "facts")) for key in times]
    joined: Plan = Join(Scan(source, "spine"), Scan(result, "facts"), conjunction(on), "left")
    return _shown(joined, leaf, name, column(name, "facts"))


def _shown(joined: Plan, leaf: Leaf, name: str, value: exp.Expr) -> Plan:
    """Times from the spine, the other keys from the facts; what holds for the result is checked there."""
    outputs = [Named(key.name, column(key.name, "spine" if key in leaf.times else "facts")) for key, _ in leaf.keys]
    return filter_again(Derive(joined, (*outputs, Named(name, value))), leaf)


def filter_again(result: Plan, leaf: Leaf) -> Plan:
    """Filters from outside that do not speak of time alone hold for made-up rows too, as far as those have what the
    filters speak of."""
    keys = {key for key, _ in leaf.keys}
    for predicate in leaf.filters:
        again = predicate.outer and not leaf.is_only_time(predicate) and predicate.keys
        if again and len(predicate.keys) == len(predicate.operands) and keys.issuperset(predicate.keys):
            result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    return result
