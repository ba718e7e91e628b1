"""All steps: generate, dbt build, feast apply, materialize, verify. Each step can be repeated, and so can the whole."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime

from gemel.bi.project_models import model_files
from gemel.builds.macros import macro_files
from gemel.dbt.failures import DatabaseInUseError
from gemel.dbt.project_file import PROJECT_FILE
from gemel.dbt.running import find_target_dir, run_dbt_into
from gemel.dbt.variables import Vars, write_vars
from gemel.engines.stores import TargetSettings
from gemel.errors import BridgeError, GemelError, Place, Problems, ProjectError, UnknownNameError, WarehouseError
from gemel.expectations.suite import metric_tests, test_files
from gemel.features import generation, repository
from gemel.features.bound import BoundView
from gemel.features.built import check_built
from gemel.features.columns import unknown_only
from gemel.features.opened import Features, open_features
from gemel.features.sources import check_store
from gemel.files import Change, models_folder, tests_folder
from gemel.locking import hold_lock
from gemel.online import feast
from gemel.online.project import materialize
from gemel.proof.project import verify
from gemel.proof.report import Report
from gemel.session import Session
from gemel.waits import Wait

Say = Callable[[str], None]
Step = Callable[[str], AbstractContextManager[list[str]]]
"""A context for a step of a build, by the step's name. The step adds a description of its result to the list."""


def generate(session: Session) -> list[Change]:
    """Write the generated files and return the changes. Runs `dbt parse` if dbt does not know all feature tables yet.

    Raises Problems with everything that prevents files from being written, and BridgeError (G534) without dbt's
    manifest.
    """
    with _writing(session):
        return _generate(session)


def _generate(session: Session) -> list[Change]:
    with _uncollected():
        changes = _write(session)
        if not _is_placed(open_features(session)):
            run_dbt(session, "parse")
            changes += _write(session)
        return changes


def stale_files(session: Session) -> list[Change]:
    """The changes that `generate` would make. Raises as `generate`."""
    with _uncollected():
        if not _is_placed(open_features(session)):
            run_dbt(session, "parse")
        features = open_features(session)
        return generation.compare(features.root, _files(features))


def unrunnable_tests(session: Session) -> list[GemelError]:
    """A warning if dbt cannot run the metric tests, because the project has no folder for tests."""
    features = open_features(session)
    if not session.once(metric_tests) or tests_folder(features.root) is not None:
        return []
    message = "dbt_project.yml names no test-paths, so dbt cannot run the metric tests; `gemel test` can"
    hint = "add a folder to it, such as `test-paths: [tests]`"
    return [ProjectError("G775", message, hint=hint, place=Place(PROJECT_FILE), severity="warning")]


def build(
    session: Session,
    *,
    moments: int = 5,
    say: Say = lambda line: None,
    step: Step = lambda name: nullcontext([]),
) -> Report | None:
    """Run all steps, and stop at the first one that fails. Raises what the steps raise.

    Returns the report of `verify`, which may have failed; None without feature views. Another build, or another
    `generate`, of the same project waits until this one ends.
    """
    with _writing(session):
        return _build(session, moments=moments, say=say, step=step)


def _build(session: Session, *, moments: int, say: Say, step: Step) -> Report | None:
    with step("generate") as done:
        done.append(_summary(_write_first(session, say)))
    if session.vars is None and session.given_vars:
        say(f"dbt builds with the --vars of its last run: {write_vars(session.given_vars)}; --vars '{{}}' is none")
    with step("dbt build"):
        _build_models(session, say)
    features = open_features(session)
    with step("check types") as done:
        changed = _write(session)
        if any(change.path.endswith(".sql") for change in changed):  # the types were those of an older build
            say(f"  {_summary(changed)}: building them again")
            run_dbt(session, "build", "--select", f"path:{models_folder(features.root, 'features')}")
        features = open_features(session)
        if features.views:
            check_built(features)
        count = len(features.views)
        done.append(
            f"{count} feature {'table has' if count == 1 else 'tables have'} the types of the Feast definitions"
        )
    if not features.views:
        say("there are no feature views, so there is nothing for Feast to do")
        return None
    with step("feast apply") as done:
        done.append("; ".join(feast.apply(features.repo)) or "nothing new")
    with step("materialize") as done:
        until = materialize(features, say=say)
        done.append(f"online up to {until:%Y-%m-%d %H:%M} UTC")
    with step("verify") as done:
        report = verify(features, moments=moments)
        done.append(report.verdict())
    return report


def backfill(session: Session, views: Sequence[str], *, start: datetime, end: datetime | None) -> list[BoundView]:
    """Rebuild the rows of a time range of these views, by default of all, through dbt. Returns the views.

    A view without `lookback` is rebuilt as a whole. Raises UnknownNameError (G204), and BridgeError (G534) if a view
    has changed since its model was generated.
    """
    features = open_features(session)
    chosen = features.select_views(views)
    if not chosen:
        raise UnknownNameError(
            "G204", "the project has no feature view", hint="docs/features.md explains feature views"
        )
    stale = {change.path for change in stale_files(session)}
    for view in chosen:
        if f"{models_folder(features.root, 'features')}/{view.name}.sql" in stale:
            message = f"the dbt model of feature view {view.name!r} is not up to date"
            raise BridgeError("G534", message, hint="run `gemel generate`", place=view.place)
    variables = {"gemel_from": start.isoformat(sep=" "), **({"gemel_to": end.isoformat(sep=" ")} if end else {})}
    with _writing(session):
        run_dbt(session, "build", "--select", *(view.name for view in chosen), once=variables)
    return chosen


def run_dbt(session: Session, *arguments: str, once: Vars | None = None) -> None:
    """Run dbt on the project with its target and variables, and those of this run, after closing the database."""
    assert session.dir is not None and session.artifacts is not None
    # dbt writes to the file that we have been reading; DuckDB allows only one process then.
    with suppress(GemelError):
        session.close()
    turn = Wait(session.say, deadline=time.monotonic() + session.limits.wait, pause=0.5)
    while True:
        try:
            # The next command looks for the artifacts here, and for the same target.
            run_dbt_into(
                session.artifacts,
                arguments,
                session.dir,
                target=session.target,
                profiles_dir=session.profiles_dir,
                vars=session.given_vars,
                once=once,
            )
            return
        except DatabaseInUseError as error:
            if turn.is_over:
                raise
            turn.pause(f"{error.holder} holds the database; dbt waits for it to end")


@contextmanager
def _writing(session: Session) -> Iterator[None]:
    """One process at a time generates or builds in a project; the next one says so and waits.

    Raises ProjectError (G609) if that takes longer than the limits allow.
    """
    assert session.dir is not None
    folder = find_target_dir(session.dir) / "gemel"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = hold_lock(folder / "writing.lock", session.say, doing="building", wait=session.limits.wait)
            stack.enter_context(lock)
        except TimeoutError as error:
            raise ProjectError(
                "G609",
                f"process {error} has been building here for {session.limits.wait:g} seconds",
                hint="wait for it to end, or wait longer: --wait, `vars: gemel: limits: wait`",
            ) from None
        except OSError:  # the files cannot be written either, and that is the error to report
            pass
        yield


# What is wrong with the tables of the last build may be right in the models: a column that is new, a type that is cast.
_OF_TABLES = {"G406", "G407", "G409", "G523", "G524", "G526", "G592", "G709"}


def _write_first(session: Session, say: Say) -> list[Change]:
    """Generate. If types are unknown or wrong, first build the models that the features read, and generate again."""
    try:
        return _generate(session)
    except (Problems, WarehouseError) as error:
        errors = error.errors if isinstance(error, Problems) else (error,)
        if any(each.code not in _OF_TABLES for each in errors):
            raise
        unknown = isinstance(error, Problems) and unknown_only(error)
    why = "some types are unknown" if unknown else "the tables of the last build do not fit"
    say(f"  {why}: building the models that the features read")
    root = open_features(session).root
    # Metric tests may have been generated for another warehouse.
    tests = [f"path:{folder}"] if (folder := tests_folder(root)) else []
    run_dbt(session, "build", "--exclude", f"path:{models_folder(root, 'features')}", *tests)
    return _generate(session)


def _build_models(session: Session, say: Say) -> None:
    """Run dbt build, and once more if it failed because a feature table casts to the types of the last build."""
    try:
        run_dbt(session, "build")
    except ProjectError as error:
        if error.code != "G603":
            raise
        try:
            changed = _write(session)
        except GemelError:
            raise error from None
        if not any(change.path.endswith(".sql") for change in changed):
            raise
        say(f"  {_summary(changed)} for models that have other types now: building again")
        run_dbt(session, "build")


def _write(session: Session) -> list[Change]:
    features = open_features(session)
    files = _files(features)
    if features.views:
        check_store(features.repo, features.engine)

    def store() -> str:
        settings = TargetSettings(session.profile_target(), features.engine.name)
        return repository.store_yaml(session.name, features.engine, settings)

    return generation.write(features.root, files, store=store)


def _files(features: Features) -> dict[str, str | None]:
    """The text of every generated file, by path. The database is closed afterwards."""
    session = features.session
    features.check_parsed("run `dbt parse` to write it")
    files: dict[str, str | None] = {}
    try:
        if features.views or features.bound.services:
            files |= generation.generate(
                session.graph,
                features.bound,
                features.type_sources(),
                root=features.root,
                project=session.name,
                dbt=session.dbt,
            )
        files |= model_files(session, features.spec)
        return files | macro_files(features.root, session.engine, files) | test_files(session)
    finally:
        features.release()


def _is_placed(features: Features) -> bool:
    """Whether dbt's manifest has every feature table; `dbt parse` adds new ones."""
    views = features.views
    return not views or len(generation.places_of(features.bound, features.session.dbt, features.engine)) == len(views)


def _summary(changes: Sequence[Change]) -> str:
    count = f"{len(changes)} file{'' if len(changes) == 1 else 's'} written"
    return count if changes else "every file is up to date"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Turn off garbage collection, which takes a sixth of the time: trees consist of reference cycles."""
    gc.disable()
    try:
        yield
    finally:
        # Moves all objects to the oldest generation; otherwise the next collection would traverse all of them.
        gc.freeze()
        gc.unfreeze()
        gc.enable()
