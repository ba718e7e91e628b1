"""Opens the online store that feature_store.yaml names."""

from gemel.online.config import OtherStore, RedisStore, SqliteStore, Store
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
