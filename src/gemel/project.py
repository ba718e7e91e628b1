"""The Python interface: a dbt project to query, build and compare. Each method is a line or two over a session, which
every other interface uses too."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gemel.answer import Answer, answer
from gemel.arguments import require_count, require_text, require_texts, require_time, require_times
from gemel.dbt.running import Say
from gemel.errors import About, Problems, QueryError
from gemel.session import Session, open_session
from gemel.spec.fields import format_count
from gemel.spec.limits import parse_seconds

if TYPE_CHECKING:
    import duckdb

    from gemel.bi.exports.exported import Exported
    from gemel.compiler.names.listing import Listed
    from gemel.compiler.question.parsing import Spelling
    from gemel.dbt.variables import Vars
    from gemel.diff.comparison import Comparison
    from gemel.errors import GemelError
    from gemel.expectations.outcomes import Outcome
    from gemel.files import Change
    from gemel.graph.lineage import Lineage
    from gemel.online.reading import OnlineRow
    from gemel.proof.report import Report
    from gemel.spec.manifest import SavedQuery
    from gemel.spec.metrics import Metric
    from gemel.training.training_set import Accuracy, Format, TrainingSet


def load(
    path: str | Path = ".",
    *,
    database: "str | Path | duckdb.DuckDBPyConnection | None" = None,
    manifest: str | Path | None = None,
    artifacts: str | Path | None = None,
    target: str | None = None,
    profiles_dir: str | Path | None = None,
    vars: "Vars | str | None" = None,
    wait: float | None = None,
    say: Say = lambda line: None,
) -> "Project":
    """The dbt project at `path`, or the definitions of one semantic_manifest.json.

    `path` is a directory in a dbt project, or a manifest file. `database` is a DuckDB file to query instead of the one
    in profiles.yml, or an open connection. `manifest` is a file to read instead of the project's own manifest, which
    is otherwise rewritten when it is older than the YAML (`say` receives a line about it). `artifacts` is a folder with
    dbt's manifest.json and semantic_manifest.json, to read as they are. `vars` are dbt's variables, `{"region":
    "north"}`; by default those of dbt's last run in target/. Raises ProjectError (G6xx), and Problems if definitions
    are invalid.

        with gemel.load(".") as shop:
            shop.query(["revenue"], ["metric_time__month"]).df()
    """
    session = open_session(
        path,
        database=database,
        manifest=manifest,
        artifacts=artifacts,
        target=target,
        profiles_dir=profiles_dir,
        vars=vars,
        wait=wait,
        say=say,
    )
    if session.problems:
        with session.placing():
            raise Problems(session.problems)
    if not session.manifest.metrics and session.ignored:
        raise Problems(session.ignored)
    return Project(session)


class Project:
    """Definitions, and the database to query. Nothing is opened before the first query.

    `session` is the open project beneath, for programs that extend gemel.

        shop = gemel.load(".")
        shop.query(["revenue"], ["customer__region"], limit=5).df()
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def __repr__(self) -> str:
        manifest = self.session.manifest
        parts = (
            format_count(len(self.metrics()), "metric"),
            format_count(len(manifest.models), "semantic model"),
            format_count(len(manifest.saved_queries), "saved query"),
        )
        name = self.session.name if self.session.dir else "of a manifest file"
        return f"<Project {name}: {', '.join(parts)}>"

    def query(
        self,
        metrics: "Spelling | Sequence[Spelling]" = (),
        group_by: "Spelling | Sequence[Spelling]" = (),
        where: str | Sequence[str] = (),
        *,
        start_time: str | dt.date | None = None,
        end_time: str | dt.date | None = None,
        order_by: "Spelling | Sequence[Spelling]" = (),
        limit: int | None = None,
        saved_query: str | None = None,
        having: str | Sequence[str] = (),
        totals: bool = False,
        min_max_only: bool = False,
        dialect: str | None = None,
        check_keys: bool = False,
        timeout: float | str | None = None,
        trusted_where: str | Sequence[str] = (),
    ) -> Answer:
        """Metrics by group-by items: compiled at once, run when the answer's rows are requested.

        A metric may have a window: `"flights[7 days]"`, `"flights[month to date]"`.
        Metrics, group-by items and orders may also be mappings, as dbt's own clients write them: `{"name": "flights",
        "alias": "n"}`, `{"name": "metric_time", "grain": "month"}`, `{"metric": "flights", "descending": True}`.
        `start_time` and `end_time` are inclusive. `where` filters rows, `having` the result. `totals` adds one row over
        all groups, marked in the column `is_total`. `where` and `having` are in a closed language (docs/functions.md);
        `trusted_where` filters rows in the warehouse's own words, for texts of your own only. An item of
        `order_by` that starts with a minus is descending. The other arguments are added to a `saved_query`.
        `min_max_only` returns the least and greatest value of one item without metrics, as `<item>__min` and
        `<item>__max`. With a `dialect` other than the warehouse's the answer has SQL only. `check_keys` reads whether
        the keys by which the query joins are unique before it runs, and raises DefinitionError (G166) if not. `timeout`
        (seconds, or `"5m"`) stops the query with WarehouseError (G410), and replaces the project's limit. Raises
        UnknownNameError (G2xx), QueryError (G3xx), DefinitionError (G1xx), and Problems for several unknown names.
        """
        from gemel.compiler.question.parsing import make_query

        with self.session.placing():
            own: dict[str, Any] = {}
            if saved_query is not None:
                if metrics or group_by:
                    raise QueryError(
                        "G331",
                        f"saved query {saved_query!r} has its own metrics and group-by items",
                        hint="omit --metrics and --group-by; --where, --order and --limit can be added",
                    )
                saved = self.session.graph.saved_query(require_text(saved_query, "saved_query"))
                metrics, group_by = saved.metrics, saved.group_by
                own = {"own": saved.where, "about": About("saved_query", saved.name)}
                order_by = order_by or saved.order_by
                limit = limit if limit is not None else saved.limit
            query = make_query(
                metrics,
                group_by,
                where=where,
                trusted=trusted_where,
                having=having,
                start=start_time,
                end=end_time,
                order_by=order_by,
                limit=limit,
                totals=totals,
                min_max_only=min_max_only,
                timezone=self.session.graph.timezone,
            )
            query = replace(query, **own)
            dialect = None if dialect is None else require_text(dialect, "dialect")
            return answer(self.session, query, dialect=dialect, check_keys=check_keys, timeout=_seconds(timeout))

    def metrics(self) -> "tuple[Metric, ...]":
        """Every metric that can be queried, sorted by name."""
        return tuple(sorted((m for m in self.session.manifest.metrics if not m.private), key=lambda m: m.name))

    def dimensions(self, metrics: Sequence[str] = ()) -> "tuple[Listed, ...]":
        """The dimensions that all of these metrics can be grouped by together; without metrics, every dimension."""
        return tuple(each for each in self._items(metrics) if each.is_dimension)

    def entities(self, metrics: Sequence[str] = ()) -> "tuple[Listed, ...]":
        """The entities that all of these metrics can be grouped by together; without metrics, every entity."""
        return tuple(each for each in self._items(metrics) if not each.is_dimension)

    def dimension_values(
        self,
        name: str,
        metrics: Sequence[str] = (),
        *,
        start_time: str | dt.date | None = None,
        end_time: str | dt.date | None = None,
    ) -> list[Any]:
        """The distinct values of a dimension, sorted; with metrics, only the values for which they have rows.

        Raises QueryError (G332) for a key of several columns.
        """
        result = self.query(metrics, [name], start_time=start_time, end_time=end_time, order_by=[name])
        parts = result.columns[: len(result.columns) - len(require_texts(metrics, "metrics"))]
        if len(parts) > 1:
            message = f"{name!r} is a key of {len(parts)} columns, and one value is needed"
            raise QueryError("G332", message, hint=f"write {' or '.join(parts)}")
        return list(dict.fromkeys(row[0] for row in result.rows()))

    def saved_queries(self) -> "tuple[SavedQuery, ...]":
        """The saved queries, sorted by name."""
        return tuple(sorted(self.session.manifest.saved_queries, key=lambda query: query.name))

    def validate(self, *, skip_dw: bool = False, data: bool = False) -> "tuple[GemelError, ...]":
        """All findings about the definitions, the features and (unless `skip_dw`) the tables that they use.

        With `data`, rows are read too: whether keys are unique. Findings are sorted by place. Each has a `severity`; a
        warning or a note does not keep anything from working.
        """
        from gemel.validation import validate

        return validate(self.session, skip_dw=skip_dw, data=data)

    def test(self, metrics: str | Sequence[str] = (), select: str | Sequence[str] = ()) -> "list[Outcome]":
        """Run the tests of these metrics, or those with these names (`late_rate__known`, `late_*`); by default all.

        Raises UnknownNameError (G201, G776), and Problems if tests cannot be read.
        """
        from gemel.expectations.suite import run_tests

        return run_tests(self.session, require_texts(metrics, "metrics"), require_texts(select, "select"))

    def generate(self) -> "list[Change]":
        """Write the files of `gemel generate`: dbt models of BI views and feature tables, metric tests, the Feast
        repository and exposures. Returns the changes.

        Raises Problems with everything that prevents files from being written, and BridgeError (G534) without dbt's
        manifest.json.
        """
        from gemel.pipeline import generate

        return generate(self.session)

    def build(self, *, moments: int = 5, say: Say = lambda line: None) -> "Report | None":
        """Generate, run dbt build and feast apply, materialize, and verify at this many moments.

        Returns the report, which may have failed; None without feature views. Raises what the steps raise.
        """
        from gemel.pipeline import build

        return build(self.session, moments=require_count(moments, "moments"), say=say)

    def training_set(
        self,
        service: str | Sequence[str],
        spine: Any,
        *,
        accuracy: "Accuracy",
        out: str | Path | None = None,
        format: "Format | None" = None,
        time_column: str = "event_timestamp",
    ) -> "TrainingSet":
        """One row for each row of `spine`, in its order, with the features as they were at its moment.

        `service` names feature services, views or single features as `view.feature`. `spine` is the path of a Parquet,
        CSV or Arrow file, a SELECT over the project's tables, a pandas DataFrame or a pyarrow Table. It must have the
        entities of the features, the inputs of on-demand features, and `time_column`, in UTC if it has no zone.
        `accuracy` is "served" for what the online store would have returned at that moment, "exact" for windows that
        end at the moment itself. With `out`, the rows are written to that file as Parquet or Arrow, with a manifest
        beside it. Raises UnknownNameError (G204) and BridgeError (G538, G55x).
        """
        from gemel.features.opened import open_features
        from gemel.training.project import make_training_set

        with self.session.placing():
            return make_training_set(
                open_features(self.session),
                require_texts(service, "service"),
                spine,
                accuracy=accuracy,
                time_column=require_text(time_column, "time_column"),
                out=Path(out) if out is not None else None,
                format=format,
            )

    def materialize(self, views: str | Sequence[str] = (), *, end: dt.datetime | None = None) -> dt.datetime:
        """Bring the newest rows of these views, by default of all, online as of `end` (default: now).

        Returns the moment up to which the views are online.

        Raises UnknownNameError (G204) and BridgeError (G538, G56x).
        """
        from gemel.features.opened import open_features
        from gemel.online.project import materialize

        with self.session.placing():
            end = None if end is None else require_time(end, "end")
            return materialize(open_features(self.session), views=require_texts(views, "views"), end=end)

    def online(self, name: str, rows: Sequence[Mapping[str, Any]]) -> "list[OnlineRow | None]":
        """The online features of each entity row, `[{"carrier": "UA"}]`; None for a row that the store does not have.

        `name` is a feature service, a view, or one `view.feature`. For on-demand features, each row must also have
        their inputs, and always has a result. Raises UnknownNameError (G204) and BridgeError.
        """
        from gemel.features.opened import open_features
        from gemel.online.project import read_online

        with self.session.placing():
            return read_online(open_features(self.session), name, rows)

    def verify(
        self,
        *,
        at: Sequence[dt.datetime] = (),
        moments: int = 5,
        select: str | Sequence[str] = (),
        say: Say = lambda line: None,
    ) -> "Report":
        """Compare BI number, feature table, training set and online store for every feature of every view.

        They are compared at the moments `at`, or at `moments` moments spread over each table's time. `select` names the
        services, views and features (`view.feature`) to compare. Raises UnknownNameError (G204), BridgeError (G536,
        G565).
        """
        from gemel.features.opened import open_features
        from gemel.proof.project import verify

        with self.session.placing():
            at, moments, select = (
                require_times(at, "at"),
                require_count(moments, "moments"),
                require_texts(select, "select"),
            )
            return verify(open_features(self.session), at=at, moments=moments, select=select, say=say)

    def diff(self, base: str, *, say: Say = lambda line: None) -> "Comparison":
        """The definitions whose meaning differs from `base`, and everything that they affect; `print` shows it.

        `base` is a git revision, a directory with a dbt project, or a saved semantic_manifest.json. Raises ProjectError
        (G760 to G762).
        """
        from gemel.diff.comparison import read_comparison

        return read_comparison(self.session, require_text(base, "base"), say=say)

    def lineage(self, name: str) -> "Lineage":
        """Where a metric, column, feature or anything else with a name comes from, and where it goes; `print` shows it.

        Raises UnknownNameError (G751) if nothing has the name, and QueryError (G750) if several things have it.
        """
        from gemel.graph.lineage import read_lineage

        return read_lineage(self.session, require_text(name, "name"))

    def export(self, format: str, metrics: str | Sequence[str] = (), *, uri: str | None = None) -> "Exported":
        """The definitions in another tool's format (`osi`, `osi-0.2`, `superset`, `lookml`, `cube`, `snowflake`,
        `databricks`), by default with every metric. `uri` is SQLAlchemy's URI of the warehouse, for Superset.

        `content` is the text, or a ZIP file's bytes. Raises Problems (G720) if the format would return another number
        for a metric, with the reason for each metric, and FormatError (G721, G722) if the format is unknown or there is
        no metric.
        """
        from gemel.bi.exports.export import export

        return export(self.session, require_text(format, "format"), require_texts(metrics, "metrics"), uri=uri)

    def close(self) -> None:
        """Close the database: while a DuckDB file is open, no other process can write to it. The next query opens it
        again. A connection that the caller opened stays open."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __dir__(self) -> list[str]:
        return sorted(["session", *(name for name in vars(type(self)) if not name.startswith("_"))])

    def _items(self, metrics: Sequence[str]) -> "list[Listed]":
        from gemel.compiler.names.listing import list_items, with_metrics

        with self.session.placing():
            graph = self.session.graph
            return with_metrics(graph, list_items(graph, require_texts(metrics, "metrics")))


def _seconds(timeout: float | str | None) -> float | None:
    try:
        return None if timeout is None else parse_seconds(timeout)
    except ValueError as error:
        raise QueryError("G343", f"timeout {error}", hint='30, "30s" and "5m" are durations') from None
