"""A BASE (a git revision, a directory, a saved manifest) as a project to compare the current one with."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gemel.dbt.environment import find_setting, read_environment
from gemel.dbt.manifest import MANIFEST, read_project
from gemel.dbt.profile import find_profiles
from gemel.dbt.project_file import find_packages, is_project, read_variables
from gemel.dbt.running import Say, find_artifacts, find_target_dir, has_settings, is_parsed, run_dbt_into
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.dbt.variables import Variables
from gemel.errors import GemelError, ProjectError, did_you_mean
from gemel.features.binding import bind_features
from gemel.features.bound import Bound
from gemel.features.opened import bound_features
from gemel.files import VIEWS
from gemel.session import Session, open_session
from gemel.spec.feature_views import read_feature_views
from gemel.spec.project import DbtProject


@dataclass(frozen=True, slots=True)
class State:
    """One state of a project. dbt can be run for it in `dir`; None for a manifest without a project.

    `variables` are those of its dbt_project.yml and of --vars. `notes` are the parts that could not be compared, with
    the reasons.
    """

    name: str
    session: Session
    dbt: DbtProject
    features: Bound
    dir: Path | None = None
    variables: Variables = field(default_factory=lambda: Variables({}))
    notes: tuple[str, ...] = ()


def current_state(session: Session, *, say: Say = lambda line: None) -> State:
    """The project with its files as they are, committed or not. dbt parses it if a file is newer than the manifest."""
    if session.dir is None:
        return State("these definitions", session, DbtProject(), Bound((), ()))
    assert session.artifacts is not None
    folder, artifacts = session.dir, session.artifacts
    profiles = session.profiles_dir
    is_current = session.is_given or is_parsed(
        artifacts, folder, target=session.target, profiles_dir=profiles, vars=session.vars
    )
    if not is_current:
        say("dbt's manifest is older than the project's files: running dbt parse")
        _parse(session, folder, artifacts)
        session = _load(session, folder, artifacts)
    dirty = _count_uncommitted(folder)
    name = f"the files as they are ({dirty} not committed)" if dirty else "the files as they are"
    return State(name, session, session.dbt, bound_features(session), folder, session.variables)


def given_state(session: Session, manifest: str) -> State:
    """Definitions from --manifest, and dbt's manifest.json beside them if there is one."""
    dbt, notes = _read_beside(Path(manifest))
    return State(manifest, session, dbt, bound_features(session), notes=notes)


def base_state(session: Session, base: str, *, say: Say = lambda line: None) -> State:
    """The state that BASE names: an existing file or folder, otherwise a git revision.

    Raises ProjectError: G760 outside of git, G761 for a revision that git does not know, G762 for a state that dbt or
    gemel cannot read.
    """
    path = Path(base).expanduser()
    if path.is_file():
        return _saved(session, base, path)
    if is_project(path):
        return _directory(session, base, path.resolve(), say)
    if (path / SEMANTIC_MANIFEST).is_file():
        return _saved(session, base, path / SEMANTIC_MANIFEST)
    return _revision(session, base, say)


def _saved(session: Session, base: str, file: Path) -> State:
    """A semantic_manifest.json, and the manifest.json beside it if there is one.

    It has no feature views: those of the current project are bound to its metrics.
    """
    with _reading(base):
        before = open_session(file, database=session.database, target=session.target)
        _refuse_problems(before)
    dbt, dbt_notes = _read_beside(file)
    notes = [*dbt_notes]
    features = Bound((), ())
    if session.dir is not None:
        notes.append("feature views are those of the current files: a saved manifest has none")
        try:
            features = bind_features(before.graph, read_feature_views(session.dir / "feature_views", root=session.dir))
        except GemelError as error:
            notes.append(f"features are not compared, because they do not fit its metrics: {_first(error)}")
    return State(base, before, dbt, features, notes=tuple(notes))


def _read_beside(file: Path) -> tuple[DbtProject, tuple[str, ...]]:
    """Read the manifest.json beside a semantic_manifest.json, with a note if there is none."""
    dbt = read_project(file.with_name(MANIFEST))
    notes = () if dbt.is_parsed else (f"dbt models are not compared: there is no manifest.json beside {file}",)
    return dbt, notes


def _directory(session: Session, base: str, folder: Path, say: Say) -> State:
    with _reading(base):
        artifacts = find_target_dir(folder)
        if session.vars is not None:
            artifacts = find_artifacts(folder, None, _profiles(session, folder), session.vars)
        profiles = _profiles(session, folder)
        if not is_parsed(artifacts, folder, target=session.target, profiles_dir=profiles, vars=session.vars):
            say(f"{base}: running dbt parse")
            _parse(session, folder, artifacts)
        return _state(base, session, folder, artifacts)


def _revision(session: Session, base: str, say: Say) -> State:
    """The files of a revision, written below target/gemel/ once, and parsed there once."""
    if session.dir is None:
        hint = "run it in a dbt project, or name a directory or a saved semantic_manifest.json"
        raise ProjectError("G760", f"there is no file or directory {base!r}, and no project for a revision", hint=hint)
    commit = _commit(session.dir, base)
    name = f"{base} ({commit[:7]})"
    folder = _cache(session) / commit[:12]
    checkout, artifacts = folder / "project", folder / f"target-{session.target or 'default'}"
    if not checkout.exists():
        _check_out(session.dir, commit, checkout, name=name)
    if not is_project(checkout):
        shutil.rmtree(folder, ignore_errors=True)
        raise _without_project(name)
    with _reading(name):
        _lend_packages(session.dir, checkout)
        target, profiles, given = session.target, _profiles(session, checkout), session.given_vars
        if not (artifacts / MANIFEST).is_file() or not has_settings(
            artifacts, checkout, target=target, profiles_dir=profiles, vars=given
        ):
            say(f"{name}: running dbt parse")
            _parse(session, checkout, artifacts)
        return _state(name, session, checkout, artifacts)


def _parse(session: Session, folder: Path, artifacts: Path) -> None:
    """Have dbt parse the project in a folder with the current project's target, profile and variables."""
    profiles, given = _profiles(session, folder), session.given_vars
    run_dbt_into(artifacts, ["parse"], folder, target=session.target, profiles_dir=profiles, vars=given)


def _state(name: str, session: Session, folder: Path, artifacts: Path) -> State:
    before = _load(session, folder, artifacts)
    _refuse_problems(before)
    # Bound once for both states, if nothing differs.
    is_same = before.graph is session.graph and _feature_files(folder) == _feature_files(session.dir)
    features = bound_features(session if is_same else before)
    return State(name, before, before.dbt, features, folder, read_variables(folder, session.given_vars))


def _feature_files(folder: Path | None) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob(f"{VIEWS}/*.y*ml")} if folder is not None else {}


def _load(session: Session, folder: Path, artifacts: Path) -> Session:
    """The definitions in a folder, with the target and database of the current project."""
    file, profiles = artifacts / SEMANTIC_MANIFEST, _profiles(session, folder)
    own = session.file  # if it was parsed again, the session has not read it
    if own is not None and own != file and file.is_file() and own.read_bytes() == file.read_bytes():
        return session.elsewhere(folder, artifacts=artifacts, profiles_dir=profiles)
    loaded = open_session(
        folder,
        database=session.database,
        manifest=file,
        target=session.target,
        profiles_dir=profiles,
        vars=session.given_vars,
    )
    loaded.artifacts = artifacts
    return loaded


def _profiles(session: Session, folder: Path) -> str | None:
    """The profile belongs to the machine, not to the revision: that of the current project, if there is one."""
    if session.dir is None or session.dir == folder:
        return session.profiles_dir
    try:
        return str(find_profiles(session.dir, session.profiles_dir).parent.resolve())
    except ProjectError:
        return session.profiles_dir


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Report an error in another state as such: its places are in other files than those of the project."""
    try:
        yield
    except GemelError as error:
        if error.code in ("G760", "G761", "G762"):
            raise
        message = str(error).replace("\n", "\n  ")
        hint = "fix it there, or compare with a state that dbt can parse"
        if "dbt deps" in message:
            hint = "run `dbt deps` here first: the other state uses the packages of this project"
        raise ProjectError("G762", f"{name} cannot be read: {message}", hint=hint) from None


def _refuse_problems(session: Session) -> None:
    if session.problems:
        with session.placing():
            raise session.problems[0]


def _first(error: GemelError) -> str:
    return str(error).splitlines()[0]


# --- git ------------------------------------------------------------------------------------------------------


def _git(folder: Path, *arguments: str, index: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    try:
        run = ["git", "-C", str(folder), *arguments]
        return subprocess.run(run, env=environment, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        hint = "install git, or name a directory or a saved semantic_manifest.json"
        raise ProjectError("G760", f"cannot start git: {error.strerror or error}", hint=hint) from None


def _commit(folder: Path, revision: str) -> str:
    """The full name of a revision. Raises ProjectError (G760, G761)."""
    inside = _git(folder, "rev-parse", "--is-inside-work-tree")
    if inside.returncode and "not a git repository" not in inside.stderr:
        reason, *advice = inside.stderr.strip().splitlines() or [f"git ended with {inside.returncode}"]
        message = f"{_describe_missing(revision)}, and git fails: {reason.removeprefix('fatal: ')}"
        raise ProjectError("G760", message, hint=advice[-1].strip() if advice else None)
    if inside.stdout.strip() != "true":
        message = f"{_describe_missing(revision)}, and {folder} is not in a git repository"
        raise ProjectError("G760", message, hint="name a directory, or a saved semantic_manifest.json")
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit.returncode == 0 and commit.stdout.strip():
        return commit.stdout.strip()
    listed = _git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes").stdout
    names = listed.split()
    hint = did_you_mean(revision, names) or (f"there are {', '.join(names[:8])}" if names else None)
    if _git(folder, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        hint = "this clone is shallow: fetch more of it (`git fetch --unshallow`, `fetch-depth: 0` in CI)"
    raise ProjectError("G761", f"{_describe_missing(revision)}, and no such git revision", hint=hint)


def _describe_missing(base: str) -> str:
    if Path(base).expanduser().is_dir():
        return f"the directory {base!r} has neither a dbt_project.yml nor a semantic_manifest.json"
    return f"there is no file or directory {base!r}"


def _without_project(name: str) -> ProjectError:
    hint = "compare with a revision in which this folder has the dbt project"
    return ProjectError("G762", f"{name} has no dbt_project.yml in this folder", hint=hint)


def _check_out(folder: Path, commit: str, checkout: Path, *, name: str) -> None:
    """Write the project's folder at a commit. The repository's own index and work tree do not change."""
    top = Path(_git(folder, "rev-parse", "--show-toplevel").stdout.strip())
    prefix = _git(folder, "rev-parse", "--show-prefix").stdout.strip().rstrip("/")
    if prefix and _git(folder, "cat-file", "-e", f"{commit}:{prefix}").returncode:
        raise _without_project(name)
    partial = checkout.with_name(f"partial-{os.getpid()}")
    index = checkout.with_name(f"index-{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        for arguments in (
            ("read-tree", f"{commit}:{prefix}" if prefix else commit),
            ("checkout-index", "--all", "--force", f"--prefix={partial}/"),
        ):
            done = _git(top, *arguments, index=index)
            if done.returncode:
                reason = (done.stderr.strip() or f"git ended with {done.returncode}").splitlines()[-1]
                raise ProjectError("G762", f"git cannot write the files of {commit[:7]}: {reason}")
        with suppress(FileExistsError, OSError):  # another run was quicker
            partial.rename(checkout)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        index.unlink(missing_ok=True)


def _cache(session: Session) -> Path:
    assert session.dir is not None
    folder = find_target_dir(session.dir) / "gemel" / "base"
    place = hashlib.sha256(str(session.dir).encode()).hexdigest()[:8]
    return folder / place if find_setting(read_environment(session.dir), "TARGET_PATH") else folder


def _count_uncommitted(folder: Path) -> int:
    """The number of files of the project that differ from HEAD; 0 outside of git."""
    try:
        return len(_git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".").stdout.splitlines())
    except ProjectError:
        return 0


def _lend_packages(project: Path, checkout: Path) -> None:
    """Link the packages of the current project, if the checkout has none: they are not committed."""
    installed, wanted = find_packages(project), find_packages(checkout)
    if installed.is_dir() and not wanted.exists():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        try:
            wanted.symlink_to(installed.resolve(), target_is_directory=True)
        except OSError:
            shutil.copytree(installed, wanted)
