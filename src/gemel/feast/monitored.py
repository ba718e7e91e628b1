"""The metrics that `feast monitor run` keeps: a Parquet file for each kind of metric, in `data/feast_monitoring`."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.repo_config import RepoConfig

from gemel.locking import hold_lock
from gemel.whole_files import make_folder, replace_when_complete

if TYPE_CHECKING:
    import pyarrow

Row = dict[str, Any]
KINDS = ("feature", "feature_view", "feature_service", "job")

_DATES = {"metric_date"}
_TIMES = {"computed_at", "max_event_timestamp", "started_at", "completed_at"}
_COUNTS = {"row_count", "null_count", "total_row_count", "total_features", "features_with_nulls", "total_feature_views"}
_NUMBERS = {"null_rate", "mean", "stddev", "min_val", "max_val", "avg_null_rate", "max_null_rate"}
_NUMBERS |= {"p50", "p75", "p90", "p95", "p99"}


def prepare(config: RepoConfig) -> None:
    """Create the folder."""
    make_folder(_folder(config))


def save(config: RepoConfig, kind: str, rows: Sequence[Row]) -> None:
    """Add rows, each in place of the one with its key."""
    _, columns, key = _meta(kind)

    def added(old: list[Row]) -> list[Row]:
        every = {tuple(row[name] for name in key): row for row in old}
        for row in rows:
            new = {name: _kept(name, row.get(name)) for name in columns}
            every[tuple(new[name] for name in key)] = new
        return list(every.values())

    _change(config, kind, added)


def find(
    config: RepoConfig,
    project: str,
    kind: str,
    filters: Mapping[str, Any] | None,
    dates: tuple[dt.date | None, dt.date | None],
) -> list[Row]:
    """The rows of a project (empty: of all), by date, as Feast wants them. A filter that is None does not count."""
    from feast.monitoring.monitoring_utils import normalize_monitoring_row

    start, end = dates
    wanted = {name: value for name, value in (filters or {}).items() if value is not None}
    if project:
        wanted["project_id"] = project
    rows = [
        row
        for row in _read(config, kind)
        if all(row[name] == value for name, value in wanted.items())
        and (start is None or row["metric_date"] >= start)
        and (end is None or row["metric_date"] <= end)
    ]
    return [dict(normalize_monitoring_row(row)) for row in sorted(rows, key=lambda row: row["metric_date"])]


def forget_baseline(config: RepoConfig, chosen: Mapping[str, Any]) -> None:
    """The rows with these values are no baseline any more. One that is None does not count."""
    wanted = {name: value for name, value in chosen.items() if value is not None}

    def changed(rows: list[Row]) -> list[Row]:
        is_wanted = [all(row[name] == value for name, value in wanted.items()) for row in rows]
        return [row | {"is_baseline": False} if yes else row for row, yes in zip(rows, is_wanted, strict=True)]

    _change(config, "feature", changed)


def _change(config: RepoConfig, kind: str, change: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    prepare(config)
    name, columns, _ = _meta(kind)
    file = _folder(config) / name
    with hold_lock(_folder(config) / "writing.lock", lambda line: None, doing="monitoring"):
        table = pa.Table.from_pylist(change(_read(config, kind)), schema=_schema(columns))
        with replace_when_complete(file) as part:
            pq.write_table(table, part)


def _read(config: RepoConfig, kind: str) -> list[Row]:
    import pyarrow.parquet as pq

    name, columns, _ = _meta(kind)
    file = _folder(config) / name
    rows: list[Row] = pq.read_table(file).to_pylist() if file.is_file() else []
    return [dict.fromkeys(columns) | row for row in rows]


def _schema(columns: Sequence[str]) -> "pyarrow.Schema":
    import pyarrow as pa

    def type_of(name: str) -> Any:
        if name in _TIMES:
            return pa.timestamp("us", "UTC")
        if name in _DATES:
            return pa.date32()
        if name in _COUNTS:
            return pa.int64()
        if name in _NUMBERS:
            return pa.float64()
        return pa.bool_() if name == "is_baseline" else pa.string()

    return pa.schema([(name, type_of(name)) for name in columns])


def _kept(name: str, value: Any) -> Any:
    """A value in the type of its column. Feast gives times also as text, and mappings where a column is a text."""
    if isinstance(value, str) and name in _TIMES | _DATES:
        value = dt.datetime.fromisoformat(value)
    if name in _DATES and isinstance(value, dt.datetime):
        return value.date()
    if name in _TIMES and isinstance(value, dt.datetime) and value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _meta(kind: str) -> tuple[str, list[str], list[str]]:
    """The file of a kind of metric, its columns and its key."""
    from feast.monitoring.monitoring_utils import monitoring_parquet_meta

    name, columns, key = monitoring_parquet_meta(kind)
    return name, columns, key


def _folder(config: RepoConfig) -> Path:
    return Path(config.repo_path or ".") / "data" / "feast_monitoring"
