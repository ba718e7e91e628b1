"""The part of gemel that Feast loads: an offline store for DuckDB projects, named in `feature_store.yaml`, and its
source.

    offline_store:
      type: gemel.feast.DuckDBOfflineStore

Only Feast imports this package. The rest of gemel does not, as importing Feast takes 7 to 10 seconds.
"""

from gemel.feast.source import DuckDBSource, SavedDatasetDuckDBStorage
from gemel.feast.store import DuckDBOfflineStore, DuckDBOfflineStoreConfig

__all__ = ["DuckDBOfflineStore", "DuckDBOfflineStoreConfig", "DuckDBSource", "SavedDatasetDuckDBStorage"]
