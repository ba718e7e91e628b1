"""Which type each column of each feature table has, decided once for SQL, dbt and Feast alike.

In this order: what the view declares (`dtype:`), what the definition makes certain (a count is an integer), what
the engine says of the query (DESCRIBE), what was generated last time. So a clone without a database generates the
same files as the machine that committed them, and a type that no one knows is asked for, never guessed.
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
class Known:
    """Where types can be asked: the database, and the properties that were generated last time.

    `is_asked` says that it is the warehouse itself that describes, in its dialect; else what dbt wrote down of it.
    `is_utc` says that dbt's sessions there are surely in UTC. `roundings` are the times that it would round.
    """

    describe: Describe | None = None
    catalogs: frozenset[str] | None = None
    recorded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    engine: Engine = DUCKDB
    is_asked: bool = True
    is_utc: bool = False
    roundings: Callable[[Compiled], Iterable[GemelError]] = lambda _: ()


def decide_types(tables: Tables, bound: Bound, known: Known) -> dict[str, Types]:
    """By view, the type of each entity and feature. Raises Problems (G523, G524, G526)."""
    problems: list[GemelError] = []
    described = _described(tables, bound, known, problems)
    if known.describe is not None and known.is_asked and not known.is_utc:
        there = [view for view in bound.views if described.get(view.name)]
        problems.extend(check_zones(tables, there, known.describe, known.catalogs, known.engine))
    types: dict[str, Types] = {
        view.name: _view_types(view, described.get(view.name, {}), known, problems) for view in bound.views
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
                        hint="cast the columns to one type in the dbt models: in Feast, an entity has one type",
                        place=view.place,
                    )
                )
    if problems:
        raise Problems(problems)
    return types


def unknown_only(error: Problems) -> bool:
    """Whether all that is wrong is that nothing tells a type yet, which building the models would put right."""
    return all(each.code == "G523" for each in error.errors)


def _view_types(
    view: BoundView, described: Mapping[str, str], known: Known, problems: list[GemelError]
) -> dict[str, str]:
    recorded = known.recorded.get(view.name, {})
    types: dict[str, str] = {}
    for entity in view.entities:
        type_ = from_engine(described[entity]) if entity in described else recorded.get(entity)
        if described.get(entity, "").upper() in LARGE:
            problems.append(
                BridgeError(
                    "G524",
                    f"entity {entity!r} is {described[entity]}, but a key in Feast's stores must be a text or a BIGINT",
                    hint="cast the column in the dbt model: to BIGINT where its values fit, or to VARCHAR",
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
                    hint="keys are texts or integers; cast the column in the dbt model",
                    place=view.place,
                )
            )
        else:
            problems.append(
                BridgeError(
                    "G523",
                    f"the type of entity {entity!r} in feature view {view.name!r} is not known yet",
                    hint=_build(known),
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
                    hint=f"{_build(known)}, or set its `dtype:`",
                    place=feature.place,
                )
            )
    return types


def _build(known: Known) -> str:
    if known.is_asked:
        return "build the models that it reads (`gemel build` does it in order)"
    return "build the models that it reads and run `dbt docs generate`, or give their columns a `data_type:`"


def _described(tables: Tables, bound: Bound, known: Known, problems: list[GemelError]) -> dict[str, dict[str, str]]:
    """The engine's types, by view. It describes one view while the next one is compiled."""
    if known.describe is None:
        return {}
    engine = known.engine if known.is_asked else DUCKDB
    with _taking_turns(), ThreadPoolExecutor(max_workers=1) as thread:
        results = {
            view.name: thread.submit(
                _described_one, known, view, tables.natural(view, known.catalogs, engine), problems
            )
            for view in bound.views
        }
    return {name: each.result() for name, each in results.items()}


@contextmanager
def _taking_turns() -> Iterator[None]:
    """The engine's thread waits for ours to pause; by Python's own setting that is longer than its step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _described_one(known: Known, view: BoundView, table: Compiled, problems: list[GemelError]) -> dict[str, str]:
    """The types of a view; none if there is no database, or if it has no such tables."""
    assert known.describe is not None
    try:
        types = dict(known.describe(table))
        for refusal in known.roundings(table):
            refusal.place = view.place
            problems.append(refusal)
        return types
    except WarehouseError as error:
        nothing_yet = error.code in ("G401", "G405")  # no file, or no such table in it
        if nothing_yet or (error.code in ("G403", "G404") and view.name in known.recorded):
            return {}
        raise


def read_recorded(content: object, engine: Engine = DUCKDB) -> dict[str, dict[str, str]]:
    """The types in properties that were generated before: `{"carrier_punctuality": {"carrier": "string"}}`."""
    # Where two types have one name there, the wider one is meant.
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
