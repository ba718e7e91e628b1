"""What ends a question that exceeds its limits."""

from typing import Any

from gemel.errors import WarehouseError

RAISE_LIMIT = "ask for less, or raise the limit: `vars: gemel: limits:` in dbt_project.yml, `--timeout`"
RAISE_MEMORY = "fewer groups or a shorter time need less; `vars: gemel: limits:` has the limits of memory and disk"
MORE_DISK = "`vars: gemel: limits: disk` limits what does not fit into memory; fewer groups or a shorter time need less"


def exceeded_time(seconds: float) -> WarehouseError:
    """The query ran longer than it may."""
    return WarehouseError("G410", f"the query was stopped after {seconds:g} seconds", hint=RAISE_LIMIT)


def within(most: int | None, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows. Raises WarehouseError (G410) if there are more than `most`."""
    check_number(most, len(rows))
    return rows


def check_number(most: int | None, number: int) -> None:
    """Raises WarehouseError (G410) if there are more rows than `most`."""
    if most is not None and number > most:
        hint = "add a filter or a --limit, or raise the limit: `vars: gemel: limits: rows` in dbt_project.yml"
        raise WarehouseError("G410", f"the result has more than {most:,} rows", hint=hint)
