"""Datasets and relationships of another tool's OSI file as dbt's semantic models.

dbt joins by an entity that both sides have. A relationship becomes an entity with the name of the dataset it joins, or
with the name of the relationship if one dataset joins another twice, in two roles.
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
    """A dataset being converted to a semantic model. `fields` are its expressions by name, in lower case."""

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
    """The datasets that can be semantic models."""
    result = Datasets()
    entities = _entities(relationships)
    for dataset in datasets:
        if not isinstance(dataset.get("name"), str):
            result.refused.append(("a dataset", "it has no name"))
            continue
        name = dbt_name(dataset["name"])
        table = _table(dataset.get("source"))
        if table is None:
            result.refused.append((name, "its source is a query, but a dbt semantic model needs a dbt model"))
            continue
        result.by_name[dataset["name"].lower()] = _dataset(dataset, name, table, entities, result)
    return result


def dbt_name(text: str) -> str:
    """A name that is valid in dbt: `Total Sales` -> `total_sales`."""
    name = re.sub(r"_+", "_", re.sub(r"\W+", "_", text.strip().lower(), flags=re.ASCII)).strip("_")
    return name if re.match(r"[a-z]", name) else f"m_{name}"


def _entities(relationships: Sequence[Json]) -> Mapping[str, list[Key]]:
    """The entities of each dataset."""
    pairs = Counter((str(each.get("from")), str(each.get("to"))) for each in relationships)
    doubled = {to for (_, to), times in pairs.items() if times > 1}
    keys: dict[str, list[Key]] = {}
    for each in relationships:
        start, end = str(each.get("from")), str(each.get("to"))
        name = dbt_name(str(each.get("name"))) if end in doubled else dbt_name(end)
        keys.setdefault(start.lower(), []).append(Key(name, "foreign", _columns(each.get("from_columns"))))
        key = Key(name, "unique", _columns(each.get("to_columns")))
        if key not in keys.setdefault(end.lower(), []):
            keys[end.lower()].append(key)
    return keys


def _columns(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _dataset(dataset: Json, name: str, table: str, entities: Mapping[str, list[Key]], datasets: Datasets) -> Dataset:
    fields = {str(each["name"]).lower(): _expression(each) for each in objects(dataset, "fields") if each.get("name")}
    result = Dataset(name, {}, {field: tree for field, tree in fields.items() if tree is not None})
    keys = list(_keys(dataset, name, entities))
    dimensions = list(_dimensions(dataset, result, {key.entity for key in keys}, datasets))
    times = [each["name"] for each in dimensions if each["type"] == "time"]
    if times:
        first = f", the first of {', '.join(times)}" if len(times) > 1 else ""
        datasets.notes.append(f"{name}: time is {times[0]}{first}, by day")
    definition: Json = {
        "name": name,
        "description": dataset.get("description"),
        "model": call("ref", table),
        "primary_entity": None if any(key.type == "primary" for key in keys) else f"{name}_row",
        "defaults": {"agg_time_dimension": times[0]} if times else None,
        "entities": [{"name": key.entity, "type": key.type, **_expr(key, result)} for key in keys],
        "dimensions": dimensions,
    }
    result.definition = {key: value for key, value in definition.items() if value not in (None, "", [])}
    return result


def _keys(dataset: Json, name: str, entities: Mapping[str, list[Key]]) -> Iterator[Key]:
    """The entities of the relationships. The first over the primary key is primary; if none is, one is added."""
    own = entities.get(str(dataset["name"]).lower(), [])
    primary = _columns(dataset.get("primary_key"))
    first = next((each for each in own if each.type == "unique" and each.columns == primary), None)
    if primary and first is None:
        yield Key(name, "primary", primary)
    for each in own:
        yield Key(each.entity, "primary", each.columns) if each is first else each


def _expr(key: Key, dataset: Dataset) -> Json:
    """The `expr` of a key, whose columns can be the names of fields."""
    parts = [dataset.fields.get(column.lower(), exp.column(column)).sql(STANDARD) for column in key.columns]
    text = f"({', '.join(parts)})" if len(parts) > 1 else "".join(parts)
    return {} if text == key.entity else {"expr": text}


def _dimensions(item: Json, dataset: Dataset, entities: set[str], datasets: Datasets) -> Iterator[Json]:
    existing: set[str] = set()
    for each in objects(item, "fields"):
        dimension = _dimension(each, dataset)
        if dimension is None:
            continue
        if dimension["name"] in existing:
            datasets.refused.append((f"{dataset.name}.{dimension['name']}", "another field has that name"))
        elif dimension["name"] not in entities:  # queries group by a key under the name of its entity
            existing.add(dimension["name"])
            yield dimension


def _dimension(item: Json, dataset: Dataset) -> Json | None:
    role = item.get("dimension")
    tree = dataset.fields.get(str(item.get("name")).lower())
    if not isinstance(role, dict) or tree is None:
        return None  # something to aggregate
    name = dbt_name(str(item["name"]))
    text = tree.sql(STANDARD)
    definition: Json = {"name": name, "type": "time" if role.get("is_time") else "categorical"}
    if role.get("is_time"):
        definition["type_params"] = {"time_granularity": "day"}
    definition.update({key: item[key] for key in ("label", "description") if item.get(key)})
    return {**definition, **({} if text == name else {"expr": text})}


def _expression(item: Json) -> exp.Expr | None:
    """The expression of a field, without dataset names in its columns; None if no dialect of it can be parsed."""
    expression = item.get("expression")
    if not isinstance(expression, dict):
        return None
    texts = {str(each.get("dialect")): each.get("expression") for each in objects(expression, "dialects")}
    for word, dialect in OSI_WORDS.items():
        text = texts.get(word)
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
    """The last part of `database.schema.table`, which is the name of the dbt model."""
    text = source.get("object") if isinstance(source, dict) and source.get("kind") == "table" else source
    if not isinstance(text, str) or re.search(r"[\s();]", text.strip()):
        return None
    return text.strip().split(".")[-1].strip('"`').lower() or None
