"""The newest row of each entity in a feature table, read from its Parquet copy in batches, with the types of the Feast
definitions.

If two rows have the same moment, the one that was created later counts.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlglot import exp

from gemel.builds.records import Build
from gemel.compiler.compiled import compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.question.expressions import column
from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError, WarehouseError
from gemel.features.origins import Origin
from gemel.features.tables import CREATED
from gemel.features.types import TYPES
from gemel.online.encoding import EPOCH, encode_keys
from gemel.run import ScratchRunner, open_empty
from gemel.temporary import temporary_folder

BATCH = 5_000  # entities
MEMORY = "600MB"


@dataclass(frozen=True, slots=True)
class OnlineView:
    """A feature view for the online store. `entities` and `features` map names to types; `file` is the table's copy.

    `origin` is the target of the table; None if no profile names it. `build` is what built it, if that is recorded.
    """

    name: str
    entities: Mapping[str, str]
    features: Mapping[str, str]
    file: Path
    ttl: dt.timedelta | None = None
    origin: Origin | None = None
    build: Build | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of entity rows, by column. Times are microseconds since 1970."""

    keys: list[bytes]
    moments: list[int]
    created: list[int | None]
    columns: dict[str, list[Any]]


@dataclass(slots=True)
class Newest:
    """The rows of a view that belong online as of a moment.

    `last` is their latest moment. `built` is when dbt made the last of them: the table had all earlier moments then.
    Both are None without rows.
    """

    entities: int
    last: int | None
    built: int | None
    batches: Iterator[Batch] = field(repr=False)
    build: Build | None = None


@contextmanager
def newest(view: OnlineView, until: dt.datetime, *, sort: bool = False) -> Iterator[Newest]:
    """The newest rows at or before `until`. With `sort`, they are nearly sorted by the bytes of their keys.

    Raises BridgeError (G533) if the table's copy is missing or cannot be read.
    """
    if not view.file.is_file():
        raise BridgeError(
            "G533", f"the table of {view.name!r} has no Parquet copy at {view.file}", hint="run `dbt build` to write it"
        )
    with temporary_folder() as folder:
        try:
            with open_empty(temp=folder, memory=MEMORY) as empty:
                [(entities, last, built)] = empty.rows(compile_select(_extent(view, until), empty.dialect))
                yield Newest(entities, last, built, _batches(view, empty, _rows(view, until, sort)), view.build)
        except WarehouseError as error:
            raise BridgeError(
                "G533",
                f"the Parquet copy of {view.name!r} cannot be read: {error.message}",
                hint="run `dbt build` to write it again",
            ) from None


def _batches(view: OnlineView, empty: ScratchRunner, rows: exp.Select) -> Iterator[Batch]:
    _, batches = empty.stream(compile_select(rows, empty.dialect), size=BATCH)
    for batch in batches:
        columns = [each.to_pylist() for each in batch.columns]
        count = len(view.entities)
        yield Batch(
            encode_keys(view.entities, columns[:count]),
            columns[count],
            columns[count + 1],
            dict(zip(view.features, columns[count + 2 :], strict=True)),
        )


def _rows(view: OnlineView, until: dt.datetime, sort: bool) -> exp.Select:
    keys = [_cast(name, type_) for name, type_ in view.entities.items()]
    features = [_cast(name, type_) for name, type_ in view.features.items()]
    query = _source(view, until).select(*keys, _micros(MOMENT), _micros(CREATED), *features)
    rank = exp.Window(
        this=exp.RowNumber(),
        partition_by=[column(name) for name in view.entities],
        order=exp.Order(
            expressions=[exp.Ordered(this=column(name), desc=True, nulls_first=False) for name in (MOMENT, CREATED)]
        ),
    )
    query.set("qualify", exp.Qualify(this=exp.EQ(this=rank, expression=exp.Literal.number(1))))
    if sort:
        query = query.order_by(*(each for name in sorted(view.entities) for each in _order(name, view.entities[name])))
    return query


def _extent(view: OnlineView, until: dt.datetime) -> exp.Select:
    keys = exp.Tuple(expressions=[column(name) for name in view.entities])
    count = exp.Count(this=exp.Distinct(expressions=[keys]))
    latest = (exp.Max(this=column(name)) for name in (MOMENT, CREATED))
    return _source(view, until).select(count, *(exp.Anonymous(this="epoch_us", expressions=[each]) for each in latest))


def _source(view: OnlineView, until: dt.datetime) -> exp.Select:
    copy = exp.Anonymous(this="read_parquet", expressions=[exp.Literal.string(str(view.file))])
    moment = exp.cast(exp.Literal.string(until.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ")), "TIMESTAMP")
    has_keys = [exp.Not(this=exp.Is(this=column(name), expression=exp.Null())) for name in view.entities]
    return exp.select().from_(exp.Table(this=copy)).where(exp.LTE(this=column(MOMENT), expression=moment), *has_keys)


def _cast(name: str, type_: str) -> exp.Expr:
    if type_ == "timestamp":
        return _micros(name)
    return exp.cast(column(name), exp.DataType.build(TYPES[type_].sql, dialect=DIALECT))


def _micros(name: str) -> exp.Expr:
    return exp.Anonymous(this="epoch_us", expressions=[column(name)])


def _order(name: str, type_: str) -> list[exp.Expr]:
    """Sort nearly as the encoded keys, whose numbers start with the lowest byte: a B-tree then grows at its end."""
    if type_ == "string":
        return [exp.Anonymous(this="strlen", expressions=[column(name)]), column(name)]
    sizes = range(0, 32 if type_ == "int32" else 64, 8)
    return [
        exp.BitwiseAnd(
            this=exp.Paren(this=exp.BitwiseRightShift(this=column(name), expression=exp.Literal.number(bits))),
            expression=exp.Literal.number(255),
        )
        for bits in sizes
    ]


def micros(moment: dt.datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // dt.timedelta(microseconds=1)
