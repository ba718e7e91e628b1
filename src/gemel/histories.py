"""Histories whose versions overlap: a fact at such a time would join two rows, and be counted twice.

SQL that joins a history is refused if two of its versions overlap, whatever facts there are.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gemel.compiler.compiled import JoinedHistory, compile_select
from gemel.compiler.plan.algebra import Versions
from gemel.errors import About, DefinitionError
from gemel.spec.principal import OWNER, Principal

HINT = (
    "end each version when the next one begins, in the dbt model; rows that are valid at one time are "
    "duplicates, or corrections"
)

Rows = Callable[[str], Sequence[tuple[Any, ...]]]
"""Runs SQL, and returns its rows."""


def check_histories(
    histories: Sequence[JoinedHistory], dialect: str, rows: Rows, *, principal: Principal = OWNER
) -> None:
    """Raises DefinitionError (G166) for a history with overlapping versions. Each one is read once. Only the owner sees
    the key."""
    for history in histories:
        for found in rows(compile_select(history.overlaps.limit(1), dialect).sql):
            raise overlapping(history.versions, found if principal == OWNER else None)


def overlapping(versions: Versions, example: Sequence[Any] | None) -> DefinitionError:
    """The error for a history, with a row of `overlaps` as an example."""
    found = "a key has two rows that are valid at one time"
    if example is not None:
        *key, _, _, moment = example
        value, time = ", ".join(map(str, key)), str(moment).removesuffix(" 00:00:00")
        found = f"{value} has two rows that are valid at {time}"
    return DefinitionError(
        "G166",
        f"semantic model {versions.model!r} is a history of {versions.entity!r}, but {found}: facts that join it are "
        "counted more than once",
        hint=HINT,
        about=About("semantic_model", versions.model, versions.entity),
    )
