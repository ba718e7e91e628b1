"""A lowered SELECT to the SQL text of an engine. The only module that names one."""

from collections.abc import Callable

from sqlglot import Dialect, exp

from gemel.compiler.expressions import identifier
from gemel.errors import QueryError, did_you_mean
from gemel.spec.manifest import Relation

WITHOUT_FILTER = frozenset({"snowflake", "bigquery", "redshift", "mysql", "tsql", "oracle", "doris", "starrocks"})
"""Engines in which an aggregate takes no FILTER clause; there it becomes a CASE inside the aggregate."""


WITH_ISODOW = frozenset({"duckdb", "postgres", "redshift", "materialize", "risingwave"})
SUNDAY_WEEKS = frozenset({"bigquery", "mysql", "tsql", "oracle"})
DECIMAL_DIVISION = frozenset({"snowflake"})
"""Engines that divide whole numbers into decimals of few places."""
UNEQUAL_DATES = frozenset({"bigquery", "oracle"})
"""Engines in which a date is not its midnight: it compares with no timestamp, or has hours too."""


def speak(select: exp.Select, dialect: str) -> str:
    """SQL text, one clause a line. Raises QueryError (G318) for a dialect that sqlglot does not know."""
    engine = Dialect.get(dialect) if dialect else None
    if engine is None:
        known = [name for name in Dialect.classes if name]
        raise QueryError("G318", f"no SQL dialect named {dialect[:40]!r}", hint=did_you_mean(dialect, known))
    if dialect != "duckdb":
        _refuse_unsaid(select, dialect)
    if dialect in DECIMAL_DIVISION:
        select.transform(_floating, copy=False)
    if dialect in UNEQUAL_DATES:
        select.transform(_day_to_moment, copy=False)
    if dialect in WITHOUT_FILTER:
        select.transform(_filter_to_case, copy=False)
    for node in list(select.find_all(exp.Filter, exp.Group)):
        _on_one_line(node, engine())
    return select.sql(engine(), pretty=True, max_text_width=110, copy=False)


def _refuse_unsaid(select: exp.Query, dialect: str) -> None:
    """Raises QueryError (G327) where sqlglot would write something that the engine refuses, or reads otherwise."""
    for node in select.walk():
        match node:
            case exp.Join(args={"method": "ASOF"}) if dialect != "duckdb":
                what = "a conversion metric"
            case exp.Extract(this=exp.Var(this="ISODOW")) if dialect not in WITH_ISODOW:
                what = "the day of the week"
            case exp.TimestampTrunc(unit=exp.Var(this="WEEK")) if dialect in SUNDAY_WEEKS:
                what = "a week, which starts on Sunday there,"
            case exp.GenerateSeries() if dialect != "duckdb":
                what = "a feature at every step"
            case exp.PercentileCont() | exp.PercentileDisc() if dialect == "bigquery":
                what = "a percentile"
            case _:
                continue
        raise QueryError(
            "G327", f"{what} cannot be said in {dialect} yet", hint="leave --dialect away for DuckDB's SQL"
        )


def _day_to_moment(node: exp.Expr) -> exp.Expr:
    """A day as its midnight."""
    return exp.TimestampTrunc(this=node.this, unit=exp.var("DAY")) if isinstance(node, exp.TsOrDsToDate) else node


def _floating(node: exp.Expr) -> exp.Expr:
    """A division of whole numbers that keeps its fraction."""
    if isinstance(node, exp.Div):
        return exp.Div(this=exp.cast(node.this, "double"), expression=node.expression, typed=False, safe=False)
    return node


def _on_one_line(node: exp.Expr, dialect: Dialect) -> None:
    """sqlglot breaks these over lines that nobody would write; their finished text stands in for them."""
    if isinstance(node, exp.Group):
        node.set("expressions", [exp.var(", ".join(key.sql(dialect) for key in node.expressions))])
    else:
        node.replace(exp.var(f"{node.this.sql(dialect)} FILTER (WHERE {node.expression.this.sql(dialect)})"))


def named(catalogs: frozenset[str] | None = None) -> Callable[[Relation], exp.Table]:
    """Relations by their names. With `catalogs`, a database that is not among them is left out."""

    def table(relation: Relation) -> exp.Table:
        database = relation.database if catalogs is None or relation.database in catalogs else None
        return exp.Table(
            this=identifier(relation.name),
            db=identifier(relation.schema) if relation.schema else None,
            catalog=identifier(database) if database and relation.schema else None,
        )

    return table


def referred(relation: Relation) -> exp.Table:
    """Relations as dbt refers to them: `{{ ref('flights') }}`, for SQL that dbt will run."""
    return exp.Table(this=exp.Identifier(this=f"{{{{ ref('{relation.node or relation.name}') }}}}", quoted=False))


def _filter_to_case(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Filter):
        return node
    function: exp.Expr = node.this
    where = node.expression.this
    argument = function.this
    if isinstance(argument, exp.Star):
        argument = exp.Literal.number(1)
    if isinstance(argument, exp.Distinct):
        cases = [exp.case().when(where.copy(), inner) for inner in argument.expressions]
        return function.__class__(this=exp.Distinct(expressions=cases))
    return function.__class__(**{**function.args, "this": exp.case().when(where.copy(), argument)})
