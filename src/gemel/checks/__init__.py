"""Every rule over a whole project's definitions, in tables: a rule takes what it looks at and yields what it finds.

A finding is a GemelError that is told and not raised, with the definition that it is about. `docs/errors.md` shows
each with what provokes it.
"""

from collections.abc import Callable, Iterator, Sequence

from gemel.checks import joins, losses, metrics, names, questions, rows, tables, types
from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.query import Query
from gemel.errors import GemelError
from gemel.run import Runner
from gemel.spec.places import Places

OF_DEFINITIONS = (
    names.reserved,
    names.not_askable,
    names.custom_grains,
    names.shared_with_a_metric,
    joins.half_histories,
    joins.lost_keys,
    joins.ambiguous,
    joins.unreached,
    metrics.cycles,
    metrics.expressions,
    metrics.unused_inputs,
    metrics.divisions,
    metrics.time_spines,
    metrics.fine_windows,
)
"""What the definitions say by themselves."""

OF_TYPES = (types.times, types.join_keys, types.aggregates)
"""What the types in the warehouse say; no row is read."""

OF_YAML = (losses.fills,)
"""What the YAML says that the manifest does not."""

RowRule = Callable[[Graph, tables.Tables, Runner], Iterator[GemelError]]


def check(graph: Graph) -> list[GemelError]:
    """What is to be said of the definitions. Nothing is asked of a database."""
    found = [finding for rule in OF_DEFINITIONS for finding in rule(graph)]
    context = Context.naming(graph.texts.dialect)
    return [*found, *questions.refused(graph, found, lambda query: compile_query(graph, query, context))]


def check_yaml(graph: Graph, places: Places) -> list[GemelError]:
    """What is to be said of the definitions as they stand in their files."""
    return [finding for rule in OF_YAML for finding in rule(graph, places)]


def check_in(graph: Graph, warehouse: Runner) -> list[GemelError]:
    """What is to be said of the definitions and of the tables that they speak of; of rows, only those of time spines
    are read."""
    return _check_in(graph, warehouse, (rows.time_spines,))


def check_rows_in(graph: Graph, warehouse: Runner) -> list[GemelError]:
    """As `check_in`, and of the tables' rows."""
    return _check_in(graph, warehouse, (rows.time_spines, rows.keys))


def _check_in(graph: Graph, warehouse: Runner, of_rows: Sequence[RowRule]) -> list[GemelError]:
    found = [finding for rule in OF_DEFINITIONS for finding in rule(graph)]
    known = tables.look_up(graph, warehouse)
    found += known.problems
    found += [finding for rule in OF_TYPES for finding in rule(graph, known)]
    found += [finding for rule in of_rows for finding in rule(graph, known, warehouse)]

    def bind(query: Query) -> None:
        context = Context.naming(warehouse.dialect, warehouse.catalogs())
        warehouse.describe(compile_query(graph, query, context))

    return [*found, *questions.refused(graph, found, bind)]
