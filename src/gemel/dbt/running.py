"""dbt, run beside us: `dbt parse` when the definitions are newer than what it last wrote.

dbt is never imported: that costs seconds, and most questions need only the file it left behind.
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
from gemel.dbt.project_file import PROJECT_FILE, paths, places, target_path, yaml_files
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.dbt.targets import find_target, is_of, note
from gemel.errors import Place, Problems, ProjectError
from gemel.spec.places import text_of

Say = Callable[[str], None]
"""Takes one line for the person who waits."""


def semantic_manifest(
    project_dir: Path,
    *,
    target: str | None = None,
    profiles_dir: str | None = None,
    say: Say = lambda line: None,
) -> Path:
    """The project's semantic_manifest.json, made anew by `dbt parse` where it is missing or stale.

    What dbt writes names schemas, and those of another target would answer from the wrong tables: it has to be of the
    target that is meant. Raises ProjectError: G603 with dbt's own words if it fails, G604 for a target that the
    profile does not have.
    """
    meant = find_target(project_dir, target, profiles_dir)
    folder = _folder(target_dir(project_dir), target, meant)

    def why() -> str | None:
        if not manifest.exists():
            return "is missing"
        if not is_fresh(manifest, project_dir):
            return "is older than the definitions"
        return f"is not known to be of target {meant.name!r}" if meant and not is_of(folder, meant) else None

    manifest = folder / SEMANTIC_MANIFEST
    if not _is_writable(folder) and why():
        folder = user_cache(folder)
        manifest = folder / SEMANTIC_MANIFEST
    told = why()
    if told is None:
        return manifest
    if target and meant is None:
        read_target(project_dir, target=target, profiles_dir=profiles_dir)  # says what is wrong
    twins = places(project_dir).refused_twins()
    if twins:  # dbt would take one of them silently
        raise Problems(twins)
    shared = target_dir(project_dir) / SEMANTIC_MANIFEST
    if folder.parent.parent == shared.parent and not target and shared.exists():
        say(f"{_shown(shared, project_dir)} is not known to be of target {folder.name!r}: running dbt parse for that")
    else:
        say(f"{_shown(manifest, project_dir)} {told}: running dbt parse")
    run_dbt_into(folder, ["parse"], project_dir, target=target, profiles_dir=profiles_dir)
    if not manifest.exists():
        raise ProjectError("G603", f"dbt parse ended well, and wrote no {_shown(manifest, project_dir)}")
    return manifest


def artifacts_dir(project_dir: Path, target: str | None, profiles_dir: str | None = None) -> Path:
    """Where dbt's artifacts are for a target; None is the profile's own.

    A target that is asked for has a folder of its own. So has the profile's, where dbt last ran for another one.
    """
    return _folder(target_dir(project_dir), target, find_target(project_dir, target, profiles_dir))


def _folder(shared: Path, target: str | None, meant: Target | None) -> Path:
    if target:
        return shared / "gemel" / target
    if meant is not None and (shared / SEMANTIC_MANIFEST).exists() and not is_of(shared, meant):
        return shared / "gemel" / meant.name
    return shared


def target_dir(project_dir: Path) -> Path:
    """Where dbt writes its artifacts: DBT_TARGET_PATH, `target-path` of dbt_project.yml, or `target`."""
    return project_dir / (os.environ.get("DBT_TARGET_PATH") or target_path(project_dir))


def user_cache(path: Path) -> Path:
    """A folder of the user's own for what belongs to a path beside which nothing is written."""
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemel" / digest
    except RuntimeError:  # a user without a home
        return path.parent / "gemel"


def is_fresh(manifest: Path, project_dir: Path) -> bool:
    """Whether no YAML file, nor a folder that holds one, changed since dbt wrote `manifest`.

    A folder changes when a file in it is added, renamed or deleted.
    """
    try:
        written = manifest.stat().st_mtime_ns
    except OSError:
        return False
    files = yaml_files(project_dir)
    watched = [project_dir / PROJECT_FILE, *files, *{file.parent for file in files}]
    return all(_changed(path) <= written for path in watched)


def is_parsed(artifacts: Path, project_dir: Path) -> bool:
    """Whether no file that dbt reads, nor a folder of them, changed since it wrote the manifest.json in `artifacts`."""
    try:
        written = (artifacts / MANIFEST).stat().st_mtime_ns
    except OSError:
        return False
    return all(_changed(path) <= written for path in _read_by_dbt(project_dir))


def _read_by_dbt(project_dir: Path) -> Iterator[Path]:
    yield project_dir / PROJECT_FILE
    for kind in ("model", "seed", "snapshot", "macro", "analysis", "test"):
        for path in paths(project_dir, kind):
            for root, _, files in os.walk(project_dir / path):
                yield from (Path(root), *(Path(root) / name for name in files))


def run_dbt_into(
    folder: Path, arguments: Iterable[str], project_dir: Path, *, target: str | None, profiles_dir: str | None
) -> None:
    """Run dbt for a target (None: the profile's own), with its artifacts in `folder`, and note for which they are."""
    meant = find_target(project_dir, target, profiles_dir)
    manifest = folder / SEMANTIC_MANIFEST
    options = ["--target-path", str(folder)]
    if target:
        options += ["--target", target]
    if profiles_dir:
        options += ["--profiles-dir", str(profiles_dir)]
    before = _changed(manifest)
    try:
        run_dbt([*arguments, *options], project_dir)
    finally:  # a build that fails has written them before
        if meant is not None and _changed(manifest) != before:
            note(folder, meant)


def run_dbt(arguments: Sequence[str], project_dir: Path) -> None:
    """Run dbt in the project, with this Python. Raises ProjectError (G603) with what dbt said, cleaned."""
    quiet = ["--log-format", "json", "--log-level", "error", "--log-level-file", "none", "--no-use-colors"]
    run = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments, *quiet]
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(run, cwd=project_dir, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ProjectError("G603", f"cannot start dbt: {error}") from None
    if done.returncode != 0:
        command = arguments[0]
        message = dbt_message(done.stdout) or _last_line(done.stderr) or f"dbt ended with {done.returncode}"
        if "Could not set lock" in message:
            raise ProjectError(
                "G603",
                f"dbt {command} cannot write to the database, another process holds it: {message}",
                hint="end that process, or wait for it, and run this again",
            )
        raise ProjectError(
            "G603",
            f"dbt {command} failed: {message}",
            place=_blamed(message, project_dir),
            hint=_hint(command, message),
        )


def _hint(command: str, message: str) -> str:
    """What to do next: a build can also fail at rows, of which `dbt parse` knows nothing."""
    if "nfinite bounds" in message:
        return "a fact of a view with a `ttl` is known at '-infinity': `gemel validate --data` tells which"
    gone = re.search(r"\((\S+[/\\](?:features|bi))[/\\]_\w+\.yml\) depends on", message)
    if gone:
        return f"generated files refer to what is gone: remove {gone[1]} and run `gemel generate`"
    failures = [part for part in message.splitlines() if re.search(r"\b(Error|Failure) in \w+ ", part)]
    if command == "parse" or not failures:
        return f"put it right in the project; `dbt {command}` says the same, with more around it"
    tests = [found[1] for part in failures if (found := re.search(r"\bFailure in (?:unit_)?test (\S+)", part))]
    if len(tests) < len(failures):
        return "put the model right, or the rows that it reads, and run this again; what was built before it stays"
    select = " ".join(tests)
    return (
        f"the models are built, and rows in them fail: `dbt test --select {select} --store-failures` keeps those rows"
    )


def dbt_message(log: str) -> str:
    """What dbt's JSON log says went wrong, without banner, stack trace and empty lines."""
    said: list[str] = []
    for line in log.splitlines():
        try:
            event = json.loads(line)
            data, info = event["data"], event["info"]
        except (ValueError, KeyError, TypeError):
            continue
        if info.get("level") != "error" or "stack_trace" in data:
            continue
        text = str(data.get("exc") or info.get("msg") or "")
        said += [part.rstrip() for part in _without_traces(text) if part.strip(" -")]
    return "\n".join(dict.fromkeys(said))


def _without_traces(text: str) -> Iterator[str]:
    """A filter that dbt cannot read it tells with the lines of its own code."""
    tracing = False
    for line in text.splitlines():
        if line.strip().startswith("Traceback"):
            tracing = True
        elif not line.startswith(" ") and line.strip():
            tracing = False
        if not tracing:
            yield line


def _blamed(message: str, project_dir: Path) -> Place | None:
    """The place dbt means: a file that is not YAML, or the one line that holds the word it quotes."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = {file: text_of(file) for file in [project_dir / PROJECT_FILE, *yaml_files(project_dir)]}
    for file, text in texts.items():
        try:
            yaml.compose(text, Loader=loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            return Place(_shown(file, project_dir), *((mark.line + 1, mark.column + 1) if mark else ()))
    for word in re.findall(r"[`']([\w.]+)[`']", message):
        found = [
            Place(_shown(file, project_dir), number, line.index(word) + 1)
            for file, text in texts.items()
            for number, line in enumerate(text.splitlines(), 1)
            if re.search(rf"\b{re.escape(word)}\b", line)
        ]
        if len(found) == 1:
            return found[0]
    return None


def _shown(path: Path, project_dir: Path) -> str:
    return path.relative_to(project_dir).as_posix() if path.is_relative_to(project_dir) else str(path)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in it, or in the nearest folder above it that there is."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
