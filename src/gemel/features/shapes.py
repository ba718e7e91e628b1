"""What a feature table has to be in one kind of warehouse besides its dialect, so that Feast finds it as it is told."""

import json

from sqlglot import exp

from gemel.compiler.features.cells import MOMENT
from gemel.errors import BridgeError
from gemel.features.binding import BoundView
from gemel.features.sources import Warehouse
from gemel.features.types import TYPES
from gemel.files import LONGEST_NAME

CREATED = "created_timestamp"

WITH_LOOKBACK = ("duckdb", "postgres")
"""Where taking rows away and making them again is one transaction, in what dbt does and what our tests run."""

_ZONED = ("bigquery", "spark", "databricks")
"""Where Feast compares times that have a zone, and a time without one is of the session's. BigQuery's is always UTC."""

_ZONED_BY_NAME = ("postgres",)
"""The same, where a session can have any zone and a time can be said to be UTC."""


def refuse_unkept(view: BoundView, kind: Warehouse) -> None:
    """Raises BridgeError (G581, G582) for what the warehouse would not keep."""
    if view.view.lookback is not None and kind.adapter not in WITH_LOOKBACK:
        raise BridgeError(
            "G581",
            f"feature view {view.name!r} has a lookback, which makes rows again in one transaction, and in "
            f"{kind.adapter} that is not sure",
            hint="leave `lookback` away: the table is then built whole, which is always right",
            place=view.view.place,
        )
    longest = LONGEST_NAME.get(kind.adapter)
    for name in (view.name, *(column.name for column in view.columns)):
        if longest is not None and len(name.encode()) > longest:
            raise BridgeError(
                "G582",
                f"{name!r} is longer than the {longest} bytes that {kind.adapter} keeps of a name",
                hint="give the view or the feature a shorter `name:`",
                place=view.view.place,
            )


def shaped(select: exp.Select, kind: Warehouse) -> exp.Select:
    """A feature table's SELECT with its columns named and typed as Feast looks for them."""
    for output in select.selects:
        value, name = output.unalias(), output.alias_or_name
        is_time = name == MOMENT or value.is_type(exp.DataType.Type.TIMESTAMP)
        if kind.adapter in _ZONED_BY_NAME and name in (MOMENT, CREATED):
            time = exp.paren(value.copy()) if isinstance(value, exp.Binary) else value.copy()
            output.replace(exp.alias_(exp.AtTimeZone(this=time, zone=exp.Literal.string("UTC")), name))
        elif kind.adapter in _ZONED and is_time:
            output.replace(exp.alias_(exp.cast(value.copy(), exp.DataType.Type.TIMESTAMPTZ), name))
        elif kind.adapter == "snowflake":  # a bare name becomes upper-case there, and Feast asks for it as it is
            output.replace(exp.alias_(value.copy(), name, quoted=True))
    return select


def moment_sql(kind: Warehouse) -> str:
    """The moment of a row, as UTC without a zone, in SQL over the table."""
    return f"({MOMENT} AT TIME ZONE 'UTC')" if kind.adapter in _ZONED_BY_NAME else MOMENT


def moment_type(kind: Warehouse) -> str:
    """What the warehouse calls the type of a row's moment."""
    return "TIMESTAMPTZ" if kind.adapter in _ZONED_BY_NAME else type_name("timestamp", kind)


def config_of(kind: Warehouse) -> dict[str, str]:
    """What dbt's config of the model says besides, Python by name."""
    if kind.adapter == "clickhouse":
        # By its own rules a row that nothing joins has zeros, a sum of nothing is 0, and an alias hides its column.
        named = ("join_use_nulls", "aggregate_functions_null_for_empty", "prefer_column_name_to_alias")
        return {"query_settings": json.dumps(dict.fromkeys(named, 1))}
    return {}


def type_name(type_: str, kind: Warehouse) -> str:
    """What the warehouse calls a feature's type."""
    if kind.is_copied:
        return TYPES[type_].sql
    return str(exp.DataType.build(TYPES[type_].sql, dialect="duckdb").sql(kind.dialect))
