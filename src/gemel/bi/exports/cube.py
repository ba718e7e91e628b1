"""Cube: a cube for each table in its role, and a view for each fact table, which is what is asked.

Every measure is a `number` with its own aggregates. Cube's own types would count otherwise: a `count` of no rows is 0.
The cubes are not public, so that a measure is only ever seen beside what its rows lead to, and no row is there twice.
"""

from collections.abc import Sequence

from sqlglot import exp

from gemel.bi.exports.exported import Exported, Source, fitted, heading, notes, sayable
from gemel.bi.exports.members import Columns, Member, kinds, members, one_line, present
from gemel.bi.exports.stars import Star, Table, near
from gemel.bi.exports.texts import Naming, spoken
from gemel.bi.yaml_text import commented, dump
from gemel.compiler.sql.dialects import named

TOOL = "Cube"


def export(source: Source, metrics: Sequence[str]) -> Exported:
    stars, refused = fitted(source, metrics, near, sayable(source, source.dialect, without="{ }"))
    cubes: list[object] = []
    views: list[object] = []
    for star in stars:
        columns = Columns([star])
        written = [_measure(source, star, columns, number) for number in range(len(star.metrics))]
        cubes += [_cube(source, star, table, columns, written) for table in star.tables]
        views.append(_view(star))
    text = commented(heading("cube", TOOL, refused, stars)) + dump({"cubes": cubes, "views": views})
    return Exported(TOOL, text, sum(len(star.metrics) for star in stars), tuple(refused), tuple(notes(stars)))


def _cube(source: Source, star: Star, table: Table, columns: Columns, measures: Sequence[object]) -> dict[str, object]:
    known = kinds(source, star)
    own = [each for each in members(star) if each.field.table == table.name]
    dimensions = [_dimension(source, star, each, known[table.name, each.field.name]) for each in own]
    dimensions += [
        {"name": name, "sql": spoken(column, source.dialect, _own(source.dialect)), "type": "string", "public": False}
        for name, column in columns.added(table.model.name).items()
        if table is not star.facts
    ]
    joins = [_join(source, star, each) for each in star.tables if each.parent == table.name]
    return present(
        {
            "name": _name(star, table.name),
            "sql_table": named()(table.relation).sql(source.dialect),
            "public": False,
            "description": _text(table.model.description),
            "joins": joins,
            "dimensions": dimensions,
            "measures": measures if table is star.facts else [],
        }
    ) | {"public": False}


def _dimension(source: Source, star: Star, member: Member, kind: str) -> dict[str, object]:
    field = member.field
    key = isinstance(field.raw, exp.Column) and (field.raw.name,) == star.table(field.table).key
    return present(
        {
            "name": _called(star, member),
            "title": _text(field.element.label),
            "description": _text(field.element.description),
            "sql": spoken(field.value, source.dialect, _own(source.dialect)),
            "type": kind,
            "primary_key": key or None,
        }
    )


def _measure(source: Source, star: Star, columns: Columns, number: int) -> dict[str, object]:
    said = star.metrics[number]

    def naming(column: exp.Column) -> str:
        if column.table == star.facts.name:
            return _own(source.dialect)(column)
        return f"{{{_name(star, column.table)}.{columns.field(star, column)}}}"

    return present(
        {
            "name": said.metric.name,
            "title": _text(said.metric.label),
            "description": _text(said.metric.description),
            "sql": spoken(said.expression, source.dialect, naming),
            "type": "number",
        }
    )


def _join(source: Source, star: Star, table: Table) -> dict[str, object]:
    assert table.on is not None and table.parent is not None

    def naming(column: exp.Column) -> str:
        if column.table == table.parent:
            return _own(source.dialect)(column)
        return f"{{{_name(star, column.table)}}}.{column.this.sql(source.dialect)}"

    return {
        "name": _name(star, table.name),
        "relationship": "many_to_one",
        "sql": spoken(table.on, source.dialect, naming),
    }


def _called(star: Star, member: Member) -> str:
    """In its cube: among the measures of the facts' cube, by the name that no measure has."""
    return member.name if member.field.table == star.facts.name else member.field.name


def _view(star: Star) -> dict[str, object]:
    cubes = []
    for table in star.tables:
        own = [each for each in members(star) if each.field.table == table.name]
        includes: list[object] = [
            each.name if each.name == _called(star, each) else {"name": _called(star, each), "alias": each.name}
            for each in own
        ]
        if table is star.facts:
            includes += [said.metric.name for said in star.metrics]
        path = ".".join(_name(star, each) for each in star.path(table.name))
        cubes.append({"join_path": path, "includes": includes})
    return present({"name": star.facts.model.name, "description": _text(star.facts.model.description), "cubes": cubes})


def _name(star: Star, table: str) -> str:
    """Cubes and views share their names, so that the view has the model's."""
    return f"{star.facts.model.name}__{'facts' if table == star.facts.name else table}"


def _own(dialect: str) -> Naming:
    return lambda column: f"{{CUBE}}.{column.this.sql(dialect)}"


def _text(text: str | None) -> str | None:
    """Cube renders its YAML: what would be a template becomes none."""
    line = one_line(text)
    return line and line.replace("{", "(").replace("}", ")")
