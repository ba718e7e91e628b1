"""Time spines: their rows, the periods of time on them, and rows for periods without a fact."""

from collections.abc import Iterable, Sequence

from sqlglot import exp

from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.terms import Key, Leaf, Operand, PerEntity, Predicate, Span
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
from gemel.spec.metrics import Measure
from gemel.spec.time import DATE_PARTS, GRAINS, finer, is_standard


def spine_for(graph: Graph, times: Sequence[Key], only_time: Sequence[Predicate] = ()) -> TimeSpine:
    """The coarsest time spine that has the given time keys and those that filters on time refer to. A date part needs
    a spine of days."""
    times = [*times, *(key for predicate in only_time for key in _time_keys(predicate))]
    grains = [key.grain or "day" for key in times]
    finest = min((graph.grain_of(grain) for grain in grains), key=GRAINS.index, default="day")
    custom = [graph.custom_grains[grain] for grain in grains if not is_standard(grain)]
    return next((spine for spine in custom if not finer(finest, spine.grain)), None) or graph.spine(finest)


def spine_step(graph: Graph, measure: Measure, operands: Iterable[Key | Operand], *units: str | None) -> str:
    """The grain by which facts meet a time spine: their own, or that of the finest spine if it is coarser: facts by the
    second meet a spine of days. It must be fine enough for the times that are shown or filtered by, and for `units`;
    otherwise their own, for which no spine is fine enough (G104)."""
    own = graph.time_dimension(measure).grain or "day"
    finest = min((spine.grain for spine in graph.spines), key=GRAINS.index, default=own)
    if not finer(own, finest):
        return own
    times = [each for each in operands if not isinstance(each, PerEntity)]
    grains = [time.grain or DATE_PARTS.get(time.part or "") for time in times]
    return own if any(finer(graph.grain_of(grain), finest) for grain in (*grains, *units) if grain) else finest


def spine_value(graph: Graph, spine: TimeSpine, key: Key) -> exp.Expr:
    """A time key over `spine_rows`: a custom grain is a column of a spine, a standard grain truncates its time."""
    if key.grain and not is_standard(key.grain):
        owner = graph.custom_grains[key.grain]
        return column(dict(owner.custom)[key.grain], "spine" if owner == spine else f"{key.grain}__spine")
    return truncated(column(spine.column, "spine"), key.grain, key.part)


def spine_rows(graph: Graph, spine: TimeSpine, times: Sequence[Key]) -> Plan:
    """The rows of a spine, joined to the spines of custom grains that it does not have itself."""
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
    """The distinct values of time keys on a spine, within a span and the filters that refer to time alone."""
    conditions = within(column(spine.column, "spine"), span)
    time_keys = [_time_keys(predicate) for predicate in only_time]
    for predicate, keys in zip(only_time, time_keys, strict=True):
        conditions.append(bound(predicate.template, [spine_value(graph, spine, key) for key in keys]))
    rows = filtered(spine_rows(graph, spine, [*times, *(key for each in time_keys for key in each)]), conditions)
    values = tuple(Named(key.name, spine_value(graph, spine, key)) for key in times)
    # A spine has one row for each step, so its own grain among the keys makes every row distinct.
    return Derive(rows, values) if any(key.grain == spine.grain for key in times) else Distinct(rows, values)


def _time_keys(predicate: Predicate) -> list[Key]:
    """The times that a filter on time alone refers to, as keys."""
    return [Key("", (), o.grain, o.part) for o in predicate.operands if isinstance(o, Attribute)]


def looked_up(facts: Facts, leaf: Leaf, attribute: Attribute | PerEntity) -> exp.Expr:
    """A key of facts that join a time spine. The spine shows the time, so the facts' time may have any type."""
    if isinstance(attribute, Attribute) and leaf.is_time(attribute) and attribute.grain == "day":
        return stepped(facts.moment(), "day")
    return facts.operand(attribute)


def over_spine(graph: Graph, leaf: Leaf, name: str, result: Plan) -> Plan:
    """Every period of the time spine, with the leaf's value if it has one. Other keys are NULL in empty periods.

    Filters that refer to time alone limit the spine too. Other filters from outside apply to the filled result again,
    if it has the columns: an empty period has no status, so `status = 'done'` drops it.
    """
    times = leaf.times
    only_time = [predicate for predicate in leaf.filters if leaf.is_only_time(predicate)]
    spine = spine_for(graph, times, only_time)
    source = buckets(graph, spine, times, leaf.span, only_time)
    on = [equal(column(key.name, "spine"), column(key.name, "facts")) for key in times]
    joined: Plan = Join(Scan(source, "spine"), Scan(result, "facts"), conjunction(on), "left")
    return _shown(joined, leaf, name, column(name, "facts"))


def _shown(joined: Plan, leaf: Leaf, name: str, value: exp.Expr) -> Plan:
    """Times from the spine and the other keys from the facts. Filters on the result are applied again."""
    outputs = [Named(key.name, column(key.name, "spine" if key in leaf.times else "facts")) for key, _ in leaf.keys]
    return filter_again(Derive(joined, (*outputs, Named(name, value))), leaf)


def filter_again(result: Plan, leaf: Leaf) -> Plan:
    """Apply filters from outside to the rows that the spine adds, too: those that refer to more than time, and only to
    columns of the result."""
    keys = {key for key, _ in leaf.keys}
    for predicate in leaf.filters:
        again = predicate.outer and not leaf.is_only_time(predicate) and predicate.keys
        if again and len(predicate.keys) == len(predicate.operands) and keys.issuperset(predicate.keys):
            result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    return result
