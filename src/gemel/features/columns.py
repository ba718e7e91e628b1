"""The type of each column of each feature table, decided once for SQL, dbt and Feast.

A type comes, in this order, from the view (`dtype:`), from the definition (a count is an integer), from the engine
(DESCRIBE), from the properties that were generated last time. So a clone without a database generates the same files
as the machine that committed them. A type that is not known is an error, and never a guess.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from gemel.compiler.compiled import Compiled
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import Engine
from gemel.errors import BridgeError, GemelError, Problems, WarehouseError
from gemel.features.bound import Bound, BoundView
from gemel.features.shapes import type_name
from gemel.features.tables import Tables, Types
from gemel.features.types import KEYS, LARGE, TYPES, from_engine
from gemel.features.zones import check_zones
from gemel.run import Describe


@dataclass(frozen=True, slots=True)
class TypeSources:
    """The sources of types: the warehouse, and the properties that were generated last time.

    `is_live` means that the warehouse itself describes SQL, in its dialect; otherwise dbt's catalog does, in DuckDB's.
    `is_utc` means that dbt's sessions are certainly in UTC. `roundings` are the times that the warehouse would round.
    """

    describe: Describe | None = None
    catalogs: frozenset[str] | None = None
    recorded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    engine: Engine = DUCKDB
    is_live: bool = True
    is_utc: bool = False
    roundings: Callable[[Compiled], Iterable[GemelError]] = lambda _: ()


def decide_types(tables: Tables, bound: Bound, sources: TypeSources) -> dict[str, Types]:
    """By view, the type of each entity and feature. Raises Problems (G523, G524, G526)."""
    problems: list[GemelError] = []
    described = _describe_views(tables, bound, sources, problems)
    if sources.describe is not None and sources.is_live and not sources.is_utc:
        there = [view for view in bound.views if described.get(view.name)]
        problems.extend(check_zones(tables, there, sources.describe, sources.catalogs, sources.engine))
    types: dict[str, Types] = {
        view.name: _view_types(view, described.get(view.name, {}), sources, problems) for view in bound.views
    }
    keys: dict[str, tuple[str, str]] = {}
    for view in bound.views:
        for entity in view.entities:
            type_ = types[view.name].get(entity)
            first, other = keys.setdefault(entity, (view.name, type_ or ""))
            if type_ and other and type_ != other:
                problems.append(
                    BridgeError(
                        "G524",
                        f"entity {entity!r} is {type_} in feature view {view.name!r} and {other} in {first!r}",
                        hint="cast them to one type in the dbt models, and build those: in Feast, it has one type",
                        place=view.place,
                    )
                )
    if problems:
        raise Problems(problems)
    return types


def unknown_only(error: Problems) -> bool:
    """Whether all problems are types that are not known yet, which building the models would solve."""
    return all(each.code == "G523" for each in error.errors)


def _view_types(
    view: BoundView, described: Mapping[str, str], sources: TypeSources, problems: list[GemelError]
) -> dict[str, str]:
    recorded = sources.recorded.get(view.name, {})
    types: dict[str, str] = {}
    for entity in view.entities:
        type_ = from_engine(described[entity]) if entity in described else recorded.get(entity)
        if described.get(entity, "").upper() in LARGE:
            problems.append(
                BridgeError(
                    "G524",
                    f"entity {entity!r} is {described[entity]}, but a key in Feast's stores must be a text or a BIGINT",
                    hint="cast it in the dbt model, to BIGINT where its values fit, or to VARCHAR, and build that",
                    place=view.place,
                )
            )
        elif type_ in KEYS:
            types[entity] = type_
        elif entity in described or type_:
            problems.append(
                BridgeError(
                    "G524",
                    f"entity {entity!r} is {described.get(entity, type_)}, which cannot be a key in Feast's stores",
                    hint="keys are texts or integers: cast the column in the dbt model, and build it",
                    place=view.place,
                )
            )
        else:
            problems.append(
                BridgeError(
                    "G523",
                    f"the type of entity {entity!r} in feature view {view.name!r} is not known yet",
                    hint=_how_to_build(sources),
                    place=view.place,
                )
            )
    for feature in view.features:
        name = feature.name
        type_ = feature.dtype or (from_engine(described[name]) if name in described else recorded.get(name))
        if type_:
            types[name] = type_
        elif name in described:
            problems.append(
                BridgeError(
                    "G524",
                    f"{name!r} is {described[name]}, which cannot be the type of a feature",
                    hint=f"cast it with `dtype:`, one of {', '.join(TYPES)}",
                    place=feature.place,
                )
            )
        else:
            problems.append(
                BridgeError(
                    "G523",
                    f"the type of {name!r} in feature view {view.name!r} is not known yet",
                    hint=f"{_how_to_build(sources)}, or set its `dtype:`",
                    place=feature.place,
                )
            )
    return types


def _how_to_build(sources: TypeSources) -> str:
    if sources.is_live:
        return "build the models that it reads (`gemel build` does it in order)"
    return "build the models that it reads and run `dbt docs generate`, or give their columns a `data_type:`"


def _describe_views(
    tables: Tables, bound: Bound, sources: TypeSources, problems: list[GemelError]
) -> dict[str, dict[str, str]]:
    """The types from the engine, by view. It describes one view while the next one is compiled."""
    if sources.describe is None:
        return {}
    engine = sources.engine if sources.is_live else DUCKDB
    with _switch_threads_often(), ThreadPoolExecutor(max_workers=1) as thread:
        results = {
            view.name: thread.submit(
                _describe_view, sources, view, tables.uncast(view, sources.catalogs, engine), problems
            )
            for view in bound.views
        }
    return {name: each.result() for name, each in results.items()}


@contextmanager
def _switch_threads_often() -> Iterator[None]:
    """Switch threads more often than by default, so that the engine's thread does not wait for ours."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _describe_view(
    sources: TypeSources, view: BoundView, table: Compiled, problems: list[GemelError]
) -> dict[str, str]:
    """The types of a view; none if there is no database, or if it has no such tables."""
    assert sources.describe is not None
    try:
        types = dict(sources.describe(table))
        for refusal in sources.roundings(table):
            refusal.place = view.place
            problems.append(refusal)
        return types
    except WarehouseError as error:
        nothing_yet = error.code in ("G401", "G405")  # no file, or no such table in it
        if nothing_yet or (error.code in ("G403", "G404") and view.name in sources.recorded):
            return {}
        raise


def read_recorded(content: object, engine: Engine = DUCKDB) -> dict[str, dict[str, str]]:
    """The types in properties that were generated before: `{"carrier_punctuality": {"carrier": "string"}}`."""
    # If two types have the same name in SQL, the wider one counts.
    by_sql = {type_name(name, engine): name for name in TYPES}
    models = content.get("models") if isinstance(content, dict) else None
    return {
        str(model.get("name")): {
            str(column.get("name")): by_sql[column["data_type"]]
            for column in _columns(model)
            if column.get("data_type") in by_sql
        }
        for model in models or []
        if isinstance(model, dict)
    }


def _columns(model: dict[str, object]) -> Iterator[dict[str, str]]:
    columns = model.get("columns")
    return (column for column in columns if isinstance(column, dict)) if isinstance(columns, list) else iter(())
