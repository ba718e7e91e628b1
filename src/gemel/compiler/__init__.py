"""The compiler: seven stages, one way. `speak(lower(tidy(plan(graph, resolve(graph, query)))), dialect)`."""

from gemel.compiler import dialects, lowering, planning, resolution, rules
from gemel.compiler.graph import Graph
from gemel.compiler.query import Query


def compile_query(
    graph: Graph, query: Query, *, dialect: str = "duckdb", catalogs: frozenset[str] | None = None
) -> str:
    """The SQL that answers a query.

    `catalogs` are the databases that the connection knows; a relation of any other is written without its database.
    Raises UnknownNameError, QueryError or DefinitionError.
    """
    resolved = resolution.resolve(graph, query)
    plan = rules.tidy(planning.plan(graph, resolved))
    return dialects.speak(lowering.lower(plan, dialects.named(catalogs)), dialect)
