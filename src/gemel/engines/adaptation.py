"""A lowered SELECT made one that an engine takes: what it cannot say is refused, the rest is rewritten.

A rewrite has the same rows. What cannot be rewritten so is refused, never guessed.
"""

from sqlglot import exp

from gemel.engines.engine import Capability, Engine
from gemel.errors import QueryError


def adapt(select: exp.Query, engine: Engine) -> None:
    """Changes the SELECT. Raises QueryError (G327) for what the engine cannot say."""
    _refuse(select, engine)
    for rewrite in engine.rewrites:
        rewrite(select)


_REFUSED: tuple[tuple[Capability, str], ...] = (
    (Capability.ISODOW, "the day of the week"),
    (Capability.MONDAY_WEEKS, "a week, which starts on Sunday there,"),
    (Capability.SERIES, "a feature at every step, which `ttl` asks for,"),
    (Capability.PERCENTILES, "a percentile"),
    (Capability.APPROXIMATE_PERCENTILES, "an approximate percentile"),
)


def _refuse(select: exp.Query, engine: Engine) -> None:
    """Where sqlglot would write something that the engine refuses, or reads otherwise."""
    lacking = {need: what for need, what in _REFUSED if need not in engine.capabilities}
    for node in select.walk() if lacking else ():
        need = _need(node)
        if need in lacking:
            raise QueryError(
                "G327",
                f"{lacking[need]} cannot be said in {engine.dialect} yet",
                hint="leave --dialect away for DuckDB's SQL",
            )


def _need(node: exp.Expr) -> Capability | None:
    """What an engine must be able to do to say a node, if not every engine is."""
    match node:
        case exp.Extract(this=exp.Var(this="ISODOW")):
            return Capability.ISODOW
        case exp.TimestampTrunc(unit=exp.Var(this="WEEK")):
            return Capability.MONDAY_WEEKS
        case exp.GenerateSeries():
            return Capability.SERIES
        case exp.PercentileCont() | exp.PercentileDisc():
            return Capability.PERCENTILES
        case exp.ApproxQuantile():
            return Capability.APPROXIMATE_PERCENTILES
        case _:
            return None
