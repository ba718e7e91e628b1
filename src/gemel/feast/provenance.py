"""Says that a Parquet copy was built from another definition than the one that Feast's registry has.

A warning, and no error: Feast's jobs may run between `dbt build` and `feast apply`.
"""

import warnings
from pathlib import Path

from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig


def warn_of_other_definition(view: FeatureView, config: RepoConfig) -> None:
    """Compare the hash among the view's tags with the one in the metadata of its copy, if both are there."""
    today, source = view.tags.get("definition"), view.batch_source
    if today is None or not isinstance(source, FileSource):
        return
    built = _definition(Path(FileSource.get_uri_for_file_path(config.repo_path, source.path)))
    if built not in (None, today):
        warnings.warn(
            f"the table of feature view {view.name!r} was built from another definition ({built}) than the one in "
            f"Feast's registry ({today}); `gemel build`, or `dbt build` and `feast apply`, bring them together",
            stacklevel=2,
        )


def _definition(file: Path) -> str | None:
    from pyarrow import ArrowInvalid, parquet

    try:
        metadata = parquet.read_schema(file).metadata or {}
    except (OSError, ArrowInvalid):
        return None  # reading the rows will report it
    built = metadata.get(b"gemel_definition")
    return built.decode() if built is not None else None
