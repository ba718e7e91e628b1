"""What is online of a view: the rows of entities that are looked up, and then all others, which a scan finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gemel.online.encoding import decode_key
from gemel.online.newest import OnlineView
from gemel.online.reading import encode_rows, find
from gemel.online.store import OnlineStore, StoredRow, Wanted

Row = Mapping[str, Any]


class Holdings:
    """What gemel's own store has of a view.

    Of entities that were looked up, only the hashes of their keys are kept: 80 bytes for each. `why_unlisted` is why
    the others cannot be found.
    """

    def __init__(self, store: OnlineStore, view: OnlineView, columns: Sequence[str]) -> None:
        self._store, self._view, self._columns = store, view, columns
        self._seen: set[int] = set()
        self.why_unlisted = store.why_unlisted

    def find(self, entities: Sequence[Row]) -> Sequence[StoredRow | None]:
        """The stored row of each entity."""
        self.skip(entities)
        [(_, rows)] = find(self._store, [(self._view, self._columns)], entities)
        return rows

    def skip(self, entities: Sequence[Row]) -> None:
        """These entities are not among the others."""
        _, keys = encode_rows(self._view, entities)
        self._seen.update(map(hash, keys))

    def others(self) -> Iterator[tuple[Row, StoredRow]]:
        """Every entity that was not looked up, with its row. A key that is none of this view's entities is shown as
        bytes."""
        for keys in self._store.keys(self._view):
            new = [key for key in dict.fromkeys(keys) if hash(key) not in self._seen]
            self._seen.update(map(hash, new))  # a scan of Redis can find a key twice
            [(_, rows)] = self._store.read([Wanted(self._view.name, self._columns, new)])
            for key, row in zip(new, rows, strict=True):
                if row is not None:
                    yield decode_key(key, self._view.entities) or {"key": key.hex()}, row


class FeastHoldings:
    """What another store has of a view, looked up through Feast, which cannot list entities."""

    why_unlisted: str | None

    def __init__(self, find: Callable[[Sequence[Row]], Sequence[StoredRow | None]], why: str) -> None:
        self.find = find
        self.why_unlisted = why

    def skip(self, entities: Sequence[Row]) -> None:
        pass

    def others(self) -> Iterator[tuple[Row, StoredRow]]:
        return iter(())
