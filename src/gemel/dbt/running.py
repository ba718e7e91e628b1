"""Runs dbt in a process of its own: `dbt parse` when the definitions are newer than dbt's artifacts.

dbt is never imported: that takes seconds, and most questions need only the files that it wrote.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from gemel.dbt.manifest import MANIFEST
from gemel.dbt.profile import Target, read_target
from gemel.dbt.project_file import (
    PROJECT_FILE,
    list_yaml_files,
    list_yaml_folders,
    locate_definitions,
    read_paths,
    read_target_path,
)
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.dbt.targets import find_target, is_written_for, record_target
from gemel.errors import Place, Problems, ProjectError, reason_of
from gemel.spec.places import read_text


class DatabaseInUseError(ProjectError):
    """dbt cannot write, because another process (`holder`) has the database open. It has done nothing."""

    def __init__(self, command: str, message: str) -> None:
        pid = re.search(r"PID (\d+)", message)
        self.holder = f"process {pid[1]}" if pid else "another process"
        super().__init__(
            "G603",
            f"dbt {command} cannot write to the database, because another process holds it: {message}",
            hint="end that process, or wait for it, and run this again",
        )


Say = Callable[[str], None]
"""Shows one line of progress to the user."""


def ensure_semantic_manifest(
    project_dir: Path,
    *,
    target: str | None = None,
    profiles_dir: str | None = None,
    say: Say = lambda line: None,
) -> Path:
    """The project's semantic_manifest.json, written by `dbt parse` if it is missing or stale.

    The file names schemas, so one written for another target would give answers from the wrong tables. Raises
    ProjectError: G603 with dbt's message if dbt fails, G604 if the profile has no such target.
    """
    chosen = find_target(project_dir, target, profiles_dir)
    folder = _folder(find_target_dir(project_dir), target, chosen)

    def explain_parse() -> str | None:
        if not manifest.exists():
            return "is missing"
        if not is_fresh(manifest, project_dir):
            return "is older than the definitions"
        return f"may not be for target {chosen.name!r}" if chosen and not is_written_for(folder, chosen) else None

    manifest = folder / SEMANTIC_MANIFEST
    if not _is_writable(folder) and explain_parse():
        folder = find_user_cache(folder)
        manifest = folder / SEMANTIC_MANIFEST
    reason = explain_parse()
    if reason is None:
        return manifest
    if target and chosen is None:
        read_target(project_dir, target=target, profiles_dir=profiles_dir)  # raises the error
    duplicates = locate_definitions(project_dir).report_duplicates()
    if duplicates:  # dbt would silently use one of them
        raise Problems(duplicates)
    shared = find_target_dir(project_dir) / SEMANTIC_MANIFEST
    if folder.parent.parent == shared.parent and not target and shared.exists():
        say(f"{_relative(shared, project_dir)} may not be for target {folder.name!r}: running dbt parse for it")
    else:
        say(f"{_relative(manifest, project_dir)} {reason}: running dbt parse")
    run_dbt_into(folder, ["parse"], project_dir, target=target, profiles_dir=profiles_dir)
    if not manifest.exists():
        raise ProjectError("G603", f"dbt parse succeeded, but did not write {_relative(manifest, project_dir)}")
    return manifest


def find_artifacts(project_dir: Path, target: str | None, profiles_dir: str | None = None) -> Path:
    """The folder with dbt's artifacts for a target; None is the profile's default target.

    A requested target has a folder of its own. So has the default target if dbt last ran for another one.
    """
    return _folder(find_target_dir(project_dir), target, find_target(project_dir, target, profiles_dir))


def _folder(shared: Path, target: str | None, chosen: Target | None) -> Path:
    if target:
        return shared / "gemel" / target
    if chosen is not None and (shared / SEMANTIC_MANIFEST).exists() and not is_written_for(shared, chosen):
        return shared / "gemel" / chosen.name
    return shared


def find_target_dir(project_dir: Path) -> Path:
    """The folder of dbt's artifacts: DBT_TARGET_PATH, `target-path` of dbt_project.yml, or `target`."""
    return project_dir / (os.environ.get("DBT_TARGET_PATH") or read_target_path(project_dir))


def find_user_cache(path: Path) -> Path:
    """A folder in the user's cache for files about a path whose own folder is not writable."""
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemel" / digest
    except RuntimeError:  # a user without a home
        return path.parent / "gemel"


def is_fresh(manifest: Path, project_dir: Path) -> bool:
    """Whether no YAML file has changed since dbt wrote `manifest`, and no folder that can contain one.

    A folder changes when a file in it is added, renamed or deleted, be it the last one.
    """
    try:
        written = manifest.stat().st_mtime_ns
    except OSError:
        return False
    watched = (project_dir / PROJECT_FILE, *list_yaml_files(project_dir), *list_yaml_folders(project_dir))
    return all(_changed(path) <= written for path in watched)


def is_parsed(artifacts: Path, project_dir: Path) -> bool:
    """Whether no file that dbt reads, and no folder of them, has changed since dbt wrote the manifest.json."""
    try:
        written = (artifacts / MANIFEST).stat().st_mtime_ns
    except OSError:
        return False
    return all(_changed(path) <= written for path in _list_inputs(project_dir))


def _list_inputs(project_dir: Path) -> Iterator[Path]:
    yield project_dir / PROJECT_FILE
    for kind in ("model", "seed", "snapshot", "macro", "analysis", "test"):
        for path in read_paths(project_dir, kind):
            for root, _, files in os.walk(project_dir / path):
                yield from (Path(root), *(Path(root) / name for name in files))


def run_dbt_into(
    folder: Path, arguments: Iterable[str], project_dir: Path, *, target: str | None, profiles_dir: str | None
) -> None:
    """Run dbt for a target (None: the profile's default), and write artifacts and the target's record to `folder`."""
    chosen = find_target(project_dir, target, profiles_dir)
    manifest = folder / SEMANTIC_MANIFEST
    options = ["--target-path", str(folder)]
    if target:
        options += ["--target", target]
    if profiles_dir:
        options += ["--profiles-dir", str(Path(profiles_dir).absolute())]
    before = _changed(manifest)
    try:
        run_dbt([*arguments, *options], project_dir)
    finally:  # a build writes them before it can fail
        if chosen is not None and _changed(manifest) != before:
            record_target(folder, chosen)


def run_dbt(arguments: Sequence[str], project_dir: Path) -> None:
    """Run dbt in the project, with this Python. Raises ProjectError (G603) with the errors in dbt's log."""
    quiet = ["--log-format", "json", "--log-level", "error", "--log-level-file", "none", "--no-use-colors"]
    run = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments, *quiet]
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "PYTHONWARNINGS": "ignore"}
    # dbt starts in the project. Its variables name a folder of our current directory, or perhaps another project.
    environment["DBT_PROJECT_DIR"] = environment["DBT_ENGINE_PROJECT_DIR"] = str(project_dir.absolute())
    if folder := environment.get("DBT_PROFILES_DIR"):
        environment["DBT_PROFILES_DIR"] = str(Path(folder).absolute())
    try:
        done = subprocess.run(run, cwd=project_dir, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ProjectError("G603", f"cannot start dbt: {reason_of(error)}") from None
    if done.returncode != 0:
        command = arguments[0]
        message = dbt_message(done.stdout) or _last_line(done.stderr) or f"dbt ended with {done.returncode}"
        if "Could not set lock" in message:
            raise DatabaseInUseError(command, message)
        raise ProjectError(
            "G603",
            f"dbt {command} failed: {message}",
            place=_find_place(message, project_dir),
            hint=_hint(command, message),
        )


def _hint(command: str, message: str) -> str:
    """What to do next. Unlike a parse, a build can also fail because of rows."""
    if "nfinite bounds" in message:
        return "a fact in a view with a `ttl` has the time '-infinity': `gemel validate --data` finds it"
    missing = re.search(r"\((\S+[/\\](?:features|bi))[/\\]_\w+\.yml\) depends on", message)
    if missing:
        return (
            f"generated files refer to definitions that no longer exist: remove {missing[1]} and run `gemel generate`"
        )
    failures = [part for part in message.splitlines() if re.search(r"\b(Error|Failure) in \w+ ", part)]
    if command == "parse" or not failures:
        return f"correct the project; `dbt {command}` shows the same error in context"
    tests = [match[1] for part in failures if (match := re.search(r"\bFailure in (?:unit_)?test (\S+)", part))]
    if len(tests) < len(failures):
        return "correct the model, or the rows that it reads, and run this again; models built before it are kept"
    select = " ".join(tests)
    return f"the models are built, but rows fail tests: `dbt test --select {select} --store-failures` keeps those rows"


def dbt_message(log: str) -> str:
    """The errors in dbt's JSON log, without banner, stack traces and empty lines."""
    lines: list[str] = []
    for line in log.splitlines():
        try:
            event = json.loads(line)
            data, info = event["data"], event["info"]
        except (ValueError, KeyError, TypeError):
            continue
        if info.get("level") != "error" or "stack_trace" in data:
            continue
        text = str(data.get("exc") or info.get("msg") or "")
        lines += [part.rstrip() for part in _without_traces(text) if part.strip(" -")]
    return "\n".join(dict.fromkeys(lines))


def _without_traces(text: str) -> Iterator[str]:
    """The lines outside tracebacks: dbt's errors about filters contain the lines of its own code."""
    tracing = False
    for line in text.splitlines():
        if line.strip().startswith("Traceback"):
            tracing = True
        elif not line.startswith(" ") and line.strip():
            tracing = False
        if not tracing:
            yield line


def _find_place(message: str, project_dir: Path) -> Place | None:
    """The place that dbt's message is about: a file that is not YAML, or the only line with a word that it quotes."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = {file: read_text(file) for file in [project_dir / PROJECT_FILE, *list_yaml_files(project_dir)]}
    for file, text in texts.items():
        try:
            yaml.compose(text, Loader=loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            return Place(_relative(file, project_dir), *((mark.line + 1, mark.column + 1) if mark else ()))
    for word in re.findall(r"[`']([\w.]+)[`']", message):
        places = [
            Place(_relative(file, project_dir), number, match.start() + 1)
            for file, text in texts.items()
            for number, line in enumerate(text.splitlines(), 1)
            if not line.lstrip().startswith("#") and (match := re.search(rf"\b{re.escape(word)}\b", line))
        ]
        if len(places) == 1:
            return places[0]
    return None


def _relative(path: Path, project_dir: Path) -> str:
    return path.relative_to(project_dir).as_posix() if path.is_relative_to(project_dir) else str(path)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_writable(folder: Path) -> bool:
    """Whether files can be created in it, or in the nearest folder above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
