"""Stock Feast on the generated repository: apply, materialize, read online.

Feast is imported on the first use (7 to 10 seconds) and only here. What it prints is kept for its errors.
"""

import datetime as dt
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from gemel.errors import BridgeError, GemelError

Say = Callable[[str], None]
"""Takes one line for the person who waits."""

BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
BATCH = 1000  # entities a read


def apply(repo: Path) -> list[str]:
    """`feast apply`: register what the files define, and forget what they no longer do. What Feast says it did."""
    leave_home(repo)
    with _feast(repo, "apply") as said:
        from feast.repo_config import load_repo_config
        from feast.repo_operations import apply_total

        config = load_repo_config(repo, repo / "feature_store.yaml")
        apply_total(config, repo, skip_source_validation=False)
    lines = [line.strip() for line in said.getvalue().splitlines()]
    return [line for line in lines if line.startswith(("Created ", "Updated ", "Deleted ", "Removed "))]


def leave_home(repo: Path) -> None:
    """Forget a registry that came here with a copy of the folder.

    Feast's registry holds the full path of the online tables, and applying it in a copy drops the tables of the
    folder that it was copied from. What it holds is in the generated files, so a new one is made.
    """
    registry, mark = repo / "data" / "registry.db", repo / "data" / "registry.home"
    here = str(repo.resolve())
    try:
        if registry.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") != here:
            registry.unlink()
        if mark.parent.is_dir():
            mark.write_text(here, encoding="utf-8")
    except OSError as error:
        raise BridgeError("G530", f"cannot write to {mark.parent}: {error.strerror or error}") from None


def materialize(repo: Path, *, end: dt.datetime | None = None, views: Sequence[str] = ()) -> dt.datetime:
    """`feast materialize` from the beginning up to `end` (default: now): the newest row of each entity goes online.

    From the beginning, because facts that came late change rows of long ago. The moment up to which it went.
    """
    until = _utc(end) if end else dt.datetime.now(dt.UTC)
    with _feast(repo, "materialize"):
        from feast import FeatureStore

        store = FeatureStore(repo_path=str(repo))
        # `apply` makes the tables of new views only: not those of an online store that was deleted since.
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
    """By feature view, the moment up to which it is online; None for one that never was."""
    with _feast(repo, "feature-views list"):
        from feast import FeatureStore

        views = FeatureStore(repo_path=str(repo)).list_feature_views()
        return {
            view.name: max((_utc(end) for _, end in view.materialization_intervals), default=None) for view in views
        }


def read_online(repo: Path, features: Sequence[str], keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
    """What the online store answers for each key, by column; None for a key that it does not know.

    `features` are Feast's references, `view:feature`.
    """
    found: list[dict[str, Any] | None] = []
    with _feast(repo, "get-online-features"):
        from feast import FeatureStore

        store = FeatureStore(repo_path=str(repo))
        for start in range(0, len(keys), BATCH):
            batch = [dict(key) for key in keys[start : start + BATCH]]
            answer = store.get_online_features(features=list(features), entity_rows=batch)
            found.extend(_rows(answer.to_dict(include_event_timestamps=True), len(batch), set(batch[0])))
    return found


def _rows(answer: dict[str, list[Any]], count: int, keys: set[str]) -> Iterator[dict[str, Any] | None]:
    names = [name for name in answer if not name.endswith("__ts") and name not in keys]
    for index in range(count):
        # A value of NULL and no value at all look alike, except that only a stored one has a time.
        known = any(answer[f"{name}__ts"][index] for name in names)
        yield {name: answer[name][index] for name in names} if known else None


@contextmanager
def _feast(repo: Path, command: str) -> Iterator[io.StringIO]:
    """Feast at work in `repo`, with the process left as it was. Raises BridgeError (G530, G531)."""
    if not (repo / "feature_store.yaml").is_file():
        raise BridgeError(
            "G530",
            f"there is no Feast repository at {repo}",
            hint="`gemel generate` writes one, from feature_views/*.yml",
        )
    said = io.StringIO()
    before, paths, modules = Path.cwd(), list(sys.path), set(sys.modules)
    os.environ.setdefault("FEAST_USAGE", "False")
    try:
        with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            warnings.simplefilter("ignore")
            os.chdir(repo)
            sys.path.insert(0, str(repo))
            yield said
    except (GemelError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        raise _translated(error, command, said.getvalue()) from error
    finally:
        os.chdir(before)
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(repo):
                del sys.modules[name]  # another project has a module of that name too


def _translated(error: BaseException, command: str, said: str) -> BridgeError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    message = " ".join(str(error).split())[:400] if not isinstance(error, SystemExit) else ""
    message = message or (lines[-1] if lines else type(error).__name__)
    if isinstance(error, ModuleNotFoundError):
        return BridgeError(
            "G531",
            f"feast {command} needs the Python package {error.name}",
            hint="install it; feast has it in an extra named like the store: pip install 'feast[redis]' has redis",
        )
    hint = f"`feast -c feature_views {command}` says the same, with more around it"
    if "no such table" in message:
        hint = "`gemel features apply` makes the online tables, and `gemel features materialize` fills them"
    if "locked" in message:
        hint = "another process writes to the online store; wait for it to end"
    if isinstance(error, FileNotFoundError) or ".parquet" in message:
        hint = "`dbt build` writes the feature tables' Parquet files"
    return BridgeError("G530", f"feast {command} failed: {message}", hint=hint)


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
