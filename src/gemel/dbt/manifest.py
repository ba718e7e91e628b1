"""Reads the manifest.json of any dbt version into a DbtProject. Unknown content is ignored."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from gemel.dbt.relations import split_name
from gemel.errors import ProjectError, reason_of
from gemel.spec.fields import Json, object_or_empty, objects, text_or_none
from gemel.spec.manifest import Export, Relation
from gemel.spec.project import DbtProject, Declaration, Exposure, Macro, Node, NodeKind, call

MANIFEST = "manifest.json"
"""The file's name, in the folder of dbt's artifacts."""

_KINDS: dict[str, NodeKind] = {"model": "model", "seed": "seed", "snapshot": "snapshot", "source": "source"}


class ManifestReader:
    """Reads a manifest.json on demand, and again only after dbt has rewritten it."""

    def __init__(self) -> None:
        self._cached: tuple[object, DbtProject] | None = None

    def read(self, artifacts: Path | None) -> DbtProject:
        """The project in a folder of dbt's artifacts. Raises ProjectError (G602)."""
        if artifacts is None:
            return DbtProject()
        file = artifacts / MANIFEST
        try:
            stat = file.stat()
        except OSError:
            return read_project(file)
        identity = (file, stat.st_mtime_ns, stat.st_size, stat.st_ino)
        cached = self._cached
        if cached is None or cached[0] != identity:
            self._cached = cached = (identity, read_project(file))
        return cached[1]


def read_project(file: Path) -> DbtProject:
    """The project in a manifest.json; empty if there is no such file. Raises ProjectError (G602) if it is not JSON."""
    try:
        data = json.loads(file.read_bytes())
    except FileNotFoundError:
        return DbtProject()
    except (OSError, ValueError, RecursionError) as error:
        raise ProjectError("G602", f"cannot read {file}: {reason_of(error)}", hint="`dbt parse` rewrites it") from None
    return parse_project(data if isinstance(data, dict) else {})


def parse_project(data: Json) -> DbtProject:
    """The project in the content of a manifest.json. Values of unexpected types are ignored."""
    metadata = object_or_empty(data, "metadata")
    name = text_or_none(metadata, "project_name")
    exposures = [_exposure(item) for _, item in _items(data, "exposures")]
    return DbtProject(
        name=name,
        adapter=text_or_none(metadata, "adapter_type"),
        dbt_version=text_or_none(metadata, "dbt_version"),
        invocation_id=text_or_none(metadata, "invocation_id"),
        nodes=_nodes(data, name),
        exposures=tuple(sorted(exposures, key=lambda each: each.name)),
        saved_queries=tuple(sorted(_declarations(data, "saved_queries"), key=lambda each: each.name)),
        semantic_models=tuple(sorted(_declarations(data, "semantic_models"), key=lambda each: each.name)),
        metrics=dict(_metrics(data, name)),
        macros=_Macros(object_or_empty(data, "macros")),
        is_parsed=True,
    )


def _nodes(data: Json, own: str | None) -> dict[str, Node]:
    """The nodes sorted by id: after a partial parse, dbt writes the changed ones last."""
    items = [
        (id, item, _versioned(item))
        for id, item in sorted((*_items(data, "nodes"), *_items(data, "sources")), key=lambda each: each[0])
        if item.get("resource_type") in _KINDS and text_or_none(item, "name")
    ]
    owners = {str(group.get("name")): _owner(group.get("owner")) for _, group in _items(data, "groups")}
    shared = Counter(full_name for *_, full_name in items)
    return {
        id: _node(id, item, owners, full_name=full_name, is_shared=shared[full_name] > 1, own=own)
        for id, item, full_name in items
    }


def _node(
    id: str, item: Json, owners: Mapping[str, str | None], *, full_name: str, is_shared: bool, own: str | None
) -> Node:
    config, texts, meta = object_or_empty(item, "config"), _texts(item), _meta(item)
    package, version = texts.get("package_name"), item.get("version")
    group = texts.get("group") or text_or_none(config, "group")
    is_foreign = package != own and item["resource_type"] != "source"
    return Node(
        id=id,
        kind=_KINDS[item["resource_type"]],
        name=_name(item),
        unique_name=f"{package}.{full_name}" if is_shared and is_foreign else full_name,
        relation=Relation(
            texts.get("alias") or texts.get("identifier") or str(item["name"]),
            schema=texts.get("schema"),
            database=texts.get("database"),
            written=split_name(texts["relation_name"]) if "relation_name" in texts else (),
        ),
        relation_name=texts.get("relation_name"),
        package=package,
        version=version if isinstance(version, str | int) else None,
        # Sorted, because their order changes after a partial parse.
        parents=tuple(sorted(_depends_on(item, "nodes"))),
        macros=_depends_on(item, "macros"),
        materialized=text_or_none(config, "materialized"),
        language=texts.get("language") or "sql",
        compiled=texts.get("compiled_code"),
        raw=texts.get("raw_code"),
        file=_file(item),
        columns={
            str(column.get("name") or name).lower(): text_or_none(column, "data_type")
            for name, column in _items(item, "columns")
        },
        description=texts.get("description"),
        owner=_owner(meta.get("owner")) or owners.get(group or ""),
        group=group,
        access=texts.get("access"),
        checksum=text_or_none(object_or_empty(item, "checksum"), "checksum"),
        config=config,
        gemel=object_or_empty(meta, "gemel"),
    )


def _name(item: Json) -> str:
    return f"{item.get('source_name')}.{item['name']}" if item["resource_type"] == "source" else str(item["name"])


def _versioned(item: Json) -> str:
    version = item.get("version")
    return _name(item) if version is None else f"{_name(item)}.v{version}"


def _exposure(item: Json) -> Exposure:
    texts = _texts(item)
    return Exposure(
        name=texts.get("name") or "?",
        type=texts.get("type") or "exposure",
        parents=_depends_on(item, "nodes"),
        owner=_owner(item.get("owner")),
        url=texts.get("url"),
        label=texts.get("label"),
        description=texts.get("description"),
        maturity=texts.get("maturity"),
        file=_file(item),
        package=texts.get("package_name"),
        gemel=object_or_empty(_meta(item), "gemel"),
    )


def _metrics(data: Json, own: str | None) -> Iterator[tuple[str, str]]:
    for _, item in _items(data, "metrics"):
        name, package = str(item.get("name")), text_or_none(item, "package_name")
        yield name.lower(), call("metric", name, package=package if package != own else None)


class _Macros(Mapping[str, Macro]):
    """Macros, each read on access: dbt and its packages bring hundreds, and a project's models call few of them."""

    def __init__(self, items: Json) -> None:
        self._items = {id: item for id, item in items.items() if isinstance(item, dict)}

    def __getitem__(self, id: str) -> Macro:
        item = self._items[id]
        return Macro(id, text_or_none(item, "package_name"), str(item.get("macro_sql")), _depends_on(item, "macros"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def _declarations(data: Json, kind: str) -> Iterator[Declaration]:
    for _, item in _items(data, kind):
        if name := text_or_none(item, "name"):
            exports = item.get("exports")
            yield Declaration(
                name.lower(),
                _file(item) or "",
                gemel=object_or_empty(_meta(item), "gemel"),
                parents=_depends_on(item, "nodes"),
                pins=any(each.get("version") is not None for each in objects(item, "refs")),
                group=text_or_none(item, "group") or text_or_none(object_or_empty(item, "config"), "group"),
                exports=tuple(_export(each, item) for each in exports or () if isinstance(each, dict)),
            )


def _export(item: Json, query: Json) -> Export:
    """An export with its own settings, and those that it inherits from the saved query's config."""
    rendered, shared = object_or_empty(item, "config"), object_or_empty(query, "config")
    unrendered = item.get("unrendered_config")
    written = unrendered if isinstance(unrendered, dict) else rendered
    return Export(
        str(item.get("name")),
        kind="view" if (rendered.get("export_as") or shared.get("export_as")) == "view" else "table",
        schema=written.get("schema") or written.get("schema_name") or shared.get("schema"),
        alias=written.get("alias"),
        database=written.get("database"),
    )


def _items(data: Json, kind: str) -> list[tuple[str, Json]]:
    return [(id, item) for id, item in object_or_empty(data, kind).items() if isinstance(item, dict)]


def _depends_on(item: Json, kind: str) -> tuple[str, ...]:
    ids = object_or_empty(item, "depends_on").get(kind)
    return tuple(dict.fromkeys(str(each) for each in ids)) if isinstance(ids, list) else ()


def _meta(item: Json) -> Json:
    return object_or_empty(item, "meta") | object_or_empty(object_or_empty(item, "config"), "meta")


def _owner(written: object) -> str | None:
    """An owner as one text, from a text or from an object with a name and e-mail addresses."""
    if isinstance(written, str):
        return written.strip() or None
    if not isinstance(written, dict):
        return None
    emails = written.get("email")
    addresses = [each for each in (emails if isinstance(emails, list) else [emails]) if isinstance(each, str) and each]
    name = text_or_none(written, "name")
    if name and addresses:
        return f"{name} <{', '.join(addresses)}>"
    return name or ", ".join(addresses) or None


def _file(item: Json) -> str | None:
    path = text_or_none(item, "original_file_path")
    return path.replace("\\", "/") if path else None


def _texts(item: Json) -> dict[str, str]:
    """The texts among an object's values; an empty one is none."""
    return {key: value for key, value in item.items() if isinstance(value, str) and value}
