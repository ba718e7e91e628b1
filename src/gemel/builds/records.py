"""What built a table, as the warehouse, a copy of the table or an online store has it."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlglot import exp

from gemel.builds.macros import TABLE
from gemel.compiler.compiled import Compiled, compile_select
from gemel.compiler.question.expressions import column
from gemel.errors import WarehouseError

Rows = Callable[[Compiled], Iterable[tuple[Any, ...]]]

PARTIAL = ("--empty", "--sample")
"""In place of a definition: dbt made the rows of some facts only."""
CLONE = "clone"
"""In place of a definition: dbt copied the table of another schema."""


@dataclass(frozen=True, slots=True)
class Build:
    """The hash of the definition that a table was built from, dbt's invocation, and when, in UTC."""

    definition: str
    invocation_id: str
    built_at: str

    def __str__(self) -> str:
        return f"on {self.built_at[:16]} UTC, by dbt's invocation {self.invocation_id}"

    def json(self) -> dict[str, str]:
        return asdict(self)

    @staticmethod
    def parse(kept: object) -> "Build | None":
        match kept:
            case {"definition": str(definition), "invocation_id": str(invocation), "built_at": str(at)}:
                return Build(definition, invocation, at)
            case _:
                return None

    def metadata(self) -> dict[str, str]:
        """As the metadata of a Parquet copy, where dbt's hook writes the same."""
        return {
            "gemel_definition": self.definition,
            "gemel_invocation": self.invocation_id,
            "gemel_built_at": self.built_at,
        }

    @staticmethod
    def of_copy(metadata: Mapping[str, str]) -> "Build | None":
        """From the metadata of a Parquet copy; None of one that was written without hooks."""
        values = map(metadata.get, ("gemel_definition", "gemel_invocation", "gemel_built_at"))
        return Build.parse(dict(zip(("definition", "invocation_id", "built_at"), values, strict=True)))


def read_builds(rows: Rows, relations: Mapping[str, str], dialect: str) -> dict[str, Build]:
    """The newest build of each relation that has one, by the key of `relations`, which has their full names.

    A schema without the table has none. Raises WarehouseError for any other failure.
    """
    builds: dict[str, Build] = {}
    tables = {key: exp.to_table(name, dialect=dialect) for key, name in relations.items()}
    for schema in {(table.catalog, table.db) for table in tables.values()}:
        here = {table.name: key for key, table in tables.items() if (table.catalog, table.db) == schema}
        sample = next(table for table in tables.values() if (table.catalog, table.db) == schema)
        try:
            for name, *build in rows(compile_select(_newest(sample, here), dialect)):
                builds[here[name]] = Build(build[0], build[1], _text(build[2]))
        except WarehouseError as error:
            if error.code != "G405":
                raise
    return builds


def _newest(sample: exp.Table, names: Iterable[str]) -> exp.Select:
    table = sample.copy()
    table.set("this", exp.to_identifier(TABLE))
    rank = exp.Window(
        this=exp.RowNumber(),
        partition_by=[column("relation")],
        order=exp.Order(expressions=[exp.Ordered(this=column("built_at"), desc=True, nulls_first=False)]),
    )
    query = exp.select(*map(column, ("relation", "definition", "invocation_id", "built_at"))).from_(table)
    query = query.where(exp.In(this=column("relation"), expressions=[*map(exp.Literal.string, names)]))
    query.set("qualify", exp.Qualify(this=exp.EQ(this=rank, expression=exp.Literal.number(1))))
    return query


def _text(moment: Any) -> str:
    return moment.isoformat(" ") if isinstance(moment, dt.datetime) else str(moment)
