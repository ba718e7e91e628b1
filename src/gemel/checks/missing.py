"""Tables and columns that the warehouse does not have, told with their real names and what would create them."""

from collections.abc import Iterator

from gemel.compiler.names.graph import Graph
from gemel.compiler.sql import dialects
from gemel.errors import About, DefinitionError, GemelError, WarehouseError
from gemel.run import Runner
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject, Node

_VIRTUAL = "ephemeral"


def name_of_table(relation: Relation, warehouse: Runner) -> str:
    """The name of a table in the warehouse's own SQL."""
    return dialects.named(warehouse.catalogs())(relation).sql(warehouse.dialect)


def explain_table(error: GemelError, relation: Relation, warehouse: Runner, dbt: DbtProject) -> GemelError:
    """An error that says which table cannot be read, and how dbt builds it."""
    if not isinstance(error, WarehouseError) or error.code != "G405":
        return error
    node = dbt.node_at(relation)
    if node is not None and node.materialized == _VIRTUAL:
        return _virtual(node)
    table = name_of_table(relation, warehouse)
    message = f"the table {table} cannot be read: {error.message}"
    if node is None or node.kind == "source":
        return WarehouseError("G405", message, hint=error.hint)
    return WarehouseError("G405", message, hint=f"`dbt build --select +{node.name}` builds it, and what it reads")


def explain_expression(error: GemelError, about: About, relation: Relation, warehouse: Runner) -> GemelError:
    """An error about an expression, with the definition that has it and the table that it reads."""
    if not isinstance(error, WarehouseError) or error.code not in ("G405", "G406"):
        return error
    kind = about.kind.replace("_", " ")
    what = f"{about.element!r} of {kind} {about.name!r}" if about.element else f"{kind} {about.name!r}"
    table = name_of_table(relation, warehouse)
    return WarehouseError(error.code, f"{error.message} ({what} reads {table})", hint=error.hint)


def find_virtual(graph: Graph, dbt: DbtProject) -> Iterator[GemelError]:
    """Semantic models over ephemeral models (G169)."""
    for model in graph.models.values():
        node = dbt.node_at(model.relation)
        if node is not None and node.materialized == _VIRTUAL:
            error = _virtual(node)
            error.about = About("semantic_model", model.name)
            yield error


def _virtual(node: Node) -> DefinitionError:
    message = f"model {node.name!r} is ephemeral: it has no table that a query could read"
    return DefinitionError("G169", message, hint="materialize it as a view or a table")
