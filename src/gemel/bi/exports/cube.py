"""Cube: a cube for each table in its role, and a view to query for each fact table.

Every measure is a `number` with its own aggregates. Cube's own types would return other numbers: a `count` of no rows
is 0. The cubes are not public, so measures are used only with the tables their rows join, and no row is duplicated.
"""

from collections.abc import Sequence

from sqlglot import exp

from gemel.bi.exports.exported import Exported, Source, expressible, fit_stars, heading, notes
from gemel.bi.exports.members import Columns, Member, kinds, members, one_line, without_empty
from gemel.bi.exports.stars import Star, Table, near
from gemel.bi.exports.texts import Naming, write_expression
from gemel.bi.yaml_text import commented, dump

TOOL = "Cube"


def export(source: Source, metrics: Sequence[str]) -> Exported:
    stars, refused = fit_stars(source, metrics, near, expressible(source, source.dialect, without="{ }"))
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
    kind_of = kinds(source, star)
    own = [each for each in members(star) if each.field.table == table.name]
    dimensions = [_dimension(source, star, each, kind_of[table.name, each.field.name]) for each in own]
    dimensions += [
        {
            "name": name,
            "sql": write_expression(column, source.dialect, _own(source.dialect)),
            "type": "string",
            "public": False,
        }
        for name, column in columns.added(table.model.name).items()
        if table is not star.facts
    ]
    joins = [_join(source, star, each) for each in star.tables if each.parent == table.name]
    return without_empty(
        {
            "name": _name(star, table.name),
            "sql_table": source.table(table.relation).sql(source.dialect),
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
    return without_empty(
        {
            "name": _name_in_cube(star, member),
            "title": _text(field.element.label),
            "description": _text(field.element.description),
            "sql": write_expression(field.value, source.dialect, _own(source.dialect)),
            "type": kind,
            "primary_key": key or None,
        }
    )


def _measure(source: Source, star: Star, columns: Columns, number: int) -> dict[str, object]:
    item = star.metrics[number]

    def naming(column: exp.Column) -> str:
        if column.table == star.facts.name:
            return _own(source.dialect)(column)
        return f"{{{_name(star, column.table)}.{columns.field(star, column)}}}"

    return without_empty(
        {
            "name": item.metric.name,
            "title": _text(item.metric.label),
            "description": _text(item.metric.description),
            "sql": write_expression(item.expression, source.dialect, naming),
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
        "sql": write_expression(table.on, source.dialect, naming),
    }


def _name_in_cube(star: Star, member: Member) -> str:
    """The name of a field in its cube; in the cube of the facts, one that no measure has."""
    return member.name if member.field.table == star.facts.name else member.field.name


def _view(star: Star) -> dict[str, object]:
    cubes = []
    for table in star.tables:
        own = [each for each in members(star) if each.field.table == table.name]
        includes: list[object] = [
            each.name
            if each.name == _name_in_cube(star, each)
            else {"name": _name_in_cube(star, each), "alias": each.name}
            for each in own
        ]
        if table is star.facts:
            includes += [each.metric.name for each in star.metrics]
        path = ".".join(_name(star, each) for each in star.path(table.name))
        cubes.append({"join_path": path, "includes": includes})
    return without_empty(
        {"name": star.facts.model.name, "description": _text(star.facts.model.description), "cubes": cubes}
    )


def _name(star: Star, table: str) -> str:
    """The name of a cube. Cubes and views share a namespace, and the view has the name of the model."""
    return f"{star.facts.model.name}__{'facts' if table == star.facts.name else table}"


def _own(dialect: str) -> Naming:
    return lambda column: f"{{CUBE}}.{column.this.sql(dialect)}"


def _text(text: str | None) -> str | None:
    """A description without braces, because Cube renders its YAML as a template."""
    line = one_line(text)
    return line and line.replace("{", "(").replace("}", ")")
