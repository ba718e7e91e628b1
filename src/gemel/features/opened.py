"""The features of an open project: as declared and as bound, with the names and types of their tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gemel.dbt.manifest import MANIFEST
from gemel.errors import BridgeError, GemelError, ProjectError, UnknownNameError, WarehouseError, did_you_mean
from gemel.features.binding import bind_features
from gemel.features.bound import Bound, BoundView
from gemel.features.stamps import stamp
from gemel.files import DATA, VIEWS
from gemel.keeping import Keeper, kept
from gemel.session import Session
from gemel.spec.feature_views import FeatureSpec, read_feature_views

if TYPE_CHECKING:  # a lineage reads features without writing their tables
    from gemel.engines.engine import Engine
    from gemel.features.columns import TypeSources
    from gemel.features.origins import Origins
    from gemel.features.tables import Tables, Types


def bound_features(session: Session) -> Bound:
    """The feature views and services of `feature_views/*.yml`, bound to the metrics; none without a dbt project.

    Raises Problems (G5xx).
    """
    return open_features(session).bound if session.dir is not None else Bound((), ())


def open_features(session: Session) -> "Features":
    """The features, cached until dbt runs or a file changes. Raises ProjectError (G601) without a dbt project."""
    if session.dir is None:
        raise ProjectError(
            "G601",
            "features need a dbt project, not only a manifest file",
            hint="run gemel in a dbt project, or use --project-dir",
        )
    return session.once(_Cache).current()


class _Cache:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._entry: tuple[object, Features] | None = None

    def current(self) -> "Features":
        assert self._session.dir is not None
        now = stamp(self._session.dir, self._session.artifacts or Path())
        entry = self._entry
        if entry is None or entry[0] != now:
            self._entry = entry = now, Features(self._session, self._session.dir)
        return entry[1]


class Features(Keeper):
    """A project's feature views and services. `root` is the dbt project's directory, `repo` the Feast repository."""

    def __init__(self, session: Session, root: Path) -> None:
        self.session = session
        self.root = root
        self.repo = root / VIEWS

    @kept
    def spec(self) -> FeatureSpec:
        """As declared. Raises Problems (G5xx)."""
        return read_feature_views(self.repo, root=self.root)

    @kept
    def bound(self) -> Bound:
        """Bound to the metrics. Raises Problems (G5xx)."""
        with self.session.placing():
            return bind_features(self.session.graph, self.spec)

    @property
    def views(self) -> tuple[BoundView, ...]:
        return self.bound.views

    def select_views(self, names: Sequence[str]) -> list[BoundView]:
        """The feature views of these names, or all without names. Raises UnknownNameError (G204)."""
        views = {view.name: view for view in self.views}
        for name in names:
            if name not in views:
                raise UnknownNameError(
                    "G204",
                    f"no feature view named {name[:80]!r}",
                    hint=did_you_mean(name, views) or f"there are {', '.join(views) or 'none'}",
                )
        return [view for name, view in views.items() if not names or name in names]

    @kept
    def engine(self) -> "Engine":
        """The engine of the project's target. Raises BridgeError (G580) if Feast has no offline store for it."""
        from gemel.features.sources import find_offline_store

        find_offline_store(self.session.engine)
        return self.session.engine

    @property
    def is_copied(self) -> bool:
        """Whether Feast reads Parquet copies of the tables."""
        from gemel.engines.engine import Capability

        return self.engine.has(Capability.COPIED)

    def types(self) -> "dict[str, Types]":
        """By view, the type of each column. Raises Problems (G523) if a type is not known yet."""
        from gemel.features.columns import decide_types
        from gemel.features.tables import Tables

        return decide_types(Tables(self.session.graph), self.bound, self.type_sources())

    @kept
    def cached_types(self) -> "Mapping[str, Types]":
        """The types, decided once for many reads: they change only when the tables are built again."""
        try:
            return self.types()
        finally:
            self.release()

    def type_sources(self) -> "TypeSources":
        """The sources of types: the warehouse or dbt's catalog, and the properties that were generated last time."""
        from gemel.dbt.catalog import read_types
        from gemel.features.catalog import describer
        from gemel.features.columns import TypeSources
        from gemel.features.generation import recorded_types

        session, recorded = self.session, recorded_types(self.root, self.engine)
        try:
            runner = session.runner
        except GemelError:
            if self.is_copied and not recorded:
                raise
            if self.is_copied:
                return TypeSources(recorded=recorded)  # no profile, as on a machine that only checks
            described = describer(read_types(session.artifacts or Path(), session.dbt), self.engine)
            return TypeSources(described, frozenset(), recorded, self.engine, is_live=False)
        utc = runner.is_utc(session.profile_target())
        return TypeSources(
            runner.describe, runner.catalogs(), recorded, self.engine, is_utc=utc, roundings=runner.roundings
        )

    @kept
    def _tables(self) -> "Tables":
        from gemel.features.tables import Tables

        return Tables(self.session.graph)

    def definition_of(self, view: BoundView) -> str:
        """The hash of a view's definition, computed once for many reads."""
        return self._tables.digest(view)

    def relations(self) -> dict[str, str]:
        """The name of each feature table in the database, from dbt's manifest. Raises BridgeError (G534)."""
        self.check_parsed("`gemel build` runs dbt")
        dbt = self.session.dbt
        names = {view.name: name for view in self.views if (name := dbt.relation_name(view.name))}
        for view in self.views:
            if view.name not in names:
                raise BridgeError(
                    "G534",
                    f"dbt does not know the table of feature view {view.name!r}",
                    hint="run `gemel generate`, then `dbt build`; `gemel build` does both",
                    place=view.place,
                )
        return names

    def check_parsed(self, hint: str) -> None:
        """Raises BridgeError (G534) without dbt's manifest.json, which has the names of tables."""
        if not self.session.dbt.is_parsed:
            file = (self.session.artifacts or Path()) / MANIFEST
            raise BridgeError("G534", f"there is no {file}, which dbt writes", hint=hint)

    def copy_of(self, view: BoundView) -> Path:
        """The file of the Parquet copy of a view's table."""
        return self.root / DATA / f"{view.name}.parquet"

    @kept
    def origins(self) -> "Origins":
        """The target and tables that rows outside the warehouse must belong to."""
        from gemel.features.origins import Origins

        try:
            return Origins(self.session.profile_target(), self.relations())
        except BridgeError:
            return Origins(None, {})

    def check_copies(self, views: Sequence[BoundView]) -> None:
        """Raises BridgeError (G536) for a Parquet copy of another target's table."""
        for view in views if self.is_copied else ():
            self.origins.check_copy(view, self.copy_of(view))

    @contextmanager
    def reading_tables(self) -> Iterator[None]:
        """Explain a missing table: it is mostly a feature table that is not built, and seldom a misspelt name."""
        try:
            yield
        except WarehouseError as error:
            missing = [view for view in self.views if re.search(rf"\b{view.name}\b", error.message)]
            if error.code == "G405" and missing:
                view = missing[0]
                error.place = error.place or view.place
                error.hint = (
                    f"build the table of feature view {view.name!r}: `gemel build`, or `dbt build --select {view.name}`"
                )
            elif error.hint and "--explain" in error.hint:  # a hint for queries
                error.hint = "`gemel validate` shows the definition that does not fit the tables. Was `dbt build` run?"
            raise

    def release(self) -> None:
        """Close the database, so that dbt can write to it."""
        with suppress(GemelError):
            self.session.close()
