"""What a user holds: a dbt project that can be asked."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gemel.dbt.project_file import find_project, places, project_name
from gemel.dbt.running import Say, artifacts_dir, semantic_manifest, user_cache
from gemel.dbt.semantic.file import read_file
from gemel.errors import About, BridgeError, FormatError, GemelError, Place, Problems, ProjectError, QueryError
from gemel.spec.manifest import Dimension, Entity, Manifest, SavedQuery
from gemel.spec.metric_tests import MetricTest, lost_metric_tests, read_metric_tests
from gemel.spec.metrics import Metric
from gemel.spec.places import Places
from gemel.spec.time import GRAINS

if TYPE_CHECKING:
    import duckdb
    import pyarrow

    from gemel.bi.exports.exported import Exported, View
    from gemel.bi.generation import Destination
    from gemel.compiler.compiled import Compiled
    from gemel.compiler.names.graph import Graph
    from gemel.compiler.question.parsing import Spelled
    from gemel.compiler.question.query import Query
    from gemel.dbt.manifest import ManifestReader
    from gemel.dbt.profile import Target
    from gemel.dbt.semantic.definitions import Definitions
    from gemel.engines.connections.opening import Result, Warehouse
    from gemel.engines.engine import Engine
    from gemel.expectations.outcomes import Outcome
    from gemel.features.bound import Bound
    from gemel.features.stamps import Stamp
    from gemel.features.workspace import Workspace
    from gemel.graph.graph import Lineage
    from gemel.online.reading import OnlineRow
    from gemel.run import Runner
    from gemel.spec.feature_views import FeatureSpec
    from gemel.spec.project import DbtProject
    from gemel.training.training_set import Accuracy, Format, TrainingSet


UNREACHABLE = frozenset({"G401", "G402", "G403", "G404", "G604", "G605"})
"""The codes that say nothing of a definition: the database or its profile is not there."""


def load(
    path: str | Path = ".",
    *,
    database: "str | Path | duckdb.DuckDBPyConnection | None" = None,
    manifest: str | Path | None = None,
    target: str | None = None,
    profiles_dir: str | Path | None = None,
    say: Say = lambda line: None,
) -> "Project":
    """The dbt project at `path`, or the definitions of one semantic_manifest.json.

    `path` is a directory in a dbt project, or a manifest file. `database` is a DuckDB file to ask instead of the one
    in profiles.yml, or an open connection; `manifest` a file to read instead of the project's own, which is otherwise
    made anew when it is older than the YAML (`say` hears of it). Raises ProjectError (G6xx), and Problems where
    definitions cannot be meant.
    """
    found = load_to_validate(
        path, database=database, manifest=manifest, target=target, profiles_dir=profiles_dir, say=say
    )
    if found.problems:
        with found.placing():
            raise Problems(found.problems)
    return found


def load_to_validate(
    path: str | Path = ".",
    *,
    database: "str | Path | duckdb.DuckDBPyConnection | None" = None,
    manifest: str | Path | None = None,
    target: str | None = None,
    profiles_dir: str | Path | None = None,
    say: Say = lambda line: None,
) -> "Project":
    """As `load`, also where definitions cannot be meant: they are missing then, and `problems` says why."""
    for argument, value in (("path", path), ("manifest", manifest or ".")):
        if not isinstance(value, str | Path):
            told = f"{argument} is a text or a Path, not {type(value).__name__}"
            raise ProjectError("G601", told, hint="name a dbt project's directory, or its semantic_manifest.json")
    given = Path(path).expanduser()
    if not given.exists():
        raise ProjectError("G601", f"there is no {given}", hint="name a dbt project's directory")
    if given.is_file():
        given, manifest = given.parent, manifest or given
    folder = find_project(given)
    profiles = str(profiles_dir) if profiles_dir else None
    if manifest is not None:
        file = Path(manifest).expanduser()
        cache = user_cache(file.resolve())
        artifacts = artifacts_dir(folder, target, profiles) if folder else None
    elif folder is not None:
        file = semantic_manifest(folder, target=target, profiles_dir=profiles, say=say)
        artifacts = file.parent
        cache = artifacts / "gemel"
    else:
        raise ProjectError(
            "G601",
            f"{given.resolve()} is not in a dbt project: there is no dbt_project.yml",
            hint="run it in one, use --project-dir, or --manifest FILE with --database FILE",
        )
    read, problems = read_file(file, cache)
    return Project(
        read,
        folder,
        database=database,
        target=target,
        profiles_dir=profiles,
        places=places(folder) if folder else None,
        problems=problems,
        artifacts=artifacts,
        file=file,
    )


class Project:
    """Definitions, and the database to ask. Nothing is opened before the first question.

    `dir` is the dbt project's directory, None for a manifest file that stands alone; `artifacts` is where dbt leaves
    what it makes of it; `file` is the semantic manifest that was read. `problems` are those of the definitions that
    could not be read.
    """

    def __init__(
        self,
        manifest: Manifest,
        dir: Path | None = None,
        *,
        database: "str | Path | duckdb.DuckDBPyConnection | None" = None,
        target: str | None = None,
        profiles_dir: str | None = None,
        places: Places | None = None,
        problems: tuple[GemelError, ...] = (),
        artifacts: Path | None = None,
        file: Path | None = None,
    ) -> None:
        self.manifest = manifest
        self.dir = dir
        self.problems = problems
        self.target = target
        self.profiles_dir = profiles_dir
        self.artifacts = artifacts
        self.file = file
        self._database = database
        self._places = places
        self._kept: tuple[Stamp, Workspace] | None = None

    @cached_property
    def name(self) -> str:
        """What dbt calls the project; `project` of a manifest file that stands alone."""
        return project_name(self.dir)

    @property
    def dbt(self) -> "DbtProject":
        """What dbt's manifest.json tells of the project; read again when dbt has written it anew.

        Raises ProjectError (G602).
        """
        return self._manifests.read(self.artifacts)

    @cached_property
    def _manifests(self) -> "ManifestReader":
        from gemel.dbt.manifest import ManifestReader

        return ManifestReader()

    @cached_property
    def graph(self) -> "Graph":
        """The manifest with its names looked up."""
        from gemel.compiler.names.graph import bind

        with self.placing():
            return bind(self.manifest, self.dialect)

    @cached_property
    def engine(self) -> "Engine":
        """What the project builds in: as its profile says, or its manifest."""
        from gemel.engines.duckdb import DUCKDB
        from gemel.engines.lookup import by_adapter

        if self._database is not None or self.dir is None:
            return DUCKDB
        target = self.profile_target()
        return by_adapter(target.kind if target is not None else self.dbt.adapter or DUCKDB.name)

    @property
    def database(self) -> "str | Path | duckdb.DuckDBPyConnection | None":
        """What is asked instead of the database in profiles.yml; None where nothing else is."""
        return self._database

    @property
    def dialect(self) -> str:
        """What the warehouse speaks, and definitions are written in."""
        return self.engine.dialect

    def profile_target(self) -> "Target | None":
        """What profiles.yml says of the project's target; None without a profile that can be read."""
        from gemel.dbt.profile import read_target

        if self.dir is None:
            return None
        try:
            return read_target(self.dir, target=self.target, profiles_dir=self.profiles_dir)
        except GemelError:
            return None

    @cached_property
    def features(self) -> "Bound":
        """The feature views and services of `feature_views/*.yml`, bound to the metrics. Raises Problems (G5xx)."""
        from gemel.features.binding import bind_features
        from gemel.features.bound import Bound
        from gemel.spec.feature_views import read_feature_views

        if self.dir is None:
            return Bound((), ())
        with self.placing():
            return bind_features(self.graph, read_feature_views(self.dir / "feature_views", root=self.dir))

    @cached_property
    def lineage(self) -> "Lineage":
        """Where every number comes from and goes to, from dbt's sources to exposures. Raises Problems (G5xx)."""
        from gemel.dbt.dag import Dag, read_dag
        from gemel.graph.building import trace

        dag = read_dag(self.artifacts / "manifest.json") if self.artifacts else Dag()
        return trace(self.graph, self.features, dag)

    @cached_property
    def warehouse(self) -> "Warehouse":
        """Where the rows are. Raises ProjectError or WarehouseError where the profile does not say it."""
        from gemel.dbt.profile import read_target
        from gemel.engines.connections import duckdb
        from gemel.engines.connections.files import Profile
        from gemel.engines.connections.opening import open_target

        if isinstance(self._database, str | Path):
            file = str(self._database)
            return duckdb.Warehouse(Profile("", "", path=file, database=self._catalog(file)))
        if self._database is not None:
            if not hasattr(self._database, "cursor"):
                told = f"a database is a DuckDB file or an open connection, not {type(self._database).__name__}"
                raise ProjectError("G605", told)
            return duckdb.Warehouse(Profile("", "", path=":memory:", database="memory"), self._database)
        if self.dir is None:
            raise ProjectError("G605", "no database is named", hint="say which DuckDB file with --database")
        return open_target(read_target(self.dir, target=self.target, profiles_dir=self.profiles_dir), self.dir)

    @property
    def runner(self) -> "Runner":
        """The warehouse, asked on behalf of the project's owner."""
        from gemel.run import Runner

        return Runner(self.warehouse)

    def close(self) -> None:
        """Let go of the database: while a DuckDB file is open, no other process can write to it. The next question
        opens it again. An open connection that was given stays its owner's."""
        opened = self.__dict__.get("warehouse")
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def query(
        self,
        metrics: "Spelled | Sequence[Spelled]" = (),
        group_by: "Spelled | Sequence[Spelled]" = (),
        where: str | Sequence[str] = (),
        *,
        start_time: str | dt.date | None = None,
        end_time: str | dt.date | None = None,
        order_by: "Spelled | Sequence[Spelled]" = (),
        limit: int | None = None,
        saved_query: str | None = None,
        having: str | Sequence[str] = (),
        totals: bool = False,
        min_max_only: bool = False,
        dialect: str | None = None,
    ) -> "Answer":
        """Metrics by group-by items: compiled at once, run when the answer's rows are asked for.

        A metric may be asked over some time before each moment: `"flights[7 days]"`, `"flights[month to date]"`.
        Metrics, group-by items and orders may also be mappings, as dbt's own clients write them: `{"name": "flights",
        "alias": "n"}`, `{"name": "metric_time", "grain": "month"}`, `{"metric": "flights", "descending": True}`.
        `start_time` and `end_time` are inclusive. `where` filters rows, `having` the result. With `totals`, one row
        more is over all groups, marked in column `is_total`. An item of `order_by` with a minus in front is
        descending. With `saved_query`, the rest is added to it. `min_max_only` asks for the least and greatest value of
        one item without metrics, as `<item>__min` and `<item>__max`. With a `dialect` other than the warehouse's the
        answer has SQL only. Raises UnknownNameError (G2xx), QueryError (G3xx) and DefinitionError (G1xx).
        """
        from gemel.compiler.question.parsing import make_query

        with self.placing():
            if saved_query is not None:
                if metrics or group_by:
                    raise QueryError(
                        "G331",
                        f"saved query {saved_query!r} brings its own metrics and group-by items",
                        hint="leave --metrics and --group-by away; --where, --order and --limit can be added",
                    )
                saved = self.graph.saved_query(saved_query)
                metrics, group_by = saved.metrics, saved.group_by
                where = (*saved.where, *((where,) if isinstance(where, str) else where))
                order_by = order_by or saved.order_by
                limit = limit if limit is not None else saved.limit
            query = make_query(
                metrics,
                group_by,
                where=where,
                having=having,
                start=start_time,
                end=end_time,
                order_by=order_by,
                limit=limit,
                totals=totals,
                min_max_only=min_max_only,
            )
            return self.answer(query, dialect=dialect)

    def answer(self, query: "Query", *, dialect: str | None = None) -> "Answer":
        """A Query that is already made, as an Answer."""
        from gemel.compiler.compiled import Context, compile_query

        with self.placing():
            said = dialect if dialect is not None else self.dialect
            return Answer(compile_query(self.graph, query, Context.naming(said, self._catalogs(dialect))), self)

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
        CSV or Arrow file, a SELECT over the project's tables, a pandas DataFrame or a pyarrow Table; it has the
        entities of the features, the inputs of on-demand features, and `time_column`, in UTC where it has no zone.
        `accuracy` is "served" for what the online store would have answered at that moment, "exact" for the window
        that ends at the moment itself. With `out`, the rows are written there as Parquet or Arrow, and a manifest
        beside them. Raises UnknownNameError
        (G204) and BridgeError (G55x).
        """
        with self.placing():
            if not isinstance(service, str | Sequence):
                told = f"features are named by a text or a list of texts, not {service!r}"
                raise BridgeError("G555", told, hint="name a service, a view or `view.feature`")
            return self._workspace.training_set(
                _texts(service),
                spine,
                accuracy=accuracy,
                time_column=time_column,
                out=Path(out) if out is not None else None,
                format=format,
            )

    def online(self, name: str, rows: Sequence[Mapping[str, Any]]) -> "list[OnlineRow | None]":
        """What the online store holds for each entity row, `[{"carrier": "UA"}]`; None where it holds nothing.

        `name` is a feature service, a view, or one `view.feature`. With on-demand features, each row has their inputs
        too, and an answer. Raises UnknownNameError (G204) and BridgeError.
        """
        with self.placing():
            return self._workspace.read_online(name, rows)

    @property
    def _workspace(self) -> "Workspace":
        """What is known of the features, kept until something is built or declared anew."""
        from gemel.features.stamps import stamp
        from gemel.features.workspace import Workspace

        artifacts = self.artifacts or Path()
        seen = stamp(self.dir or Path(), artifacts)
        if self._kept is None or self._kept[0] != seen:
            self._kept = (seen, Workspace(self, artifacts))
        return self._kept[1]

    def bi_files(self, spec: "FeatureSpec | None" = None) -> dict[str, str]:
        """What `gemel generate` writes for BI tools, as texts by path: saved queries' exports and wide views as dbt
        models. `spec` are the feature views, whose names are taken. Raises Problems (G70x)."""
        return self._bi_files(spec, self._destination())

    def _bi_files(self, spec: "FeatureSpec | None", written_for: "Destination") -> dict[str, str]:
        from gemel.bi.generation import Taken, generate

        if self.dir is None or self.artifacts is None:
            return {}
        views = spec.views if spec else ()
        services = spec.services if spec else ()
        taken = Taken(
            {view.name: "a feature view's" for view in views}, {each.name: "a feature service's" for each in services}
        )
        with self.placing():
            return generate(self.graph, self.dbt, written_for, root=self.dir, taken=taken)

    def _unfit_for_bi(self, written_for: "Destination | None") -> Iterator[GemelError]:
        """What keeps the models for BI tools from being generated, besides what is wrong with their questions."""
        from gemel.bi.generation import Destination

        try:
            self._bi_files(None, written_for or Destination(self.engine))
        except Problems as problems:
            yield from (each for each in problems.errors if each.code.startswith("G70"))

    def bi_models(self) -> int:
        """How many dbt models for BI tools the definitions ask for."""
        from gemel.bi.declared import read_declared

        declared = read_declared(self.dbt)
        return len(declared.views) + sum(len(query.exports) for query in declared.queries)

    def _destination(self) -> "Destination":
        from gemel.bi.generation import Destination

        try:
            warehouse, target = self.warehouse, self.profile_target()
            utc = self.runner.is_utc(target)
            return Destination(self.engine, self.runner.describe, warehouse.catalogs(), is_utc=utc)
        except GemelError:
            return Destination(self.engine)

    def export(self, format: str, metrics: Sequence[str] = (), *, uri: str | None = None) -> "Exported":
        """The definitions in another tool's format (`osi`, `osi-0.2`, `superset`, `lookml`, `cube`, `snowflake`,
        `databricks`), by default with every metric. `uri` is where Superset finds the warehouse, as SQLAlchemy says it.

        `content` is the text, or a ZIP file's bytes. Raises Problems (G720) where the format would give another
        number for some metric, with the reason for each, and FormatError (G721, G722) for an unknown format, or
        where there is no metric.
        """
        from gemel.bi.exports.exported import refusals

        found = self.export_what_can_be(format, metrics, uri=uri)
        if found.refused:
            with self.placing():
                raise Problems(refusals(found))
        return found

    def export_what_can_be(self, format: str, metrics: Sequence[str] = (), *, uri: str | None = None) -> "Exported":
        """As `export`, without the metrics that the format cannot say: `refused` has those and why."""
        from gemel.bi.exports.exported import Source
        from gemel.bi.exports.formats import export

        with self.placing():
            source = Source(
                self.graph,
                self.name,
                self.dialect,
                self._definitions,
                self._types,
                lambda: uri or self._uri(),
                self._wide_views(),
            )
            return export(format, source, _texts(metrics))

    def _wide_views(self) -> "dict[str, View]":
        """Those that are asked for and that dbt knows of, by semantic model."""
        from gemel.bi.declared import read_declared
        from gemel.bi.exports.exported import View
        from gemel.dbt.semantic.models import parse_relation

        dbt = self.dbt
        named = [(view, dbt.relation_name(view.export.name)) for view in read_declared(dbt).views]
        return {view.model: View(parse_relation(name), view.hops) for view, name in named if name}

    def _definitions(self) -> "Definitions":
        """As they stand in YAML."""
        from gemel.dbt.semantic.definitions import read_definitions

        assert self.file is not None
        return read_definitions(self.file, self.dbt)

    def _types(self, select: "Compiled") -> dict[str, str]:
        """The columns that a SELECT has, each with its type in DuckDB's words; none without a warehouse to ask."""
        try:
            return dict(self.runner.describe(select))
        except GemelError:
            return {}

    def _uri(self) -> str:
        """The warehouse as SQLAlchemy says it, without a password. Raises FormatError (G726)."""
        from gemel.engines.duckdb import uri_of
        from gemel.engines.lookup import by_adapter

        if isinstance(self._database, str | Path):
            return uri_of(Path(self._database).resolve())
        target = self.profile_target()
        uri = by_adapter(target.kind).uri if target is not None else None
        if target is not None and self.dir is not None and uri is not None:
            return uri(target, self.dir)
        raise FormatError(
            "G726", "the profile does not tell where Superset finds the warehouse", hint="say it with --uri"
        )

    def metrics(self) -> tuple[Metric, ...]:
        """Every metric that can be asked for, by name."""
        return tuple(sorted((m for m in self.manifest.metrics if not m.private), key=lambda m: m.name))

    def dimensions(self, metrics: Sequence[str] = ()) -> tuple["Listed", ...]:
        """What all of these metrics can be grouped by together; without metrics, every dimension there is."""
        return tuple(each for each in self._attributes(metrics) if each.type in ("categorical", "time"))

    def entities(self, metrics: Sequence[str] = ()) -> tuple["Listed", ...]:
        """The entities that all of these metrics can be grouped by; without metrics, every entity there is."""
        return tuple(each for each in self._attributes(metrics) if each.type not in ("categorical", "time"))

    def dimension_values(
        self,
        name: str,
        metrics: Sequence[str] = (),
        *,
        start_time: str | dt.date | None = None,
        end_time: str | dt.date | None = None,
    ) -> list[Any]:
        """The distinct values of a dimension, in order; with metrics, those under which they have rows.

        Raises QueryError (G332) for a key of several columns.
        """
        answer = self.query(metrics, [name], start_time=start_time, end_time=end_time, order_by=[name])
        parts = answer.columns[: len(answer.columns) - len(_texts(metrics))]
        if len(parts) > 1:
            told = f"{name!r} is a key of {len(parts)} columns, and one value is needed"
            raise QueryError("G332", told, hint=f"write {' or '.join(parts)}")
        return list(dict.fromkeys(row[0] for row in answer.rows()))

    @cached_property
    def metric_tests(self) -> tuple[MetricTest, ...]:
        """The tests that are written beside metrics. Raises Problems where one cannot be read (G77x)."""
        tests, unread = read_metric_tests(self.metrics())
        problems = [*unread, *(lost_metric_tests(self._places) if self._places else ())]
        with self.placing():
            if problems:
                raise Problems(problems)
        return tests

    def test(self, metrics: str | Sequence[str] = (), select: str | Sequence[str] = ()) -> "list[Outcome]":
        """The outcomes of the tests of these metrics, or of those with these names (`late_rate__known`, `late_*`); of
        all, if none is named. Raises UnknownNameError (G201, G776), and Problems for tests that cannot be read."""
        from gemel.expectations.outcomes import run

        with self.placing():
            outcomes = run(self.graph, self._chosen_tests(metrics, select), self.runner)
        for outcome in outcomes:
            if outcome.error is not None:
                self._place(outcome.error)
        return outcomes

    def test_sql(self, metrics: str | Sequence[str] = (), select: str | Sequence[str] = ()) -> list[tuple[str, str]]:
        """The names of the same tests, each with the SQL of the groups that fail it."""
        from gemel.compiler.compiled import Context
        from gemel.expectations.outcomes import compile_test

        context = Context.naming(self.dialect, self._catalogs(None))
        with self.placing():
            return [
                (test.full_name, compile_test(self.graph, test, context).sql)
                for test in self._chosen_tests(metrics, select)
            ]

    def metric_test_files(self) -> dict[str, str]:
        """What `gemel generate` writes of the tests, as texts by path: dbt's singular tests. None where the project has
        no folder for them. Raises Problems."""
        from gemel.expectations.dbt_tests import generate

        if self.dir is None or self.artifacts is None or not self.metric_tests:
            return {}
        with self.placing():
            return generate(
                self.graph,
                self.metric_tests,
                dbt=self.dbt,
                places=places(self.dir),
                root=self.dir,
                dialect=self.dialect,
            )

    def _chosen_tests(self, metrics: str | Sequence[str], select: str | Sequence[str]) -> "list[MetricTest]":
        from gemel.expectations.selection import chosen

        return chosen(self.graph, self.metric_tests, _texts(metrics), _texts(select))

    def saved_queries(self) -> tuple[SavedQuery, ...]:
        """The saved queries, by name."""
        return tuple(sorted(self.manifest.saved_queries, key=lambda query: query.name))

    def validate(self, *, skip_dw: bool = False, data: bool = False) -> tuple[GemelError, ...]:
        """Everything to be said of the definitions, the features, and (unless `skip_dw`) of the tables they speak of.

        With `data`, rows are read too: whether keys are unique. In the order of their places; each has a `severity`,
        and what is no error works.
        """
        found = [*self.problems, *(self._places.refused_twins() if self._places else ())]
        # Of a semantic model that could not be read, everything that leads to it would be told to lead nowhere.
        if all(each.about and each.about.kind in ("metric", "saved_query") for each in self.problems):
            try:
                for each in self._checked(skip_dw=skip_dw, data=data):
                    found.append(each)
            except Problems as problems:
                found += problems.errors
            except GemelError as problem:
                found.append(problem)
        tests, unread = read_metric_tests(self.manifest.metrics)
        # Of a broken metric its tests would say the same again.
        if tests and all(each.severity != "error" or each.code in UNREACHABLE for each in found):
            from gemel.expectations.outcomes import refused

            reachable = not skip_dw and not any(each.code in UNREACHABLE for each in found)
            found += refused(self.graph, tests, self.runner if reachable else None)
        found += (*unread, *(lost_metric_tests(self._places) if self._places else ()))
        for each in found:
            self._place(each)
        told = {(each.code, each.message, each.about, each.place): each for each in reversed(found)}
        return tuple(sorted(told.values(), key=_by_place))

    def _checked(self, *, skip_dw: bool, data: bool) -> Iterator[GemelError]:
        """Raises a GemelError where one keeps everything after it from being looked at."""
        from gemel import checks

        graph, warehouse = self.graph, None
        if self._places is not None:
            yield from checks.check_yaml(graph, self._places)
        if not skip_dw:
            try:
                self.runner.check_connection()
                warehouse = self.runner
            except GemelError as unreachable:
                yield unreachable
        if warehouse is None:
            yield from checks.check(graph)
        elif data:
            yield from checks.check_rows_in(graph, warehouse)
        else:
            yield from checks.check_in(graph, warehouse)
        if not self.problems:
            yield from self._unfit_for_bi(self._destination() if warehouse else None)
            yield from self.features.warnings
            if self.features.views and warehouse is not None:
                yield from self._workspace.mistyped()
                yield from self._workspace.endless() if data else ()

    def place(self, about: About) -> Place | None:
        """Where in the project's YAML a definition stands; None where that is not found."""
        return self._places.of(about) if self._places is not None else None

    @contextmanager
    def placing(self, about: About | None = None) -> Iterator[None]:
        """Errors that leave this know the place of the definition that they speak of, by default `about`."""
        try:
            yield
        except GemelError as error:
            for each in (*error.errors, error) if isinstance(error, Problems) else (error,):
                if each.about is None and each.code not in UNREACHABLE:
                    each.about = about
                self._place(each)
            raise

    def place_of(self, about: About) -> Place | None:
        """Where a definition is written, as far as the project's YAML tells."""
        return self._places.of(about) if self._places is not None else None

    def _place(self, error: GemelError) -> None:
        if error.place is None and error.about is not None:
            error.place = self.place_of(error.about)

    def _catalogs(self, dialect: str | None) -> frozenset[str] | None:
        """The databases that SQL may name; None (all) in another engine or with no profile to read."""
        if dialect not in (None, self.dialect):
            return None
        try:
            return self.warehouse.catalogs()
        except GemelError:
            return None

    def _catalog(self, file: str) -> str:
        """The database name under which a file is opened: the one that most of the definitions use."""
        from gemel.dbt.profile import catalog_of

        named = [model.relation.database for model in self.manifest.models if model.relation.database]
        return max(named, key=named.count) if named else catalog_of(file)

    def _attributes(self, metrics: Sequence[str]) -> list["Listed"]:
        graph = self.graph
        with self.placing():
            measures = [measure for name in _texts(metrics) for measure in graph.measures(graph.metric(name))]
        if metrics:
            common = graph.common_attributes(measure.model for measure in measures)
        else:
            common = {key: value for home in graph.models for key, value in graph.attributes(home, 0).items()}
        listed = [_listed("__".join(segments), attribute.element) for segments, attribute in common.items()]
        grains = [graph.time_dimension(measure).grain or "day" for measure in measures]
        grain = max(grains, key=GRAINS.index) if grains else "day"
        listed.append(Listed("metric_time", "time", grain=grain, description="each metric's own time"))
        return sorted(listed, key=lambda each: each.name)


class Answer:
    """A compiled question. It is run once, when the first of its rows, columns or tables is asked for."""

    def __init__(self, compiled: "Compiled", project: Project) -> None:
        self.compiled = compiled
        self._project = project

    @property
    def sql(self) -> str:
        """The SQL text, which is not run for it."""
        return self.compiled.sql

    @cached_property
    def result(self) -> "Result":
        """The warehouse's answer. Raises WarehouseError (G4xx), and QueryError (G342) for another engine's SQL."""
        with self._project.placing():
            return self._project.runner.rows(self.compiled)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: the group-by items, then the metrics, each as asked."""
        return self.result.columns

    def rows(self) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row."""
        return self.result.rows()

    def arrow(self) -> "pyarrow.Table":
        """A pyarrow Table."""
        return self.result.arrow()

    def df(self) -> Any:
        """A pandas DataFrame (pandas must be installed)."""
        return self.result.df()

    def pl(self) -> Any:
        """A polars DataFrame (polars must be installed)."""
        return self.result.pl()


@dataclass(frozen=True, slots=True)
class Listed:
    """Something to group by. `type` is `categorical`, `time`, or an entity's type; `grain` a time's finest."""

    name: str
    type: str
    grain: str | None = None
    label: str | None = None
    description: str | None = None


def _by_place(error: GemelError) -> tuple[object, ...]:
    """What has no place comes last."""
    place = error.place
    return (place is None, *((place.file, place.line or 0, place.column or 0) if place else ()), error.code, str(error))


def _listed(name: str, element: Dimension | Entity) -> Listed:
    match element:
        case Dimension():
            kind = "time" if element.is_time else "categorical"
            return Listed(name, kind, element.grain, element.label, element.description)
        case Entity():
            return Listed(name, element.type, None, element.label, element.description)


def _texts(items: Sequence[str]) -> tuple[str, ...]:
    """A lone text is a list of one: `metrics="revenue"` would otherwise be seven metrics of one letter."""
    return (items,) if isinstance(items, str) else tuple(items)
