"""The lineage of a project: its definitions, what reads them, and dbt's tables below."""

from collections import defaultdict

from gemel.compiler.names.graph import Graph
from gemel.dbt.dag import Dag, read_dag
from gemel.dbt.manifest import MANIFEST
from gemel.features.bound import Bound
from gemel.features.opened import bound_features
from gemel.graph.definitions import define
from gemel.graph.graph import Edge, Lineage
from gemel.graph.readers import define_readers
from gemel.graph.tables import DbtTables
from gemel.session import Session
from gemel.tracing.models import reader


def read_lineage(session: Session) -> Lineage:
    """Of an open project. Raises Problems (G5xx)."""
    dag = read_dag(session.artifacts / MANIFEST) if session.artifacts else Dag()
    return trace(session.graph, bound_features(session), dag)


def trace(graph: Graph, bound: Bound, dag: Dag) -> Lineage:
    """Everything from dbt's sources to exposures. A table's SQL is looked at when a way leads over it."""
    gathered = define(graph, dag)
    ours = define_readers(gathered, bound)
    definitions = gathered.done()
    features = frozenset(id for id in definitions.nodes if id.startswith("feature:"))
    tables = DbtTables(dag, ours, _used(definitions.edges), features, reader(graph.texts.dialect))
    return Lineage(definitions, tables)


def _used(edges: tuple[Edge, ...]) -> dict[str, list[str]]:
    """The columns that definitions name, by the name of their table; none for one of which they only count rows."""
    used: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        kind, _, name = edge.source.partition(":")
        if kind == "column":
            table, _, column = name.rpartition(".")
            used[table].append(column)
        elif kind == "rows":
            used[name] += ()
    return used
