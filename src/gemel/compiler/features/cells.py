"""What features are built from: aggregates by step of time, and other plans for values that steps do not add up to."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.features.whole_windows import Events, plan_changes
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Converted, Leaf
from gemel.compiler.plan.algebra import Aggregate, Derive, Distinct, Filter, Named, Plan, Scan, Stack, Summary, Windowed
from gemel.compiler.plan.distinct import Back
from gemel.compiler.plan.events import follow
from gemel.compiler.plan.facts import Facts, filtered, truncated
from gemel.compiler.plan.parts import combine_parts, gather, is_of_rows, of_one, parts, summary
from gemel.compiler.plan.planning import facts_of
from gemel.compiler.question.expressions import column, copied, filled, interval, present
from gemel.errors import About, BridgeError
from gemel.spec.time import Window

MOMENT = "event_timestamp"
BEGAN = "began_at"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The times of the facts to read: from `since` on and before `until`, without those of a `gap` from its first time
    on and before its second. None means no bound, and no gap."""

    since: exp.Expr | None = None
    until: exp.Expr | None = None
    gap: tuple[exp.Expr, exp.Expr] | None = None

    def conditions(self, time: exp.Expr) -> list[exp.Expr]:
        conditions: list[exp.Expr] = []
        if self.until is not None:
            conditions.append(exp.LT(this=copied(time), expression=copied(self.until)))
        if self.since is not None:
            conditions.append(exp.GTE(this=time.copy(), expression=self.since.copy()))
        if self.gap is not None:
            start, end = self.gap
            before = exp.LT(this=time.copy(), expression=start.copy())
            conditions.append(exp.or_(before, exp.GTE(this=time.copy(), expression=end.copy()), copy=False))
        return conditions


@dataclass(frozen=True, slots=True)
class Counted:
    """Facts as features use them: `parts` by step, from which any window is built, and the `events`.

    A value that steps do not add up to keeps one part, the count of its facts. It is computed by `summary`, over all
    the facts in a window, or (distinct values) from their changes.
    """

    name: str
    leaf: Leaf
    parts: tuple[Summary, ...]
    events: Events
    summary: Summary | None = None

    @property
    def adds_up(self) -> bool:
        return self.summary is None and not self._is_distinct

    @property
    def _is_distinct(self) -> bool:
        return self.leaf.measure.agg == "count_distinct"

    def steps(self) -> list[Plan]:
        """Each part of the facts, by key and the first moment that sees them."""
        return [Aggregate(self.events.rows, (*self.events.keys, self.events.moment), (part,)) for part in self.parts]

    def changes(self, back: Back, step: Window) -> Plan | None:
        """The change of a value, by key and moment; None if steps add up to the value."""
        if not self._is_distinct:
            return None
        return plan_changes(self.events, _changes(self.name, back), back, step)

    def turns(self) -> tuple[Plan, ...]:
        """Moments at which a value changes although no fact enters or leaves a window."""
        return ()

    def looks(self, back: Back) -> Iterator[Windowed]:
        if self.summary is not None:
            return
        for part in self.parts:
            yield Windowed(windowed_name(part.name, back), gather(part), part.name, back)
        if self._is_distinct:
            changes = _changes(self.name, back)
            yield Windowed(changes, "sum", changes)

    def value(self, back: Back) -> exp.Expr:
        """The aggregate over the facts that a moment sees; NULL if it sees none, unless the metric fills NULLs."""
        if self.summary is not None:
            value: exp.Expr = column(self.summary.name, windowed_name(self.name, back))
        elif not self._is_distinct:
            value = combine_parts(self.parts, lambda part: column(windowed_name(part, back), "features"))
        else:
            some = exp.GT(
                this=column(windowed_name(self.parts[0].name, back), "features"), expression=exp.Literal.number(0)
            )
            value = exp.case().when(some, column(_changes(self.name, back), "features"))
        return filled(value, self.leaf.fill)


@dataclass(frozen=True, slots=True)
class Turned:
    """Conversions as features use them: each counts from its own time until its base event leaves the window.

    `rows` has the keys, `event_timestamp` (the moment that first sees the conversion), `began_at` (the moment that
    first sees its base event) and each part of the one conversion.
    """

    name: str
    converted: Converted
    parts: tuple[Summary, ...]
    rows: Derive
    keys: tuple[str, ...]

    adds_up = False

    def steps(self) -> list[Plan]:
        return []

    def changes(self, back: Back, step: Window) -> Plan:
        """The change of each part, by key and moment.

        a window of 7 days   base event Jan 1, conversion Jan 3   ->  (Jan 3, 1), (Jan 8, -1)
        """
        assert not isinstance(back, str)
        rows: Plan = Scan(self.rows, "turned")
        names = [part.name for part in self.parts]
        moment, began = (column(name, "turned") for name in (MOMENT, BEGAN))
        if back is not None:
            gone = exp.Add(this=began, expression=interval(back))
            rows = Filter(rows, exp.LT(this=moment, expression=gone))
        keys = [Named(key, column(key, "turned")) for key in self.keys]
        came = Derive(rows, (*keys, Named(MOMENT, moment), *(Named(name, column(name, "turned")) for name in names)))
        stacked: Plan = came
        if back is not None:
            less = [Named(name, exp.Neg(this=column(name, "turned"))) for name in names]
            stacked = Stack((came, Derive(rows, (*keys, Named(MOMENT, gone), *less))), "changes")
        by = tuple(Named(name, column(name, "changes")) for name in (*self.keys, MOMENT))
        sums = tuple(Summary(_changes(name, back), "sum", column(name, "changes")) for name in names)
        return Aggregate(Scan(stacked, "changes"), by, sums)

    def turns(self) -> tuple[Plan, ...]:
        names = tuple(Named(name, column(name, "turned")) for name in (*self.keys, MOMENT))
        return (Distinct(Scan(self.rows, "turned"), names),)

    def looks(self, back: Back) -> Iterator[Windowed]:
        for part in self.parts:
            changes = _changes(part.name, back)
            yield Windowed(changes, "sum", changes)

    def value(self, back: Back) -> exp.Expr:
        """NULL if a moment sees no conversion, unless the metric fills NULLs."""
        *values, count_seen = (column(_changes(part.name, back), "features") for part in self.parts)
        if values:
            some = exp.GT(this=count_seen, expression=exp.Literal.number(0))
            value: exp.Expr = exp.case().when(some, values[0])
        else:
            value = exp.Nullif(this=count_seen, expression=exp.Literal.number(0))
        return filled(value, self.converted.conversion.fill)


Cell = Counted | Turned
Cells = dict[Leaf | Converted, Cell]


def cell_of(graph: Graph, source: Leaf | Converted, name: str, step: Window, bounds: Bounds) -> Cell:
    """Raises BridgeError (G517) for a measure that cannot be a feature, or not yet."""
    if isinstance(source, Leaf):
        return _make_counted(graph, source, name, step, bounds)
    return _make_turned(graph, source, name, step, bounds)


def _make_counted(graph: Graph, leaf: Leaf, name: str, step: Window, bounds: Bounds) -> Counted:
    measure = leaf.measure
    if measure.non_additive is not None:
        raise BridgeError(
            "G517",
            f"measure {measure.name!r} does not add up over {measure.non_additive.dimension!r}: its value is that of "
            "the last time in a query, and a feature's window has no such time, so it cannot be a feature yet",
            hint="use a dimension with a history, or a measure that adds up",
            about=About("semantic_model", measure.model, measure.name),
        )
    facts = facts_of(graph, leaf)
    value = facts.measured(leaf)
    keys, known_from, conditions = facts_of_entities(facts, leaf, bounds)
    rows = filtered(facts.where(leaf.filters), conditions)
    events = Events(rows, keys, Named(MOMENT, first_seen(known_from, step)), value)
    kept = parts(leaf, name, value)
    if kept is not None:
        return Counted(name, leaf, kept, events)
    counted = (Summary(f"{name}_facts", "count", exp.Literal.number(1)),)
    gathered = None if measure.agg == "count_distinct" else summary(leaf, name, value)
    return Counted(name, leaf, counted, events, gathered)


def facts_of_entities(facts: Facts, leaf: Leaf, bounds: Bounds) -> tuple[tuple[Named, ...], exp.Expr, list[exp.Expr]]:
    """The entities of a leaf's facts, the time at which the facts become known, and the conditions for those that do.

    A fact without an entity belongs to nobody, and one without a time never becomes known.
    """
    keys = tuple(Named(key.name, facts.operand(attribute)) for key, attribute in leaf.keys)
    known_from = facts.time_of(leaf.seen_at)
    conditions = [present(copied(each)) for each in [*(key.value for key in keys), known_from]]
    return keys, known_from, [*conditions, *bounds.conditions(known_from)]


def _make_turned(graph: Graph, converted: Converted, name: str, step: Window, bounds: Bounds) -> Turned:
    measure = converted.conversion.measure
    base, conversion = facts_of(graph, converted.base), facts_of(graph, converted.conversion)
    followed = follow(base, conversion, converted, name, bounds.conditions)
    kept = parts(converted.conversion, name, followed.value)
    # The value is a running sum of changes, in which fractions would drift, and which cannot give a minimum.
    if kept is None or not all(part.function == "count" or isinstance(part.value, exp.Literal) for part in kept):
        raise BridgeError(
            "G517",
            f"the conversions of measure {measure.name!r} ({measure.agg} of {measure.expr}) cannot be a feature yet; "
            "only their number can",
            hint="use a measure that counts, such as `agg: count` or `agg: sum` with `expr: 1`",
            about=About("semantic_model", measure.model, measure.name),
        )
    if not all(is_of_rows(part) for part in kept):
        kept = (*kept, Summary(f"{name}_seen", "count", exp.Literal.number(1)))
    rows = filtered(followed.rows, [present(group.value) for group in followed.groups])
    moments = [Named(MOMENT, first_seen(followed.ended, step)), Named(BEGAN, first_seen(followed.began, step))]
    values = [Named(part.name, of_one(part) if not is_of_rows(part) else exp.Literal.number(1)) for part in kept]
    return Turned(
        name,
        converted,
        kept,
        Derive(rows, (*followed.groups, *moments, *values)),
        tuple(group.name for group in followed.groups),
    )


def first_seen(time: exp.Expr, step: Window) -> exp.Expr:
    """The first moment of the schedule that can see an event at a time: the end of the event's step."""
    whole_time = exp.cast(time.copy(), exp.DataType.Type.TIMESTAMP)
    return exp.Add(this=truncated(whole_time, step.unit, None), expression=interval(step))


def windowed_name(part: str, back: Back) -> str:
    if isinstance(back, str):
        return f"{part}_{back}_to_date"
    return f"{part}_{back.count}_{back.unit}" if back else f"{part}_all"


def _changes(name: str, back: Back) -> str:
    return windowed_name(f"{name}_changes", back)
