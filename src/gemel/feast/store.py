"""Feast's offline store over DuckDB: Parquet files, and tables in a DuckDB file.

Every entity row comes back once and in its place, whatever its content. Point-in-time joins are DuckDB's ASOF joins.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.offline_stores.offline_utils import get_pyarrow_schema_from_batch_source
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import compute_non_entity_date_range
from pydantic import StrictStr
from sqlglot import exp

from gemel.errors import BridgeError
from gemel.feast import monitored
from gemel.feast.joins import ROWS, point_in_time
from gemel.feast.monitoring import last_moment, measure
from gemel.feast.relations import Relation, aliased, columns_of, describe, open_database
from gemel.feast.retrieval import HistoricalJob, QueryJob
from gemel.feast.rows import EntityRows, entity_rows, from_frame, from_sql
from gemel.feast.source import relation_of
from gemel.feast.views import check_names, requested, rows_between, within
from gemel.feast.writing import write, write_log

if TYPE_CHECKING:
    import pandas
    import pyarrow


class DuckDBOfflineStoreConfig(FeastConfigBaseModel):
    """`database`: the DuckDB file, relative to the repository, for sources without one and for entity rows in SQL."""

    type: StrictStr = "gemel.feast.DuckDBOfflineStore"
    database: StrictStr | None = None


class DuckDBOfflineStore(OfflineStore):
    """Reads FileSources of Parquet and DuckDBSources."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: Sequence[FeatureView],
        feature_refs: Sequence[str],
        entity_df: "pandas.DataFrame | str | None",
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
    ) -> RetrievalJob:
        """Check the request now; the joins run when rows are requested.

        Without entity rows, each key and time that the views have between the dates is one. Raises BridgeError (G540 to
        G544), WarehouseError, and Feast's own errors for missing columns.
        """
        on_demand = OnDemandFeatureView.get_requested_odfvs(list(feature_refs), project, registry)
        views = requested(config, feature_views, feature_refs, on_demand, full_feature_names=full_feature_names)
        rows = _entity_rows(config, feature_views, entity_df, (start_date, end_date))
        check_names(views, on_demand, feature_refs, rows.table.column_names, full_feature_names=full_feature_names)
        keys = [key for view in views for key, _ in view.keys]
        with open_database(None) as connection:
            connection.register(ROWS, rows.keyed(keys))
            types = describe(connection, Relation(ROWS, exp.to_table(ROWS)))
        return HistoricalJob(
            config,
            rows,
            [
                (point_in_time(view, types, known_then=filter_by_created_timestamp), view.relation.database)
                for view in views
            ],
            keys=keys,
            features=feature_refs,
            full_feature_names=full_feature_names,
            on_demand=on_demand,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: dt.datetime,
        end_date: dt.datetime,
    ) -> RetrievalJob:
        """The newest row of each key between the dates, both inclusive; if several have one time, the last created."""
        times = [timestamp_field, *filter(None, [created_timestamp_column])]
        columns = [*join_key_columns, *feature_name_columns, *times]
        select, database = _rows_of(config, data_source, columns, timestamp_field, (start_date, end_date))
        newest = exp.Window(
            this=exp.RowNumber(),
            partition_by=[exp.column(key, quoted=True) for key in join_key_columns],
            order=exp.Order(expressions=[_last_first(time) for time in times]),
        )
        select.set("qualify", exp.Qualify(this=newest.eq(1)))
        return QueryJob(config, (select if join_key_columns else _of_everybody(select), database))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
    ) -> RetrievalJob:
        """All rows between the dates, both inclusive. Without a key the newest comes last, which is the one that Feast
        keeps."""
        times = [timestamp_field, *filter(None, [created_timestamp_column])]
        columns = [*join_key_columns, *feature_name_columns, *times]
        select, database = _rows_of(config, data_source, columns, timestamp_field, (start_date, end_date))
        if not join_key_columns:
            select = _of_everybody(select).order_by(*(exp.column(time, quoted=True).asc() for time in times))
        return QueryJob(config, (select, database))

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: "pyarrow.Table",
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append rows to the view's source. As in Feast's stores, raises ValueError if the columns differ from it."""
        source = feature_view.batch_source
        if source is None:
            raise BridgeError("G540", f"feature view {feature_view.name!r} has no source to write to")
        schema, names = get_pyarrow_schema_from_batch_source(config, source)
        if names != table.column_names:
            raise ValueError(
                f"The input pyarrow table has the columns {table.column_names}. "
                f"The schema is expected to be {schema} with the columns (in this exact order) to be {names}."
            )
        write(table, source, config, replace=False)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: "pyarrow.Table | Path",
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Add Parquet to the folder of a FileLoggingDestination."""
        write_log(data, logging_config.destination, config)

    @staticmethod
    def compute_monitoring_metrics(
        config: RepoConfig,
        data_source: DataSource,
        feature_columns: Sequence[tuple[str, str]],
        timestamp_field: str,
        start_date: dt.datetime | None = None,
        end_date: dt.datetime | None = None,
        histogram_bins: int = 20,
        top_n: int = 10,
    ) -> list[dict[str, Any]]:
        """The metrics of `feast monitor run`, of the rows between the dates, both inclusive."""
        dates = (start_date, end_date)
        return measure(config, data_source, feature_columns, timestamp_field, dates, bins=histogram_bins, top=top_n)

    @staticmethod
    def get_monitoring_max_timestamp(
        config: RepoConfig, data_source: DataSource, timestamp_field: str
    ) -> dt.datetime | None:
        return last_moment(config, data_source, timestamp_field)

    @staticmethod
    def ensure_monitoring_tables(config: RepoConfig) -> None:
        monitored.prepare(config)

    @staticmethod
    def save_monitoring_metrics(config: RepoConfig, metric_type: str, metrics: Sequence[dict[str, Any]]) -> None:
        if metrics:
            monitored.save(config, metric_type, metrics)

    @staticmethod
    def query_monitoring_metrics(
        config: RepoConfig,
        project: str,
        metric_type: str,
        filters: Mapping[str, Any] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
    ) -> list[dict[str, Any]]:
        return monitored.find(config, project, metric_type, filters, (start_date, end_date))

    @staticmethod
    def clear_monitoring_baseline(
        config: RepoConfig,
        project: str,
        feature_view_name: str | None = None,
        feature_name: str | None = None,
        data_source_type: str | None = None,
    ) -> None:
        chosen = {
            "project_id": project,
            "feature_view_name": feature_view_name,
            "feature_name": feature_name,
            "data_source_type": data_source_type,
        }
        monitored.forget_baseline(config, chosen)


def _entity_rows(
    config: RepoConfig,
    feature_views: Sequence[FeatureView],
    entity_df: "pandas.DataFrame | str | None",
    dates: tuple[dt.datetime | None, dt.datetime | None],
) -> EntityRows:
    if entity_df is None:
        start, end = compute_non_entity_date_range(list(feature_views), *dates)
        return entity_rows(rows_between(config, feature_views, start, end))
    if not isinstance(entity_df, str):
        return from_frame(entity_df)
    database = config.offline_store.database
    return from_sql(entity_df, Path(config.repo_path or ".") / database if database else None)


def _rows_of(
    config: RepoConfig,
    source: DataSource,
    columns: Sequence[str],
    time: str,
    dates: tuple[dt.datetime | None, dt.datetime | None],
) -> tuple[exp.Select, Path | None]:
    relation = relation_of(source, config)
    types = columns_of(relation)
    names = [relation.column(types, name, {}) for name in dict.fromkeys(columns)]
    select = exp.select(*(exp.column(name, quoted=True) for name in names)).from_(aliased(relation.tree, "source"))
    return select.where(*within(exp.column(time, quoted=True), types[time], *dates)), relation.database


def _of_everybody(select: exp.Select) -> exp.Select:
    """Add the dummy key that Feast uses for views without an entity."""
    return select.select(exp.Literal.string(DUMMY_ENTITY_VAL).as_(DUMMY_ENTITY_ID, quoted=True))


def _last_first(column: str) -> exp.Expr:
    return exp.Ordered(this=exp.column(column, quoted=True), desc=True, nulls_first=False)
