"""What is open: a project's definitions, the engine that has its data, and who asks.

The command line, Python and every server hold one. What is made of it stands in the package that makes it, as a
function of a session; `once` keeps what such a function gave.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gemel.dbt.project_file import find_project, places, project_name
from gemel.dbt.running import Say, artifacts_dir, semantic_manifest, user_cache
from gemel.dbt.semantic.file import read_file
from gemel.errors import About, GemelError, Place, Problems, ProjectError
from gemel.spec.manifest import Manifest
from gemel.spec.places import Places
from gemel.spec.principal import OWNER, Principal

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

T = TypeVar("T")

UNREACHABLE = frozenset({"G401", "G402", "G403", "G404", "G604", "G605"})
"""The codes that say nothing of a definition: the database or its profile is not there."""


def open_session(
    path: str | Path = ".",
    *,
    database: "str | Path | duckdb.DuckDBPyConnection | None" = None,
    manifest: str | Path | None = None,
    target: str | None = None,
    profiles_dir: str | Path | None = None,
    say: Say = lambda line: None,
) -> "Session":
    """The dbt project at `path`, or the definitions of one semantic_manifest.json; see `gemel.load`.

    Definitions that are invalid are missing in it, and `problems` says why. Raises ProjectError (G6xx).
    """
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
    return Session(
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


class Session:
    """Definitions, and the database to ask on behalf of `principal`. Nothing is opened before the first question.

    `dir` is the dbt project's directory, None for a manifest file that stands alone; `artifacts` is where dbt leaves
    what it makes of it; `file` is the semantic manifest that was read. `database` is asked instead of the one in
    profiles.yml. `problems` are those of the definitions that could not be read.
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
        principal: Principal = OWNER,
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
        self.principal = principal
        self._once: dict[Callable[[Session], Any], Any] = {}

    def once(self, make: "Callable[[Session], T]") -> T:
        """What a function makes of the session, made when it is first asked for."""
        if make not in self._once:
            self._once[make] = make(self)
        return self._once[make]  # type: ignore[no-any-return]  # of what `make` gives

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
        """What the project builds in: as its profile says, or dbt's manifest."""
        from gemel.engines.duckdb import DUCKDB
        from gemel.engines.lookup import by_adapter

        if self.database is not None or self.dir is None:
            return DUCKDB
        target = self.profile_target()
        return by_adapter(target.kind if target is not None else self.dbt.adapter or DUCKDB.name)

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
    def runner(self) -> "Runner":
        """What asks the engine. Raises ProjectError or WarehouseError where the profile does not say which."""
        from gemel.run import Runner

        return Runner(self._warehouse(), self.principal)

    def _warehouse(self) -> "Warehouse":
        from gemel.dbt.profile import read_target
        from gemel.engines.connections import duckdb
        from gemel.engines.connections.files import Profile
        from gemel.engines.connections.opening import open_target

        if isinstance(self.database, str | Path):
            file = str(self.database)
            return duckdb.Warehouse(Profile("", "", path=file, database=self._catalog(file)))
        if self.database is not None:
            if not hasattr(self.database, "cursor"):
                wrong = f"a database is a DuckDB file or an open connection, not {type(self.database).__name__}"
                raise ProjectError("G605", wrong)
            return duckdb.Warehouse(Profile("", "", path=":memory:", database="memory"), self.database)
        if self.dir is None:
            raise ProjectError("G605", "no database is named", hint="say which DuckDB file with --database")
        return open_target(read_target(self.dir, target=self.target, profiles_dir=self.profiles_dir), self.dir)

    def _catalog(self, file: str) -> str:
        """The database name under which a file is opened: the one that most of the definitions use."""
        from gemel.dbt.profile import catalog_of

        named = [model.relation.database for model in self.manifest.models if model.relation.database]
        return max(named, key=named.count) if named else catalog_of(file)

    def context(self, dialect: str | None = None) -> "Context":
        """What plans are compiled for: the warehouse, or another dialect with every relation's full name."""
        from gemel.compiler.compiled import Context

        catalogs = None
        if dialect in (None, self.dialect):
            with suppress(GemelError):  # with no profile to read, too, every name is written in full
                catalogs = self.runner.catalogs()
        return Context.naming(dialect if dialect is not None else self.dialect, catalogs)

    def close(self) -> None:
        """Let go of the database; the next question opens it again."""
        if "runner" in self.__dict__:
            self.runner.close()

    def place(self, about: About) -> Place | None:
        """Where in the project's YAML a definition stands; None where that is not found."""
        return self.places.of(about) if self.places is not None else None

    def add_place(self, error: GemelError) -> None:
        """Give an error the place of the definition that it is about."""
        if error.place is None and error.about is not None:
            error.place = self.place(error.about)

    @contextmanager
    def placing(self, about: About | None = None) -> Iterator[None]:
        """Errors that leave this have the place of the definition that they are about, by default `about`."""
        try:
            yield
        except GemelError as error:
            for each in (*error.errors, error) if isinstance(error, Problems) else (error,):
                if each.about is None and each.code not in UNREACHABLE:
                    each.about = about
                self.add_place(each)
            raise
