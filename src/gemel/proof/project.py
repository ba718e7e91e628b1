"""The proof over a project: where each number is looked up, for every feature view."""

import datetime as dt
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gemel.answer import answer
from gemel.compiler.compiled import Compiled, compile_query
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.parsing import make_query
from gemel.features.opened import Features
from gemel.features.provenance import explain, read_table_builds
from gemel.features.selection import choose, select_views
from gemel.online.project import holding, online_until
from gemel.proof import parity
from gemel.proof.places import Answer, Ask, Places, Row
from gemel.proof.report import Report
from gemel.run import OpenScratch
from gemel.training.project import source_of
from gemel.training.source import Source
from gemel.training.training_set import Accuracy, make

if TYPE_CHECKING:
    import pyarrow


def verify(
    features: Features,
    *,
    at: Sequence[dt.datetime] = (),
    moments: int = 5,
    select: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """BI number = feature table = training set = Parquet copy = online store.

    `select` names services, views and single features. Raises UnknownNameError (G204), BridgeError (G536, G565).
    """
    session = features.session
    views = select_views(features.bound, select)
    features.check_copies(views)
    is_applied = (features.repo / "feature_store.yaml").is_file()
    until = online_until(features) if is_applied else {}
    try:
        source = source_of(features)
        with features.reading_tables(), session.runner.scratches() as open_scratch:
            places = Places(
                ask=partial(_ask, features),
                ask_graph=partial(_ask_graph, features),
                run=session.runner.rows,
                stream=session.runner.batches,
                run_with_files=partial(_run_with_files, open_scratch),
                relations=source.relations,
                root=features.root,
                train=partial(_train, features, source, open_scratch),
                online=partial(holding, features, source.types),
                until=until,
                facts_until=_facts_until(features),
                engine=features.engine,
            )
            report = parity.verify(session.graph, views, source.types, places, at=at, moments=moments, say=say)
            builds = read_table_builds(features, views)
            found = (explain(features, view, builds.get(view.name)) for view in views)
            report.reasons += [message for message in found if message is not None]
            return report
    finally:
        features.release()


def _ask(
    features: Features, metrics: Sequence[str], group_by: Sequence[str | Mapping[str, str]], where: Sequence[str]
) -> Answer:
    """The ordinary query."""
    return answer(features.session, make_query(metrics, group_by, trusted=where))


def _ask_graph(features: Features, graph: Graph) -> Ask:
    """The ordinary query over other definitions."""

    def ask(metrics: Sequence[str], group_by: Sequence[str | Mapping[str, str]], where: Sequence[str]) -> Answer:
        query = make_query(metrics, group_by, trusted=where)
        return features.session.runner.rows(compile_query(graph, query, features.session.context()))

    return ask


def _train(
    features: Features,
    source: Source,
    open_scratch: OpenScratch,
    names: Sequence[str],
    spine: "pyarrow.Table",
    accuracy: Accuracy,
) -> "pyarrow.Table":
    return make(source, choose(features.bound, names), spine, open_scratch, accuracy=accuracy).arrow()


def _run_with_files(open_scratch: OpenScratch, compiled: Compiled) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="gemel-") as folder, open_scratch(Path(folder)) as scratch:
        return scratch.rows(compiled)


def _facts_until(features: Features) -> dt.datetime | None:
    """The dbt variable `gemel_until`; None is now."""
    text = features.session.variables.of(features.session.name).get("gemel_until")
    try:
        until = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return until.astimezone(dt.UTC).replace(tzinfo=None) if until.tzinfo else until
