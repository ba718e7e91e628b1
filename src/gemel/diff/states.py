"""A BASE (a git revision, a directory, a saved manifest) as a project that can be compared with the one at hand."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemel.dbt.manifest import MANIFEST, read_project
from gemel.dbt.profile import find_profiles
from gemel.dbt.project_file import find_packages, is_project, read_variables
from gemel.dbt.running import Say, find_target_dir, is_parsed, run_dbt_into
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
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
    """One state of a project. `dir` is where dbt can be run for it; None for manifests that stand alone.

    `dbt` is what dbt knows of it, and `variables` those of its dbt_project.yml. `notes` say what could not be looked
    at, and why.
    """

    name: str
    session: Session
    dbt: DbtProject
    features: Bound
    dir: Path | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def current_state(session: Session, *, say: Say = lambda line: None) -> State:
    """The project as its files are, committed or not. dbt parses it where a file is newer than what it last wrote."""
    if session.dir is None:
        return State("these definitions", session, DbtProject(), Bound((), ()))
    assert session.artifacts is not None
    folder, artifacts = session.dir, session.artifacts
    if not is_parsed(artifacts, folder):
        say("dbt's manifest is older than the project's files: running dbt parse")
        run_dbt_into(artifacts, ["parse"], folder, target=session.target, profiles_dir=session.profiles_dir)
        session = _loaded(session, folder, artifacts)
    dirty = _uncommitted(folder)
    name = f"the files as they are ({dirty} not committed)" if dirty else "the files as they are"
    return State(name, session, session.dbt, bound_features(session), folder, read_variables(folder))


def given_state(session: Session, manifest: str) -> State:
    """Definitions that were named with --manifest, and dbt's manifest.json beside them where it is there."""
    dbt, notes = _beside(Path(manifest))
    return State(manifest, session, dbt, bound_features(session), notes=notes)


def base_state(session: Session, base: str, *, say: Say = lambda line: None) -> State:
    """What BASE names: a file or a folder that is there, otherwise a git revision.

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
    """A semantic_manifest.json, and manifest.json beside it where that was saved too.

    It holds no feature views: those at hand are bound to its metrics.
    """
    with _reading(base):
        before = open_session(file, database=session.database, target=session.target)
        _refuse_problems(before)
    dbt, found = _beside(file)
    notes = [*found]
    features = Bound((), ())
    if session.dir is not None:
        notes.append("feature views are compared as they are in the files: a saved manifest holds none")
        try:
            features = bind_features(before.graph, read_feature_views(session.dir / "feature_views", root=session.dir))
        except GemelError as error:
            notes.append(f"features are not compared, as they have no meaning there: {_first(error)}")
    return State(base, before, dbt, features, notes=tuple(notes))


def _beside(file: Path) -> tuple[DbtProject, tuple[str, ...]]:
    """What the manifest.json beside a semantic_manifest.json tells."""
    dbt = read_project(file.with_name(MANIFEST))
    notes = () if dbt.is_parsed else (f"dbt models are not compared: there is no manifest.json beside {file}",)
    return dbt, notes


def _directory(session: Session, base: str, folder: Path, say: Say) -> State:
    with _reading(base):
        artifacts = find_target_dir(folder)
        if not is_parsed(artifacts, folder):
            say(f"{base}: running dbt parse")
            run_dbt_into(artifacts, ["parse"], folder, target=session.target, profiles_dir=_profiles(session, folder))
        return _state(base, session, folder, artifacts)


def _revision(session: Session, base: str, say: Say) -> State:
    """A revision's files, written below target/gemel/ once, and parsed there once."""
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
        if not (artifacts / MANIFEST).is_file():
            say(f"{name}: running dbt parse")
            profiles = _profiles(session, checkout)
            run_dbt_into(artifacts, ["parse"], checkout, target=session.target, profiles_dir=profiles)
        return _state(name, session, checkout, artifacts)


def _state(name: str, session: Session, folder: Path, artifacts: Path) -> State:
    before = _loaded(session, folder, artifacts)
    _refuse_problems(before)
    # Bound once, where nothing of it differs.
    is_same = before.graph is session.graph and _feature_files(folder) == _feature_files(session.dir)
    features = bound_features(session if is_same else before)
    return State(name, before, before.dbt, features, folder, read_variables(folder))


def _feature_files(folder: Path | None) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob(f"{VIEWS}/*.y*ml")} if folder is not None else {}


def _loaded(session: Session, folder: Path, artifacts: Path) -> Session:
    """The definitions in a folder, of the same target and database as the project at hand."""
    file, profiles = artifacts / SEMANTIC_MANIFEST, _profiles(session, folder)
    known = session.file  # what was parsed anew is no longer what the session has read
    if known is not None and known != file and file.is_file() and known.read_bytes() == file.read_bytes():
        return session.elsewhere(folder, artifacts=artifacts, profiles_dir=profiles)
    loaded = open_session(
        folder, database=session.database, manifest=file, target=session.target, profiles_dir=profiles
    )
    loaded.artifacts = artifacts
    return loaded


def _profiles(session: Session, folder: Path) -> str | None:
    """The profile is the machine's, not the revision's: the one that is used at hand, where there is one."""
    if session.dir is None or session.dir == folder:
        return session.profiles_dir
    try:
        return str(find_profiles(session.dir, session.profiles_dir).parent.resolve())
    except ProjectError:
        return session.profiles_dir


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What is wrong in another state is told as such: its places are in files that are not at hand."""
    try:
        yield
    except GemelError as error:
        if error.code in ("G760", "G761", "G762"):
            raise
        told = str(error).replace("\n", "\n  ")
        hint = "put it right there, or compare with a state that parses"
        if "dbt deps" in told:
            hint = "`dbt deps` here first: the packages at hand are lent to it"
        raise ProjectError("G762", f"{name} cannot be read: {told}", hint=hint) from None


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
    if _git(folder, "rev-parse", "--is-inside-work-tree").stdout.strip() != "true":
        told = f"{_missing(revision)}, and {folder} is not in a git repository"
        raise ProjectError("G760", told, hint="name a directory, or a saved semantic_manifest.json")
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode == 0 and found.stdout.strip():
        return found.stdout.strip()
    listed = _git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes").stdout
    known = listed.split()
    hint = did_you_mean(revision, known) or (f"there are {', '.join(known[:8])}" if known else None)
    if _git(folder, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        hint = "this clone is shallow: fetch more of it (`git fetch --unshallow`, `fetch-depth: 0` in CI)"
    raise ProjectError("G761", f"{_missing(revision)}, and git knows no such revision", hint=hint)


def _missing(base: str) -> str:
    if Path(base).expanduser().is_dir():
        return f"the directory {base!r} has neither a dbt_project.yml nor a semantic_manifest.json"
    return f"there is no file or directory {base!r}"


def _without_project(name: str) -> ProjectError:
    hint = "compare with a revision since the dbt project is in this folder"
    return ProjectError("G762", f"{name} has no dbt_project.yml in this folder", hint=hint)


def _check_out(folder: Path, commit: str, checkout: Path, *, name: str) -> None:
    """The project's folder as it was at a commit. The repository's own index and work tree are not touched."""
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
                said = (done.stderr.strip() or f"git ended with {done.returncode}").splitlines()[-1]
                raise ProjectError("G762", f"git cannot write the files of {commit[:7]}: {said}")
        with suppress(FileExistsError, OSError):  # another run was quicker
            partial.rename(checkout)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        index.unlink(missing_ok=True)


def _cache(session: Session) -> Path:
    assert session.dir is not None
    folder = find_target_dir(session.dir) / "gemel" / "base"
    place = hashlib.sha256(str(session.dir).encode()).hexdigest()[:8]
    return folder / place if os.environ.get("DBT_TARGET_PATH") else folder


def _uncommitted(folder: Path) -> int:
    """How many of the project's files differ from HEAD; 0 outside of git."""
    try:
        return len(_git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".").stdout.splitlines())
    except ProjectError:
        return 0


def _lend_packages(project: Path, checkout: Path) -> None:
    """The packages installed at hand, where the checkout has none: they are in no commit."""
    installed, wanted = find_packages(project), find_packages(checkout)
    if installed.is_dir() and not wanted.exists():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        try:
            wanted.symlink_to(installed.resolve(), target_is_directory=True)
        except OSError:
            shutil.copytree(installed, wanted)
