"""OpenLineage events of commands that write something: the start and the end of a run, one line of a file each."""

import datetime as dt
import functools
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gemel.graph.graph import MeaningGraph
    from gemel.graph.nodes import Node
    from gemel.graph.openlineage import Json, Namespaces
    from gemel.session import Session

VARIABLE = "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH"
"""The variable in which OpenLineage's own clients find the file of their file transport."""


def tells_openlineage(job: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command over a Session that takes --openlineage FILE, and writes events about runs of `job` to it."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            "--openlineage",
            type=click.Path(dir_okay=False),
            envvar=VARIABLE,
            metavar="FILE",
            help=f"Append OpenLineage events of this run to a file, one per line (or set {VARIABLE}).",
        )
        @functools.wraps(function)
        def run(session: "Session", *, openlineage: str | None, **others: Any) -> Any:
            if openlineage is None:
                return function(session, **others)
            views = others.get("views") or ()
            return _run(Path(openlineage), job, session, lambda: function(session, **others), views=views)

        return run

    return decorate


def namespaces(session: "Session") -> "Namespaces":
    """The warehouse that the project's profile names, and the project itself."""
    from gemel.errors import GemelError
    from gemel.graph.openlineage import Namespaces, namespace

    target = session.profile_target()
    try:
        settings = target.render() if target else {}
    except GemelError:
        settings = {}
    return Namespaces(namespace(session.engine, settings), session.name)


def _run(file: Path, job: str, session: "Session", work: Callable[[], Any], *, views: Sequence[str]) -> Any:
    """Do the work, with an event before it begins and one after it ends."""
    from gemel.graph import openlineage
    from gemel.graph.building import read_graph

    run = uuid.uuid4()

    def event(state: "openlineage.State", of: "Session") -> "Json":
        now = dt.datetime.now(dt.UTC)
        return openlineage.write_run(f"gemel.{job}", state, namespaces(of), run=run, now=now)

    _add(file, event("START", session))
    try:
        result = work()
    except BaseException as error:
        code = error.exit_code if isinstance(error, click.exceptions.Exit) else None
        if code != 0:
            message = f"{job} ended with exit code {code}" if code is not None else str(error) or type(error).__name__
            _add(file, openlineage.with_error(event("FAIL", session), message))
            raise
        result = None
    after = _reopen(session)
    lineage = after.once(read_graph)
    ended, nodes, spaces = event("COMPLETE", after), _outputs(job, lineage), namespaces(after)
    if job == "materialize":
        chosen = [node for node in nodes if not views or node.name in views]
        ended = openlineage.with_online(ended, lineage, chosen, spaces)
    else:
        ended = openlineage.with_datasets(ended, lineage, nodes, spaces)
    _add(file, ended)
    return result


def _reopen(session: "Session") -> "Session":
    """The project after the work is done: dbt has rewritten its manifest."""
    from gemel.session import open_session

    assert session.dir is not None
    return open_session(session.dir, target=session.target, profiles_dir=session.profiles_dir, vars=session.vars)


def _outputs(job: str, lineage: "MeaningGraph") -> "list[Node]":
    """The outputs of a command: every table for a build, BI and feature views for others."""
    kinds = ("model", "seed", "snapshot", "bi_view", "feature_view") if job == "build" else ("bi_view", "feature_view")
    tables = [lineage.node(id) for id in lineage.tables.ids().values()]
    return [node for node in (*tables, *lineage.definitions.nodes.values()) if node.kind in kinds]


def _add(file: Path, event: "Json") -> None:
    from gemel.errors import ProjectError
    from gemel.graph.openlineage import line

    try:
        with file.open("a", encoding="utf-8") as events:
            events.write(line(event) + "\n")
    except OSError as error:
        raise ProjectError("G606", f"cannot write {file}: {error.strerror}", hint="name a writable file") from None
