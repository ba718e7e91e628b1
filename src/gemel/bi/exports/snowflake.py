"""Snowflake: a semantic view for each fact table, as SQL that creates it.

A relationship is equal columns, one side of which is a key. A metric is an aggregate over facts and dimensions of its
own table and of the tables it joins. sqlglot has no tree for the statement; the expressions in it are built from trees.
"""

import re
from collections.abc import Iterable, Sequence

from sqlglot import exp

from gemel.bi.exports.exported import Exported, Source, expressible, fit_stars, heading, notes
from gemel.bi.exports.members import Columns, one_line
from gemel.bi.exports.osi import fit
from gemel.bi.exports.stars import Star, Table, anchor, unshadow
from gemel.bi.exports.texts import qualified, write_expression
from gemel.bi.yaml_text import commented
from gemel.compiler.question.expressions import free, identifier

TOOL = "Snowflake"
DIALECT = "snowflake"


def export(source: Source, metrics: Sequence[str]) -> Exported:
    stars, refused = fit_stars(source, metrics, fit, expressible(source, DIALECT), unshadow, anchor)
    text = commented(heading("snowflake", TOOL, refused, stars), "--")
    text += "\n".join(_statement(source, star) for star in stars)
    return Exported(TOOL, text, sum(len(star.metrics) for star in stars), tuple(refused), tuple(notes(stars)))


def _statement(source: Source, star: Star) -> str:
    columns = Columns([star])
    metrics = [
        _item(
            f"{_name(star.facts.name)}.{_name(each.metric.name)} AS "
            + write_expression(each.expression, DIALECT, lambda c: f"{_name(c.table)}.{_name(columns.field(star, c))}"),
            each.metric.description,
        )
        for each in star.metrics
    ]
    relation = source.table(star.facts.relation, DIALECT)
    relation.set("this", identifier(f"{star.facts.model.name}_metrics"))
    parts = [
        _clause("TABLES", (_table(source, each) for each in star.tables)),
        _clause("RELATIONSHIPS", (_relationship(each) for each in star.tables if each.parent)),
        _clause("FACTS", _facts(star, columns)),
        _clause("DIMENSIONS", _dimensions(star)),
        _clause("METRICS", metrics),
    ]
    comment = one_line(star.facts.model.description)
    end = f"\n  COMMENT = {_literal(comment)};\n" if comment else ";\n"
    return f"CREATE OR REPLACE SEMANTIC VIEW {relation.sql(DIALECT)}" + "".join(parts) + end


def _clause(word: str, items: Iterable[str]) -> str:
    listed = list(items)
    return f"\n  {word} (\n    " + ",\n    ".join(listed) + "\n  )" if listed else ""


def _table(source: Source, table: Table) -> str:
    key = f" PRIMARY KEY ({', '.join(map(_column, table.key))})" if table.key else ""
    return _item(
        f"{_name(table.name)} AS {source.table(table.relation, DIALECT).sql(DIALECT)}{key}", table.model.description
    )


def _relationship(table: Table) -> str:
    assert table.equal is not None and table.parent is not None
    ours, theirs = (", ".join(map(_column, side)) for side in zip(*table.equal, strict=True))
    name = _name(f"{table.parent}_to_{table.name}")
    return f"{name} AS {_name(table.parent)} ({ours}) REFERENCES {_name(table.name)} ({theirs})"


def _facts(star: Star, columns: Columns) -> Iterable[str]:
    for table in star.tables:
        for name, value in columns.added(table.model.name).items():
            if isinstance(value, exp.Column):
                yield f"{_name(table.name)}.{_name(name)} AS {_name(table.name)}.{value.this.sql(DIALECT)}"
            elif table is star.facts:
                yield f"{_name(table.name)}.{_name(name)} AS {value.sql(DIALECT)}"


def _dimensions(star: Star) -> Iterable[str]:
    reserved = {each.metric.name for each in star.metrics}
    for field in star.fields:
        name = field.name
        if field.table == star.facts.name and name in reserved:
            name = free(f"{star.facts.model.primary_entity or star.facts.name}__{name}", reserved)
        text = write_expression(field.value, DIALECT, qualified(DIALECT))
        yield _item(f"{_name(field.table)}.{_name(name)} AS {text}", field.element.description)


def _item(text: str, comment: str | None) -> str:
    line = one_line(comment)
    return f"{text} COMMENT = {_literal(line)}" if line else text


def _literal(text: str) -> str:
    return str(exp.Literal.string(text).sql(DIALECT))


def _name(name: str) -> str:
    return str(identifier(name).sql(DIALECT))


def _column(name: str) -> str:
    """A column of a table, unquoted: quoted in lower case, it would not match the upper-case column of Snowflake."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else _name(name)
