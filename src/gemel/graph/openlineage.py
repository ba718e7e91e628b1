"""A lineage in OpenLineage's words: datasets with their columns, and events of the jobs that make them.

A dbt table, and the table of a feature view or BI view, is a dataset by its place in the warehouse. A metric is a
dataset with one field, itself; a saved query, a feature service and an exposure are datasets in the project's own
namespace. Measures, dimensions and entities are no datasets: ways through them are told as one.

The specification is https://openlineage.io/docs/spec/object-model: version 2-0-2, and 1-2-0 of its column lineage.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gemel.engines.engine import Engine
from gemel.graph.graph import MeaningGraph
from gemel.graph.nodes import TABLES, Node
from gemel.tracing.derivations import DIRECT, Why, compose

PRODUCER = "https://pypi.org/project/gemel"
_SPEC = "https://openlineage.io/spec"
_PASSED = ("measure", "dimension", "entity")
_MAKES = (*TABLES, "metric", "saved_query", "bi_view", "feature_view", "feature_service", "exposure")

State = Literal["START", "COMPLETE", "FAIL"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Where tables are, as OpenLineage's integrations name it, and the dbt project, for everything else."""

    tables: str
    project: str


def namespace(engine: Engine, settings: Mapping[str, Any]) -> str:
    """`duckdb://shop.duckdb`, `postgres://localhost:5432`: of an engine and the settings of dbt's target."""
    parts = [str(settings[key]) for key in engine.address if settings.get(key)]
    return f"{engine.name}://{':'.join(parts)}" if parts else engine.name


def write_jobs(lineage: MeaningGraph, nodes: Iterable[Node], spaces: Namespaces, *, now: dt.datetime) -> Iterator[Json]:
    """A JobEvent for each thing among `nodes` that something makes, with what it is made of."""
    told = _Datasets(lineage, spaces)
    for node in told.makers(nodes):
        output = told.output(node)
        yield {
            "eventTime": _time(now),
            "producer": PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/JobEvent",
            "job": _job(spaces, f"{node.kind}.{node.name}"),
            "inputs": told.inputs([node]),
            "outputs": [output],
        }


def write_run(job: str, state: State, spaces: Namespaces, *, run: uuid.UUID, now: dt.datetime) -> Json:
    """A RunEvent without datasets: that a run of a command begins, or how it ends."""
    return {
        "eventType": state,
        "eventTime": _time(now),
        "producer": PRODUCER,
        "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(run), "facets": {}},
        "job": _job(spaces, job),
        "inputs": [],
        "outputs": [],
    }


def with_datasets(event: Json, lineage: MeaningGraph, nodes: Iterable[Node], spaces: Namespaces) -> Json:
    """The event, with all that is made of `nodes` as outputs, and what that is made of as inputs."""
    told = _Datasets(lineage, spaces)
    made = told.makers(nodes)
    return event | {"inputs": told.inputs(made), "outputs": [told.output(node) for node in made]}


def with_online(event: Json, lineage: MeaningGraph, views: Iterable[Node], spaces: Namespaces) -> Json:
    """The event, with what is online of feature views as outputs, and their tables as inputs."""
    told = _Datasets(lineage, spaces)
    tables = [view for view in views if lineage.tables.place(view.id)]
    return event | {"inputs": told.named(tables), "outputs": [told.online(view) for view in tables]}


def with_error(event: Json, message: str) -> Json:
    """The event, with what a person was told."""
    facet = _facet("1-0-1", "ErrorMessageRunFacet") | {"message": message, "programmingLanguage": "PYTHON"}
    return event | {"run": event["run"] | {"facets": event["run"]["facets"] | {"errorMessage": facet}}}


def line(event: Json) -> str:
    """An event as OpenLineage's file transport writes it: one JSON object in a line."""
    return json.dumps(event, ensure_ascii=False)


class _Datasets:
    """The nodes of a lineage as datasets and fields."""

    def __init__(self, lineage: MeaningGraph, spaces: Namespaces) -> None:
        self._lineage = lineage
        self._spaces = spaces

    def makers(self, nodes: Iterable[Node]) -> list[Node]:
        """The nodes that are made of something, each once: columns and features by their tables."""
        whole: dict[Node, None] = {}
        for node in nodes:
            for id in self._wholes(node):
                found = self._lineage.node(id)
                if found.kind in _MAKES and found.kind not in ("source", "seed") and not self._is_inlined(id):
                    whole[found] = None
        return list(whole)

    def output(self, node: Node) -> Json:
        fields = self._fields(node)
        facets: Json = {}
        if fields:
            facets["schema"] = _facet("1-2-0", "SchemaDatasetFacet") | {"fields": [{"name": name} for name in fields]}
        made = {name: {"inputFields": self._input_fields(self._of_field(node, id))} for name, id in fields.items()}
        rows = self._input_fields(self._rows_of(node))
        if any(each["inputFields"] for each in made.values()) or rows:
            lineage = {"fields": {name: each for name, each in made.items() if each["inputFields"]}}
            facets["columnLineage"] = _facet("1-2-0", "ColumnLineageDatasetFacet") | lineage
            if rows:
                facets["columnLineage"]["dataset"] = rows
        if node.description:
            facets["documentation"] = _facet("1-1-0", "DocumentationDatasetFacet") | {"description": node.description}
        if node.owner:
            facets["ownership"] = _facet("1-0-1", "OwnershipDatasetFacet") | {"owners": [{"name": node.owner}]}
        return self._dataset(node.id) | {"facets": facets}

    def named(self, nodes: Iterable[Node]) -> list[Json]:
        """Nodes as datasets, and no more."""
        return [self._dataset(node.id) for node in nodes]

    def online(self, view: Node) -> Json:
        """What is online of a feature view: the newest row of its table, field by field."""
        fields = self._fields(view)
        facets = {"schema": _facet("1-2-0", "SchemaDatasetFacet") | {"fields": [{"name": name} for name in fields]}}
        made = {name: {"inputFields": self._input_fields([(id, "identity")])} for name, id in fields.items()}
        facets["columnLineage"] = _facet("1-2-0", "ColumnLineageDatasetFacet") | {"fields": made}
        return {"namespace": self._spaces.project, "name": f"online.{view.name}", "facets": facets}

    def inputs(self, nodes: Iterable[Node]) -> list[Json]:
        """The datasets that nodes are made of, apart from the nodes themselves."""
        made = list(nodes)
        own = {(each["namespace"], each["name"]) for each in (self._dataset(node.id) for node in made)}
        found: dict[tuple[str, str], None] = {}
        for node in made:
            fields = self._fields(node).values()
            ids = [source for id in fields for source, _ in self._of_field(node, id)]
            ids += [source for source, _ in self._made_of(node.id) if node.id not in fields]
            ids += [source for source, _ in self._made_of(self._rows_id(node))]
            for id in ids:
                dataset = self._dataset(id)
                found[dataset["namespace"], dataset["name"]] = None
        return [{"namespace": space, "name": name} for space, name in found if (space, name) not in own]

    def _fields(self, node: Node) -> dict[str, str]:
        """The fields of a dataset, each with the id of its node."""
        if node.kind in TABLES:
            return {name: f"column:{node.name}.{name}" for name in self._lineage.tables.columns(node.name)}
        if node.kind == "metric":
            return {node.name: node.id}
        parts = [edge.source for edge in self._lineage.parents(node.id) if edge.why in ("part", "identity")]
        if node.kind in ("feature_view", "feature_service"):
            return {id.rpartition(".")[2]: id for id in parts}
        return {id.partition(":")[2]: id for id in parts if id.startswith(("metric:", "dimension:"))}

    def _of_field(self, node: Node, id: str) -> dict[tuple[str, Why], None]:
        """What a field of a dataset is made of: in one that takes what others make, that."""
        taken = node.kind in ("saved_query", "bi_view", "feature_service", "exposure")
        return {(id, "identity"): None} if taken and id.startswith(("metric:", "feature:")) else self._made_of(id)

    def _made_of(self, id: str) -> dict[tuple[str, Why], None]:
        """What a node is made of, through measures, dimensions, entities and ephemeral models."""
        found: dict[tuple[str, Why], None] = {}
        waiting: list[tuple[str, Why]] = [(edge.source, edge.why) for edge in self._lineage.parents(id)]
        seen: set[tuple[str, Why]] = set()
        while waiting:
            source, why = waiting.pop(0)
            if (source, why) in seen:
                continue
            seen.add((source, why))
            if source.startswith(tuple(f"{kind}:" for kind in _PASSED)) or self._is_inlined(source):
                edges = self._lineage.parents(source)
                waiting += [(e.source, compose(e.why, why)) for e in edges]
            else:
                found[source, why] = None
        return found

    def _rows_of(self, node: Node) -> list[tuple[str, Why]]:
        return [(source, why) for source, why in self._made_of(self._rows_id(node)) if source.startswith("column:")]

    def _is_inlined(self, id: str) -> bool:
        """Whether a node is of an ephemeral model, which dbt writes into its readers: it has a file, and no table."""
        kind, _, name = id.partition(":")
        if kind not in ("column", "rows", "model"):
            return False
        table = name.rpartition(".")[0] if kind == "column" else name
        found = self._lineage.tables.node(f"model:{table}")
        return found is not None and found.file is not None and self._lineage.tables.place(table) is None

    def _rows_id(self, node: Node) -> str:
        return f"rows:{node.name}" if node.kind in TABLES else ""

    def _input_fields(self, made_of: Iterable[tuple[str, Why]]) -> list[Json]:
        """By field, with every way in which it bears. What is a whole dataset has no field."""
        ways: dict[tuple[str, str, str], list[Json]] = {}
        for source, why in made_of:
            kind, _, name = source.partition(":")
            if why in ("rows", "table") or kind not in ("column", "feature", "metric", "input"):
                continue
            dataset = self._dataset(source)
            field = name if kind == "metric" else name.rpartition(".")[2]
            said: Json = {"type": "DIRECT" if why in DIRECT else "INDIRECT", "description": "", "masking": False}
            said["subtype"] = "IDENTITY" if why == "part" else why.upper()
            ways.setdefault((dataset["namespace"], dataset["name"], field), []).append(said)
        return [
            {"namespace": space, "name": name, "field": field, "transformations": said}
            for (space, name, field), said in ways.items()
        ]

    def _wholes(self, node: Node) -> list[str]:
        """The nodes of the datasets that a node is, or is in."""
        kind, name = node.kind, node.name
        if kind in ("column", "rows"):
            table = name.rpartition(".")[0] if kind == "column" else name
            known = self._lineage.tables.nodes().get(table)
            return [known] if known else []
        if kind == "feature":
            return [f"feature_view:{name.partition('.')[0]}"]
        return [node.id]

    def _dataset(self, id: str) -> Json:
        kind, _, name = id.partition(":")
        match kind:
            case "column":
                name = name.rpartition(".")[0]
            case "feature":
                kind, name = "feature_view", name.partition(".")[0]
            case "input":
                kind, name = "request", name.partition(".")[0]
            case _:
                pass
        tables = self._lineage.tables
        if kind in ("column", "rows", "feature_view", "bi_view", *TABLES):
            place = tables.place(f"{kind}:{name}" if kind in ("feature_view", "bi_view") else name)
            if place or kind != "feature_view":  # an on-demand view has no table
                return {"namespace": self._spaces.tables, "name": place or name}
        return {"namespace": self._spaces.project, "name": f"{kind}.{name}"}


def _job(spaces: Namespaces, name: str) -> Json:
    facet = _facet("2-0-4", "JobTypeJobFacet") | {"processingType": "BATCH", "integration": "GEMEL", "jobType": "JOB"}
    return {"namespace": spaces.project, "name": name, "facets": {"jobType": facet}}


def _facet(version: str, name: str) -> Json:
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}"}


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
