"""What an engine's errors say to whom. Their texts can contain values of rows, paths and addresses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gemel.errors import WarehouseError
from gemel.spec.principal import OWNER, Principal

if TYPE_CHECKING:
    import pyarrow

    from gemel.engines.connections.opening import Result

T = TypeVar("T")

_MESSAGES = {
    "G401": "the database cannot be reached or read",
    "G402": "the database cannot be read",
    "G403": "the database is in use",
    "G405": "a table does not exist",
    "G406": "the database does not accept the query",
    "G407": "the database cannot compute the result",
}
_OTHER = "the database reported an error"
_OURS = frozenset({"G404", "G408", "G410", "G411"})
"""Codes whose messages are written by gemel from settings and limits alone."""


@contextmanager
def hide_values(principal: Principal) -> Iterator[None]:
    """Errors of the engine that leave this block have a message without values, unless the owner asks.

    `WarehouseError: G407 Could not convert string 'ada@example.com' to INT32` becomes `G407 the database cannot compute
    the result`.
    """
    try:
        yield
    except WarehouseError as error:
        if principal == OWNER or error.code in _OURS:
            raise
        hint = "the owner of the project sees the database's own message"
        raise WarehouseError(error.code, _MESSAGES.get(error.code, _OTHER), hint=hint) from None


class DiscreetResult:
    """A result whose errors have no values."""

    def __init__(self, result: "Result", principal: Principal) -> None:
        self._result = result
        self._principal = principal
        self.columns = result.columns
        self.types = result.types

    def rows(self) -> list[tuple[Any, ...]]:
        """As Result.rows."""
        return self._take(self._result.rows)

    def arrow(self) -> "pyarrow.Table":
        """As Result.arrow."""
        return self._take(self._result.arrow)

    def df(self) -> Any:
        """As Result.df."""
        return self._take(self._result.df)

    def pl(self) -> Any:
        """As Result.pl."""
        return self._take(self._result.pl)

    def _take(self, form: Callable[[], T]) -> T:
        with hide_values(self._principal):
            return form()
