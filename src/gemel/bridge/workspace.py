"""One project's features: what is declared, bound, generated, built and online, for the commands to work on."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gemel.bridge import generation, materialize, parity
from gemel.bridge.columns import Known, decide_types
from gemel.bridge.features import Bound, BoundView, bind_features
from gemel.bridge.report import Report
from gemel.bridge.tables import Types
from gemel.bridge.types import TYPES
from gemel.compiler.moments import MOMENT
from gemel.errors import BridgeError, GemelError, Problems, ProjectError, UnknownNameError, did_you_mean
from gemel.spec.feature_views import FeatureSpec, read_feature_views
from gemel.spec.nodes import Nodes

if TYPE_CHECKING:
    from gemel.bridge.training import Accuracy, Format, TrainingSet
    from gemel.compiler.graph import Graph
    from gemel.warehouse.duckdb import Warehouse


class Opened(Protocol):
    """What is needed of gemel.Project."""

    dir: Path | None

    @property
    def graph(self) -> "Graph": ...
    @property
    def warehouse(self) -> "Warehouse": ...
    def query(self, metrics: Sequence[str], group_by: Sequence[str], where: Sequence[str]) -> parity.Answer: ...


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
        return self.root / generation.VIEWS

    @cached_property
    def name(self) -> str:
        """dbt's name of the project, for its unique ids."""
        from gemel.warehouse.profile import read_yaml

        return str(read_yaml(self.root / "dbt_project.yml").get("name") or self.root.name)

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
        return decide_types(self.project.graph, self.bound, self._known())

    def files(self) -> dict[str, str]:
        """Every generated file's text, by path. The database is let go of again.

        Raises BridgeError (G534) without dbt's manifest.json: only that tells what `ref()` calls a table.
        """
        if not (self.artifacts / "manifest.json").is_file():
            raise BridgeError(
                "G534", f"dbt has left no {self.artifacts / 'manifest.json'}", hint="run `dbt parse`, which writes it"
            )
        try:
            return generation.generate(
                self.project.graph,
                self.bound,
                self._known(),
                root=self.root,
                project=self.name,
                nodes=Nodes(self.artifacts / "manifest.json"),
            )
        finally:
            self._release()

    def write(self) -> list[generation.Change]:
        return generation.write(self.root, self.files(), project=self.name)

    def stale(self) -> list[generation.Change]:
        return generation.compare(self.root, self.files())

    def check_built(self) -> None:
        """Compare each built table with what Feast was told of it. Raises Problems (G532)."""
        problems: list[BridgeError] = []
        relations = self.relations()
        for name, types in self.types().items():
            built = dict(self.project.warehouse.describe(f"SELECT * FROM {relations[name]}"))
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
        file = self.artifacts / "manifest.json"
        try:
            nodes = json.loads(file.read_bytes())["nodes"]
        except (OSError, ValueError, KeyError):
            raise BridgeError("G534", f"dbt has left no {file}", hint="`gemel build` runs dbt") from None
        found = {
            view.name: str(node["relation_name"])
            for view in self.views()
            if (node := nodes.get(f"model.{self.name}.{view.name}")) and node.get("relation_name")
        }
        for view in self.views():
            if view.name not in found:
                raise BridgeError(
                    "G534",
                    f"dbt does not know the table of feature view {view.name!r}",
                    hint="run `gemel generate`, then `dbt build`; `gemel build` does both",
                    place=view.view.place,
                )
        return found

    def verify(
        self, *, at: Sequence[dt.datetime] = (), moments: int = 5, say: Callable[[str], None] = lambda line: None
    ) -> Report:
        """BI number = feature table = Parquet copy = online store."""
        until = materialize.materialized_until(self.repo) if self._is_applied() else {}
        places = parity.Places(
            ask=self.project.query,
            run=self.project.warehouse.run,
            relations=self.relations(),
            root=self.root,
            online=self._online,
            until=until,
        )
        try:
            return parity.verify(
                self.project.graph, self.views(), self.types(), places, at=at, moments=moments, say=say
            )
        finally:
            self._release()

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
        """The rows of a spine with their features, of services, views or single `view.feature`. See training.make."""
        from gemel.bridge import training

        warehouse = self.project.warehouse
        chosen = training.choose(self.bound, names)
        source = training.Source(
            self.project.graph, self.types(), self.relations(), warehouse.catalogs(), self.artifacts
        )
        try:
            return training.make(
                source,
                chosen,
                spine,
                warehouse.scratch,
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
        views = {view.name: view for view in self.views()}
        chosen = {service.service.name: list(service.views) for service in self.bound.services}
        chosen |= {view.name: [(view, None)] for view in views.values()}
        view, _, feature = name.partition(".")
        if feature and view in views and feature in [column.name for column in views[view].columns]:
            chosen[name] = [(views[view], (feature,))]
        if name not in chosen:
            known = [*chosen, *(f"{v.name}.{column.name}" for v in views.values() for column in v.columns)]
            raise UnknownNameError(
                "G204", f"no feature view, service or feature named {name[:80]!r}", hint=did_you_mean(name, known)
            )
        decided = self.types()
        self._release()
        types = {entity: decided[each.name][entity] for each, _ in chosen[name] for entity in each.view.entities}
        missing = [entity for entity in types if entity not in keys]
        if missing or keys.keys() - types.keys():
            raise BridgeError(
                "G535",
                f"{name!r} is looked up by {', '.join(types)}, and {', '.join(keys) or 'nothing'} is given",
                hint="give each entity once: " + " ".join(f"{entity}=..." for entity in types),
            )
        references = [
            f"{each.name}:{column}"
            for each, names in chosen[name]
            for column in names or [column.name for column in each.columns]
        ]
        row = {entity: _key(value, types[entity], entity) for entity, value in keys.items()}
        found = materialize.read_online(self.repo, references, [row])[0]
        order = [reference.split(":")[1] for reference in references]
        return {column: found[column] for column in order} if found else None

    def _online(self, view: BoundView, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
        return materialize.read_online(self.repo, [f"{view.name}:{column.name}" for column in view.columns], keys)

    def _is_applied(self) -> bool:
        return (self.repo / "feature_store.yaml").is_file()

    def _known(self) -> Known:
        recorded = generation.recorded_types(self.root)
        try:
            warehouse = self.project.warehouse
        except GemelError:
            if not recorded:
                raise
            return Known(recorded=recorded)  # no profile here, as on a machine that only checks
        return Known(warehouse.describe, warehouse.catalogs(), recorded)

    def _release(self) -> None:
        """Let go of the database, so that dbt can write to it."""
        with suppress(GemelError):
            self.project.warehouse.close()


def _key(value: str, type_: str, entity: str) -> str | int:
    if type_ == "string":
        return value
    try:
        return int(value)
    except ValueError:
        raise BridgeError("G535", f"entity {entity!r} is a number, not {value!r}") from None
