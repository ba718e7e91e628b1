"""A lowered SELECT, rewritten in place for one engine.

A rewrite returns the same rows. What no rewrite can express is refused, never guessed.
"""

from sqlglot import exp

from gemel.engines.engine import Capability, Engine
from gemel.errors import QueryError


def adapt(select: exp.Query, engine: Engine) -> None:
    """Rewrite the SELECT in place. Raises QueryError (G327) for what the engine cannot express."""
    _refuse(select, engine)
    for rewrite in engine.rewrites:
        rewrite(select)


_REFUSED: tuple[tuple[Capability, str], ...] = (
    (Capability.ISODOW, "the day of the week"),
    (Capability.MONDAY_WEEKS, "a week that starts on Monday"),
    (Capability.SERIES, "a feature at every step, which `ttl` requires,"),
    (Capability.PERCENTILES, "a percentile"),
    (Capability.APPROXIMATE_PERCENTILES, "an approximate percentile"),
)


def _refuse(select: exp.Query, engine: Engine) -> None:
    """Refuse what sqlglot would write in a form that the engine rejects or interprets differently."""
    missing = {capability: name for capability, name in _REFUSED if capability not in engine.capabilities}
    for node in select.walk() if missing else ():
        required = _required(node)
        if required in missing:
            raise QueryError(
                "G327",
                f"{missing[required]} cannot be expressed in {engine.dialect} yet",
                hint="omit --dialect for DuckDB's SQL",
            )


def _required(node: exp.Expr) -> Capability | None:
    """The capability that a node requires; None where every engine can express it."""
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
