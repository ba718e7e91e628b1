"""What else dbt builds and knows: the names that are taken, and what is made of what."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from gemel.dbt.nodes import Nodes
from gemel.spec.fields import Json
from gemel.spec.manifest import Relation

Place = tuple[str | None, str | None, str]

_REFERABLE = frozenset({"model", "seed", "snapshot"})


@dataclass(frozen=True, slots=True)
class World:
    """`names` and `exposures` are taken, each with where; `metrics` are dbt's calls for them, by their names in lower
    case; `ids` are dbt's ids of tables by their places, and `parents` those of what each is made of."""

    project: str
    names: Mapping[str, str]
    exposures: Mapping[str, str]
    metrics: Mapping[str, str]
    ids: Mapping[Place, str]
    parents: Mapping[str, tuple[str, ...]]

    def circle(self, model: str, relations: Iterable[Relation]) -> list[str] | None:
        """How a generated model would come to be made of itself: `scorecard -> summary -> scorecard`; None if not."""
        own = f"model.{self.project}.{model}"
        places = ((each.database, each.schema, each.name) for each in relations)
        ways = [[self.ids[place]] for place in places if place in self.ids]
        seen = {way[0] for way in ways}
        while ways:
            way = ways.pop()
            if way[-1] == own:
                return [model, *(each.rpartition(".")[2] for each in way)]
            ahead = [parent for parent in self.parents.get(way[-1], ()) if parent not in seen]
            seen.update(ahead)
            ways += [[*way, parent] for parent in ahead]
        return None


def read_world(nodes: Nodes, folder: PurePosixPath) -> World:
    """Of dbt's manifest.json, without what was generated into `folder`. Raises ProjectError (G602)."""
    project = str(_object(nodes.data.get("metadata")).get("project_name"))
    names: dict[str, str] = {}
    ids: dict[Place, str] = {}
    parents: dict[str, tuple[str, ...]] = {}
    for id_, item in _items(nodes.data, "nodes"):
        if item.get("resource_type") not in _REFERABLE:
            continue
        name, file = str(item.get("name")), _file(item)
        if item.get("package_name") == project and file != f"{folder}/{name}.sql":
            names[name] = f"in {file}"
        place = (_text(item.get("database")), _text(item.get("schema")), str(item.get("alias") or name))
        ids[place] = id_
        parents[id_] = tuple(map(str, _object(item.get("depends_on")).get("nodes") or ()))
    exposures = {
        str(item.get("name")): f"in {_file(item)}"
        for _, item in _items(nodes.data, "exposures")
        if item.get("package_name") == project and _file(item) != f"{folder}/_bi.yml"
    }
    metrics = {}
    for _, item in _items(nodes.data, "metrics"):
        package = item.get("package_name")
        inside = f"'{item.get('name')}'" if package == project else f"'{package}', '{item.get('name')}'"
        metrics[str(item.get("name")).lower()] = f"metric({inside})"
    return World(project, names, exposures, metrics, ids, parents)


def _items(data: Json, kind: str) -> Iterator[tuple[str, Json]]:
    for id_, item in _object(data.get(kind)).items():
        if isinstance(item, dict):
            yield id_, item


def _file(item: Json) -> str:
    return str(item.get("original_file_path") or "").replace("\\", "/")


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
