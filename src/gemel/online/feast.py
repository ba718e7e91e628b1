"""Stock Feast on the generated repository: apply, materialize, read online.

Feast is imported on first use (7 to 10 seconds) and only here. Its output is kept for error messages.
"""

import datetime as dt
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

from gemel.errors import BridgeError, GemelError
from gemel.online.config import read_registry
from gemel.online.registry.file import drop_broken_registry, drop_copied_registry
from gemel.online.registry.intervals import BEGINNING
from gemel.temporary import TemporaryFolder

Say = Callable[[str], None]
"""Receives one line for the user."""

BATCH = 1000  # entities per read

_METRICS = "PROMETHEUS_MULTIPROCESS_DIR"
"""Where Feast keeps its metrics. When it is imported without it, it makes a folder that stays after a kill."""


def apply(repo: Path) -> list[str]:
    """`feast apply`: register the definitions in the files, and remove others. Returns Feast's messages."""
    if (repo / "feature_store.yaml").is_file():
        registry = read_registry(repo)
        drop_copied_registry(repo, registry)
        drop_broken_registry(registry)
    with _feast(repo, "apply") as output:
        from feast.repo_config import load_repo_config
        from feast.repo_operations import apply_total

        config = load_repo_config(repo, repo / "feature_store.yaml")
        apply_total(config, repo, skip_source_validation=False)
    return messages(output.getvalue())


def messages(output: str) -> list[str]:
    """What `feast apply` or `feast plan` changes, by their output.

    After a materialization Feast lists every view as updated, as the times at which it applied the sources differ.
    """
    parts = re.split(r"^(?=(?:Created|Updated|Deleted|Removed|No changes|Deploying) )", output, flags=re.MULTILINE)
    changes = [part for part in parts if part.startswith(("Created ", "Updated ", "Deleted ", "Removed "))]
    return [part.splitlines()[0].strip() for part in changes if not _is_of_times(part)]


def _is_of_times(change: str) -> bool:
    """Whether each property before ` -> ` and after it is the same, but for times."""
    text = re.sub(r"\s*(seconds|nanos): \d+", "", change)
    properties = [each.split("\n -> ") for each in re.split(r"^\t\w+: ", text, flags=re.MULTILINE)[1:]]
    return bool(properties) and all(
        len(halves) == 2 and halves[0].strip() == halves[1].strip() for halves in properties
    )


def materialize(repo: Path, *, end: dt.datetime | None = None, views: Sequence[str] = ()) -> dt.datetime:
    """`feast materialize` from the beginning up to `end` (default: now): the newest row of each entity goes online.

    It starts from the beginning, because late facts change old rows. Returns the moment up to which it went.
    """
    until = _utc(end) if end else dt.datetime.now(dt.UTC)
    with _feast(repo, "materialize"):
        from feast import FeatureStore

        store = FeatureStore(repo_path=str(repo))
        # `apply` creates the tables of new views only: not those of an online store that was deleted later.
        store._get_provider().update_infra(
            project=store.project,
            tables_to_delete=[],
            tables_to_keep=store.list_feature_views(),
            entities_to_delete=[],
            entities_to_keep=store.list_entities(),
            partial=True,
        )
        store.materialize(BEGINNING, until, feature_views=list(views) or None)
    return until


def materialized_until(repo: Path) -> dict[str, dt.datetime | None]:
    """By feature view, the moment up to which it is online; None if it never was."""
    with _feast(repo, "feature-views list"):
        from feast import FeatureStore

        views = FeatureStore(repo_path=str(repo)).list_feature_views()
        return {
            view.name: max((_utc(end) for _, end in view.materialization_intervals), default=None) for view in views
        }


class FeastIntervals:
    """How far each view is online, in a registry that only Feast can read and write."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo

    def until(self) -> dict[str, dt.datetime | None]:
        return materialized_until(self.repo)

    def record(self, view: str, until: dt.datetime) -> bool:
        with _feast(self.repo, "materialize"):
            from feast import FeatureStore
            from feast.errors import FeatureViewNotFoundException

            store = FeatureStore(repo_path=str(self.repo))
            try:
                applied = store.get_feature_view(view)
            except FeatureViewNotFoundException:
                return False
            if until not in {_utc(end) for _, end in applied.materialization_intervals}:
                store.registry.apply_materialization(applied, store.project, BEGINNING, until)
            return True

    def forget(self, view: str) -> None:
        """Feast has no way to take an interval back."""


def read_online(repo: Path, features: Sequence[str], keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
    """The online values for each key, by column; None for a key that the store does not have.

    `features` are Feast's references, `view:feature`.
    """
    rows: list[dict[str, Any] | None] = []
    with _feast(repo, "get-online-features"):
        from feast import FeatureStore

        store = FeatureStore(repo_path=str(repo))
        for start in range(0, len(keys), BATCH):
            batch = [dict(key) for key in keys[start : start + BATCH]]
            answer = store.get_online_features(features=list(features), entity_rows=batch)
            rows.extend(_rows(answer.to_dict(include_event_timestamps=True), len(batch), set(batch[0])))
    return rows


def _rows(answer: dict[str, list[Any]], count: int, keys: set[str]) -> Iterator[dict[str, Any] | None]:
    names = [name for name in answer if not name.endswith("__ts") and name not in keys]
    for index in range(count):
        # A stored NULL and a missing value look alike, except that only a stored value has a time.
        is_stored = any(answer[f"{name}__ts"][index] for name in names)
        yield {name: answer[name][index] for name in names} if is_stored else None


@contextmanager
def _feast(repo: Path, command: str) -> Iterator[io.StringIO]:
    """Run Feast in `repo`, then restore the process. Yields Feast's output. Raises BridgeError (G530, G531)."""
    if not (repo / "feature_store.yaml").is_file():
        raise BridgeError(
            "G530",
            f"there is no Feast repository at {repo}",
            hint="run `gemel generate`, which writes one from feature_views/*.yml",
        )
    output = io.StringIO()
    before, paths, modules = Path.cwd(), list(sys.path), set(sys.modules)
    os.environ.setdefault("FEAST_USAGE", "False")
    if _METRICS not in os.environ:
        os.environ[_METRICS] = str(_metrics_folder().path)
    try:
        with warnings.catch_warnings(), redirect_stdout(output), redirect_stderr(output):
            warnings.simplefilter("ignore")
            os.chdir(repo)
            sys.path.insert(0, str(repo))
            yield output
    except (GemelError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        raise _bridge_error(error, command, output.getvalue()) from error
    finally:
        os.chdir(before)
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(repo):
                del sys.modules[name]  # another project may have a module with the same name


@cache
def _metrics_folder() -> TemporaryFolder:
    """A folder until the process ends; if it is killed, the next one removes it."""
    return TemporaryFolder()


def _bridge_error(error: BaseException, command: str, output: str) -> BridgeError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    message = " ".join(str(error).split())[:400] if not isinstance(error, SystemExit) else ""
    message = message or (lines[-1] if lines else type(error).__name__)
    if isinstance(error, ModuleNotFoundError):
        return BridgeError(
            "G531",
            f"feast {command} needs the Python package {error.name}",
            hint="install it; Feast has an extra for each store, such as pip install 'feast[redis]'",
        )
    hint = f"run `feast -c feature_views {command}` for the full output"
    if "no such table" in message:
        hint = "run `gemel features apply` to create the online tables, and `gemel features materialize` to fill them"
    if "locked" in message:
        hint = "another process is writing to the online store; wait for it to end"
    if isinstance(error, FileNotFoundError) or ".parquet" in message:
        hint = "run `dbt build`, which writes the Parquet files of the feature tables"
    return BridgeError("G530", f"feast {command} failed: {message}", hint=hint)


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
