"""LookML: a view for each semantic model, and an explore for each fact table.

Every measure is a `number` with its own aggregates. Looker's own types would return other numbers: its sum of no rows
is 0. A joined view contributes only dimensions, so no measure is computed over duplicated rows.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp

from gemel.bi.exports.exported import Exported, Source, expressible, fit_stars, heading, notes
from gemel.bi.exports.members import Columns, kinds, one_line
from gemel.bi.exports.stars import Field, Star, StarMetric, Table
from gemel.bi.exports.texts import Naming, qualified, write_expression
from gemel.bi.yaml_text import commented
from gemel.compiler.question.expressions import free
from gemel.spec.time import GRAINS

TOOL = "LookML"
DIMENSIONS = "for_groups"
"""The name of the set with the dimensions of a view."""
_TIMEFRAMES = {
    **{"millisecond": "millisecond", "second": "second", "minute": "minute", "hour": "hour", "day": "date"},
    **{"week": "week", "month": "month", "quarter": "quarter", "year": "year"},
}
_KINDS = {"string": "string", "number": "number", "boolean": "string", "time": "date_time"}
"""A boolean is a string, because Looker's `yesno` treats NULL as No."""

Item = tuple[str, object]
"""A LookML key and its value: a word, a text, SQL, a list or a block."""


def export(source: Source, metrics: Sequence[str]) -> Exported:
    stars, refused = fit_stars(source, metrics, expressible(source, source.dialect, without="${ {{ {% ;;"))
    columns = Columns(stars)
    measures = {star.facts.model.name: _measures(source, star, columns) for star in stars}
    blocks = [f'connection: "{source.project}"\nweek_start_day: monday\n']
    blocks += [_block("explore", star.facts.name, _explore(source, star)) for star in stars]
    for model, tables in _by_model(stars).items():
        blocks.append(_block("view", model, _view(source, tables, columns, measures.get(model, []))))
    text = commented(heading("lookml", TOOL, refused, stars)) + "\n" + "\n".join(blocks)
    return Exported(TOOL, text, sum(len(star.metrics) for star in stars), tuple(refused), tuple(notes(stars)))


def _explore(source: Source, star: Star) -> list[Item]:
    items: list[Item] = []
    if star.facts.name != star.facts.model.name:
        items.append(("from", star.facts.model.name))
    items.append(("description", one_line(star.facts.model.description)))
    for table in star.tables[1:]:
        assert table.on is not None
        above = [each for each in star.path(table.name)[1:-1]]
        join: list[Item] = [
            ("from", table.model.name if table.model.name != table.name else None),
            ("type", "left_outer"),
            ("relationship", "many_to_one"),
            ("required_joins", above),
            ("sql_on", _Sql(write_expression(table.on, source.dialect, qualified(source.dialect)))),
            ("fields", [f"{table.name}.{DIMENSIONS}*"]),
        ]
        items.append((f"join: {table.name}", join))
    return items


def _by_model(stars: Sequence[Star]) -> Mapping[str, list[tuple[Star, Table]]]:
    tables: dict[str, list[tuple[Star, Table]]] = {}
    for star in stars:
        for table in star.tables:
            tables.setdefault(table.model.name, []).append((star, table))
    return tables


def _view(
    source: Source, tables: Sequence[tuple[Star, Table]], columns: Columns, measures: list[tuple[str, list[Item]]]
) -> list[Item]:
    _, table = tables[0]
    items: list[Item] = [("sql_table_name", _Sql(source.table(table.relation).sql(source.dialect)))]
    reserved = {name for name, _ in measures}
    names = []
    for name, block in _dimensions(source, tables, reserved):
        items.append((name, block))
        names.append(name)
    for name, column in columns.added(table.model.name).items():
        hidden: list[Item] = [
            ("hidden", True),
            ("sql", _Sql(write_expression(column, source.dialect, _own(source.dialect)))),
        ]
        items.append((f"dimension: {name}", hidden))
        names.append(f"dimension: {name}")
    items.append((f"set: {DIMENSIONS}", [("fields", list(_set(names, items)))]))
    items += [(f"measure: {name}", block) for name, block in measures]
    return items


def _dimensions(
    source: Source, tables: Sequence[tuple[Star, Table]], reserved: set[str]
) -> Iterable[tuple[str, list[Item]]]:
    """The dimensions of a semantic model in all its roles."""
    written: set[str] = set()
    for star, table in tables:
        kind_of = kinds(source, star)
        for field in star.fields_of(table.name):
            if field.name in written:
                continue
            written.add(field.name)
            name = field.name if field.name not in reserved else free(f"{table.model.name}__{field.name}", reserved)
            about: list[Item] = [
                ("label", one_line(field.element.label)),
                ("description", one_line(field.element.description)),
            ]
            if field.grain:
                yield f"dimension_group: {name}", [*_time(source, field), *about]
                continue
            key = isinstance(field.raw, exp.Column) and (field.raw.name,) == table.key
            yield (
                f"dimension: {name}",
                [
                    ("primary_key", True if key and field.element.__class__.__name__ == "Entity" else None),
                    ("type", _KINDS[kind_of[table.name, field.name]]),
                    ("sql", _Sql(write_expression(field.value, source.dialect, _own(source.dialect)))),
                    *about,
                ],
            )


def _time(source: Source, field: Field) -> list[Item]:
    """A time in no finer timeframes than the grain of the dimension; zones are not converted, as in queries."""
    assert field.grain is not None
    coarser = [_TIMEFRAMES[grain] for grain in GRAINS[GRAINS.index(field.grain) :] if grain in _TIMEFRAMES]
    return [
        ("type", "time"),
        ("timeframes", coarser),
        ("convert_tz", False),
        ("sql", _Sql(write_expression(field.raw, source.dialect, _own(source.dialect)))),
    ]


def _set(names: Sequence[str], items: Sequence[Item]) -> Iterable[str]:
    blocks = {key: value for key, value in items}
    for each in names:
        word, name = each.split(": ")
        if word == "dimension":
            yield name
        else:
            block = blocks[each]
            assert isinstance(block, list)
            yield from (f"{name}_{timeframe}" for key, value in block if key == "timeframes" for timeframe in value)


def _measures(source: Source, star: Star, columns: Columns) -> list[tuple[str, list[Item]]]:
    return [(each.metric.name, _measure(source, star, each, columns)) for each in star.metrics]


def _measure(source: Source, star: Star, item: StarMetric, columns: Columns) -> list[Item]:
    def naming(column: exp.Column) -> str:
        if column.table == star.facts.name:
            return _own(source.dialect)(column)
        return f"${{{column.table}.{columns.field(star, column)}}}"

    return [
        ("type", "number"),
        ("sql", _Sql(write_expression(item.expression, source.dialect, naming))),
        ("label", one_line(item.metric.label)),
        ("description", one_line(item.metric.description)),
    ]


def _own(dialect: str) -> Naming:
    return lambda column: f"${{TABLE}}.{column.this.sql(dialect)}"


class _Sql(str):
    """SQL, which LookML terminates with two semicolons."""

    __slots__ = ()


def _block(word: str, name: str, items: Sequence[Item], indent: str = "") -> str:
    lines = [f"{indent}{word}: {name} {{" if word else f"{indent}{name} {{"]
    for key, value in items:
        inner = f"{indent}  "
        match value:
            case None | []:
                continue
            case list() if all(isinstance(each, str) for each in value):
                lines.append(f"{inner}{key}: [{', '.join(value)}]")
            case list():
                lines.append(_block("", key, value, inner).rstrip("\n"))
            case bool():
                lines.append(f"{inner}{key}: {'yes' if value else 'no'}")
            case _Sql():
                lines.append(f"{inner}{key}: {value} ;;")
            case str() if key in ("label", "description"):
                quoted = value.replace("\\", "\\\\").replace('"', '\\"')
                lines.append(f'{inner}{key}: "{quoted}"')
            case _:
                lines.append(f"{inner}{key}: {value}")
    return "\n".join([*lines, f"{indent}}}"]) + "\n"
