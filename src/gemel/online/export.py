"""The newest rows of a feature table in a warehouse server, exported to Parquet on their way to the online store."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from sqlglot import exp

from gemel.builds.records import Build
from gemel.compiler.compiled import compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.question.expressions import column
from gemel.features.tables import CREATED
from gemel.run import Runner
from gemel.whole_files import make_folder, replace_when_complete


def newest_rows(relation: exp.Table, keys: tuple[str, ...], until: dt.datetime | None) -> exp.Select:
    """The newest row of each entity at or before a moment (None: of all rows), as in a point-in-time join."""
    query = exp.select("*").from_(relation.copy())
    if until is not None:
        moment = exp.cast(exp.Literal.string(until.isoformat(sep=" ")), exp.DataType.Type.TIMESTAMP)
        query = query.where(exp.LTE(this=column(MOMENT), expression=moment))
    newest = [exp.Ordered(this=column(name), desc=True, nulls_first=False) for name in (MOMENT, CREATED)]
    rank = exp.Window(
        this=exp.RowNumber(), partition_by=[column(key) for key in keys], order=exp.Order(expressions=newest)
    )
    query.set("qualify", exp.Qualify(this=exp.EQ(this=rank, expression=exp.Literal.number(1))))
    return query


def export(
    warehouse: Runner,
    relation: str,
    keys: Mapping[str, str],
    features: Mapping[str, str],
    file: Path,
    *,
    until: dt.datetime,
    build: Build | None = None,
) -> int:
    """Write the newest rows to `file`, completely or not at all. Returns their number.

    `keys` and `features` map names to types. `build` goes into the file's metadata.
    """
    import pyarrow
    from pyarrow import parquet

    table = exp.maybe_parse(relation, into=exp.Table, dialect=warehouse.dialect)
    types = {**keys, MOMENT: "timestamp", **features, CREATED: "timestamp"}
    utc = until.astimezone(dt.UTC).replace(tzinfo=None)
    rows = newest_rows(table, tuple(keys), utc).subquery("newest")
    select = compile_select(exp.select(*(column(name) for name in types)).from_(rows), warehouse.dialect)
    schema = pyarrow.schema(
        [(name, _arrow(type_)) for name, type_ in types.items()], metadata=build.metadata() if build else None
    )
    make_folder(file.parent)
    count = 0
    with replace_when_complete(file) as half, parquet.ParquetWriter(half, schema) as writer:
        for batch in warehouse.batches(select):
            columns = zip(zip(*batch, strict=True), schema.types, strict=True)
            arrays = [pyarrow.array(values, type=kind) for values, kind in columns]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def _arrow(type_: str) -> object:
    import pyarrow

    return pyarrow.timestamp("us") if type_ == "timestamp" else pyarrow.type_for_alias(type_)
