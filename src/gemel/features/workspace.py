"""One project's features: what is declared, bound, generated, built and online, for the commands to work on."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gemel.compiler.compiled import compile_table
from gemel.compiler.features.cells import MOMENT
from gemel.dbt.catalog import read_types
from gemel.dbt.manifest import MANIFEST
from gemel.dbt.project_file import variables
from gemel.engines.engine import Capability, Engine
from gemel.engines.stores import TargetSettings
from gemel.errors import BridgeError, GemelError, Problems, ProjectError, UnknownNameError, WarehouseError, did_you_mean
from gemel.features import generation, repository
from gemel.features.binding import bind_features
from gemel.features.bound import Bound, BoundView
from gemel.features.catalog import describer
from gemel.features.columns import Known, decide_types
from gemel.features.infinities import endless_facts, endless_rows
from gemel.features.origins import Origins
from gemel.features.sources import check_store, store_of
from gemel.features.tables import DATA, Tables, Types
from gemel.features.types import TYPES
from gemel.files import VIEWS, Change
from gemel.online import feast
from gemel.online.export import export
from gemel.proof import parity, places
from gemel.proof.report import Report
from gemel.run import OpenScratch, Runner
from gemel.spec.feature_views import FeatureSpec, read_feature_views
from gemel.spec.project import DbtProject
from gemel.spec.time import seconds

if TYPE_CHECKING:
    import pyarrow

    from gemel.compiler.names.graph import Graph
    from gemel.dbt.profile import Target
    from gemel.engines.connections.opening import Warehouse as Database
    from gemel.features.selection import Chosen
    from gemel.online.answers import Find
    from gemel.online.config import Store
    from gemel.online.newest import OnlineView
    from gemel.online.reading import OnlineRow
    from gemel.online.store import Found
    from gemel.training.source import Source
    from gemel.training.training_set import Accuracy, Format, TrainingSet


class Opened(Protocol):
    """What is needed of gemel.Project."""

    dir: Path | None

    @property
    def name(self) -> str: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def dbt(self) -> DbtProject: ...
    def profile_target(self) -> "Target | None": ...
    @property
    def graph(self) -> "Graph": ...
    @property
    def warehouse(self) -> "Database": ...
    @property
    def runner(self) -> Runner: ...
    def metric_test_files(self) -> dict[str, str]: ...
    def query(
        self, metrics: Sequence[str], group_by: Sequence[str | Mapping[str, str]], where: Sequence[str]
    ) -> places.Answer: ...
    def bi_files(self, spec: FeatureSpec) -> dict[str, str]: ...


class Workspace:
    """The features of an open project. `artifacts` is where dbt leaves its manifest.json."""

    def __init__(self, project: Opened, artifacts: Path) -> None:
        if project.dir is None:
            raise ProjectError(
                "G601",
                "features need a dbt project, not only a manifest file",
                hint="run it in one, or use --project-dir",
            )
        self.project = project
        self.root = project.dir
        self.artifacts = artifacts

    @property
    def repo(self) -> Path:
        """The Feast repository."""
        return self.root / VIEWS

    @cached_property
    def spec(self) -> FeatureSpec:
        return read_feature_views(self.repo, root=self.root)

    @cached_property
    def bound(self) -> Bound:
        return bind_features(self.project.graph, self.spec)

    def views(self) -> tuple[BoundView, ...]:
        return self.bound.views

    def types(self) -> dict[str, Types]:
        """Raises Problems (G523) where nothing tells a type yet."""
        return decide_types(Tables(self.project.graph), self.bound, self._known())

    def mistyped(self) -> tuple[GemelError, ...]:
        """Types that no feature or key can have (G524), and what on-demand features compute with the wrong ones (G592).

        Types that nobody knows before the models are built are no mistake.
        """
        from gemel.on_demand.computing import compute_all

        try:
            types = self.types()
        except Problems as problems:
            return tuple(each for each in problems.errors if each.code != "G523")
        try:
            compute_all(self.bound.on_demand, types)
        except Problems as problems:
            return problems.errors
        return ()

    def endless(self) -> tuple[GemelError, ...]:
        """Facts that are known at no time that a table can have (G537): their rows are read."""
        try:
            with self._reading_tables():
                return tuple(endless_facts(self.project.graph, self.views(), self.project.runner))
        except WarehouseError:
            return ()  # a table that is not there, or SQL that does not bind, is told by itself

    @cached_property
    def engine(self) -> Engine:
        """What the project builds in. Raises BridgeError (G580) for what Feast has no offline store for."""
        store_of(self.project.engine)
        return self.project.engine

    def is_placed(self) -> bool:
        """Whether dbt has told where every feature table is; `dbt parse` tells it of new ones."""
        return not self.views() or len(generation.places_of(self.bound, self.project.dbt, self.engine)) == len(
            self.views()
        )

    def files(self) -> dict[str, str | None]:
        """Every generated file's text, by path. The database is let go of again.

        Raises BridgeError (G534) without dbt's manifest.json: only that tells what `ref()` calls a table.
        """
        if not self.project.dbt.is_parsed:
            raise self._unparsed("run `dbt parse`, which writes it")
        files: dict[str, str | None] = {}
        try:
            if self.views() or self.bound.services:
                files |= generation.generate(
                    self.project.graph,
                    self.bound,
                    self._known(),
                    root=self.root,
                    project=self.project.name,
                    dbt=self.project.dbt,
                )
            return files | self.project.bi_files(self.spec) | self.project.metric_test_files()
        finally:
            self._release()

    def write(self) -> list[Change]:
        files = self.files()
        if self.views():
            check_store(self.repo, self.engine)
        return generation.write(self.root, files, store=self._store_yaml)

    def _store_yaml(self) -> str:
        return repository.store_yaml(
            self.project.name, self.engine, TargetSettings(self.project.profile_target(), self.engine.name)
        )

    def stale(self) -> list[Change]:
        return generation.compare(self.root, self.files())

    def check_built(self) -> None:
        """Compare each built table with what Feast was told of it. Raises Problems (G532, G537)."""
        problems: list[BridgeError] = []
        relations = self.relations()
        for name, types in self.types().items():
            with self._reading_tables():
                built = dict(self.project.runner.describe(compile_table(relations[name], self.engine.dialect)))
                [view] = self.named([name])
                problems.extend(endless_rows(view, built, relations[name], self.project.runner))
            for column, type_ in types.items():
                if built.get(column) != TYPES[type_].sql:
                    problems.append(
                        BridgeError(
                            "G532",
                            f"{name}.{column} is {built.get(column, 'not there')} in the built table, and "
                            f"{TYPES[type_].sql} in what Feast was told",
                            hint="run `gemel generate`, then `dbt build`",
                        )
                    )
        self._release()
        if problems:
            raise Problems(problems)

    def relations(self) -> dict[str, str]:
        """Each feature table's name in the database, as dbt knows it. Raises BridgeError (G534)."""
        dbt = self.project.dbt
        if not dbt.is_parsed:
            raise self._unparsed("`gemel build` runs dbt")
        found = {view.name: name for view in self.views() if (name := dbt.relation_name(view.name))}
        for view in self.views():
            if view.name not in found:
                raise BridgeError(
                    "G534",
                    f"dbt does not know the table of feature view {view.name!r}",
                    hint="run `gemel generate`, then `dbt build`; `gemel build` does both",
                    place=view.place,
                )
        return found

    def _unparsed(self, hint: str) -> BridgeError:
        return BridgeError("G534", f"dbt has left no {self.artifacts / MANIFEST}", hint=hint)

    @contextmanager
    def _reading_tables(self) -> Iterator[None]:
        """A table that is missing is mostly a feature table that is not built, not another one misspelt."""
        try:
            yield
        except WarehouseError as error:
            missing = [view for view in self.views() if re.search(rf"\b{view.name}\b", error.message)]
            if error.code == "G405" and missing:
                view = missing[0]
                error.place = error.place or view.place
                error.hint = f"the table of feature view {view.name!r} is not there: `gemel build` makes it, or " + (
                    f"`dbt build --select {view.name}`"
                )
            elif error.hint and "--explain" in error.hint:  # which only questions have
                error.hint = "a definition that the features are of; `gemel validate` tells. Was `dbt build` run?"
            raise

    @cached_property
    def store(self) -> "Store":
        """Which online store feature_store.yaml names. Raises BridgeError (G530, G560)."""
        from gemel.online.config import read_store

        return read_store(self.repo)

    def named(self, names: Sequence[str]) -> list[BoundView]:
        """The feature views of these names; all, if none is named. Raises UnknownNameError (G204)."""
        known = {view.name: view for view in self.views()}
        for name in names:
            if name not in known:
                raise UnknownNameError(
                    "G204",
                    f"no feature view named {name[:80]!r}",
                    hint=did_you_mean(name, known) or f"there are {', '.join(known) or 'none'}",
                )
        return [view for name, view in known.items() if not names or name in names]

    def materialize(
        self,
        *,
        end: dt.datetime | None = None,
        views: Sequence[str] = (),
        say: Callable[[str], None] = lambda line: None,
        progress: Callable[[str], None] = lambda line: None,
    ) -> dt.datetime:
        """Make what is online the newest rows of the feature tables up to `end` (default: now). Up to when it is.

        SQLite and Redis are written to by us; others through Feast. Raises UnknownNameError (G204), BridgeError (G56x).
        """
        from gemel.online.config import OtherStore
        from gemel.online.loader import materialize as load
        from gemel.online.store import open_store

        asked = self.named(views)
        for each in asked if views else ():
            if not each.online:
                raise BridgeError("G564", f"{each.name!r} is not online", hint="remove `online: false` from it")
        self._check_copies(view for view in asked if view.online)
        why = self.store.why if isinstance(self.store, OtherStore) else self._why_not_read()
        if why is not None or isinstance(self.store, OtherStore):
            say(f"Feast materializes, because {why}")
            return feast.materialize(self.repo, end=end, views=views)
        moment = (end.replace(tzinfo=dt.UTC) if end.tzinfo is None else end) if end else dt.datetime.now(dt.UTC)
        chosen = [view for view in asked if view.online]
        types = self.types()
        for view in chosen if not self.engine.has(Capability.COPIED) else ():
            progress(f"reading {view.name}")
            self._export(view, types[view.name], moment)
        self._release()
        store = open_store(self.store)
        try:
            online = [self._online_view(view, types[view.name]) for view in chosen]
            return load(store, online, end=moment, folder=self.repo / "data", say=say, progress=progress)
        finally:
            store.close()

    def _why_not_read(self) -> str | None:
        """Why our loader cannot read the tables; None where it can."""
        if self.engine.has(Capability.COPIED):
            return None
        try:
            self.project.warehouse.catalogs()
        except GemelError:
            return f"gemel cannot ask a {self.engine.name} warehouse yet"
        return None

    def _export(self, view: BoundView, types: Types, moment: dt.datetime) -> None:
        online = self._online_view(view, types)
        relation = self.relations()[view.name]
        with self._reading_tables():
            export(self.project.runner, relation, online.entities, online.features, online.file, until=moment)

    def _online_view(self, view: BoundView, types: Types) -> "OnlineView":
        from gemel.online.newest import OnlineView

        return OnlineView(
            view.name,
            {entity: types[entity] for entity in view.entities},
            {name: types[name] for name in view.feature_names},
            self.root / DATA / f"{view.name}.parquet",
            dt.timedelta(seconds=seconds(view.ttl)) if view.ttl else None,
            self._origins.of(view),
        )

    @cached_property
    def _origins(self) -> Origins:
        """Of which target's tables the rows outside the warehouse are to be."""
        try:
            return Origins(self.project.profile_target(), self.relations())
        except BridgeError:
            return Origins(None, {})

    def _check_copies(self, views: Iterable[BoundView]) -> None:
        for view in views if self.engine.has(Capability.COPIED) else ():
            self._origins.check_copy(view, self.root / DATA / f"{view.name}.parquet")

    def _until(self) -> dict[str, dt.datetime | None]:
        """Up to when each view is online. Feast is asked only where it may have materialized since we did."""
        from gemel.online.config import OtherStore
        from gemel.online.encoding import decode_time
        from gemel.online.store import open_store

        if isinstance(self.store, OtherStore):
            return feast.materialized_until(self.repo)
        store = open_store(self.store)
        try:
            states = {view.name: store.state(view.name) for view in self.views()}
        finally:
            store.close()
        until = {name: decode_time(state.until) if state.until is not None else None for name, state in states.items()}
        registry = self.repo / "data" / "registry.db"
        ours = min((state.at or 0 for state in states.values()), default=0)
        if registry.is_file() and registry.stat().st_mtime * 1_000_000 > ours:
            for name, theirs in feast.materialized_until(self.repo).items():
                mine = until.get(name)
                if name in until and theirs is not None and (mine is None or theirs > mine):
                    until[name] = theirs
        return until

    def read_online(self, name: str, rows: Sequence[Mapping[str, Any]]) -> "list[OnlineRow | None]":
        """What is online for each entity row, of a view, a service or one `view.feature`; None where nothing is.

        On-demand features are computed of the inputs that the rows bring, also where nothing is online.
        Raises UnknownNameError (G204), BridgeError (G535, G56x) and Problems (G592).
        """
        from gemel.features.selection import choose
        from gemel.online.answers import answer

        choice = choose(self.bound, [name])
        types = self._types_online
        with self._finding(types) as find:
            return answer(name, choice, types, rows, find)

    @cached_property
    def _types_online(self) -> dict[str, Types]:
        """The types, decided once for many reads: they stay what they are until the tables are built again."""
        try:
            return self.types()
        finally:
            self._release()

    @contextmanager
    def _finding(self, types: Mapping[str, Types]) -> "Iterator[Find]":
        """How to look rows of a view up online, while the store is open."""
        from gemel.online.config import OtherStore
        from gemel.online.reading import find, key
        from gemel.online.store import Found, open_store

        def ask_feast(chosen: "Chosen", keys: Sequence[Mapping[str, Any]]) -> list[Found | None]:
            view = types[chosen.view.name]
            typed = [{name: key(value, view[name], name) for name, value in row.items()} for row in keys]
            references = [f"{chosen.view.name}:{name}" for name in chosen.columns]
            answers = feast.read_online(self.repo, references, typed)
            return [Found(None, values) if values else None for values in answers]

        if isinstance(self.store, OtherStore):
            yield ask_feast
            return
        store = open_store(self.store)

        def look(chosen: "Chosen", keys: Sequence[Mapping[str, Any]]) -> "Sequence[Found | None]":
            self._origins.check_online(chosen.view, store.state(chosen.view.name).origin)
            return find(store, self._online_view(chosen.view, types[chosen.view.name]), chosen.columns, keys)

        try:
            yield look
        finally:
            store.close()

    def verify(
        self, *, at: Sequence[dt.datetime] = (), moments: int = 5, say: Callable[[str], None] = lambda line: None
    ) -> Report:
        """BI number = feature table = training set = Parquet copy = online store. Raises BridgeError (G536, G565)."""
        self._check_copies(self.views())
        until = self._until() if self._is_applied() else {}
        try:
            source = self._source()
            with self._reading_tables(), self.project.runner.scratches() as open_scratch:
                found = places.Places(
                    ask=self.project.query,
                    ask_of=self._ask_of,
                    run=self.project.runner.rows,
                    relations=source.relations,
                    root=self.root,
                    train=partial(self._train, source, open_scratch),
                    online=partial(self._online, source.types),
                    until=until,
                    facts_until=self._facts_until(),
                    engine=self.engine,
                )
                return parity.verify(
                    self.project.graph, self.views(), source.types, found, at=at, moments=moments, say=say
                )
        finally:
            self._release()

    def _facts_until(self) -> dt.datetime | None:
        """The dbt variable `gemel_until` of dbt_project.yml; None is now."""
        written = variables(self.root)
        own = written.get(self.project.name)
        said = (own if isinstance(own, dict) else written).get("gemel_until", written.get("gemel_until"))
        try:
            found = dt.datetime.fromisoformat(str(said))
        except ValueError:
            return None
        return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found

    def _ask_of(self, graph: "Graph") -> places.Ask:
        """The ordinary query over other definitions."""
        from gemel.compiler.compiled import Context, compile_query
        from gemel.compiler.question.parsing import make_query

        def ask(
            metrics: Sequence[str], group_by: Sequence[str | Mapping[str, str]], where: Sequence[str]
        ) -> places.Answer:
            warehouse = self.project.warehouse
            question = make_query(metrics, group_by, where=where)
            context = Context.naming(warehouse.dialect, warehouse.catalogs())
            return self.project.runner.rows(compile_query(graph, question, context))

        return ask

    def _source(self) -> "Source":
        from gemel.training.source import Source

        catalogs = self.project.warehouse.catalogs()
        return Source(self.project.graph, self.types(), self.relations(), catalogs, self.project.dbt)

    def _train(
        self,
        source: "Source",
        open_scratch: OpenScratch,
        names: Sequence[str],
        spine: "pyarrow.Table",
        accuracy: "Accuracy",
    ) -> "pyarrow.Table":
        """For `verify`: a training set of what is known of the tables already."""
        from gemel.features.selection import choose
        from gemel.training import training_set

        return training_set.make(source, choose(self.bound, names), spine, open_scratch, accuracy=accuracy).arrow()

    def training_set(
        self,
        names: Sequence[str],
        spine: Any,
        *,
        accuracy: "Accuracy",
        time_column: str = MOMENT,
        out: Path | None = None,
        format: "Format | None" = None,
    ) -> "TrainingSet":
        """The rows of a spine with their features, of services, views or single `view.feature`. See make."""
        from gemel.features.selection import choose
        from gemel.training import training_set

        choice = choose(self.bound, names)
        source = self._source()
        try:
            with self._reading_tables():
                return training_set.make(
                    source,
                    choice,
                    spine,
                    self.project.runner.scratch,
                    accuracy=accuracy,
                    time_column=time_column,
                    out=out,
                    format=format,
                )
        finally:
            self._release()

    def online(self, name: str, keys: Mapping[str, str]) -> dict[str, Any] | None:
        """What is served for one entity: of a feature view, of a service, or of one `view.feature`.

        Raises UnknownNameError (G204) and BridgeError (G535).
        """
        found = self.read_online(name, [keys])[0]
        return found.values if found else None

    def _online(
        self, types: Mapping[str, Types], view: BoundView, keys: Sequence[Mapping[str, Any]]
    ) -> "Sequence[Found | None]":
        """For `verify`: what is stored, by us or by Feast."""
        from gemel.features.selection import Chosen

        with self._finding(types) as find:
            return find(Chosen(view, view.feature_names), keys)

    def _is_applied(self) -> bool:
        return (self.repo / "feature_store.yaml").is_file()

    def _known(self) -> Known:
        recorded = generation.recorded_types(self.root, self.engine)
        try:
            warehouse = self.project.warehouse
        except GemelError:
            if self.engine.has(Capability.COPIED) and not recorded:
                raise
            if self.engine.has(Capability.COPIED):
                return Known(recorded=recorded)  # no profile here, as on a machine that only checks
            described = describer(read_types(self.artifacts, self.project.dbt), self.engine)
            return Known(described, frozenset(), recorded, self.engine, is_asked=False)
        utc = self.project.runner.is_utc(self.project.profile_target())
        return Known(self.project.runner.describe, warehouse.catalogs(), recorded, self.engine, is_utc=utc)

    def _release(self) -> None:
        """Let go of the database, so that dbt can write to it."""
        with suppress(GemelError):
            self.project.warehouse.close()
