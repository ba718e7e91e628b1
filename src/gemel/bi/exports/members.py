"""What the columns and fields of stars are called in a format, and what kinds of values they have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from gemel.bi.exports.exported import Source
from gemel.bi.exports.stars import ROW, Field, Star
from gemel.compiler.compiled import compile_select
from gemel.compiler.question.expressions import free, identifier
from gemel.compiler.sql.dialects import named

Kind = Literal["string", "number", "boolean", "time"]


class Columns:
    """The field under which each column of each semantic model goes, for formats whose expressions name only fields.

    One that is the column and nothing else is taken where there is one; where there is none, one is added.
    """

    def __init__(self, stars: Sequence[Star]) -> None:
        self._names: dict[str, dict[str, str]] = {}
        self._added: dict[str, dict[str, exp.Expr]] = {}
        self._taken: dict[str, set[str]] = {}
        metrics = {star.facts.model.name: {said.metric.name for said in star.metrics} for star in stars}
        for star in stars:
            for table in star.tables:
                taken = self._taken.setdefault(table.model.name, set())
                taken |= {each.name for each in table.model.entities}
                taken |= {each.name for each in table.model.dimensions}
                taken |= {said.metric.name for said in star.metrics}
            for field in star.fields:
                model = star.table(field.table).model.name
                if isinstance(field.value, exp.Column) and field.name not in metrics.get(model, ()):
                    self._names.setdefault(model, {}).setdefault(field.value.name, field.name)

    def field(self, star: Star, column: exp.Column) -> str:
        model = star.table(column.table).model.name
        names = self._names.setdefault(model, {})
        if column.name not in names:
            one = column.name == ROW
            names[column.name] = free("one" if one else column.name.lower(), self._taken[model])
            self._taken[model].add(names[column.name])
            value = exp.Literal.number(1) if one else column
            self._added.setdefault(model, {})[names[column.name]] = value
        return names[column.name]

    def added(self, model: str) -> Mapping[str, exp.Expr]:
        """What is a field besides: columns, each over the name of a table, and ROW's 1."""
        return self._added.get(model, {})


@dataclass(frozen=True, slots=True)
class Member:
    """A field under the name that it has beside all others of its star: `distance`, `origin__name`."""

    name: str
    field: Field


def members(star: Star) -> tuple[Member, ...]:
    """Every field of a star. A metric's name is not taken: a dimension of that name goes by its entity, too."""
    taken = {said.metric.name for said in star.metrics}
    found = []
    for field in star.fields:
        name = field.name if field.table == star.facts.name else f"{field.table}__{field.name}"
        if name in taken:
            name = free(f"{star.facts.model.primary_entity or star.facts.name}__{name}", taken)
        taken.add(name)
        found.append(Member(name, field))
    return tuple(found)


def kinds(source: Source, star: Star) -> dict[tuple[str, str], Kind]:
    """By table and field: what kind of value it is, as the warehouse says; a text where it cannot be asked."""
    found: dict[tuple[str, str], Kind] = {}
    for table in star.tables:
        fields = star.fields_of(table.name)
        found |= {(table.name, each.name): "time" if each.grain else "string" for each in fields}
        if not fields:
            continue
        outputs = [exp.alias_(each.raw.copy(), f"c{number}") for number, each in enumerate(fields)]
        rows = exp.alias_(named()(table.relation), identifier(table.name), table=True)
        types = source.types(compile_select(exp.Select(expressions=outputs).from_(rows), source.dialect))
        for number, each in enumerate(fields):
            word = types.get(f"c{number}")
            if word is not None and not each.grain:
                found[table.name, each.name] = _kind(word)
    return found


def _kind(word: str) -> Kind:
    """Of a type in DuckDB's words."""
    name = word.upper().split("(")[0]
    if name == "BOOLEAN":
        return "boolean"
    if name.startswith(("DATE", "TIMESTAMP")):
        return "time"
    numbers = ("INT", "DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC", "BIGINT", "SMALLINT", "TINYINT", "HUGEINT")
    return "number" if name.removeprefix("U").startswith(numbers) else "string"


def one_line(text: str | None) -> str | None:
    """A description on one line; None where there is none."""
    return " ".join(text.split()) if text and text.strip() else None


def present(item: Mapping[str, object]) -> dict[str, object]:
    """Without what is not said."""
    return {key: value for key, value in item.items() if value not in (None, "", [], {})}
