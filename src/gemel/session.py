"""A project's definitions, the engine that has its data, and the principal on whose behalf it is queried.

The command line, Python and every server hold a session. Everything derived from it is a function of the session, in
the package that derives it; `once` keeps the result of such a function.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from gemel.dbt.parsed import find_vars
from gemel.dbt.project_file import (
    find_project,
    locate_definitions,
    read_functions,
    read_limits,
    read_project_name,
    read_timezone,
    read_variables,
)
from gemel.dbt.running import Say, check_artifacts, ensure_semantic_manifest, find_artifacts, find_user_cache
from gemel.dbt.semantic.file import read_file
from gemel.dbt.variables import Variables, Vars, parse_vars
from gemel.errors import About, GemelError, Place, Problems, ProjectError, UnknownNameError
from gemel.keeping import Keeper, kept
from gemel.spec.limits import NO_LIMITS, Limits
from gemel.spec.manifest import Manifest
from gemel.spec.places import Places
from gemel.spec.principal import OWNER, Principal
from gemel.spec.zones import UTC

if TYPE_CHECKING:
    import duckdb

    from gemel.compiler.compiled import Context
    from gemel.compiler.names.graph import Graph
    from gemel.dbt.manifest import ManifestReader
    from gemel.dbt.profile import Target
    from gemel.engines.connections.opening import Warehouse
    from gemel.engines.engine import Engine
    from gemel.run import Runner
    from gemel.spec.project import DbtProject

UNREACHABLE = frozenset({"G401", "G402", "G403", "G404", "G604", "G605"})
"""The codes that say nothing about a definition: the database or its profile cannot be reached."""


def open_session(
    path: str | Path = ".",
    *,
    database: "str | Path | duckdb.DuckDBPyConnection | None" = None,
    manifest: str | Path | None = None,
    artifacts: str | Path | None = None,
    target: str | None = None,
    profiles_dir: str | Path | None = None,
    vars: Vars | str | None = None,
    wait: float | None = None,
    say: Say = lambda line: None,
) -> "Session":
    """The dbt project at `path`, or the definitions of one semantic_manifest.json; see `gemel.load`.

    `artifacts` is a folder of dbt's artifacts to read as they are, and `vars` are dbt's variables.
    `wait` (seconds) is how long a query or a build waits for its turn; None is `vars: gemel: limits: wait`.
    It lacks the definitions that are invalid; `problems` lists the reasons. Raises ProjectError (G6xx).
    """
    for argument, value in (("path", path), ("manifest", manifest or "."), ("artifacts", artifacts or ".")):
        if not isinstance(value, str | Path):
            message = f"{argument} must be a string or a Path, not {type(value).__name__}"
            raise ProjectError("G601", message, hint="name a dbt project's directory, or its semantic_manifest.json")
    start = Path(path).expanduser()
    if not start.exists():
        raise ProjectError("G601", f"there is no {start}", hint="name a dbt project's directory")
    if start.is_file():
        start, manifest = start.parent, manifest or start
    folder = find_project(start)
    profiles = str(profiles_dir) if profiles_dir else None
    given = parse_vars(vars)
    beside: Path | None
    if artifacts is not None:
        beside = Path(artifacts).expanduser().absolute()
        file = check_artifacts(beside) if manifest is None else Path(manifest).expanduser()
        cache = find_user_cache(file.resolve())
    elif manifest is not None:
        file = Path(manifest).expanduser()
        cache = find_user_cache(file.resolve())
        beside = find_artifacts(folder, target, profiles, given) if folder else None
    elif folder is not None:
        file = ensure_semantic_manifest(folder, target=target, profiles_dir=profiles, vars=given, say=say)
        beside = file.parent
        cache = beside / "gemel"
    else:
        raise ProjectError(
            "G601",
            f"{start.resolve()} is not in a dbt project: there is no dbt_project.yml",
            hint="run gemel in a dbt project, or use --project-dir, --artifacts DIR, or --manifest FILE with "
            "--database FILE",
        )
    definitions, problems = read_file(file, cache)
    return Session(
        definitions,
        folder,
        database=database,
        target=target,
        profiles_dir=profiles,
        places=locate_definitions(folder) if folder else None,
        problems=problems,
        artifacts=beside,
        file=file,
        vars=given,
        is_given=artifacts is not None,
        wait=wait,
        say=say,
    )


COPIES = Path("feature_views/data")
"""The Parquet copies of feature tables, in the project: `verify` reads them in the warehouse."""


class Closing(Protocol):
    """Something open that another package keeps for a session."""

    def close(self) -> None: ...


class Session(Keeper):
    """Definitions, and the database to query on behalf of `principal`. Nothing is opened before the first query.

    `dir` is the dbt project's directory, None for a manifest file outside a project; `artifacts` is where dbt writes
    its artifacts; `file` is the semantic manifest that was read. `database` replaces the one in profiles.yml.
    `problems` are those of the definitions that could not be read. `vars` are those of `--vars`; None are those
    of dbt's last run. `is_given` says that the artifacts are read as they are, and never written. What
    is in `closing` is closed with the session.
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
        vars: Vars | None = None,
        is_given: bool = False,
        principal: Principal = OWNER,
        wait: float | None = None,
        say: Say = lambda line: None,
    ) -> None:
        self.manifest = manifest
        self.dir = dir
        self.database = database
        self.target = target
        self.profiles_dir = profiles_dir
        self.places = places
        self.problems = problems
        self.artifacts = artifacts
        self.file = file
        self.vars = vars
        self.is_given = is_given
        self.principal = principal
        self.wait = wait
        self.say = say
        self.closing: WeakSet[Closing] = WeakSet()

    def elsewhere(self, dir: Path, *, artifacts: Path, profiles_dir: str | None) -> "Session":
        """The same definitions as they stand in another folder."""
        other = Session(
            self.manifest,
            dir,
            database=self.database,
            target=self.target,
            profiles_dir=profiles_dir,
            places=locate_definitions(dir),
            problems=self.problems,
            artifacts=artifacts,
            file=self.file,
            vars=self.given_vars,
            principal=self.principal,
            wait=self.wait,
            say=self.say,
        )
        vars(other)["graph"] = self.graph  # names, and nothing of the folder
        return other

    @kept
    def given_vars(self) -> Vars:
        """The variables of `--vars`, or of the run of dbt that wrote the artifacts."""
        if self.vars is not None or self.artifacts is None:
            return self.vars or {}
        return find_vars(self.artifacts) or {}

    @property
    def variables(self) -> Variables:
        """dbt's variables: those of dbt_project.yml, and those that are given. Raises ProjectError."""
        return read_variables(self.dir, self.given_vars) if self.dir is not None else Variables({}, self.given_vars)

    @kept
    def name(self) -> str:
        """dbt's name of the project; `project` for a manifest file outside a project."""
        return read_project_name(self.dir)

    @property
    def dbt(self) -> "DbtProject":
        """dbt's manifest.json, read again when dbt has rewritten it.

        Raises ProjectError (G602).
        """
        return self._manifests.read(self.artifacts)

    @kept
    def ignored(self) -> tuple[GemelError, ...]:
        """The semantic models in the project's YAML that dbt has ignored (G168)."""
        from gemel.dbt.semantic.ignored import report_ignored

        if self.places is None or self.artifacts is None:
            return ()
        return report_ignored(self.manifest, self.places, self.dbt.dbt_version)

    @kept
    def _manifests(self) -> "ManifestReader":
        from gemel.dbt.manifest import ManifestReader

        return ManifestReader()

    @kept
    def graph(self) -> "Graph":
        """The manifest with its names looked up."""
        from gemel.compiler.names.graph import bind

        with self.placing():
            functions = read_functions(self.dir, self.given_vars) if self.dir is not None else ()
            return bind(self.manifest, self.dialect, timezone=self.timezone, functions=functions)

    @kept
    def engine(self) -> "Engine":
        """The engine that the project builds in, according to its profile or dbt's manifest."""
        from gemel.engines.duckdb import DUCKDB
        from gemel.engines.lookup import engine_for_adapter

        if self.database is not None:
            return DUCKDB
        if self.is_given and self.dbt.adapter:  # the definitions are in its SQL
            return engine_for_adapter(self.dbt.adapter)
        if self.dir is None:
            return DUCKDB
        target = self.profile_target()
        return engine_for_adapter(target.kind if target is not None else self.dbt.adapter or DUCKDB.name)

    @property
    def compiles_only(self) -> bool:
        """Whether nothing can be queried: gemel only writes SQL for the engine, or there are artifacts alone."""
        return self.engine.connect is None or (self.is_given and self.dir is None and self.database is None)

    @property
    def dialect(self) -> str:
        """The SQL dialect of the warehouse, and of the definitions."""
        return self.engine.dialect

    @kept
    def limits(self) -> Limits:
        """`vars: gemel: limits:` in dbt_project.yml, with the session's own `wait`. Raises ProjectError (G604)."""
        limits = read_limits(self.dir, self.given_vars) if self.dir is not None else NO_LIMITS
        return limits if self.wait is None else replace(limits, wait=self.wait)

    @kept
    def timezone(self) -> str:
        """The time zone of gemel's sessions: of bounds without an offset, and of the days of times that have a zone.

        `vars: gemel: timezone` in dbt_project.yml, or what the profile sets, or UTC. Raises ProjectError (G604).
        """
        written = read_timezone(self.dir, self.given_vars) if self.dir is not None else None
        if written is None:
            with suppress(GemelError):  # without a readable profile it sets none
                return self.runner.timezone
        return written or UTC

    def profile_target(self) -> "Target | None":
        """The project's target in profiles.yml; None without a profile that can be read."""
        if self.dir is None:
            return None
        try:
            return self._read_target(self.dir)
        except GemelError:
            return None

    @kept
    def runner(self) -> "Runner":
        """Runs SQL in the engine. Raises ProjectError or WarehouseError if the profile names none."""
        from gemel.run import Runner

        warehouse = self._warehouse()
        written = read_timezone(self.dir, self.given_vars) if self.dir is not None else None
        warehouse.timezone = written or warehouse.timezone
        copies = [self.dir / COPIES] if self.dir is not None else []
        warehouse.prepare(self.limits, say=self.say, folders=copies)
        return Runner(warehouse, self.principal)

    def _warehouse(self) -> "Warehouse":
        from gemel.engines.connections import duckdb
        from gemel.engines.connections.files import Profile, elsewhere
        from gemel.engines.connections.opening import open_target

        if isinstance(self.database, str | Path):
            file = str(self.database)
            folder = elsewhere(self.dir) if self.dir is not None else ""
            return duckdb.Warehouse(Profile("", "", path=file, database=self._catalog(file), folder=folder))
        if self.database is not None:
            if not hasattr(self.database, "cursor"):
                kind = type(self.database).__name__
                raise ProjectError("G605", f"a database must be a DuckDB file or an open connection, not {kind}")
            return duckdb.Warehouse(Profile("", "", path=":memory:", database="memory"), self.database)
        if self.dir is None:
            raise ProjectError("G605", "no database is named", hint="name a DuckDB file with --database")
        target = self._read_target(self.dir)
        if self.is_given and self.dbt.adapter not in (None, target.kind):
            message = f"the artifacts are of {self.dbt.adapter}, and target {target.name!r} is of {target.kind}"
            raise ProjectError("G605", message, hint="name the target that they were written for with --target")
        return open_target(target, self.dir)

    def _read_target(self, dir: Path) -> "Target":
        from gemel.dbt.profile import read_target

        return read_target(dir, target=self.target, profiles_dir=self.profiles_dir, vars=self.given_vars)

    def _catalog(self, file: str) -> str:
        """The database name under which a file is opened: the one that most of the definitions use."""
        from gemel.dbt.profile import catalog_of

        named = [model.relation.database for model in self.manifest.models if model.relation.database]
        return max(named, key=named.count) if named else catalog_of(file)

    def context(self, dialect: str | None = None) -> "Context":
        """Where compiled plans will run: the warehouse, or another dialect, in which relations have full names."""
        from gemel.compiler.compiled import Context

        if dialect is not None and dialect != self.dialect:
            return Context.elsewhere(dialect)
        catalogs = None
        with suppress(GemelError):  # without a readable profile too, every name is written in full
            catalogs = self.runner.catalogs()
        return Context.naming(self.dialect, catalogs)

    def close(self) -> None:
        """Close the database; the next query opens it again."""
        if "runner" in self.__dict__:
            self.runner.close()
        for each in list(self.closing):
            each.close()

    def place(self, about: About) -> Place | None:
        """The place of a definition in the project's YAML; None if it is not found."""
        return self.places.of(about) if self.places is not None else None

    def add_place(self, error: GemelError) -> None:
        """Add to an error the place of the definition that it is about."""
        if error.place is None and error.about is not None:
            error.place = self.place(error.about)

    @contextmanager
    def placing(self, about: About | None = None) -> Iterator[None]:
        """Errors that leave this block get the place of the definition that they are about, by default `about`."""
        try:
            yield
        except GemelError as error:
            for each in (*error.errors, error) if isinstance(error, Problems) else (error,):
                if each.about is None and each.code not in UNREACHABLE:
                    each.about = about
                if isinstance(each, UnknownNameError) and self.ignored:
                    each.hint = f"{each.hint}; {self.ignored[0]}" if each.hint else str(self.ignored[0])
                self.add_place(each)
            raise
