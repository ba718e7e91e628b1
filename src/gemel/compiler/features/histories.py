"""An entity's own row, for its dimensions as features: of a table with a history, the version at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.features.cells import first_seen
from gemel.compiler.names.graph import Graph
from gemel.compiler.plan.algebra import Scan
from gemel.compiler.plan.facts import expression, truncated
from gemel.compiler.question.expressions import interval
from gemel.compiler.question.parsing import parse_item
from gemel.errors import About, BridgeError, did_you_mean
from gemel.spec.manifest import Dimension, SemanticModel
from gemel.spec.time import Window, finer


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
        """The dimensions that tell when versions begin and end; none of a table without a history."""
        return [each for each in self.model.dimensions if each.validity]

    def turns(self, graph: Graph, schedule: Window) -> list[exp.Expr]:
        """The first moments of a schedule that know of each beginning and end of a version."""
        found = []
        for edge in self.edges:
            if finer(schedule.unit, graph.grain_of(edge.grain or "second")):
                last = exp.Sub(this=self._known(graph, edge), expression=interval(Window(1, "microsecond")))
                found.append(first_seen(last, schedule))
            else:
                found.append(first_seen(self.column(graph, edge), schedule))
        return found

    def in_force(self, graph: Graph, moment: exp.Expr) -> list[exp.Expr]:
        """The version of just before a moment: one that begins at the moment itself is not known yet."""
        conditions: list[exp.Expr] = []
        for each in self.edges:
            if each.validity == "start":
                conditions.append(exp.LTE(this=self._known(graph, each), expression=moment.copy()))
            else:
                still = exp.Is(this=self.column(graph, each), expression=exp.null())
                gone = exp.GT(this=self._known(graph, each), expression=moment.copy())
                conditions.append(exp.paren(exp.or_(gone, still)))
        return conditions

    def _known(self, graph: Graph, edge: Dimension) -> exp.Expr:
        """When it is known that a version begins or ends.

        Of a day that is known as a day nothing counts before it is over: what changed at 14:30 is not told at 1:00.
        """
        grain = graph.grain_of(edge.grain or "second")
        step = Window(1, "microsecond" if finer(grain, "microsecond") else grain)
        return exp.Add(this=exp.cast(self.column(graph, edge), exp.DataType.Type.TIMESTAMP), expression=interval(step))


def own_row(graph: Graph, entities: Sequence[str], asked: str) -> OwnRow:
    """Where dimension `asked` (`carrier__name`) of one of some entities is found. Raises BridgeError (G518)."""
    *path, name = parse_item(asked).segments
    owners = (
        [m for m in graph.ways.keyed(path[-1] if path else "") if graph.dimension(m, name)] if len(path) == 1 else []
    )
    if len(owners) != 1 or path[0] not in entities:
        raise _not_its_own(graph, entities, asked, path)
    model, entity = graph.models[owners[0]], path[0]
    dimension, key = graph.dimension(model.name, name), graph.entity(model.name, entity)
    assert dimension is not None and key is not None
    about = About("semantic_model", model.name, name)
    # Under the entity's name, which several tables may have a key of.
    alias = f"{entity}__{model.name}" if len(graph.ways.keyed(entity)) > 1 else entity
    return OwnRow(entity, model, dimension, Scan(model.relation, alias), expression(graph, key.expr, alias, about))


def _not_its_own(graph: Graph, entities: Sequence[str], asked: str, path: Sequence[str]) -> BridgeError:
    told, name = f"{asked!r} is not a dimension of {' or '.join(entities)}", parse_item(asked).segments[-1]
    if len(path) > 1 and any(graph.dimension(model, name) for model in graph.ways.keyed(path[-1])):
        owner = path[-2] if path[-2] in entities else " or ".join(entities)
        way = f"join it into the dbt model of {owner}, as its dimension"
        return BridgeError("G518", told, hint=f"dimensions over other entities are no features: {way}")
    known = [f"{e}__{d.name}" for e in entities for m in graph.ways.keyed(e) for d in graph.models[m].dimensions]
    near = did_you_mean(asked, known) or (f"there are {', '.join(known[:8])}" if known else None)
    return BridgeError("G518", told, hint=near)
