"""A lineage as OpenLineage: datasets with their columns, and events of the jobs that write them.

A dbt table, and the table of a feature view or BI view, is a dataset with the name of its place in the warehouse. A
metric is a dataset with one field, itself; a saved query, a feature service and an exposure are datasets in the
project's own namespace. Measures, dimensions and entities are not datasets: paths through them become one edge.

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
_WRITTEN = (*TABLES, "metric", "saved_query", "bi_view", "feature_view", "feature_service", "exposure")

State = Literal["START", "COMPLETE", "FAIL"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The namespace of tables, as in OpenLineage's integrations, and the dbt project, for everything else."""

    tables: str
    project: str


def namespace(engine: Engine, settings: Mapping[str, Any]) -> str:
    """`duckdb://shop.duckdb`, `postgres://localhost:5432`: from an engine and the settings of dbt's target."""
    parts = [str(settings[key]) for key in engine.address if settings.get(key)]
    return f"{engine.name}://{':'.join(parts)}" if parts else engine.name


def write_jobs(lineage: MeaningGraph, nodes: Iterable[Node], spaces: Namespaces, *, now: dt.datetime) -> Iterator[Json]:
    """A JobEvent for each of `nodes` that a job writes, with its inputs."""
    datasets = _Datasets(lineage, spaces)
    for node in datasets.written(nodes):
        output = datasets.output(node)
        yield {
            "eventTime": _time(now),
            "producer": PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/JobEvent",
            "job": _job(spaces, f"{node.kind}.{node.name}"),
            "inputs": datasets.inputs([node]),
            "outputs": [output],
        }


def write_run(job: str, state: State, spaces: Namespaces, *, run: uuid.UUID, now: dt.datetime) -> Json:
    """A RunEvent without datasets: the start or the end of a run of a command."""
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
    """The event, with the datasets of `nodes` as outputs, and the datasets that these are computed from as inputs."""
    datasets = _Datasets(lineage, spaces)
    written = datasets.written(nodes)
    return event | {"inputs": datasets.inputs(written), "outputs": [datasets.output(node) for node in written]}


def with_online(event: Json, lineage: MeaningGraph, views: Iterable[Node], spaces: Namespaces) -> Json:
    """The event, with the online rows of feature views as outputs, and their tables as inputs."""
    datasets = _Datasets(lineage, spaces)
    tables = [view for view in views if lineage.tables.place(view.id)]
    return event | {"inputs": datasets.names(tables), "outputs": [datasets.online(view) for view in tables]}


def with_error(event: Json, message: str) -> Json:
    """The event, with an error message."""
    facet = _facet("1-0-1", "ErrorMessageRunFacet") | {"message": message, "programmingLanguage": "PYTHON"}
    return event | {"run": event["run"] | {"facets": event["run"]["facets"] | {"errorMessage": facet}}}


def line(event: Json) -> str:
    """An event in the format of OpenLineage's file transport: one JSON object on a line."""
    return json.dumps(event, ensure_ascii=False)


class _Datasets:
    """The nodes of a lineage as datasets and fields."""

    def __init__(self, lineage: MeaningGraph, spaces: Namespaces) -> None:
        self._lineage = lineage
        self._spaces = spaces

    def written(self, nodes: Iterable[Node]) -> list[Node]:
        """The nodes that a job writes, each once; for columns and features, their tables."""
        written: dict[Node, None] = {}
        for node in nodes:
            for id in self._wholes(node):
                whole = self._lineage.node(id)
                if whole.kind in _WRITTEN and whole.kind not in ("source", "seed") and not self._is_inlined(id):
                    written[whole] = None
        return list(written)

    def output(self, node: Node) -> Json:
        fields = self._fields(node)
        facets: Json = {}
        if fields:
            facets["schema"] = _facet("1-2-0", "SchemaDatasetFacet") | {"fields": [{"name": name} for name in fields]}
        columns = {
            name: {"inputFields": self._input_fields(self._field_inputs(node, id))} for name, id in fields.items()
        }
        rows = self._input_fields(self._row_inputs(node))
        if any(each["inputFields"] for each in columns.values()) or rows:
            lineage = {"fields": {name: each for name, each in columns.items() if each["inputFields"]}}
            facets["columnLineage"] = _facet("1-2-0", "ColumnLineageDatasetFacet") | lineage
            if rows:
                facets["columnLineage"]["dataset"] = rows
        if node.description:
            facets["documentation"] = _facet("1-1-0", "DocumentationDatasetFacet") | {"description": node.description}
        if node.owner:
            facets["ownership"] = _facet("1-0-1", "OwnershipDatasetFacet") | {"owners": [{"name": node.owner}]}
        return self._dataset(node.id) | {"facets": facets}

    def names(self, nodes: Iterable[Node]) -> list[Json]:
        """Nodes as datasets without facets."""
        return [self._dataset(node.id) for node in nodes]

    def online(self, view: Node) -> Json:
        """The online rows of a feature view: the newest rows of its table, field by field."""
        fields = self._fields(view)
        facets = {"schema": _facet("1-2-0", "SchemaDatasetFacet") | {"fields": [{"name": name} for name in fields]}}
        columns = {name: {"inputFields": self._input_fields([(id, "identity")])} for name, id in fields.items()}
        facets["columnLineage"] = _facet("1-2-0", "ColumnLineageDatasetFacet") | {"fields": columns}
        return {"namespace": self._spaces.project, "name": f"online.{view.name}", "facets": facets}

    def inputs(self, nodes: Iterable[Node]) -> list[Json]:
        """The datasets that nodes are computed from, without the nodes themselves."""
        nodes = list(nodes)
        own = {(each["namespace"], each["name"]) for each in (self._dataset(node.id) for node in nodes)}
        inputs: dict[tuple[str, str], None] = {}
        for node in nodes:
            fields = self._fields(node).values()
            ids = [source for id in fields for source, _ in self._field_inputs(node, id)]
            ids += [source for source, _ in self._inputs_of(node.id) if node.id not in fields]
            ids += [source for source, _ in self._inputs_of(self._rows_id(node))]
            for id in ids:
                dataset = self._dataset(id)
                inputs[dataset["namespace"], dataset["name"]] = None
        return [{"namespace": space, "name": name} for space, name in inputs if (space, name) not in own]

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

    def _field_inputs(self, node: Node, id: str) -> dict[tuple[str, Why], None]:
        """The inputs of a field of a dataset. Some kinds of datasets only copy metrics and features."""
        copies = node.kind in ("saved_query", "bi_view", "feature_service", "exposure")
        return {(id, "identity"): None} if copies and id.startswith(("metric:", "feature:")) else self._inputs_of(id)

    def _inputs_of(self, id: str) -> dict[tuple[str, Why], None]:
        """The inputs of a node, through measures, dimensions, entities and ephemeral models."""
        inputs: dict[tuple[str, Why], None] = {}
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
                inputs[source, why] = None
        return inputs

    def _row_inputs(self, node: Node) -> list[tuple[str, Why]]:
        return [(source, why) for source, why in self._inputs_of(self._rows_id(node)) if source.startswith("column:")]

    def _is_inlined(self, id: str) -> bool:
        """Whether a node belongs to an ephemeral model, which dbt inlines in its readers: it has a file, and no
        table."""
        kind, _, name = id.partition(":")
        if kind not in ("column", "rows", "model"):
            return False
        table = name.rpartition(".")[0] if kind == "column" else name
        model = self._lineage.tables.node(f"model:{table}")
        return model is not None and model.file is not None and self._lineage.tables.place(table) is None

    def _rows_id(self, node: Node) -> str:
        return f"rows:{node.name}" if node.kind in TABLES else ""

    def _input_fields(self, inputs: Iterable[tuple[str, Why]]) -> list[Json]:
        """The input fields, each with all its transformations. A whole dataset is not a field."""
        ways: dict[tuple[str, str, str], list[Json]] = {}
        for source, why in inputs:
            kind, _, name = source.partition(":")
            if why in ("rows", "table") or kind not in ("column", "feature", "metric", "input"):
                continue
            dataset = self._dataset(source)
            field = name if kind == "metric" else name.rpartition(".")[2]
            transformation: Json = {
                "type": "DIRECT" if why in DIRECT else "INDIRECT",
                "description": "",
                "masking": False,
                "subtype": "IDENTITY" if why == "part" else why.upper(),
            }
            ways.setdefault((dataset["namespace"], dataset["name"], field), []).append(transformation)
        return [
            {"namespace": space, "name": name, "field": field, "transformations": transformations}
            for (space, name, field), transformations in ways.items()
        ]

    def _wholes(self, node: Node) -> list[str]:
        """The nodes that are datasets: the node itself, or the one that it belongs to."""
        kind, name = node.kind, node.name
        if kind in ("column", "rows"):
            table = name.rpartition(".")[0] if kind == "column" else name
            whole = self._lineage.tables.ids().get(table)
            return [whole] if whole else []
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
