"""Databricks: a metric view for each fact table, as SQL that creates it.

A metric view joins from many to one as a query does, so that a filter may look at what the facts lead to. It has
window measures too, which are experimental and see other rows than dbt's windows do: they are not written. sqlglot has
no tree for the statement; what is SQL inside of it is built of trees.
"""

from collections.abc import Sequence

from sqlglot import exp

from gemel.bi.exports.exported import Exported, Source, fitted, heading, notes, sayable
from gemel.bi.exports.members import members, one_line, present
from gemel.bi.exports.stars import Star, Table, near
from gemel.bi.exports.texts import Naming, spoken
from gemel.bi.yaml_text import commented, dump
from gemel.compiler.question.expressions import identifier
from gemel.compiler.sql.dialects import named

TOOL = "Databricks"
DIALECT = "databricks"


def export(source: Source, metrics: Sequence[str]) -> Exported:
    stars, refused = fitted(source, metrics, near, sayable(source, DIALECT, without="$$"))
    text = commented(heading("databricks", TOOL, refused, stars), "--")
    text += "\n".join(_statement(star) for star in stars)
    return Exported(TOOL, text, sum(len(star.metrics) for star in stars), tuple(refused), tuple(notes(stars)))


def _statement(star: Star) -> str:
    relation = named()(star.facts.relation)
    relation.set("this", identifier(f"{star.facts.model.name}_metrics"))
    view = relation.sql(DIALECT)
    return f"CREATE OR REPLACE VIEW {view}\nWITH METRICS\nLANGUAGE YAML\nAS $$\n{dump(_content(star))}$$;\n"


def _content(star: Star) -> dict[str, object]:
    return present(
        {
            "version": "1.1",
            "comment": _text(star.facts.model.description),
            "source": named()(star.facts.relation).sql(DIALECT),
            "joins": _joins(star, star.facts),
            "dimensions": [
                present(
                    {
                        "name": each.name,
                        "expr": spoken(each.field.value, DIALECT, _naming(star)),
                        "display_name": _text(each.field.element.label),
                        "comment": _text(each.field.element.description),
                    }
                )
                for each in members(star)
            ],
            "measures": [
                present(
                    {
                        "name": said.metric.name,
                        "expr": spoken(said.expression, DIALECT, _naming(star)),
                        "display_name": _text(said.metric.label),
                        "comment": _text(said.metric.description),
                    }
                )
                for said in star.metrics
            ],
        }
    )


def _joins(star: Star, parent: Table) -> list[dict[str, object]]:
    found = []
    for table in star.tables:
        if table.parent == parent.name:
            assert table.on is not None
            join = {
                "name": table.name,
                "source": named()(table.relation).sql(DIALECT),
                "on": spoken(table.on, DIALECT, _naming(star, table)),
                "joins": _joins(star, table),
            }
            found.append(present(join))
    return found


def _naming(star: Star, joined: Table | None = None) -> Naming:
    """A column by the joins that lead to its table: `source.distance`, `plane.maker.country`. In the condition of a
    join the table that it brings goes by its own name."""

    def name(column: exp.Column) -> str:
        path = star.path(column.table)[1:]
        own = [joined.name] if joined is not None and column.table == joined.name else list(path) or ["source"]
        tables = ".".join(str(identifier(each).sql(DIALECT)) for each in own)
        return f"{tables}.{column.this.sql(DIALECT)}"

    return name


def _text(text: str | None) -> str | None:
    line = one_line(text)
    return line and line.replace("$$", "$")
