"""What becomes SQL becomes it here: a plan is tidied, lowered and spoken. Nothing else in gemel calls these three.

What holds for every question, whoever asks it in whichever way, has its place between them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.names.graph import Graph
from gemel.compiler.names.resolution import resolve
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.plan.planning import plan as plan_query
from gemel.compiler.plan.rewrites import tidy
from gemel.compiler.question.query import Query
from gemel.compiler.sql import dialects
from gemel.compiler.sql.lowering import Tables, lower
from gemel.compiler.sql.types import settled_type
from gemel.engines.duckdb import DIALECT
from gemel.errors import QueryError
from gemel.spec.manifest import Relation


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan is compiled for: the engine's dialect, and how a relation is written in its SQL.

    `finish` changes the outputs of the SELECT before it becomes text: a feature table's are cast and named there.
    """

    dialect: str
    tables: Tables
    finish: Callable[[exp.Select], exp.Select] | None = None

    @staticmethod
    def naming(dialect: str = DIALECT, catalogs: frozenset[str] | None = None) -> "Context":
        """Relations by their names. With `catalogs`, a database that is not among them is left out."""
        return Context(dialect, dialects.named(catalogs))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer. `type` is in DuckDB's words, and None where only the engine can say it."""

    name: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL that an engine can be given: what comes out of it, and the relations that it reads."""

    sql: str
    dialect: str
    columns: tuple[Column, ...] = ()
    relations: tuple[Relation, ...] = ()


def compiled(plan: Plan, context: Context) -> Compiled:
    """The SQL that computes a plan's result. Raises QueryError (G318, G327) for what the engine cannot say."""
    select, relations = _lowered(plan, context)
    columns = tuple(Column(each.alias_or_name, settled_type(each)) for each in select.selects)
    return Compiled(dialects.speak(select, context.dialect), context.dialect, columns, relations)


def compile_query(graph: Graph, query: Query, context: Context | None = None) -> Compiled:
    """The SQL that answers a query. Raises UnknownNameError, QueryError or DefinitionError."""
    try:
        return compiled(plan_query(graph, resolve(graph, query)), context or Context.naming())
    except RecursionError:
        raise QueryError(
            "G341",
            "the question is nested too deep",
            hint="a filter, an expression, or metrics made of metrics: make it of fewer levels",
        ) from None


def compile_select(select: exp.Select, dialect: str) -> Compiled:
    """A SELECT that is no plan: a check's count of keys, the rows of a built table."""
    columns = tuple(Column(each.alias_or_name) for each in select.selects)
    return Compiled(dialects.speak(select, dialect), dialect, columns)


@dataclass(frozen=True, slots=True)
class Framed:
    """A plan's SQL with room for its outputs, so that they can be written as they are and cast without doing the rest
    twice. Each of `outputs` has its value as finished text."""

    frame: dialects.Frame
    outputs: tuple[exp.Expr, ...]
    relations: tuple[Relation, ...]


def framed(plan: Plan, context: Context) -> Framed:
    """As `compiled`, in two parts."""
    select, relations = _lowered(plan, context)
    frame, outputs = dialects.speak_apart(select, context.dialect)
    return Framed(frame, outputs, relations)


@dataclass(frozen=True, slots=True)
class Read:
    """A column of a relation where a plan's SQL reads it. `within` are the expressions around it, from the inside."""

    relation: Relation
    column: str
    within: tuple[type[exp.Expr], ...]


def reads(plan: Plan, dialect: str) -> Iterator[Read]:
    """Every place where the plan's SQL reads a column of a relation."""
    places: dict[str, Relation] = {}

    def table(relation: Relation) -> exp.Table:
        name = next((name for name, placed in places.items() if placed == relation), f"relation_{len(places)}")
        places[name] = relation
        return exp.Table(this=exp.to_identifier(name, quoted=True))

    select, _ = _lowered(plan, Context(dialect, table))
    for source in select.find_all(exp.Table):
        if source.name in places and source.parent_select is not None:
            for read in source.parent_select.find_all(exp.Column):
                if read.table in ("", source.alias_or_name):
                    yield Read(places[source.name], read.name, _around(read))


def _around(read: exp.Column) -> tuple[type[exp.Expr], ...]:
    found: list[type[exp.Expr]] = []
    node = read.parent
    while node is not None and not isinstance(node, exp.Select):
        found.append(type(node))
        node = node.parent
    return tuple(found)


def _lowered(plan: Plan, context: Context) -> tuple[exp.Select, tuple[Relation, ...]]:
    relations: dict[Relation, None] = {}

    def table(relation: Relation) -> exp.Table:
        relations[relation] = None
        return context.tables(relation)

    select = lower(tidy(plan), table, ranges=dialects.has_ranges(context.dialect))
    return context.finish(select) if context.finish else select, tuple(relations)
