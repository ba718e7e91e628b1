"""Every rule over the definitions of a project, in tables: a rule takes what it checks and yields findings.

A finding is a GemelError that is reported and not raised, with the definition that it is about. `docs/errors.md`
shows each with an example.
"""

from collections.abc import Callable, Iterator, Sequence

from gemel.checks import joins, losses, metrics, names, questions, rows, spines, tables, types
from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Resolved
from gemel.compiler.question.query import Query
from gemel.errors import GemelError
from gemel.run import Runner
from gemel.spec.manifest import Relation
from gemel.spec.places import Places
from gemel.spec.project import DbtProject

OF_DEFINITIONS = (
    names.reserved,
    names.unqueryable,
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
"""Rules over the definitions alone."""

OF_TYPES = (types.times, types.join_keys, types.aggregates)
"""Rules over the types in the warehouse; they read no rows."""

OF_YAML = (losses.fills,)
"""Rules over the YAML, for what dbt drops from its manifest."""

RowRule = Callable[[Graph, tables.Tables, Runner], Iterator[GemelError]]


def check(graph: Graph) -> list[GemelError]:
    """The findings on the definitions, without a database."""
    findings = [finding for rule in OF_DEFINITIONS for finding in rule(graph)]
    context = Context.naming(graph.texts.dialect)
    return [*findings, *questions.check_queries(graph, findings, lambda query: compile_query(graph, query, context))]


def check_yaml(graph: Graph, places: Places) -> list[GemelError]:
    """The findings on the YAML files of the definitions."""
    return [finding for rule in OF_YAML for finding in rule(graph, places)]


def check_tables(graph: Graph, warehouse: Runner, dbt: DbtProject | None = None) -> list[GemelError]:
    """The findings on the definitions and on the types of their tables. Of rows, only those of time spines and of
    histories are read."""
    return _check(graph, warehouse, (rows.time_spines, rows.histories), dbt)


def check_rows(graph: Graph, warehouse: Runner, dbt: DbtProject | None = None) -> list[GemelError]:
    """The findings of `check_tables`, and those on the rows of the tables."""
    return _check(graph, warehouse, (rows.time_spines, rows.histories, rows.keys, spines.off_spine), dbt)


def check_keys(graph: Graph, query: Resolved, warehouse: Runner) -> list[GemelError]:
    """The keys that are not unique among those by which a query joins: it would count facts more than once."""
    return list(rows.joined_keys(graph, warehouse, rows.joins_of(graph, query)))


def check_spines(graph: Graph, query: Resolved, warehouse: Runner) -> list[GemelError]:
    """The facts outside the time spine that a query asks for: its answer has no rows at their times."""
    return list(spines.off_spine_of(graph, query, warehouse))


def explain(
    graph: Graph, warehouse: Runner, dbt: DbtProject, relations: Sequence[Relation], error: GemelError
) -> GemelError:
    """Why the warehouse refuses a query of these relations: the table or the definition that does not fit, if it is
    found, or else the error itself."""
    problems = tables.read_types(graph, warehouse, dbt, relations=frozenset(relations)).problems
    return next((each for each in problems if each.code in (error.code, "G169")), error)


def _check(graph: Graph, warehouse: Runner, of_rows: Sequence[RowRule], dbt: DbtProject | None) -> list[GemelError]:
    findings = [finding for rule in OF_DEFINITIONS for finding in rule(graph)]
    types_of_tables = tables.read_types(graph, warehouse, dbt)
    findings += types_of_tables.problems
    findings += [finding for rule in OF_TYPES for finding in rule(graph, types_of_tables)]
    findings += [finding for rule in of_rows for finding in rule(graph, types_of_tables, warehouse)]

    def bind(query: Query) -> None:
        context = Context.naming(warehouse.dialect, warehouse.catalogs())
        warehouse.describe(compile_query(graph, query, context))

    return [*findings, *questions.check_queries(graph, findings, bind)]
