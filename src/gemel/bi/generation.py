"""All that `gemel generate` writes for BI tools, as texts by path: saved queries and wide views as dbt models, with
their properties and the exposures of who uses them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gemel.bi.consumers import Consumer, exposure
from gemel.bi.declared import Declared, read_declared
from gemel.bi.models import BiModel, compile_model, properties, unfit_columns, write_model
from gemel.bi.saved import saved_models
from gemel.bi.wide import wide_model
from gemel.bi.zones import Describe, Zones
from gemel.compiler.compiled import Compiled
from gemel.compiler.names.graph import Graph
from gemel.compiler.sql.dialects import naming
from gemel.engines.engine import Engine
from gemel.engines.types import engine_type
from gemel.errors import BiError, GemelError, Problems, WarehouseError
from gemel.files import headed, models_folder, read_yaml, to_yaml
from gemel.spec.fields import Json
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject, call

Types = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Destination:
    """What the models are written for: an engine, and the database itself if it can be asked.

    `is_utc` says that dbt's sessions there are surely in UTC, as gemel's own are.
    """

    engine: Engine
    describe: Describe | None = None
    catalogs: frozenset[str] | None = None
    is_utc: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """Names that are not free, with what has them: `{"buying": "a feature view's"}`."""

    models: Mapping[str, str] = field(default_factory=dict)
    exposures: Mapping[str, str] = field(default_factory=dict)


def generate(graph: Graph, dbt: DbtProject, destination: Destination, *, root: Path, taken: Taken) -> dict[str, str]:
    """Every generated file's text by its path below `root`. Raises Problems (G70x) with all that cannot be made."""
    declared = read_declared(dbt)
    folder = models_folder(root, "bi")
    taken = _taken(dbt, folder, taken)
    problems: list[GemelError] = [*declared.problems]
    models = list(_models(graph, declared, destination.engine, problems))
    problems += _unfit(models, destination.engine, taken)
    files: dict[str, str] = {}
    rows: dict[str, Compiled] = {}
    for model in models if not problems else ():
        try:
            rows[model.name] = compile_model(model, destination.engine.dialect)
        except GemelError as error:
            error.about = model.about
            problems.append(error)
            continue
        files[f"{folder}/{model.name}.sql"] = write_model(model, rows[model.name], dbt)
        if (circle := _circle(dbt, model.name, rows[model.name].relations)) is not None:
            told = f"dbt model {model.name!r} would be made of itself: {' -> '.join(circle)}"
            hint = "what is generated cannot be asked by the saved query, or seen by the wide view, that it is made of"
            problems.append(BiError("G703", told, hint=hint, about=model.about))
    exposures = list(_exposures(graph, declared, models, dbt, taken, problems))
    types = _types(models, rows, destination, root, problems) if not problems else {}
    if problems:
        raise Problems(dict.fromkeys(problems))
    content: Json = {}
    if models:
        content["models"] = [properties(model, types.get(model.name, {}), destination.engine) for model in models]
    if exposures:
        content["exposures"] = exposures
    if content:
        sources = dict.fromkeys((*(each.file for each in declared.queries), *(each.file for each in declared.views)))
        files[f"{folder}/_bi.yml"] = headed(".yml", ", ".join(sources), to_yaml(content))
    return files


def _taken(dbt: DbtProject, folder: PurePosixPath, others: Taken) -> Taken:
    """The names that the project itself has besides, but for what was generated into `folder`."""
    own = [node for node in dbt.nodes.values() if node.package == dbt.name and node.kind != "source"]
    exposures = [each for each in dbt.exposures if each.package == dbt.name and each.file != f"{folder}/_bi.yml"]
    models = {node.name: f"in {node.file}" for node in own if node.file != f"{folder}/{node.name}.sql"}
    return Taken(
        models | {**others.models}, {each.name: f"in {each.file}" for each in exposures} | {**others.exposures}
    )


def _circle(dbt: DbtProject, model: str, relations: Iterable[Relation]) -> list[str] | None:
    """How a generated model would come to be made of itself: `scorecard -> summary -> scorecard`; None if not."""
    own = f"model.{dbt.name}.{model}"
    ways = [[node.id] for node in map(dbt.node_at, relations) if node is not None]
    seen = {way[0] for way in ways}
    while ways:
        way = ways.pop()
        if way[-1] == own:
            return [model, *(each.rpartition(".")[2] for each in way)]
        parents = dbt.nodes[way[-1]].parents if way[-1] in dbt.nodes else ()
        ahead = [parent for parent in parents if parent not in seen]
        seen.update(ahead)
        ways += [[*way, parent] for parent in ahead]
    return None


def _models(graph: Graph, declared: Declared, engine: Engine, problems: list[GemelError]) -> Iterator[BiModel]:
    for query in declared.queries:
        try:
            yield from saved_models(graph, query)
        except GemelError as error:
            problems.append(error)
    for view in declared.views:
        if view.model in graph.models:
            try:
                yield wide_model(graph, view, engine.dialect)
            except GemelError as error:
                problems.append(error)


def _unfit(models: list[BiModel], engine: Engine, taken: Taken) -> Iterator[GemelError]:
    """What keeps dbt from building the models, seen before anything is written."""
    first: dict[str, BiModel] = {}
    for model in models:
        yield from unfit_columns(model, engine)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", model.name):
            told = f"{model.name[:100]!r} would be the name of a dbt model, which it cannot be"
            hint = "name it in letters, digits and underscores; `alias:` can say another name for the table"
            yield BiError("G701", told, hint=hint, about=model.about)
        other = taken.models.get(model.name)
        if model.name in first:
            other = f"generated from {first[model.name].source} too"
        first.setdefault(model.name, model)
        if other is not None:
            told = f"{model.name!r} would be the name of two dbt models, one of them {other}"
            hint = "give one of them another name; `alias:` can still say the name of the table"
            yield BiError("G702", told, hint=hint, about=model.about)


def _exposures(
    graph: Graph,
    declared: Declared,
    models: list[BiModel],
    dbt: DbtProject,
    taken: Taken,
    problems: list[GemelError],
) -> Iterator[Json]:
    """One for each name, of all that its consumer reads."""
    first: dict[str, Consumer] = {}
    reads: dict[str, list[tuple[str, str]]] = {}
    users = [(each.consumers, "saved_queries", each.name) for each in declared.queries]
    users += [(each.consumers, "wide_views", each.model) for each in declared.views]
    for consumers, kind, name in users:
        for consumer in consumers:
            known = first.setdefault(consumer.name, consumer)
            reads.setdefault(consumer.name, []).append((kind, name))
            other = taken.exposures.get(consumer.name)
            if other is not None:
                told, hint = f"consumer {consumer.name!r} has the name of an exposure, {other}", "rename one of them"
            elif known != consumer:
                told = f"consumer {consumer.name!r} is declared twice, and not alike"
                hint = "say the same of it in both places, or call it something else"
            else:
                continue
            problems.append(BiError("G708", told, hint=hint, about=consumer.about))
    saved = {query.name: query.metrics for query in graph.manifest.saved_queries}
    for name, consumer in first.items():
        refs = [call("ref", model.name) for model in models for read in reads[name] if read == _kind_and_name(model)]
        metrics = [metric for kind, read in reads[name] if kind == "saved_queries" for metric in saved.get(read, ())]
        calls = [dbt.metrics[metric] for metric in metrics if metric in dbt.metrics]
        meta: dict[str, list[str]] = {}
        for kind, read in reads[name]:
            meta.setdefault(kind, []).append(read)
        yield exposure(consumer, refs, calls, meta)


def _kind_and_name(model: BiModel) -> tuple[str, str]:
    return "saved_queries" if model.about.kind == "saved_query" else "wide_views", model.about.name


def _types(
    models: list[BiModel],
    rows: Mapping[str, Compiled],
    destination: Destination,
    root: Path,
    problems: list[GemelError],
) -> Types:
    """What the engine says of each model, or said when it was generated last: a clone without a database generates
    the same."""
    engine, describe = destination.engine, destination.describe
    recorded = _recorded(read_yaml(root / models_folder(root, "bi") / "_bi.yml"))
    types: dict[str, Mapping[str, str]] = {}
    zones = Zones(describe, destination.catalogs, engine.dialect) if describe else None
    for model in models:
        types[model.name] = recorded.get(model.name, {})
        if describe is None:
            continue
        try:
            told = dict(describe(rows[model.name].with_names(naming(destination.catalogs, engine.dialect))))
        except WarehouseError:
            continue  # not built yet; `dbt build` will tell of anything else
        types[model.name] = {name: engine_type(type_, engine) for name, type_ in told.items()}
        cut = zones.cut(model, rows[model.name].relations, told) if zones else None
        if cut is not None and not (destination.is_utc and model.export.kind == "table"):
            problems.append(_unsure(model, cut, engine))
    return types


def _unsure(model: BiModel, time: str, engine: Engine) -> GemelError:
    if model.export.kind == "view":
        who, way = "each reader of a view cuts in the zone of its own session", "export it as a table, in UTC"
    else:
        who, way = "dbt's session cuts in its own zone", engine.utc_hint
    hint = f"convert it to a time without a zone in the dbt model, or {way}"
    told = f"{model.name!r} reads {time}, a time with a zone, which {who}"
    return BiError("G709", told, hint=hint, about=model.about)


def _recorded(content: object) -> dict[str, dict[str, str]]:
    models = content.get("models") if isinstance(content, dict) else None
    return {
        str(model.get("name")): {
            str(column.get("name")): str(column["data_type"])
            for column in model.get("columns") or ()
            if isinstance(column, dict) and column.get("data_type")
        }
        for model in models or ()
        if isinstance(model, dict)
    }
