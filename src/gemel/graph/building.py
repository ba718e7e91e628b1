"""The graph of a project: its definitions, their readers, and dbt's tables below."""

from collections import defaultdict
from collections.abc import Callable

from gemel.compiler.names.graph import Graph
from gemel.dbt.rendering import Renderer, Rendering
from gemel.dbt.variables import Variables
from gemel.features.bound import Bound
from gemel.features.opened import bound_features
from gemel.graph.definitions import define
from gemel.graph.graph import MeaningGraph
from gemel.graph.nodes import Definitions
from gemel.graph.readers import define_readers
from gemel.graph.tables import DbtTables
from gemel.session import Session
from gemel.spec.project import DbtProject, Node
from gemel.tracing.models import Models


def read_graph(session: Session) -> MeaningGraph:
    """The graph of an open project. Raises Problems (G5xx)."""
    return build(session.graph, bound_features(session), session.dbt, session.variables)


def build(graph: Graph, bound: Bound, dbt: DbtProject, variables: Variables) -> MeaningGraph:
    """Everything from dbt's sources to exposures. The SQL of a table is traced when a path leads through it."""
    renderer = Renderer(dbt, variables)
    return assemble(graph, bound, renderer, renderer.render_built)


def assemble(
    graph: Graph,
    bound: Bound,
    renderer: Renderer,
    render: Callable[[Node], Rendering],
    *,
    same: frozenset[str] = frozenset(),
    other: MeaningGraph | None = None,
) -> MeaningGraph:
    """The same, with the SQL of models from `render`. `same` are the ids of dbt's nodes that are equal in `other`, down
    to the sources."""
    defined = define(graph, renderer.project)
    ours = define_readers(defined, bound)
    definitions = defined.freeze()
    features = frozenset(id for id in definitions.nodes if id.startswith("feature:"))
    models = Models(renderer, graph.texts.dialect, render)
    used = _used(definitions)
    return MeaningGraph(
        definitions, DbtTables(models, ours, used, features, same=same, other=other.tables if other else None)
    )


def with_models(
    graph: MeaningGraph, renderer: Renderer, render: Callable[[Node], Rendering], *, same: frozenset[str]
) -> MeaningGraph:
    """The same definitions over the models of another state."""
    models = Models(renderer, graph.tables.dialect, render)
    return MeaningGraph(graph.definitions, graph.tables.with_models(models, same))


def _used(definitions: Definitions) -> dict[str, list[str]]:
    """The columns that definitions use, by the name of their table; an empty list for a table that they only count."""
    used: dict[str, list[str]] = defaultdict(list)
    for derivation in definitions.derivations.values():
        for source, _ in derivation.uses:
            kind, _, name = source.partition(":")
            if kind == "column":
                table, _, column = name.rpartition(".")
                used[table].append(column)
            elif kind == "rows":
                used[name] += ()
    return used
