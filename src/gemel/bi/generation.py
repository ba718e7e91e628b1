"""The files that `gemel generate` writes for BI tools, as texts by path: saved queries and wide views as dbt models,
their properties, and the exposures of their consumers."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sqlglot import exp

from gemel.bi.consumers import Consumer, exposure
from gemel.bi.declared import Declared, read_declared
from gemel.bi.models import BiModel, check_columns, compile_model, properties, write_model
from gemel.bi.saved import saved_models
from gemel.bi.wide import wide_model
from gemel.compiler.compiled import Compiled
from gemel.compiler.names.decimals import whole_type
from gemel.compiler.names.graph import Graph
from gemel.compiler.sql.dialects import naming
from gemel.engines.engine import Engine
from gemel.engines.types import engine_type
from gemel.engines.whole_numbers import cast_types
from gemel.errors import BiError, GemelError, Problems, WarehouseError
from gemel.files import add_header, models_folder, read_yaml, to_yaml
from gemel.history_tests import history_tests
from gemel.run import Describe
from gemel.spec.fields import Json
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject, call
from gemel.zoned_columns import ZONED, ZonedColumns

Types = Mapping[str, Mapping[str, str]]

_CUTS = (exp.TimestampTrunc, exp.TsOrDsToDate, exp.Extract, exp.Cast)
"""Expressions that truncate a time, if its zone is not converted first."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The target of the models: an engine, and the database itself if it is reachable.

    `is_utc` is true if dbt's sessions there are guaranteed to be in UTC, as gemel's own are. `roundings`
    are the times that SQL would round.
    """

    engine: Engine
    describe: Describe | None = None
    catalogs: frozenset[str] | None = None
    is_utc: bool = False
    roundings: Callable[[Compiled], Iterable[GemelError]] = lambda _: ()


@dataclass(frozen=True, slots=True)
class ReservedNames:
    """Names that are in use, with where: `{"buying": "of a feature view"}`."""

    models: Mapping[str, str] = field(default_factory=dict)
    exposures: Mapping[str, str] = field(default_factory=dict)


def generate(
    graph: Graph, dbt: DbtProject, destination: Destination, *, root: Path, reserved: ReservedNames
) -> dict[str, str]:
    """Every generated file's text by its path below `root`. Raises Problems (G70x) with everything that is invalid."""
    declared = read_declared(dbt)
    folder = models_folder(root, "bi")
    reserved = _reserve_names(dbt, folder, reserved)
    problems: list[GemelError] = [*declared.problems]
    models = list(_models(graph, declared, destination.engine, problems))
    problems += _check_models(models, destination.engine, reserved)
    files: dict[str, str] = {}
    rows: dict[str, Compiled] = {}
    for model in models if not problems else ():
        try:
            rows[model.name] = compile_model(model, destination.engine.dialect)
        except GemelError as error:
            error.about = model.about
            problems.append(error)
            continue
        try:
            dbt.group_of(rows[model.name].relations, model.name)
            for relation in rows[model.name].relations:
                dbt.ref(relation)
        except GemelError as error:
            error.about = error.about or model.about
            problems.append(error)
        if (circle := _circle(dbt, model.name, rows[model.name].relations)) is not None:
            message = f"dbt model {model.name!r} would depend on itself: {' -> '.join(circle)}"
            hint = "a generated model cannot be an input of its own saved query or wide view"
            problems.append(BiError("G703", message, hint=hint, about=model.about))
    exposures = list(_exposures(graph, declared, models, dbt, reserved, problems))
    types = _types(graph, models, rows, destination, root, problems) if not problems else {}
    if problems:
        raise Problems(dict.fromkeys(problems))
    for model in models:
        casts = _casts(graph, model, rows[model.name], types.get(model.name, {}), destination.engine)
        typed = compile_model(model, destination.engine.dialect, casts) if casts else rows[model.name]
        files[f"{folder}/{model.name}.sql"] = write_model(model, typed, dbt, destination.engine)
    content: Json = {}
    if models:
        content["models"] = [properties(model, types.get(model.name, {}), destination.engine) for model in models]
    if exposures:
        content["exposures"] = exposures
    if content:
        sources = dict.fromkeys((*(each.file for each in declared.queries), *(each.file for each in declared.views)))
        files[f"{folder}/_bi.yml"] = add_header(".yml", ", ".join(sources), to_yaml(content))
    histories = (each for compiled in rows.values() for each in compiled.histories)
    return files | history_tests(histories, dbt=dbt, root=root, engine=destination.engine)


def _reserve_names(dbt: DbtProject, folder: PurePosixPath, others: ReservedNames) -> ReservedNames:
    """`others` and the names of the project itself, except those generated into `folder`."""
    own = [node for node in dbt.nodes.values() if node.package == dbt.name and node.kind != "source"]
    exposures = [each for each in dbt.exposures if each.package == dbt.name and each.file != f"{folder}/_bi.yml"]
    models = {node.name: f"in {node.file}" for node in own if node.file != f"{folder}/{node.name}.sql"}
    return ReservedNames(
        models | {**others.models}, {each.name: f"in {each.file}" for each in exposures} | {**others.exposures}
    )


def _circle(dbt: DbtProject, model: str, relations: Iterable[Relation]) -> list[str] | None:
    """The path on which a generated model would depend on itself: `scorecard -> summary -> scorecard`; None if not."""
    own = f"model.{dbt.name}.{model}"
    paths = [[node.id] for node in map(dbt.node_at, relations) if node is not None]
    visited = {path[0] for path in paths}
    while paths:
        path = paths.pop()
        if path[-1] == own:
            return [model, *(each.rpartition(".")[2] for each in path)]
        parents = dbt.nodes[path[-1]].parents if path[-1] in dbt.nodes else ()
        ahead = [parent for parent in parents if parent not in visited]
        visited.update(ahead)
        paths += [[*path, parent] for parent in ahead]
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


def _check_models(models: list[BiModel], engine: Engine, reserved: ReservedNames) -> Iterator[GemelError]:
    """The reasons why dbt could not build the models, before anything is written."""
    first: dict[str, BiModel] = {}
    for model in models:
        yield from check_columns(model, engine)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", model.name):
            message = f"{model.name[:100]!r} cannot be the name of a dbt model"
            hint = "use letters, digits and underscores; `alias:` can give the table another name"
            yield BiError("G701", message, hint=hint, about=model.about)
        other = reserved.models.get(model.name)
        if model.name in first:
            other = f"generated from {first[model.name].source}"
        first.setdefault(model.name, model)
        if other is not None:
            message = f"{model.name!r} is already the name of the dbt model {other}"
            hint = "give one of them another name; `alias:` can still give the table this name"
            yield BiError("G702", message, hint=hint, about=model.about)


def _exposures(
    graph: Graph,
    declared: Declared,
    models: list[BiModel],
    dbt: DbtProject,
    reserved: ReservedNames,
    problems: list[GemelError],
) -> Iterator[Json]:
    """One exposure for each consumer, with everything it reads."""
    first: dict[str, Consumer] = {}
    reads: dict[str, list[tuple[str, str]]] = {}
    users = [(each.consumers, "saved_queries", each.name) for each in declared.queries]
    users += [(each.consumers, "wide_views", each.model) for each in declared.views]
    for consumers, kind, name in users:
        for consumer in consumers:
            declared_first = first.setdefault(consumer.name, consumer)
            reads.setdefault(consumer.name, []).append((kind, name))
            other = reserved.exposures.get(consumer.name)
            if other is not None:
                message = f"consumer {consumer.name!r} has the name of the exposure {other}"
                hint = "rename one of them"
            elif declared_first != consumer:
                message = f"consumer {consumer.name!r} is declared twice, with different properties"
                hint = "declare the same properties in both places, or use another name"
            else:
                continue
            problems.append(BiError("G708", message, hint=hint, about=consumer.about))
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


def _casts(graph: Graph, model: BiModel, rows: Compiled, types: Mapping[str, str], engine: Engine) -> dict[str, str]:
    """The columns to cast to the type of their metric's whole numbers. A type that was recorded does not show what the
    engine makes of a column by itself, so a column is cast unless its SQL alone settles the type."""
    settled = {column.name: column.type for column in rows.columns}
    numbers = _numbers(graph, model)
    return {
        name: kind
        for name, kind in numbers.items()
        if types.get(name) == engine_type(kind, engine) and settled.get(name) != kind
    }


def _numbers(graph: Graph, model: BiModel) -> dict[str, str]:
    """The columns of metrics, each with the type of its whole numbers."""
    metrics = {column.name: column.meta.get("metric") for column in model.columns}
    return {name: whole_type(graph, graph.metric(metric)) for name, metric in metrics.items() if metric}


def _types(
    graph: Graph,
    models: list[BiModel],
    rows: Mapping[str, Compiled],
    destination: Destination,
    root: Path,
    problems: list[GemelError],
) -> Types:
    """The column types of each model from the engine, or from the last generation: a clone without a database generates
    the same files."""
    engine, describe = destination.engine, destination.describe
    recorded = _recorded(read_yaml(root / models_folder(root, "bi") / "_bi.yml"))
    types: dict[str, Mapping[str, str]] = {}
    zoned = ZonedColumns(describe, destination.catalogs, engine) if describe else None
    for model in models:
        types[model.name] = recorded.get(model.name, {})
        if describe is None:
            continue
        named = rows[model.name].with_names(naming(destination.catalogs, engine.dialect))
        try:
            described = dict(describe(named))
        except WarehouseError:
            continue  # not built yet; `dbt build` will report any other error
        described |= cast_types(described.items(), _numbers(graph, model))
        types[model.name] = {name: engine_type(type_, engine) for name, type_ in described.items()}
        for rounding in destination.roundings(named):
            rounding.about = model.about
            problems.append(rounding)
        cut = _cut_time(model, rows[model.name].relations, described, zoned) if zoned else None
        if cut is not None and not (destination.is_utc and model.export.kind == "table"):
            problems.append(_zone_error(model, cut, engine))
    return types


def _cut_time(
    model: BiModel, relations: Iterable[Relation], types: Mapping[str, str], zoned: ZonedColumns
) -> str | None:
    """A time with a zone that the model truncates to a day, an hour or the like: `sales.sold_at`; None if there is
    none."""
    for read, name in zoned.read(model.plan, relations):
        innermost = next((each for each in read.within if issubclass(each, (exp.AtTimeZone, *_CUTS))), exp.AtTimeZone)
        if not issubclass(innermost, exp.AtTimeZone):
            return name
    return next((each.name for each in model.columns if each.cut and types.get(each.name) in ZONED), None)


def _zone_error(model: BiModel, time: str, engine: Engine) -> GemelError:
    if model.export.kind == "view":
        problem, way = "each reader of a view truncates it in its own zone", "export it as a table, in UTC"
    else:
        problem, way = "dbt's session truncates it in its own zone", engine.utc_hint
    hint = f"convert it to a time without a zone in the dbt model, or {way}"
    message = f"{model.name!r} reads {time}, a time with a zone: {problem}"
    return BiError("G709", message, hint=hint, about=model.about)


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
