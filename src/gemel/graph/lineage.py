"""The lineage of one thing in a project: where it comes from, and where it goes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gemel.graph import tree
from gemel.graph.building import read_graph
from gemel.graph.graph import MeaningGraph
from gemel.graph.nodes import Impact, Node, Part
from gemel.session import Session

if TYPE_CHECKING:
    from gemel.graph.openlineage import Namespaces


def read_lineage(session: Session, name: str) -> "Lineage":
    """The lineage of a metric, column, feature, model …: `late_rate`, `flights.departure_delay`, `metric:flights`.

    Raises UnknownNameError (G751), QueryError (G750) and Problems (G5xx).
    """
    with session.placing():
        graph = session.once(read_graph)
        return Lineage(graph, graph.find(name))


@dataclass(frozen=True, repr=False)
class Lineage:
    """Where something comes from, down to source columns, and where it goes. `print` shows both as trees.

        late_rate = gemel.load(".").lineage("late_rate")
        print(late_rate)
        late_rate.impact.groups["feature_service"]

    `nodes` are the nodes of the name: several for an entity, one for each of its models.
    """

    graph: MeaningGraph
    nodes: tuple[Node, ...]

    @cached_property
    def upstream(self) -> Part:
        """Everything that it comes from."""
        return self.graph.upstream(*self.nodes)

    @cached_property
    def downstream(self) -> Part:
        """Everything that it goes to."""
        return self.graph.downstream(*self.nodes)

    @cached_property
    def impact(self) -> Impact:
        """Everything that changes if it changes, by kind."""
        return self.graph.impact(*self.nodes)

    def __repr__(self) -> str:
        of = " and ".join(f"{node.kind.replace('_', ' ')} {node.name}" for node in self.nodes)
        up, down = (len(side.nodes) - len(self.nodes) for side in (self.upstream, self.downstream))
        return f"<Lineage of {of}: comes from {up}, goes to {down}; print() shows them>"

    def __str__(self) -> str:
        return "\n".join(self.lines("up", "down"))

    def lines(self, *sides: str) -> Iterator[str]:
        """The trees upstream (`up`) and downstream (`down`), or everything that changes with it (`impact`)."""
        if "impact" in sides:
            return tree.format_impact(self.impact)
        return tree.format_trees(self.graph, self.nodes, sides=sides)

    def as_json(self, *sides: str) -> dict[str, Any]:
        """The same as JSON values."""
        from gemel.graph import json

        if "impact" in sides:
            return json.write_impact(self.impact)
        return json.write_parts(self.nodes, *self._parts(sides))

    def as_mermaid(self, *sides: str) -> Iterator[str]:
        """The lines of a Mermaid flowchart."""
        from gemel.graph import mermaid

        return mermaid.draw(*self._parts(sides))

    def as_openlineage(self, *sides: str, namespaces: "Namespaces") -> Iterator[dict[str, Any]]:
        """OpenLineage's JobEvents of all nodes on the way."""
        import datetime as dt

        from gemel.graph.openlineage import write_jobs

        nodes = dict.fromkeys(node for part in self._parts(sides) for node in part.nodes)
        return write_jobs(self.graph, nodes, namespaces, now=dt.datetime.now(dt.UTC))

    def _parts(self, sides: tuple[str, ...]) -> list[Part]:
        """The impact is drawn as the downstream part."""
        down = "down" in sides or "impact" in sides
        return [self.upstream] * ("up" in sides) + [self.downstream] * down
