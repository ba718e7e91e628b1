"""Plans to SQL: a plan is tidied, lowered and spoken. Only this module calls these three stages.

A rule that applies to every query, however it is asked, belongs between them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from typing import Literal, TypeVar

from sqlglot import exp, parse_one

from gemel.compiler.names.decimals import whole_type
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.keys import is_entity
from gemel.compiler.names.resolution import resolve
from gemel.compiler.names.terms import Key, Metrics, Resolved
from gemel.compiler.plan.algebra import Plan, Scan, Versions
from gemel.compiler.plan.planning import plan as plan_query
from gemel.compiler.plan.rewrites import tidy
from gemel.compiler.question.query import Query
from gemel.compiler.question.verbatim import Verbatim, respell
from gemel.compiler.sql import dialects
from gemel.compiler.sql.lowering import History, Tables, lower
from gemel.compiler.sql.overlaps import overlaps
from gemel.compiler.sql.types import settled_types
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Capability, Engine
from gemel.errors import QueryError
from gemel.spec.manifest import Relation
from gemel.spec.metrics import Metric


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan is compiled for: the engine, and the SQL of a relation.

    `finish` changes the outputs of the SELECT before it becomes text: it casts and names those of a feature table.
    """

    engine: Engine
    tables: Tables
    finish: "Finish | None" = None

    @staticmethod
    def naming(dialect: str = DIALECT, catalogs: frozenset[str] | None = None) -> "Context":
        """Relations by dbt's names, in the engine in which dbt builds them. With `catalogs`, the name omits a database
        that is not among them.

        Raises QueryError (G318) for a dialect that sqlglot does not know.
        """
        engine = dialects.engine_of(dialect)
        return Context(engine, dialects.named(catalogs, home=engine))

    @staticmethod
    def elsewhere(dialect: str) -> "Context":
        """Relations by the same names in another engine than dbt's. Raises QueryError (G318)."""
        return Context(dialects.engine_of(dialect), dialects.named())

    @staticmethod
    def marking(dialect: str, finish: "Finish | None" = None) -> "Context":
        """Relations as marks, which `Compiled.with_names` replaces by names."""
        marks: dict[Relation, int] = {}

        def table(relation: Relation) -> exp.Table:
            mark = _MARK.format(marks.setdefault(relation, len(marks)))
            return exp.Table(this=exp.Identifier(this=mark, quoted=False))

        return Context(dialects.engine_of(dialect), table, finish)


Finish = Callable[[exp.Select], exp.Select]
_MARK = "\ufdd0{}\ufdd1"
"""Uses characters that Unicode excludes from texts. Not NUL, which BigQuery's SQL escapes."""


Role = Literal["metric", "entity", "time", "dimension", "total"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer. `type` is in DuckDB's words, or None if only the engine can decide it. `role` is what a
    query asked for there, None if the SQL is not a query's; a time has a `grain`, unless it is a part of a date."""

    name: str
    type: str | None = None
    role: Role | None = None
    grain: str | None = None


@dataclass(frozen=True, slots=True)
class JoinedHistory:
    """A history that SQL joins, which counts facts twice if `overlaps` has rows: keys with two versions at one time."""

    relation: Relation
    alias: str
    versions: Versions
    overlaps: exp.Select


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL for an engine, with the columns of its result and the relations that it reads. `metrics` are the columns that
    are values of metrics, each with the type of whole numbers in it: `(("revenue", "BIGINT"),)`. Whoever runs it first
    looks whether the `histories` have overlapping versions. A query's SQL has the `resolved` query."""

    sql: str
    dialect: str
    columns: tuple[Column, ...] = ()
    relations: tuple[Relation, ...] = ()
    metrics: tuple[tuple[str, str], ...] = ()
    histories: tuple[JoinedHistory, ...] = ()
    resolved: Resolved | None = field(default=None, compare=False, repr=False)

    def with_names(self, name: Callable[[Relation], str]) -> "Compiled":
        """The same with names in place of the marks for relations, such as `{{ ref('flights') }}`."""
        text = self.sql
        for number, relation in enumerate(self.relations):
            text = text.replace(_MARK.format(number), name(relation))
        return replace(self, sql=text)

    def with_values(self, values: Mapping[str, str]) -> "Compiled":
        """The same with values in place of dbt's templates: `{"{{ run_started_at }}": "2000-01-01"}`."""
        text = self.sql
        for template, value in values.items():
            text = text.replace(template, value)
        return replace(self, sql=text)

    def with_queries(self, queries: Mapping[str, exp.Query]) -> "Compiled":
        """The same with more CTEs in front, by the names that it reads them by."""
        tree = _with_queries(parse_one(self.sql, dialect=self.dialect), queries)
        histories = (replace(each, overlaps=_with_queries(each.overlaps.copy(), queries)) for each in self.histories)
        return replace(self, sql=tree.sql(self.dialect, pretty=True), histories=tuple(histories))


T = TypeVar("T", bound=exp.Expr)


def _with_queries(tree: T, queries: Mapping[str, exp.Query]) -> T:
    ctes = [
        exp.CTE(this=query.copy(), alias=exp.TableAlias(this=exp.to_identifier(name)))
        for name, query in queries.items()
    ]
    own = tree.args.get("with_")
    tree.set("with_", exp.With(expressions=[*ctes, *(own.expressions if own else ())]))
    return tree


def compiled(plan: Plan, context: Context) -> Compiled:
    """The SQL that computes a plan's result. Raises QueryError (G318, G327) for what the engine cannot express."""
    select, relations, histories = _lowered(plan, context)
    columns = tuple(starmap(Column, settled_types(select)))
    sql = dialects.speak(select, context.engine)
    return Compiled(sql, context.engine.dialect, columns, relations, histories=histories)


def compile_query(graph: Graph, query: Query, context: Context | None = None) -> Compiled:
    """The SQL that answers a query. Raises UnknownNameError, QueryError or DefinitionError."""
    try:
        context = context or Context.naming()
        resolved = resolve(graph, query, context.engine.dialect)
        answer = compiled(plan_query(graph, resolved), context)
    except RecursionError:
        raise QueryError(
            "G341",
            "the question is nested too deeply",
            hint="use fewer levels in its filters, expressions and metrics",
        ) from None
    metrics = tuple((metric.column, whole_type(graph, graph.metric(metric.name))) for metric in query.metrics)
    columns = _with_roles(graph, query, resolved, answer.columns)
    return replace(answer, columns=columns, metrics=metrics, resolved=resolved)


def _with_roles(graph: Graph, query: Query, resolved: Resolved, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Each column with what it is: the keys come first, then the metrics, then the mark of a total."""
    keys = resolved.keys if isinstance(resolved, Metrics) else tuple(key for key, _ in resolved.keys)
    if query.min_max_only:
        keys *= 2
    metrics = [graph.metric(metric.name) for metric in query.metrics]
    roles: list[tuple[Role, str | None]] = [(_role(graph, key, metrics), key.grain) for key in keys]
    roles += [("metric", None) for _ in metrics]
    roles += [("total", None)] if query.totals else []
    return tuple(replace(column, role=role, grain=grain) for column, (role, grain) in zip(columns, roles, strict=True))


def _role(graph: Graph, key: Key, metrics: Sequence[Metric]) -> Role:
    if key.grain or key.part:
        return "time"
    return "entity" if is_entity(graph, key, metrics) else "dimension"


def compile_select(select: exp.Select, dialect: str) -> Compiled:
    """A SELECT that does not come from a plan: a check's count of keys, the newest row of a built table."""
    columns = tuple(starmap(Column, settled_types(select)))
    return Compiled(dialects.speak(select, dialects.engine_of(dialect)), dialect, columns)


def compile_table(name: str, dialect: str) -> Compiled:
    """All rows and columns of a table, by dbt's name for it: `"shop"."main"."orders"`."""
    return compile_select(exp.select("*").from_(exp.to_table(name, dialect=dialect)), dialect)


def keep_text(sql: str, dialect: str) -> Compiled:
    """The project owner's own SQL, unchanged, such as the SELECT of a spine. It must not come from a client."""
    return Compiled(sql, dialect)


@dataclass(frozen=True, slots=True)
class Framed:
    """A plan's SQL with a placeholder for its outputs, which can be filled with and without casts without compiling
    twice. Each of `outputs` has its value as finished text. `has_own_text` is whether it has texts of definitions."""

    outputs: tuple[exp.Expr, ...]
    has_own_text: bool
    _frame: dialects.Frame
    _whole: Compiled

    def filled(self, outputs: Iterable[exp.Expr]) -> Compiled:
        """The SQL with these outputs."""
        return replace(self._whole, sql=self._frame.filled(outputs))


def framed(plan: Plan, context: Context) -> Framed:
    """As `compiled`, but with the outputs apart from the rest of the SQL."""
    select, relations, histories = _lowered(plan, context)
    columns = tuple(starmap(Column, settled_types(select)))
    has_own_text = bool(dialects.own_texts(select))
    frame, outputs = dialects.speak_apart(select, context.engine)
    whole = Compiled("", context.engine.dialect, columns, relations, histories=histories)
    return Framed(outputs, has_own_text, frame, whole)


def definition_of(plan: Plan, context: Context) -> Compiled:
    """The SQL of a plan for a hash: the texts of definitions are in one spelling, and in no engine's words but their
    own. No engine gets it."""
    select, relations, histories = _lowered(plan, context)
    for node in dialects.own_texts(select):
        respell(node, context.engine.dialect)
    sql = dialects.speak(select, context.engine)
    return Compiled(sql, context.engine.dialect, (), relations, histories=histories)


@dataclass(frozen=True, slots=True)
class Read:
    """A place where a plan's SQL reads a column. `within` are the expressions around it, from the inside out."""

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

    select, *_ = _lowered(plan, Context(dialects.engine_of(dialect), table))
    for source in select.find_all(exp.Table):
        if source.name in places and source.parent_select is not None:
            for read in source.parent_select.find_all(exp.Column):
                if read.table in ("", source.alias_or_name):
                    yield Read(places[source.name], read.name, _around(read))


def _around(read: exp.Column) -> tuple[type[exp.Expr], ...]:
    ancestors: list[type[exp.Expr]] = []
    node: exp.Expr = read
    while node.parent is not None and not isinstance(node.parent, exp.Select):
        inner, node = node, node.parent
        ancestors += node.around(inner.index or 0) if isinstance(node, Verbatim) else (type(node),)
    return tuple(ancestors)


def _lowered(plan: Plan, context: Context) -> tuple[exp.Select, tuple[Relation, ...], tuple[JoinedHistory, ...]]:
    relations: dict[Relation, None] = {}
    histories: dict[History, None] = {}

    def table(relation: Relation) -> exp.Table:
        relations[relation] = None
        return context.tables(relation)

    select = lower(tidy(plan), table, ranges=context.engine.has(Capability.RANGES), histories=histories)
    joined = tuple(_joined(scan, versions, context) for scan, versions in histories)
    return context.finish(select) if context.finish else select, tuple(relations), joined


def _joined(scan: Scan, versions: Versions, context: Context) -> JoinedHistory:
    assert isinstance(scan.source, Relation)
    table = context.tables(scan.source)
    return JoinedHistory(scan.source, scan.alias, versions, overlaps(versions, table, scan.alias))
