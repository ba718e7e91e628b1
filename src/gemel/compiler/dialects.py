"""A lowered SELECT to the SQL text of an engine. Only this module and `accents`, its rewrites, name one."""

from collections.abc import Callable

from sqlglot import Dialect, exp
from sqlglot.generator import Generator

from gemel.compiler.accents import WITHOUT_RANGES, accented
from gemel.compiler.expressions import identifier
from gemel.errors import QueryError, did_you_mean
from gemel.spec.manifest import Relation


def speak(select: exp.Select, dialect: str) -> str:
    """SQL text, one clause a line. Raises QueryError (G318) for a dialect that sqlglot does not know."""
    engine = Dialect.get(dialect) if dialect else None
    if engine is None:
        known = [name for name in Dialect.classes if name]
        raise QueryError("G318", f"no SQL dialect named {dialect[:40]!r}", hint=did_you_mean(dialect, known))
    accented(select, dialect)
    spoken = engine()
    for node in list(select.find_all(exp.Filter, exp.Group)):
        _on_one_line(node, spoken)
    return str(spoken.generate(select, copy=False, pretty=True, max_text_width=110, comments=False))


def say(expression: exp.Expr, dialect: str) -> str:
    """The text of one output of a SELECT, on one line. Raises QueryError (G327) for what the engine cannot say."""
    select = exp.Select(expressions=[exp.alias_(expression.copy(), "said")])
    accented(select, dialect)
    return str(select.selects[0].this.sql(dialect))


def generator(dialect: str) -> Generator:
    """For many short texts: `.sql()` would make one for each. Our trees have no comments to look for."""
    return Dialect.get_or_raise(dialect).generator(comments=False)


def _on_one_line(node: exp.Expr, dialect: Dialect) -> None:
    """sqlglot breaks these over lines that nobody would write; their finished text stands in for them."""
    if isinstance(node, exp.Group):
        text = ", ".join(key.sql(dialect) for key in node.expressions)
        node.set("expressions", [exp.var(_kept(text, dialect))])
    else:
        text = f"{node.this.sql(dialect)} FILTER (WHERE {node.expression.this.sql(dialect)})"
        node.replace(exp.var(_kept(text, dialect)))


def _kept(text: str, dialect: Dialect) -> str:
    """Finished text whose lines, which are those of a text value, sqlglot does not move in."""
    return text.replace("\n", dialect.generator().SENTINEL_LINE_BREAK) if "\n" in text else text


def dialect_of(adapter: str) -> str:
    """What the warehouse of a dbt adapter speaks: mostly what the adapter is called."""
    return {"sqlserver": "tsql", "synapse": "tsql"}.get(adapter, adapter if Dialect.get(adapter) else "duckdb")


def has_ranges(dialect: str) -> bool:
    """Whether the engine's window frames can be as long as an interval."""
    return dialect not in WITHOUT_RANGES


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
