"""Databricks: a metric view for each fact table, as SQL that creates it.

A metric view has many-to-one joins like a query, so filters can read joined tables. Its window measures are
experimental and cover other rows than dbt's windows, so they are not used. sqlglot has no tree for the statement; the
SQL inside it is built from trees.
"""

from collections.abc import Sequence

from sqlglot import exp

from gemel.bi.exports.exported import Exported, Source, expressible, fit_stars, heading, notes
from gemel.bi.exports.members import members, one_line, without_empty
from gemel.bi.exports.stars import Star, Table, near
from gemel.bi.exports.texts import Naming, write_expression
from gemel.bi.yaml_text import commented, dump
from gemel.compiler.question.expressions import identifier

TOOL = "Databricks"
DIALECT = "databricks"


def export(source: Source, metrics: Sequence[str]) -> Exported:
    stars, refused = fit_stars(source, metrics, near, expressible(source, DIALECT, without="$$"))
    text = commented(heading("databricks", TOOL, refused, stars), "--")
    text += "\n".join(_statement(source, star) for star in stars)
    return Exported(TOOL, text, sum(len(star.metrics) for star in stars), tuple(refused), tuple(notes(stars)))


def _statement(source: Source, star: Star) -> str:
    relation = source.table(star.facts.relation, DIALECT)
    relation.set("this", identifier(f"{star.facts.model.name}_metrics"))
    view = relation.sql(DIALECT)
    return f"CREATE OR REPLACE VIEW {view}\nWITH METRICS\nLANGUAGE YAML\nAS $$\n{dump(_content(source, star))}$$;\n"


def _content(source: Source, star: Star) -> dict[str, object]:
    return without_empty(
        {
            "version": "1.1",
            "comment": _text(star.facts.model.description),
            "source": source.table(star.facts.relation, DIALECT).sql(DIALECT),
            "joins": _joins(source, star, star.facts),
            "dimensions": [
                without_empty(
                    {
                        "name": each.name,
                        "expr": write_expression(each.field.value, DIALECT, _naming(star)),
                        "display_name": _text(each.field.element.label),
                        "comment": _text(each.field.element.description),
                    }
                )
                for each in members(star)
            ],
            "measures": [
                without_empty(
                    {
                        "name": each.metric.name,
                        "expr": write_expression(each.expression, DIALECT, _naming(star)),
                        "display_name": _text(each.metric.label),
                        "comment": _text(each.metric.description),
                    }
                )
                for each in star.metrics
            ],
        }
    )


def _joins(source: Source, star: Star, parent: Table) -> list[dict[str, object]]:
    joins = []
    for table in star.tables:
        if table.parent == parent.name:
            assert table.on is not None
            join = {
                "name": table.name,
                "source": source.table(table.relation, DIALECT).sql(DIALECT),
                "on": write_expression(table.on, DIALECT, _naming(star, table)),
                "joins": _joins(source, star, table),
            }
            joins.append(without_empty(join))
    return joins


def _naming(star: Star, joined: Table | None = None) -> Naming:
    """A column with the joins to its table: `source.distance`, `plane.maker.country`. In the condition of a join, the
    joined table has its plain name."""

    def name(column: exp.Column) -> str:
        path = star.path(column.table)[1:]
        own = [joined.name] if joined is not None and column.table == joined.name else list(path) or ["source"]
        tables = ".".join(str(identifier(each).sql(DIALECT)) for each in own)
        return f"{tables}.{column.this.sql(DIALECT)}"

    return name


def _text(text: str | None) -> str | None:
    line = one_line(text)
    return line and line.replace("$$", "$")
