"""Runs dbt in a process of its own: `dbt parse` when the definitions are newer than dbt's artifacts.

dbt is never imported: that takes seconds, and most questions need only the files that it wrote.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gemel.dbt.environment import Reads, find_reads, find_setting, find_unproven, read_environment
from gemel.dbt.events import run_reporting
from gemel.dbt.failures import dbt_failure, find_obstacle, missing_variable, relative
from gemel.dbt.manifest import MANIFEST
from gemel.dbt.parsed import find_vars, forget_others, names_its_tables, read_parsed, record_parsed, vars_of_last_run
from gemel.dbt.profile import Target, read_target
from gemel.dbt.project_file import (
    PROJECT_FILE,
    find_packages,
    list_yaml_files,
    list_yaml_folders,
    locate_definitions,
    read_paths,
    read_target_path,
)
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.dbt.targets import find_target, is_written_for
from gemel.dbt.variables import Vars, digest_vars, write_vars
from gemel.errors import Problems, ProjectError, reason_of
from gemel.locking import hold_lock
from gemel.progress import is_heard

Say = Callable[[str], None]
"""Shows one line of progress to the user."""


def ensure_semantic_manifest(
    project_dir: Path,
    *,
    target: str | None = None,
    profiles_dir: str | None = None,
    vars: Vars | None = None,
    say: Say = lambda line: None,
) -> Path:
    """The project's semantic_manifest.json, written by `dbt parse` if it is missing or stale.

    The file names schemas, so one written for another target would give answers from the wrong tables; and so would one
    of other variables. Where dbt cannot run at all, a stale one is used, and `say` hears of it. Raises ProjectError:
    G603 with dbt's message if dbt fails, G604 if the profile has no such target.
    """
    shared = find_target_dir(project_dir)
    chosen = find_target(project_dir, target, profiles_dir, vars)
    wanted = _folder(shared, target, chosen, vars)
    folder, reason = wanted, explain_parse(wanted, project_dir, chosen, vars)
    if reason and not _is_writable(folder):
        folder = find_user_cache(wanted)
        reason = explain_parse(folder, project_dir, chosen, vars)
    manifest = folder / SEMANTIC_MANIFEST
    if reason is None:
        return manifest
    if target and chosen is None:
        read_target(project_dir, target=target, profiles_dir=profiles_dir, vars=vars)  # raises the error
    duplicates = locate_definitions(project_dir).report_duplicates()
    if duplicates:  # dbt would silently use one of them
        raise Problems(duplicates)
    is_other = manifest.exists() and explain_settings(folder, project_dir, chosen, vars) is not None
    stale = [wanted, *([shared] if not target and vars is None else [])]
    if obstacle := find_obstacle(project_dir, chosen, target, profiles_dir, vars):
        return _use_stale(obstacle, reason, stale, project_dir, say)
    how = "running dbt parse"
    if vars is None and wanted.joinpath(SEMANTIC_MANIFEST).exists():
        vars, note = _last_vars(wanted, project_dir)
        how += note
    if wanted != shared and not target and (shared / SEMANTIC_MANIFEST).exists() and vars is None:
        name = relative(shared / SEMANTIC_MANIFEST, project_dir)
        say(f"{name} may not be for target {wanted.name!r}: {how} for it")
    else:
        say(f"{relative(manifest, project_dir)} {reason}: {how}")
    # dbt's partial parse leaves semantic models as they were whose tables now have another name.
    command = ["parse", *(["--no-partial-parse"] if is_other else [])]
    try:
        with _parsing(folder, say):
            if explain_parse(folder, project_dir, chosen, vars) is None:  # another process has done it meanwhile
                return manifest
            run_dbt_into(folder, command, project_dir, target=target, profiles_dir=profiles_dir, vars=vars)
    except ProjectError as error:
        variable = missing_variable(error)
        if variable is None or chosen is None or variable not in str(chosen.settings):
            raise
        return _use_stale(error, reason, stale, project_dir, say)
    if vars is not None:
        forget_others(folder)
    if not manifest.exists():
        raise ProjectError("G603", f"dbt parse succeeded, but did not write {relative(manifest, project_dir)}")
    return manifest


@contextmanager
def _parsing(folder: Path, say: Say) -> Iterator[None]:
    """One process at a time parses into a folder, so that the record of a run is beside its artifacts."""
    with ExitStack() as stack:
        with suppress(OSError):  # dbt will tell
            (folder / "gemel").mkdir(parents=True, exist_ok=True)
            stack.enter_context(hold_lock(folder / "gemel" / "parsing.lock", say, doing="parsing"))
        yield


def explain_parse(folder: Path, project_dir: Path, chosen: Target | None, vars: Vars | None) -> str | None:
    """Why the semantic manifest in a folder is not one of this project, target, variables and environment; None if it
    is. What becomes known of artifacts that nobody recorded is recorded."""
    manifest = folder / SEMANTIC_MANIFEST
    if not manifest.exists():
        return "is missing"
    if not is_fresh(manifest, project_dir):
        return "is older than the definitions"
    if chosen is not None and not is_written_for(folder, chosen):
        return f"may not be for target {chosen.name!r}"
    return explain_settings(folder, project_dir, chosen, vars)


def explain_settings(folder: Path, project_dir: Path, chosen: Target | None, vars: Vars | None) -> str | None:
    """Why artifacts are not of these variables and this environment; None if they are."""
    record, environment = read_parsed(folder), read_environment(project_dir)
    if record is not None:
        if vars is not None and write_vars(record.vars or {}) != write_vars(vars):
            return "was parsed with other --vars"
        changed = record.find_change(environment)
        return f"was parsed with another value of {changed}" if changed else None
    known = vars_of_last_run(folder)
    if vars and (known is None or write_vars(known) != write_vars(vars)):
        return "may be of other --vars"
    reads = _find_reads(project_dir, chosen)
    unproven = find_unproven(reads, folder, project_dir / PROJECT_FILE, environment)
    if unproven is not None:
        return f"may be of another value of {unproven}"
    if reads.list_names(environment) and not names_its_tables(folder):
        return f"names other tables than {MANIFEST}"
    record_parsed(folder, None, known, reads, environment)
    return None


def _last_vars(folder: Path, project_dir: Path) -> tuple[Vars | None, str]:
    """The variables of the run that wrote the artifacts in a folder, and what to tell about them."""
    known = find_vars(folder)
    if known:
        return known, f" with the --vars of the last run: {write_vars(known)}"
    if known is None and any(b"var(" in _read(file).replace(b"env_var(", b"") for file in _list_inputs(project_dir)):
        return None, " without --vars, because nobody recorded those of dbt's last run"
    return None, ""


def _use_stale(error: ProjectError, reason: str, folders: Sequence[Path], project_dir: Path, say: Say) -> Path:
    """A manifest that cannot be written anew, because dbt cannot run here. Raises the error if there is none."""
    files = f"{MANIFEST} and {SEMANTIC_MANIFEST}"
    for folder in folders:
        if (folder / SEMANTIC_MANIFEST).exists():
            why = error.message.strip().splitlines()[-1].strip()
            say(f"{relative(folder / SEMANTIC_MANIFEST, project_dir)} {reason}, and is used as it is: {why}")
            return folder / SEMANTIC_MANIFEST
    target = relative(find_target_dir(project_dir), project_dir)
    hint = f"to compile only, bring {files} from where dbt runs into {target}/, or to a folder that --artifacts names"
    error.hint = f"{error.hint}; or, {hint}" if error.hint else hint
    raise error


def find_artifacts(
    project_dir: Path, target: str | None, profiles_dir: str | None = None, vars: Vars | None = None
) -> Path:
    """The folder with dbt's artifacts for a target; None is the profile's default target.

    A requested target has a folder of its own, and so have requested variables. So has the default target if dbt last
    ran for another one.
    """
    return _folder(find_target_dir(project_dir), target, find_target(project_dir, target, profiles_dir, vars), vars)


def _folder(shared: Path, target: str | None, chosen: Target | None, vars: Vars | None) -> Path:
    own = shared / "gemel" / target if target else shared
    if vars is not None:
        return (own if target else shared / "gemel") / f"vars-{digest_vars(vars)}"
    if not target and chosen is not None and (shared / SEMANTIC_MANIFEST).exists():
        return shared if is_written_for(shared, chosen) else shared / "gemel" / chosen.name
    return own


def check_artifacts(folder: Path) -> Path:
    """The semantic manifest in a folder of artifacts. Raises ProjectError (G601) if it lacks one of the two files."""
    missing = [name for name in (MANIFEST, SEMANTIC_MANIFEST) if not (folder / name).is_file()]
    if missing:
        hint = f"bring {MANIFEST} and {SEMANTIC_MANIFEST} from target/ of a machine where dbt has parsed the project"
        raise ProjectError("G601", f"there is no {' and no '.join(missing)} in {folder}", hint=hint)
    return folder / SEMANTIC_MANIFEST


def find_target_dir(project_dir: Path) -> Path:
    """The folder of dbt's artifacts: DBT_TARGET_PATH, `target-path` of dbt_project.yml, or `target`."""
    named = find_setting(read_environment(project_dir), "TARGET_PATH")
    return project_dir / (named or read_target_path(project_dir))


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


def is_parsed(
    artifacts: Path,
    project_dir: Path,
    *,
    target: str | None = None,
    profiles_dir: str | None = None,
    vars: Vars | None = None,
) -> bool:
    """Whether the manifest.json is of every file and folder that dbt reads as it is now, and of these settings."""
    try:
        written = (artifacts / MANIFEST).stat().st_mtime_ns
    except OSError:
        return False
    if any(_changed(path) > written for path in (project_dir / PROJECT_FILE, *_list_inputs(project_dir))):
        return False
    return has_settings(artifacts, project_dir, target=target, profiles_dir=profiles_dir, vars=vars)


def has_settings(
    artifacts: Path, project_dir: Path, *, target: str | None, profiles_dir: str | None, vars: Vars | None
) -> bool:
    """Whether the artifacts in a folder are of these variables and this environment."""
    chosen = find_target(project_dir, target, profiles_dir, vars)
    return explain_settings(artifacts, project_dir, chosen, vars) is None


def _list_inputs(project_dir: Path) -> Iterator[Path]:
    for kind in ("model", "seed", "snapshot", "macro", "analysis", "test"):
        for path in read_paths(project_dir, kind):
            for root, _, files in os.walk(project_dir / path):
                yield from (Path(root), *(Path(root) / name for name in files))


def _find_reads(project_dir: Path, chosen: Target | None) -> Reads:
    """The environment variables that the project, its packages and its target read."""
    roots = [project_dir, *find_packages(project_dir).glob("*")]
    own = (project_dir / name for name in ("packages.yml", "dependencies.yml"))
    files = (file for root in roots for file in (root / PROJECT_FILE, *_list_inputs(root)))
    return find_reads((*own, *files), chosen.settings if chosen is not None else {})


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def run_dbt_into(
    folder: Path,
    arguments: Iterable[str],
    project_dir: Path,
    *,
    target: str | None,
    profiles_dir: str | None,
    vars: Vars | None = None,
    once: Vars | None = None,
) -> None:
    """Run dbt for a target (None: the profile's default), and write artifacts and a record of the run to `folder`.

    Without `vars`, dbt has those of its last run there. `once` are more, for this run only.
    """
    chosen = find_target(project_dir, target, profiles_dir, vars)
    manifest = folder / SEMANTIC_MANIFEST
    given = vars if vars is not None else find_vars(folder) or {}
    options = ["--target-path", str(folder)]
    if target:
        options += ["--target", target]
    if profiles_dir:
        options += ["--profiles-dir", str(Path(profiles_dir).absolute())]
    if given or once:
        options += ["--vars", write_vars({**given, **(once or {})})]
    before = _changed(manifest)
    try:
        run_dbt([*arguments, *options], project_dir)
    finally:  # a build writes them before it can fail
        if _changed(manifest) != before:
            record_parsed(folder, chosen, given, _find_reads(project_dir, chosen), read_environment(project_dir))


def run_dbt(arguments: Sequence[str], project_dir: Path) -> None:
    """Run dbt in the project, with this Python. Raises ProjectError (G603) with the errors in dbt's log."""
    level = "info" if is_heard() else "error"
    quiet = ["--log-format", "json", "--log-level", level, "--log-level-file", "none", "--no-use-colors"]
    run = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments, *quiet]
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "PYTHONWARNINGS": "ignore"}
    # dbt starts in the project. Its variables name a folder of our current directory, or perhaps another project.
    environment["DBT_PROJECT_DIR"] = environment["DBT_ENGINE_PROJECT_DIR"] = str(project_dir.absolute())
    for name in ("DBT_ENGINE_PROFILES_DIR", "DBT_PROFILES_DIR"):
        if folder := environment.get(name):
            environment[name] = str(Path(folder).absolute())
    try:
        if is_heard():
            done = run_reporting(run, cwd=project_dir, env=environment, what=f"dbt {arguments[0]}")
        else:
            done = subprocess.run(run, cwd=project_dir, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ProjectError("G603", f"cannot start dbt: {reason_of(error)}") from None
    if done.returncode != 0:
        raise dbt_failure(arguments[0], done.stdout, done.stderr, done.returncode, project_dir)


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
