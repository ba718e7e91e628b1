"""Names of the columns and fields of stars in a format, and the kinds of their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from gemel.bi.exports.exported import Source
from gemel.bi.exports.stars import ROW, Field, Star
from gemel.compiler.compiled import compile_select
from gemel.compiler.question.expressions import free, identifier

Kind = Literal["string", "number", "boolean", "time"]


class Columns:
    """The field of each column of each semantic model, for formats whose expressions name only fields.

    A field that is just the column is used if there is one; otherwise one is added.
    """

    def __init__(self, stars: Sequence[Star]) -> None:
        self._names: dict[str, dict[str, str]] = {}
        self._added: dict[str, dict[str, exp.Expr]] = {}
        self._reserved: dict[str, set[str]] = {}
        metrics = {star.facts.model.name: {each.metric.name for each in star.metrics} for star in stars}
        for star in stars:
            for table in star.tables:
                reserved = self._reserved.setdefault(table.model.name, set())
                reserved |= {each.name for each in table.model.entities}
                reserved |= {each.name for each in table.model.dimensions}
                reserved |= {each.metric.name for each in star.metrics}
            for field in star.fields:
                model = star.table(field.table).model.name
                if isinstance(field.value, exp.Column) and field.name not in metrics.get(model, ()):
                    self._names.setdefault(model, {}).setdefault(field.value.name, field.name)

    def field(self, star: Star, column: exp.Column) -> str:
        model = star.table(column.table).model.name
        names = self._names.setdefault(model, {})
        if column.name not in names:
            one = column.name == ROW
            names[column.name] = free("one" if one else column.name.lower(), self._reserved[model])
            self._reserved[model].add(names[column.name])
            value = exp.Literal.number(1) if one else column
            self._added.setdefault(model, {})[names[column.name]] = value
        return names[column.name]

    def added(self, model: str) -> Mapping[str, exp.Expr]:
        """The added fields: columns, each with the name of its table, and the 1 of ROW."""
        return self._added.get(model, {})


@dataclass(frozen=True, slots=True)
class Member:
    """A field with its unique name in its star: `distance`, `origin__name`."""

    name: str
    field: Field


def members(star: Star) -> tuple[Member, ...]:
    """Every field of a star. A dimension with the name of a metric gets the name of its entity in front."""
    reserved = {each.metric.name for each in star.metrics}
    result = []
    for field in star.fields:
        name = field.name if field.table == star.facts.name else f"{field.table}__{field.name}"
        if name in reserved:
            name = free(f"{star.facts.model.primary_entity or star.facts.name}__{name}", reserved)
        reserved.add(name)
        result.append(Member(name, field))
    return tuple(result)


def kinds(source: Source, star: Star) -> dict[tuple[str, str], Kind]:
    """The kind of each value by table and field, from the warehouse; a string if the warehouse is not reachable."""
    result: dict[tuple[str, str], Kind] = {}
    for table in star.tables:
        fields = star.fields_of(table.name)
        result |= {(table.name, each.name): "time" if each.grain else "string" for each in fields}
        if not fields:
            continue
        outputs = [exp.alias_(each.raw.copy(), f"c{number}") for number, each in enumerate(fields)]
        rows = exp.alias_(source.table(table.relation), identifier(table.name), table=True)
        types = source.types(compile_select(exp.Select(expressions=outputs).from_(rows), source.dialect))
        for number, each in enumerate(fields):
            type_name = types.get(f"c{number}")
            if type_name is not None and not each.grain:
                result[table.name, each.name] = _kind(type_name)
    return result


def _kind(type_name: str) -> Kind:
    """The kind of a DuckDB type."""
    name = type_name.upper().split("(")[0]
    if name == "BOOLEAN":
        return "boolean"
    if name.startswith(("DATE", "TIMESTAMP")):
        return "time"
    numbers = ("INT", "DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC", "BIGINT", "SMALLINT", "TINYINT", "HUGEINT")
    return "number" if name.removeprefix("U").startswith(numbers) else "string"


def one_line(text: str | None) -> str | None:
    """A description on one line; None if it is empty."""
    return " ".join(text.split()) if text and text.strip() else None


def without_empty(item: Mapping[str, object]) -> dict[str, object]:
    """The mapping without its empty values."""
    return {key: value for key, value in item.items() if value not in (None, "", [], {})}
