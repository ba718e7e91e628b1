"""dbt's manifest.json as a graph: sources, seeds, snapshots, models, and the exposures that people declare."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gemel.errors import ProjectError
from gemel.spec.fields import Json
from gemel.spec.manifest import Relation

TableKind = Literal["source", "seed", "snapshot", "model"]
_KINDS: dict[str, TableKind] = {"seed": "seed", "snapshot": "snapshot", "model": "model"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of dbt's. `name` is as people call it: `flights`, `customers.v2`, and `shop.orders` of a source.

    `relation` is how SQL names it, None for an ephemeral model. `sql` is what dbt compiled, and `raw` what the user
    wrote; a Python model has neither. `columns` are those that YAML tells of, which need not be all.
    """

    id: str
    kind: TableKind
    name: str
    relation: str | None = None
    place: tuple[str | None, str | None, str] | None = None
    parents: tuple[str, ...] = ()
    language: str = "sql"
    sql: str | None = None
    raw: str | None = None
    file: str | None = None
    package: str | None = None
    columns: tuple[str, ...] = ()
    description: str | None = None
    owner: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Exposure:
    """What somebody makes of models, sources and metrics. `parents` are dbt's ids of those."""

    name: str
    type: str
    parents: tuple[str, ...]
    owner: str | None = None
    url: str | None = None
    label: str | None = None
    description: str | None = None
    file: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Dag:
    """The tables by dbt's ids, and the exposures. `written` says whether there is a manifest.json at all."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    exposures: tuple[Exposure, ...] = ()
    package: str | None = None
    written: bool = False

    def children(self) -> dict[str, tuple[str, ...]]:
        """The ids of the tables that read each table."""
        found: dict[str, list[str]] = {}
        for table in self.tables.values():
            for parent in table.parents:
                found.setdefault(parent, []).append(table.id)
        return {parent: tuple(children) for parent, children in found.items()}


def read_dag(manifest: Path) -> Dag:
    """Raises ProjectError (G602) where the file is there and is no manifest; without it there are no tables."""
    try:
        data = json.loads(manifest.read_bytes())
    except FileNotFoundError:
        return Dag()
    except (OSError, ValueError, RecursionError) as error:
        raise ProjectError("G602", f"cannot read {manifest}: {error}", hint="`dbt parse` writes it anew") from None
    data = _object(data)
    own = _text(_object(data.get("metadata")).get("project_name"))
    owners = {
        str(group.get("name")): _owner(group.get("owner"))
        for group in map(_object, _object(data.get("groups")).values())
    }
    # In one order, whichever dbt wrote them in: a partial parse puts what changed last.
    tables = {table.id: table for table in sorted(_tables(data, own, owners), key=lambda table: table.id)}
    exposures = sorted(
        (_exposure(item) for item in map(_object, _object(data.get("exposures")).values())), key=lambda each: each.name
    )
    return Dag(tables, tuple(exposures), own, written=True)


def by_place(dag: Dag) -> dict[tuple[str | None, str | None, str], Table]:
    """The tables by database, schema and name, each in lower case."""
    return {_folded(table.place): table for table in dag.tables.values() if table.place}


def place_of(relation: Relation) -> tuple[str | None, str | None, str]:
    """Where `by_place` has a relation."""
    return _folded((relation.database, relation.schema, relation.name))


def _folded(place: tuple[str | None, str | None, str]) -> tuple[str | None, str | None, str]:
    database, schema, name = place
    return database.lower() if database else None, schema.lower() if schema else None, name.lower()


def _tables(data: Json, own: str | None, owners: Mapping[str, str | None]) -> Iterator[Table]:
    items = [(id, _object(item)) for id, item in _object(data.get("nodes")).items()]
    items = [(id, item) for id, item in items if item.get("resource_type") in _KINDS and _text(item.get("name"))]
    shared: dict[str, int] = {}
    for _, item in items:
        shared[_called(item)] = shared.get(_called(item), 0) + 1
    for id, item in items:
        package, name = _text(item.get("package_name")), _called(item)
        config = _object(item.get("config"))
        yield Table(
            id=id,
            kind=_KINDS[item["resource_type"]],
            name=f"{package}.{name}" if shared[name] > 1 and package != own else name,
            relation=_text(item.get("relation_name")),
            place=_place(item, item.get("alias") or item["name"]),
            parents=_parents(item),
            language=_text(item.get("language")) or "sql",
            sql=_text(item.get("compiled_code")),
            raw=_text(item.get("raw_code")),
            file=_text(item.get("original_file_path")),
            package=package,
            columns=_columns(item),
            description=_text(item.get("description")),
            owner=_said_owner(item) or owners.get(str(item.get("group") or config.get("group"))),
            meta=_meta(item),
        )
    for id, item in _object(data.get("sources")).items():
        source, table = _text(_object(item).get("source_name")), _text(_object(item).get("name"))
        if source and table:
            yield Table(
                id=id,
                kind="source",
                name=f"{source}.{table}",
                relation=_text(item.get("relation_name")),
                place=_place(item, item.get("identifier") or table),
                file=_text(item.get("original_file_path")),
                package=_text(item.get("package_name")),
                columns=_columns(item),
                description=_text(item.get("description")),
                owner=_said_owner(item),
                meta=_meta(item),
            )


def _called(item: Json) -> str:
    version = item.get("version")
    return str(item["name"]) if version is None else f"{item['name']}.v{version}"


def _place(item: Json, name: object) -> tuple[str | None, str | None, str] | None:
    if not isinstance(name, str) or _object(item.get("config")).get("materialized") == "ephemeral":
        return None
    return _text(item.get("database")), _text(item.get("schema")), name


def _exposure(item: Json) -> Exposure:
    return Exposure(
        name=_text(item.get("name")) or "?",
        type=_text(item.get("type")) or "exposure",
        parents=_parents(item),
        owner=_owner(item.get("owner")),
        url=_text(item.get("url")),
        label=_text(item.get("label")),
        description=_text(item.get("description")),
        file=_text(item.get("original_file_path")),
        meta=_meta(item),
    )


def _parents(item: Json) -> tuple[str, ...]:
    nodes = _object(item.get("depends_on")).get("nodes")
    return tuple(dict.fromkeys(str(each) for each in nodes)) if isinstance(nodes, list) else ()


def _columns(item: Json) -> tuple[str, ...]:
    return tuple(str(_object(each).get("name") or name).lower() for name, each in _object(item.get("columns")).items())


def _meta(item: Json) -> Json:
    return _object(item.get("meta")) | _object(_object(item.get("config")).get("meta"))


def _said_owner(item: Json) -> str | None:
    return _owner(_meta(item).get("owner"))


def _owner(said: object) -> str | None:
    """A text, or the name and e-mail addresses that dbt has people write."""
    if isinstance(said, str):
        return said.strip() or None
    parts = _object(said)
    emails = parts.get("email")
    addresses = [each for each in (emails if isinstance(emails, list) else [emails]) if isinstance(each, str) and each]
    name = _text(parts.get("name"))
    if name and addresses:
        return f"{name} <{', '.join(addresses)}>"
    return name or ", ".join(addresses) or None


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
