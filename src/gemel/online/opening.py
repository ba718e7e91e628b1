"""Opens the online store and the registry that feature_store.yaml names."""

from pathlib import Path

from gemel.online.config import (
    OtherRegistry,
    OtherStore,
    RedisStore,
    Registry,
    RegistryDatabase,
    RegistryFile,
    SqliteStore,
    Store,
)
from gemel.online.feast import FeastIntervals
from gemel.online.registry.intervals import DatabaseIntervals, FileIntervals, Intervals
from gemel.online.store import OnlineStore


def open_store(store: Store) -> OnlineStore:
    """Open a SQLite or Redis online store. Raises BridgeError (G531, G561, G562)."""
    match store:
        case SqliteStore():
            from gemel.online.sqlite import Sqlite

            return Sqlite(store)
        case RedisStore():
            from gemel.online.redis import Redis

            return Redis(store)
        case OtherStore():
            raise TypeError(store.why)


def open_intervals(registry: Registry, repo: Path) -> Intervals:
    """How far each view is online, as the registry has it."""
    match registry:
        case RegistryFile():
            return FileIntervals(registry)
        case RegistryDatabase():
            return DatabaseIntervals(registry)
        case OtherRegistry():
            return FeastIntervals(repo)
