"""A lowered SELECT to the SQL text of an engine. `gemel.engines` has what is special about each engine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlglot import Dialect, exp
from sqlglot.generator import Generator

from gemel.compiler.question.expressions import identifier
from gemel.compiler.question.verbatim import Verbatim
from gemel.compiler.sql.translation import translate
from gemel.engines.adaptation import adapt
from gemel.engines.engine import Capability, Engine
from gemel.engines.lookup import engine_for_dialect
from gemel.errors import QueryError, did_you_mean
from gemel.spec.manifest import Relation

_ROOM = "{{ outputs }}"


def engine_of(dialect: str) -> Engine:
    """The engine of a dialect. Raises QueryError (G318) if sqlglot does not know the dialect."""
    if not dialect or Dialect.get(dialect) is None:
        names = [name for name in Dialect.classes if name]
        raise QueryError("G318", f"no SQL dialect named {dialect[:40]!r}", hint=did_you_mean(dialect, names))
    return engine_for_dialect(dialect)


def speak(select: exp.Select, engine: Engine) -> str:
    """SQL text, one clause a line. Raises QueryError (G327) for what the engine cannot express."""
    return _ready(select, engine).generate(select, copy=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """The text of a SELECT with a placeholder for its outputs, which can be filled with and without casts."""

    text: str
    writer: Generator

    def filled(self, outputs: Iterable[exp.Expr]) -> str:
        """The text that `speak` would give for the SELECT with these outputs."""
        texts = self.writer.indent(",\n".join(self.writer.sql(output) for output in outputs))
        return self.text.replace(f"  {_ROOM}", texts, 1).replace(self.writer.SENTINEL_LINE_BREAK, "\n")


def speak_apart(select: exp.Select, engine: Engine) -> tuple[Frame, tuple[exp.Expr, ...]]:
    """The text of `speak` as a frame without outputs, and the outputs, each with its value as finished text."""
    writer = _ready(select, engine)
    outputs = tuple(
        exp.Alias(this=exp.var(writer.sql(output.this)), alias=output.args["alias"])
        if isinstance(output, exp.Alias)
        else output
        for output in select.selects
    )
    select.set("expressions", [exp.var(_ROOM)])
    return Frame(writer.generate(select, copy=False), writer), outputs


def _ready(select: exp.Select, engine: Engine) -> Generator:
    """Adapt a SELECT to the engine and to how people write; returns the generator of its text, one clause a line."""
    nodes = _special_nodes(select)
    if any(isinstance(node, Verbatim) and node.reading.dialect != engine.dialect for node in nodes):
        translate(select, engine.dialect)
        nodes = []
    adapt(select, engine)
    if engine.rewrites or not nodes:
        nodes = _special_nodes(select)
    dialect = Dialect.get_or_raise(engine.dialect)
    plain = dialect.generator()
    for node in nodes:
        if not isinstance(node, Verbatim):
            _on_one_line(node, plain)
    return dialect.generator(pretty=True, max_text_width=110, comments=False)


def own_texts(select: exp.Select) -> list[Verbatim]:
    """The texts of the project's definitions in a SELECT."""
    return [node for node in _special_nodes(select) if isinstance(node, Verbatim)]


def say(expression: exp.Expr, dialect: str) -> str:
    """The text of one output of a SELECT, on one line. Raises QueryError (G327) if the engine cannot express it."""
    select = exp.Select(expressions=[exp.alias_(expression.copy(), "output")])
    translate(select, dialect)
    adapt(select, engine_for_dialect(dialect))
    return str(select.selects[0].this.sql(dialect))


def generator(dialect: str) -> Generator:
    """One generator for many short texts; `.sql()` would make one for each. Our trees have no comments."""
    return Dialect.get_or_raise(dialect).generator(comments=False)


def _special_nodes(select: exp.Select) -> list[exp.Expr]:
    """The nodes to write on one line and the project's own texts, outer before inner. sqlglot's own walk enters names
    and is many times slower."""
    nodes: list[exp.Expr] = []
    waiting: list[exp.Expr] = [select]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (exp.Filter, exp.Group, Verbatim)):
            nodes.append(node)
        for value in node.args.values():
            if type(value) is list:
                waiting.extend(each for each in value if isinstance(each, exp.Expr))
            elif type(value) not in _WHOLE and isinstance(value, exp.Expr):
                waiting.append(value)
    return nodes


_WHOLE = frozenset(
    {exp.Column, exp.Identifier, exp.Literal, exp.Var, exp.DataType, exp.TableAlias, str, bool, type(None)}
)
"""Types of nodes and values that contain no clause."""


def _on_one_line(node: exp.Expr, writer: Generator) -> None:
    """Replace a node by its finished text, where sqlglot would break lines as nobody does."""
    if isinstance(node, exp.Group):
        text = ", ".join(writer.generate(key, copy=False) for key in node.expressions)
        node.set("expressions", [exp.var(_keep_lines(text, writer))])
    else:
        value, where = (writer.generate(each, copy=False) for each in (node.this, node.expression.this))
        node.replace(exp.var(_keep_lines(f"{value} FILTER (WHERE {where})", writer)))


def _keep_lines(text: str, writer: Generator) -> str:
    """Finished text whose line breaks, which are inside a text value, sqlglot does not indent."""
    return text.replace("\n", writer.SENTINEL_LINE_BREAK) if "\n" in text else text


def named(catalogs: frozenset[str] | None = None, *, home: Engine | None = None) -> Callable[[Relation], exp.Table]:
    """Relations by their names. With `catalogs`, the name omits a database that is not among them.

    `home` is the engine in which dbt builds them: there they have dbt's own names, with dbt's quoting. In another
    engine they have the same names, with quotes where it needs them.
    """

    def table(relation: Relation) -> exp.Table:
        if relation.written and home is not None:
            return _as_dbt_writes(relation, catalogs, home)
        database = relation.database if catalogs is None or relation.database in catalogs else None
        return exp.Table(
            this=identifier(relation.name),
            db=identifier(relation.schema) if relation.schema else None,
            catalog=identifier(database) if database and relation.schema else None,
        )

    return table


def _as_dbt_writes(relation: Relation, catalogs: frozenset[str] | None, home: Engine) -> exp.Table:
    parts = relation.written[-3:]
    if len(parts) == 3 and catalogs is not None and relation.database not in catalogs:
        parts = parts[1:]
    # Where an unquoted name is stored as it is written here, quotes are only for names that need them.
    must = home.has(Capability.UPPER_CASE_NAMES)
    names = [
        exp.Identifier(this=text, quoted=quoted) if must or not quoted else identifier(text) for text, quoted in parts
    ]
    *front, name = names
    return exp.Table(this=name, db=front[-1] if front else None, catalog=front[0] if len(front) == 2 else None)


def naming(catalogs: frozenset[str] | None, dialect: str) -> Callable[[Relation], str]:
    """The same as `named`, as texts of the engine in which dbt builds the relations."""
    table, writer = named(catalogs, home=engine_of(dialect)), generator(dialect)
    return lambda relation: writer.generate(table(relation), copy=False)
