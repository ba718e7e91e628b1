"""What `feast monitor run` measures: of each feature its NULLs, mean, spread, percentiles and distribution, by DuckDB.

Of numbers, only the finite ones are measured. NaN and the infinities are values, so they are not counted as NULLs.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from feast.data_source import DataSource
from feast.repo_config import RepoConfig
from sqlglot import exp

from gemel.engines.connections.duckdb_errors import translate_errors
from gemel.engines.duckdb import DIALECT
from gemel.feast.relations import aliased, describe, open_database
from gemel.feast.source import relation_of
from gemel.feast.views import within

if TYPE_CHECKING:
    import duckdb

PERCENTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_MEASURED = ("mean", "stddev", "min_val", "max_val")


def measure(
    config: RepoConfig,
    source: DataSource,
    features: Sequence[tuple[str, str]],
    time: str,
    dates: tuple[dt.datetime | None, dt.datetime | None],
    *,
    bins: int,
    top: int,
) -> list[dict[str, Any]]:
    """Feast's metrics of features, each `numeric` or `categorical`, over the rows between two times, both inclusive.

    Raises BridgeError (G540, G543) and WarehouseError.
    """
    relation = relation_of(source, config)
    with open_database(relation.database) as connection:
        types = describe(connection, relation)
        at = relation.column(types, time, source.field_mapping)
        rows = exp.select().from_(aliased(relation.tree, "source"))
        rows = rows.where(*within(exp.column(at, quoted=True), types[at], *dates))
        columns = [relation.column(types, name, source.field_mapping) for name, _ in features]
        return [
            {"feature_name": name, "feature_type": kind}
            | (_numbers(connection, rows, column, bins) if kind == "numeric" else _texts(connection, rows, column, top))
            for (name, kind), column in zip(features, columns, strict=True)
        ]


def last_moment(config: RepoConfig, source: DataSource, time: str) -> dt.datetime | None:
    """The last time of the source's rows, in UTC; None without rows."""
    relation = relation_of(source, config)
    with open_database(relation.database) as connection:
        types = describe(connection, relation)
        at = exp.column(relation.column(types, time, source.field_mapping), quoted=True)
        last = exp.Anonymous(this="epoch_us", expressions=[exp.Max(this=exp.cast(at, _kind(types, at)))])
        [[micros]] = _fetch(connection, exp.select(last).from_(aliased(relation.tree, "source")))
    return None if micros is None else dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)


def _kind(types: Mapping[str, str], column: exp.Column) -> exp.DataType:
    zoned = types[column.name] in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
    return exp.DataType.build("TIMESTAMPTZ" if zoned else "TIMESTAMP", dialect=DIALECT)


def _numbers(connection: "duckdb.DuckDBPyConnection", rows: exp.Select, column: str, bins: int) -> dict[str, Any]:
    own = exp.column(column, quoted=True)
    number = exp.cast(own, "DOUBLE", dialect=DIALECT)
    finite = exp.case().when(exp.Anonymous(this="isfinite", expressions=[number]), number)
    functions = ("avg", "stddev_samp", "min", "max")
    measured = [exp.Anonymous(this=function, expressions=[finite.copy()]) for function in functions]
    points = exp.Array(expressions=[exp.Literal.number(point) for point in PERCENTILES.values()])
    percentiles = exp.Anonymous(this="quantile_cont", expressions=[finite.copy(), points])
    select = rows.select(exp.Count(this=exp.Star()), exp.Count(this=own), *measured, percentiles)
    [[total, present, *numbers, quantiles]] = _fetch(connection, select)
    least, greatest = numbers[2:]
    return {
        **_nulls(total, present),
        **dict(zip(_MEASURED, numbers, strict=True)),
        **dict(zip(PERCENTILES, quantiles or [None] * len(PERCENTILES), strict=True)),
        "histogram": None if least is None else _histogram(connection, rows, finite, (least, greatest), bins),
    }


def _histogram(
    connection: "duckdb.DuckDBPyConnection", rows: exp.Select, number: exp.Expr, ends: tuple[float, float], bins: int
) -> dict[str, Any] | None:
    """The numbers in bins of equal width; the last one includes its upper end."""
    least, greatest = ends
    width = (greatest - least) / bins
    if not math.isfinite(width):
        return None
    if width == 0:
        [[count]] = _fetch(connection, rows.select(exp.Count(this=number.copy())))
        return {"bins": [least, greatest], "counts": [count], "bin_width": 0.0}
    place = exp.Div(
        this=exp.Paren(this=exp.Sub(this=number.copy(), expression=_double(least))), expression=_double(width)
    )
    bucket = exp.Least(this=exp.Floor(this=place), expressions=[exp.Literal.number(bins - 1)])
    select = rows.select(bucket.as_("bucket"), exp.Count(this=exp.Star())).where(
        exp.Not(this=exp.Is(this=number.copy(), expression=exp.Null()))
    )
    counts = [0] * bins
    for at, count in _fetch(connection, select.group_by("1")):
        counts[int(at)] = count
    return {"bins": [least + place * width for place in range(bins + 1)], "counts": counts, "bin_width": width}


def _texts(connection: "duckdb.DuckDBPyConnection", rows: exp.Select, column: str, top: int) -> dict[str, Any]:
    own = exp.column(column, quoted=True)
    distinct = exp.Count(this=exp.Distinct(expressions=[own.copy()]))
    select = rows.select(exp.Count(this=exp.Star()), exp.Count(this=own.copy()), distinct)
    [[total, present, unique]] = _fetch(connection, select)
    text = exp.cast(own, "VARCHAR", dialect=DIALECT)
    most = rows.select(text.as_("value"), exp.Count(this=exp.Star()).as_("count"))
    most = most.where(exp.Not(this=exp.Is(this=own.copy(), expression=exp.Null()))).group_by("1")
    found = _fetch(connection, most.order_by("2 DESC", "1").limit(top))
    histogram = {
        "values": [{"value": value, "count": count} for value, count in found],
        "other_count": present - sum(count for _, count in found),
        "unique_count": unique,
    }
    empty = dict.fromkeys((*_MEASURED, *PERCENTILES))
    return {**_nulls(total, present), **empty, "histogram": histogram if present else None}


def _nulls(total: int, present: int) -> dict[str, Any]:
    rate = (total - present) / total if total else 0.0
    return {"row_count": total, "null_count": total - present, "null_rate": rate}


def _double(number: float) -> exp.Expr:
    """A fraction as it is: a literal would be a decimal."""
    return exp.cast(exp.Literal.string(repr(number)), "DOUBLE", dialect=DIALECT)


def _fetch(connection: "duckdb.DuckDBPyConnection", select: exp.Select) -> list[tuple[Any, ...]]:
    with translate_errors():
        return connection.execute(select.sql(DIALECT)).fetchall()
