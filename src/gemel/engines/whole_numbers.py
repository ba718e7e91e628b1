"""The type of whole numbers among the values of metrics: BIGINT on every engine, or a decimal that keeps all digits.

Engines make wider types of sums: a HUGEINT of any whole numbers in DuckDB, a numeric of a BIGINT in PostgreSQL, which
many clients read as floats. The type depends on the columns and the definitions, never on the values.
"""

import decimal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gemel.errors import WarehouseError
from gemel.spec.metrics import ALL_DIGITS, BIG

HUGE = "HUGEINT"
WHOLE = frozenset({"TINYINT", "SMALLINT", "INTEGER", BIG, HUGE, "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"})
_BOUNDS = {BIG: 2**63, ALL_DIGITS: 10**38}


def cast_types(described: Iterable[tuple[str, str]], numbers: Mapping[str, str]) -> dict[str, str]:
    """The columns to cast, with their new types. `numbers` are the columns of metrics, each with the type of its whole
    numbers: only a sum is wider than BIGINT, but all of them become decimals."""
    kinds = {BIG: frozenset({HUGE}), ALL_DIGITS: WHOLE}
    return {name: numbers[name] for name, kind in described if name in numbers and kind in kinds[numbers[name]]}


def cast_values(values: Iterable[Any], name: str, kind: str) -> list[Any]:
    """Whole numbers in a type of `cast_types`. Raises WarehouseError (G407) if one of them does not fit."""
    make = int if kind == BIG else decimal.Decimal
    cast = [None if value is None else make(value) for value in values]
    if any(value is not None and not -_BOUNDS[kind] <= value < _BOUNDS[kind] for value in cast):
        raise _too_large([name], kind)
    return cast


@contextmanager
def naming(casts: Mapping[str, str]) -> Iterator[None]:
    """Adds to the engine's error that a number is too large the metrics that it may be of."""
    try:
        yield
    except WarehouseError as error:
        if not casts or error.code != "G407" or not any(text in error.message for text in _ERRORS):
            raise
        kinds = {kind: [name for name in casts if casts[name] == kind] for kind in _BOUNDS}
        kind = BIG if kinds[BIG] else ALL_DIGITS
        raise _too_large(sorted(kinds[kind]), kind) from None


_ERRORS = ("INT128", "HUGEINT", "DECIMAL(38,0)", "bigint out of range")


def _too_large(names: list[str], kind: str) -> WarehouseError:
    wider = "config: meta: gemel: {type: decimal}, on the metric or its measure, keeps 38 digits"
    return WarehouseError(
        "G407",
        f"a sum of whole numbers does not fit into {kind}: {' or '.join(names)}",
        hint=wider if kind == BIG else "sum smaller numbers: thousands, or averages",
    )
