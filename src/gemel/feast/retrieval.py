"""Feast's retrieval jobs: each runs its SQL when rows are requested, and can save them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.repo_config import RepoConfig
from sqlglot import exp

from gemel.data_frames import data_frame
from gemel.engines.duckdb import DIALECT
from gemel.feast.joins import ROWS
from gemel.feast.relations import open_database, run
from gemel.feast.rows import EntityRows
from gemel.feast.writing import write

if TYPE_CHECKING:
    import pyarrow

Query = tuple[exp.Select, Path | None]
"""A SELECT, and the DuckDB file with its tables."""


class QueryJob(RetrievalJob):
    """The rows of one SELECT."""

    def __init__(self, config: RepoConfig, query: Query) -> None:
        self._config = config
        self._queries: tuple[Query, ...] = (query,)

    def to_sql(self) -> str:
        """A statement for each feature view."""
        return ";\n\n".join(select.sql(DIALECT, pretty=True) for select, _ in self._queries)

    def _to_arrow_internal(self, timeout: int | None = None) -> "pyarrow.Table":
        [(select, database)] = self._queries
        with open_database(database) as connection:
            return run(connection, select)

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> Any:
        """As Feast's, but whole numbers beside NULLs stay whole (`Int64`)."""
        answer = self.to_arrow(validation_reference=validation_reference, timeout=timeout)
        return data_frame(answer).reset_index(drop=True)

    def _to_df_internal(self, timeout: int | None = None) -> Any:
        return data_frame(self._to_arrow_internal(timeout))

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Save the rows, including on-demand features, which a saved dataset has too."""
        write(self.to_arrow(), storage.to_data_source(), self._config, replace=True, allow_overwrite=allow_overwrite)

    @property
    def full_feature_names(self) -> bool:
        return False

    @property
    def on_demand_feature_views(self) -> list[Any]:
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return None


class HistoricalJob(QueryJob):
    """The unchanged entity rows, with the features of each view beside them."""

    def __init__(
        self,
        config: RepoConfig,
        rows: EntityRows,
        queries: Sequence[Query],
        *,
        keys: Sequence[str],
        features: Sequence[str],
        full_feature_names: bool,
        on_demand: Sequence[Any],
    ) -> None:
        self._config = config
        self._rows = rows
        self._keys = keys
        self._queries = tuple(queries)
        self._features = list(features)
        self._full_feature_names = full_feature_names
        self._on_demand = list(on_demand)

    def _to_arrow_internal(self, timeout: int | None = None) -> "pyarrow.Table":
        """Join one view at a time, to need the memory of one join only."""
        answer = self._rows.table
        keyed = self._rows.keyed(self._keys)
        for select, database in self._queries:
            with open_database(database) as connection:
                connection.register(ROWS, keyed)
                features = run(connection, select)
            for name, column in zip(features.column_names, features.columns, strict=True):
                answer = answer.append_column(name, column)
        return answer

    def to_arrow(self, validation_reference: Any = None, timeout: int | None = None) -> "pyarrow.Table":
        """The rows, with on-demand features too in the types of their definitions; Feast would infer types from the
        values."""
        from feast.types import from_feast_to_pyarrow_type

        answer = super().to_arrow(validation_reference=validation_reference, timeout=timeout)
        for view in self._on_demand:
            prefix = f"{view.projection.name_to_use()}__" if self._full_feature_names else ""
            for field in view.features:
                place = answer.schema.get_field_index(prefix + field.name)
                if place >= 0:
                    typed = answer.column(place).cast(from_feast_to_pyarrow_type(field.dtype))
                    answer = answer.set_column(place, prefix + field.name, typed)
        return answer

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        least, greatest = self._rows.bounds()
        keys = [name for name in self._rows.table.column_names if name != self._rows.moment]
        return RetrievalMetadata(self._features, keys, least, greatest)
