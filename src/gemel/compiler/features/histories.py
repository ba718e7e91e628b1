"""An entity's own row, whose dimensions can be features; in a table with a history, the version at a moment, and the
moments that have a row for that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.compiler.features.cells import MOMENT, Bounds, facts_of_entities, first_seen
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Leaf
from gemel.compiler.plan.algebra import (
    Aggregate,
    Derive,
    Distinct,
    Filter,
    Join,
    Moments,
    Named,
    Plan,
    Scan,
    Stack,
    Summary,
)
from gemel.compiler.plan.facts import expression, filtered, truncated
from gemel.compiler.plan.planning import facts_of
from gemel.compiler.question.expressions import column, equal, interval
from gemel.compiler.question.parsing import parse_item
from gemel.errors import About, BridgeError, did_you_mean
from gemel.spec.feature_views import DimensionFeature, FeatureView
from gemel.spec.manifest import Dimension, SemanticModel
from gemel.spec.time import Window, finer

FIRST = "first_moment"


@dataclass(frozen=True, slots=True)
class OwnRow:
    """The table that has a dimension of an entity, and the entity's key there."""

    entity: str
    model: SemanticModel
    dimension: Dimension
    table: Scan
    key: exp.Expr

    def column(self, graph: Graph, dimension: Dimension) -> exp.Expr:
        about = About("semantic_model", self.model.name, dimension.name)
        return truncated(expression(graph, dimension.expr, self.table.alias, about), dimension.grain, None)

    @property
    def edges(self) -> list[Dimension]:
        """The dimensions for the begin and end of a version; none if the table has no history."""
        return [each for each in self.model.dimensions if each.validity]

    def turns(self, graph: Graph, schedule: Window) -> list[exp.Expr]:
        """For each begin and end of a version, the first moment of a schedule at which it is known."""
        moments = []
        for edge in self.edges:
            if finer(schedule.unit, graph.grain_of(edge.grain or "second")):
                last = exp.Sub(this=self._known_from(graph, edge), expression=interval(Window(1, "microsecond")))
                moments.append(first_seen(last, schedule))
            else:
                moments.append(first_seen(self.column(graph, edge), schedule))
        return moments

    def in_force(self, graph: Graph, moment: exp.Expr) -> list[exp.Expr]:
        """Conditions for the version just before a moment: one that begins at the moment itself is not known yet."""
        conditions: list[exp.Expr] = []
        for each in self.edges:
            if each.validity == "start":
                conditions.append(exp.LTE(this=self._known_from(graph, each), expression=moment.copy()))
            else:
                still = exp.Is(this=self.column(graph, each), expression=exp.null())
                gone = exp.GT(this=self._known_from(graph, each), expression=moment.copy())
                conditions.append(exp.paren(exp.or_(gone, still)))
        return conditions

    def _known_from(self, graph: Graph, edge: Dimension) -> exp.Expr:
        """The time from which it is known that a version begins or ends.

        A date is known only when its day is over: a change at 14:30 must not appear at 1:00.
        """
        grain = graph.grain_of(edge.grain or "second")
        step = Window(1, "microsecond" if finer(grain, "microsecond") else grain)
        return exp.Add(this=exp.cast(self.column(graph, edge), exp.DataType.Type.TIMESTAMP), expression=interval(step))


def own_row(graph: Graph, entities: Sequence[str], dimension_name: str) -> OwnRow:
    """Find the table that has a dimension (`carrier__name`) of one of the entities. Raises BridgeError (G518)."""
    *path, name = parse_item(dimension_name).segments
    owners = (
        [m for m in graph.ways.keyed(path[-1] if path else "") if graph.dimension(m, name)] if len(path) == 1 else []
    )
    if len(owners) != 1 or path[0] not in entities:
        raise _not_its_own(graph, entities, dimension_name, path)
    model, entity = graph.models[owners[0]], path[0]
    dimension, key = graph.dimension(model.name, name), graph.entity(model.name, entity)
    assert dimension is not None and key is not None
    about = About("semantic_model", model.name, name)
    # The alias is the entity's name; if several tables have it as a key, the table's name is added.
    alias = f"{entity}__{model.name}" if len(graph.ways.keyed(entity)) > 1 else entity
    return OwnRow(entity, model, dimension, Scan(model.relation, alias), expression(graph, key.expr, alias, about))


def has_history(graph: Graph, view: FeatureView, feature: DimensionFeature) -> bool:
    """Whether a dimension has its value as of each moment, from a table that keeps versions."""
    return bool(own_row(graph, view.entities, feature.dimension).edges)


def from_first_facts(
    graph: Graph, view: FeatureView, leaves: Sequence[Leaf], moments: Moments, bounds: Bounds
) -> Moments:
    """The moments, from each entity's first fact on, whether or not the fact passes the filter of a metric, and with
    those at which a version begins or ends."""
    seen_whole = {_place(leaf) for leaf in leaves if not leaf.filters}
    if all(_place(leaf) in seen_whole for leaf in leaves):
        since = Scan(_first_of(Scan(moments.facts, "facts"), moments.keys, MOMENT), "since")
        return moments if moments.every else replace(moments, turns=_turns(graph, view, since, moments))
    since = Scan(first_moments(graph, dict.fromkeys(leaves, moments.schedule), bounds), "since")
    began = Derive(since, (*_keys(moments), Named(MOMENT, column(FIRST, "since"))))
    if moments.every:
        return replace(moments, facts=began)
    return replace(moments, turns=(began, *_turns(graph, view, since, moments)))


def _place(leaf: Leaf) -> object:
    """The facts of a leaf, whatever it counts of them."""
    return leaf.measure.model, leaf.keys, leaf.seen_at


def first_moments(graph: Graph, steps: Mapping[Leaf, Window], bounds: Bounds) -> Aggregate:
    """By entity, the first moment that sees a fact, in column FIRST, whether or not the fact passes a filter. `steps`
    are the leaves of the facts, each with the step at whose end its facts are seen."""
    places = {_place(leaf): (leaf, step) for leaf, step in steps.items()}
    each = [_first_moments(graph, leaf, step, bounds) for leaf, step in places.values()]
    if len(each) == 1:
        return each[0]
    return _first_of(Scan(Stack(tuple(each), "seen"), "facts"), [key.name for key in each[0].keys], FIRST)


def _first_of(rows: Scan, keys: Sequence[str], moment: str) -> Aggregate:
    named = tuple(Named(key, column(key, rows.alias)) for key in keys)
    return Aggregate(rows, named, (Summary(FIRST, "min", column(moment, rows.alias)),))


def _first_moments(graph: Graph, leaf: Leaf, step: Window, bounds: Bounds) -> Aggregate:
    facts = facts_of(graph, leaf)
    keys, known_from, conditions = facts_of_entities(facts, leaf, bounds)
    first = Summary(FIRST, "min", first_seen(known_from, step))
    return Aggregate(filtered(facts.where(()), conditions), keys, (first,))


def _keys(moments: Moments) -> tuple[Named, ...]:
    return tuple(Named(key, column(key, "since")) for key in moments.keys)


def _turns(graph: Graph, view: FeatureView, since: Scan, moments: Moments) -> tuple[Plan, ...]:
    """The moments at which a version of a dimension begins or ends, for the entities that have facts by then."""
    turns: dict[Plan, None] = {}
    for feature in view.features:
        if isinstance(feature, DimensionFeature):
            own = own_row(graph, view.entities, feature.dimension)
            for turn in own.turns(graph, moments.schedule):
                versions = Join(since, own.table, equal(column(own.entity, "since"), own.key), "inner")
                rows = Filter(versions, exp.GT(this=turn, expression=column(FIRST, "since")))
                turns[Distinct(rows, (*_keys(moments), Named(MOMENT, turn.copy())))] = None
    return tuple(turns)


def _not_its_own(graph: Graph, entities: Sequence[str], dimension_name: str, path: Sequence[str]) -> BridgeError:
    message, name = (
        f"{dimension_name!r} is not a dimension of {' or '.join(entities)}",
        parse_item(dimension_name).segments[-1],
    )
    if len(path) > 1 and any(graph.dimension(model, name) for model in graph.ways.keyed(path[-1])):
        owner = path[-2] if path[-2] in entities else " or ".join(entities)
        way = f"join it into the dbt model of {owner}, as its dimension"
        return BridgeError("G518", message, hint=f"a dimension of another entity cannot be a feature: {way}")
    names = [f"{e}__{d.name}" for e in entities for m in graph.ways.keyed(e) for d in graph.models[m].dimensions]
    near = did_you_mean(dimension_name, names) or (f"there are {', '.join(names[:8])}" if names else None)
    return BridgeError("G518", message, hint=near)
