"""The compiler: seven stages, one way. `speak(lower(tidy(plan(graph, resolve(graph, query)))), dialect)`."""

from gemel.compiler.names import resolution
from gemel.compiler.names.graph import Graph
from gemel.compiler.plan import planning, rewrites
from gemel.compiler.question.query import Query
from gemel.compiler.sql import dialects, lowering
from gemel.errors import QueryError


def compile_query(
    graph: Graph, query: Query, *, dialect: str = "duckdb", catalogs: frozenset[str] | None = None
) -> str:
    """The SQL that answers a query.

    `catalogs` are the databases that the connection knows; a relation of any other is written without its database.
    Raises UnknownNameError, QueryError or DefinitionError.
    """
    try:
        resolved = resolution.resolve(graph, query)
        plan = rewrites.tidy(planning.plan(graph, resolved))
        return dialects.speak(lowering.lower(plan, dialects.named(catalogs)), dialect)
    except RecursionError:
        raise QueryError(
            "G341",
            "the question is nested too deep",
            hint="a filter, an expression, or metrics made of metrics: make it of fewer levels",
        ) from None
