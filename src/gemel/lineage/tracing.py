"""The lineage of a project: its definitions, what reads them, and dbt's tables below."""

from collections import defaultdict

from gemel.bridge.features import Bound
from gemel.compiler.graph import Graph
from gemel.lineage.definitions import define
from gemel.lineage.graph import Edge, Lineage
from gemel.lineage.readers import define_readers
from gemel.lineage.sql import reader
from gemel.lineage.tables import DbtTables
from gemel.spec.dag import Dag


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
