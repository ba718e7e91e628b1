"""The names and types that a feature table must have in one kind of warehouse, so that Feast can read it."""

from sqlglot import exp

from gemel.compiler.features.cells import MOMENT
from gemel.engines.engine import Capability, Engine
from gemel.engines.types import engine_type
from gemel.errors import BridgeError
from gemel.features.bound import BoundView
from gemel.features.types import TYPES
from gemel.spec.feature_views import FeatureView

CREATED = "created_timestamp"

FINGERPRINT = "__fingerprint"
"""The name of the fingerprint of a table is that of the table with this at the end."""


def fingerprint_name(view: FeatureView) -> str | None:
    """The table that a view has beside its own; None if it has none."""
    return f"{view.name}{FINGERPRINT}" if view.lookback is not None and view.detect else None


def refuse_unkept(view: BoundView, engine: Engine) -> None:
    """Raises BridgeError (G581, G582) for a lookback or a name that the warehouse does not support."""
    if view.lookback is not None and not engine.has(Capability.LOOKBACK):
        raise BridgeError(
            "G581",
            f"feature view {view.name!r} has a lookback: its rows must be replaced in one transaction, which "
            f"{engine.name} does not guarantee",
            hint="remove `lookback`: each build then builds the whole table",
            place=view.place,
        )
    longest = engine.longest_name
    beside = fingerprint_name(view)
    for name in filter(None, (view.name, *view.feature_names, beside)):
        if longest is not None and len(name.encode()) > longest:
            raise BridgeError(
                "G582",
                f"{name!r} is too long: a name in {engine.name} has at most {longest} bytes",
                hint="give the view or the feature a shorter `name:`"
                + (", or the view `detect: false`" if beside else ""),
                place=view.place,
            )


def shape_for_feast(select: exp.Select, engine: Engine) -> exp.Select:
    """Change the names and types of a feature table's columns to those that Feast expects."""
    is_moment_zoned, is_zoned = engine.has(Capability.ZONED_MOMENTS), engine.has(Capability.ZONED_TIMES)
    is_upper = engine.has(Capability.UPPER_CASE_NAMES)
    for output in select.selects:
        value, name = output.unalias(), output.alias_or_name
        is_time = name == MOMENT or value.is_type(exp.DataType.Type.TIMESTAMP)
        if is_moment_zoned and name in (MOMENT, CREATED):
            time = exp.paren(value.copy()) if isinstance(value, exp.Binary) else value.copy()
            output.replace(exp.alias_(exp.AtTimeZone(this=time, zone=exp.Literal.string("UTC")), name))
        elif is_zoned and is_time:
            output.replace(exp.alias_(exp.cast(value.copy(), exp.DataType.Type.TIMESTAMPTZ), name))
        elif is_upper:
            output.replace(exp.alias_(value.copy(), name, quoted=True))
    return select


def moment_sql(engine: Engine) -> str:
    """The moment of a row, as UTC without a zone, in SQL over the table."""
    return f"({MOMENT} AT TIME ZONE 'UTC')" if engine.has(Capability.ZONED_MOMENTS) else MOMENT


def newest_moment(engine: Engine) -> str:
    """The newest moment of the rows, in the same way."""
    moment: exp.Expr = exp.column(exp.to_identifier(MOMENT, quoted=engine.has(Capability.UPPER_CASE_NAMES)))
    newest: exp.Expr = exp.Max(this=moment)
    if engine.has(Capability.ZONED_MOMENTS):
        newest = exp.AtTimeZone(this=newest, zone=exp.Literal.string("UTC"))
    return str(newest.sql(engine.dialect))


def moment_type(engine: Engine) -> str:
    """The warehouse's name for the type of a row's moment."""
    return "TIMESTAMPTZ" if engine.has(Capability.ZONED_MOMENTS) else type_name("timestamp", engine)


def type_name(type_: str, engine: Engine) -> str:
    """The engine's name for a feature's type."""
    return engine_type(TYPES[type_].sql, engine)
