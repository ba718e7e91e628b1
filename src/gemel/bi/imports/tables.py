"""Datasets and relationships of another tool's OSI file as dbt's semantic models.

dbt joins by an entity that both sides have. A relationship becomes one: by the name of the dataset that it leads to,
or by its own where two lead there from one dataset, in two roles.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from gemel.bi.exports.texts import OSI_WORDS, STANDARD
from gemel.spec.fields import Json, objects
from gemel.spec.project import call


@dataclass(frozen=True, slots=True)
class Key:
    """An entity of a dataset, over these columns."""

    entity: str
    type: str
    columns: tuple[str, ...]


@dataclass(slots=True)
class Dataset:
    """A dataset on its way to be a semantic model. `fields` are its expressions by name, folded to lower case."""

    name: str
    definition: Json
    fields: dict[str, exp.Expr] = field(default_factory=dict)
    measures: list[Json] = field(default_factory=list)

    @property
    def time(self) -> str | None:
        return (self.definition.get("defaults") or {}).get("agg_time_dimension")


@dataclass(slots=True)
class Datasets:
    by_name: dict[str, Dataset] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def definitions(self) -> Iterator[Json]:
        for each in self.by_name.values():
            yield {**each.definition, **({"measures": each.measures} if each.measures else {})}


def read_datasets(datasets: Sequence[Json], relationships: Sequence[Json]) -> Datasets:
    """What of them can be a semantic model."""
    found = Datasets()
    entities = _entities(relationships)
    for dataset in datasets:
        if not isinstance(dataset.get("name"), str):
            found.refused.append(("a dataset", "it has no name"))
            continue
        name = dbt_name(dataset["name"])
        table = _table(dataset.get("source"))
        if table is None:
            found.refused.append((name, "its source is a query, and dbt's semantic models are of dbt models"))
            continue
        found.by_name[dataset["name"].lower()] = _dataset(dataset, name, table, entities, found)
    return found


def dbt_name(text: str) -> str:
    """A name that dbt takes: `Total Sales` -> `total_sales`."""
    name = re.sub(r"_+", "_", re.sub(r"\W+", "_", text.strip().lower(), flags=re.ASCII)).strip("_")
    return name if re.match(r"[a-z]", name) else f"m_{name}"


def _entities(relationships: Sequence[Json]) -> Mapping[str, list[Key]]:
    """By dataset: the entities that it has."""
    pairs = Counter((str(each.get("from")), str(each.get("to"))) for each in relationships)
    doubled = {to for (_, to), times in pairs.items() if times > 1}
    found: dict[str, list[Key]] = {}
    for each in relationships:
        start, end = str(each.get("from")), str(each.get("to"))
        name = dbt_name(str(each.get("name"))) if end in doubled else dbt_name(end)
        found.setdefault(start.lower(), []).append(Key(name, "foreign", _columns(each.get("from_columns"))))
        key = Key(name, "unique", _columns(each.get("to_columns")))
        if key not in found.setdefault(end.lower(), []):
            found[end.lower()].append(key)
    return found


def _columns(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _dataset(dataset: Json, name: str, table: str, entities: Mapping[str, list[Key]], found: Datasets) -> Dataset:
    fields = {str(each["name"]).lower(): _expression(each) for each in objects(dataset, "fields") if each.get("name")}
    made = Dataset(name, {}, {field: tree for field, tree in fields.items() if tree is not None})
    keys = list(_keys(dataset, name, entities))
    dimensions = list(_dimensions(dataset, made, {key.entity for key in keys}, found))
    times = [each["name"] for each in dimensions if each["type"] == "time"]
    if times:
        first = f", the first of {', '.join(times)}" if len(times) > 1 else ""
        found.notes.append(f"{name}: time is {times[0]}{first}, by day")
    definition: Json = {
        "name": name,
        "description": dataset.get("description"),
        "model": call("ref", table),
        "primary_entity": None if any(key.type == "primary" for key in keys) else f"{name}_row",
        "defaults": {"agg_time_dimension": times[0]} if times else None,
        "entities": [{"name": key.entity, "type": key.type, **_expr(key, made)} for key in keys],
        "dimensions": dimensions,
    }
    made.definition = {key: value for key, value in definition.items() if value not in (None, "", [])}
    return made


def _keys(dataset: Json, name: str, entities: Mapping[str, list[Key]]) -> Iterator[Key]:
    """The entities of the relationships, the first over the primary key as the primary one; else one of its own."""
    known = entities.get(str(dataset["name"]).lower(), [])
    primary = _columns(dataset.get("primary_key"))
    first = next((each for each in known if each.type == "unique" and each.columns == primary), None)
    if primary and first is None:
        yield Key(name, "primary", primary)
    for each in known:
        yield Key(each.entity, "primary", each.columns) if each is first else each


def _expr(key: Key, dataset: Dataset) -> Json:
    """Keys are named by columns, or by fields that are columns."""
    parts = [dataset.fields.get(column.lower(), exp.column(column)).sql(STANDARD) for column in key.columns]
    text = f"({', '.join(parts)})" if len(parts) > 1 else "".join(parts)
    return {} if text == key.entity else {"expr": text}


def _dimensions(dataset: Json, made: Dataset, entities: set[str], found: Datasets) -> Iterator[Json]:
    taken: set[str] = set()
    for each in objects(dataset, "fields"):
        dimension = _dimension(each, made)
        if dimension is None:
            continue
        if dimension["name"] in taken:
            found.refused.append((f"{made.name}.{dimension['name']}", "another field has that name"))
        elif dimension["name"] not in entities:  # a key can be grouped by under the entity's name
            taken.add(dimension["name"])
            yield dimension


def _dimension(item: Json, dataset: Dataset) -> Json | None:
    role = item.get("dimension")
    tree = dataset.fields.get(str(item.get("name")).lower())
    if not isinstance(role, dict) or tree is None:
        return None  # something to aggregate
    name = dbt_name(str(item["name"]))
    text = tree.sql(STANDARD)
    found: Json = {"name": name, "type": "time" if role.get("is_time") else "categorical"}
    if role.get("is_time"):
        found["type_params"] = {"time_granularity": "day"}
    found.update({key: item[key] for key in ("label", "description") if item.get(key)})
    return {**found, **({} if text == name else {"expr": text})}


def _expression(item: Json) -> exp.Expr | None:
    """A field's expression, its columns without the dataset's name; None where it is in no SQL that can be read."""
    expression = item.get("expression")
    if not isinstance(expression, dict):
        return None
    said = {str(each.get("dialect")): each.get("expression") for each in objects(expression, "dialects")}
    for word, dialect in OSI_WORDS.items():
        text = said.get(word)
        if isinstance(text, str):
            try:
                tree = parse_one(text, dialect=dialect)
            except SqlglotError:
                return None
            for column in tree.find_all(exp.Column):
                column.set("table", None)
            return tree
    return None


def _table(source: object) -> str | None:
    """The last part of `database.schema.table`, which is what dbt's model is called."""
    text = source.get("object") if isinstance(source, dict) and source.get("kind") == "table" else source
    if not isinstance(text, str) or re.search(r"[\s();]", text.strip()):
        return None
    return text.strip().split(".")[-1].strip('"`').lower() or None
