"""What the YAML says for BI and only dbt's manifest.json keeps: exports as they are written, and `meta: {gemel: ...}`.

semantic_manifest.json fills an export's schema with the target's own, and has no meta of saved queries.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from gemel.bi.consumers import Consumer, read_consumers
from gemel.dbt.nodes import Nodes
from gemel.errors import About, BiError, GemelError, did_you_mean
from gemel.spec.fields import Json

Materialized = Literal["table", "view"]


@dataclass(frozen=True, slots=True)
class Built:
    """How dbt is to build a model: what its config says, None where that is dbt's own matter."""

    materialized: Materialized
    alias: str | None = None
    schema: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredExport:
    name: str
    built: Built


@dataclass(frozen=True, slots=True)
class DeclaredQuery:
    """What a saved query is to become, and who uses it. `file` is where it is written."""

    name: str
    file: str
    exports: tuple[DeclaredExport, ...]
    consumers: tuple[Consumer, ...]


@dataclass(frozen=True, slots=True)
class DeclaredView:
    """A wide view that is asked for, of a semantic model."""

    model: str
    file: str
    name: str
    built: Built
    hops: int | None
    consumers: tuple[Consumer, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything that is asked for. `problems` are those of what cannot be read."""

    queries: tuple[DeclaredQuery, ...] = ()
    views: tuple[DeclaredView, ...] = ()
    problems: tuple[GemelError, ...] = field(default=(), compare=False)


def read_declared(nodes: Nodes) -> Declared:
    """Raises ProjectError (G602) where manifest.json is none."""
    problems: list[GemelError] = []
    queries = [_query(item, problems) for item in _items(nodes.data, "saved_queries")]
    views = [_view(item, problems) for item in _items(nodes.data, "semantic_models")]
    return Declared(
        tuple(sorted((query for query in queries if query.exports or query.consumers), key=lambda each: each.name)),
        tuple(sorted((view for view in views if view), key=lambda each: each.name)),
        tuple(problems),
    )


def _items(data: Json, kind: str) -> Iterator[Json]:
    found = data.get(kind)
    for item in found.values() if isinstance(found, dict) else ():
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield item


def _query(item: Json, problems: list[GemelError]) -> DeclaredQuery:
    name = item["name"].lower()
    meta = _meta(item)
    problems += _unknown(meta, ("consumers",), About("saved_query", name))
    exports = item.get("exports")
    return DeclaredQuery(
        name,
        _file(item),
        tuple(_export(each, item) for each in exports or () if isinstance(each, dict)),
        tuple(read_consumers(meta.get("consumers"), About("saved_query", name), problems)),
    )


def _export(item: Json, query: Json) -> DeclaredExport:
    """As the export says it, else as the saved query's own config does, which dbt lets it inherit."""
    rendered, shared = _object(item.get("config")), _object(query.get("config"))
    written = item.get("unrendered_config")
    told = written if isinstance(written, dict) else rendered
    schema = told.get("schema") or told.get("schema_name") or shared.get("schema")
    kind = rendered.get("export_as") or shared.get("export_as")
    built = Built("view" if kind == "view" else "table", told.get("alias"), schema, told.get("database"))
    return DeclaredExport(str(item.get("name")), built)


def _view(item: Json, problems: list[GemelError]) -> DeclaredView | None:
    model = item["name"].lower()
    about = About("semantic_model", model)
    meta = _meta(item)
    problems += _unknown(meta, ("wide_view", "consumers"), about)
    asked = meta.get("wide_view", False)
    consumers = tuple(read_consumers(meta.get("consumers"), about, problems))
    if asked is False or asked is None:
        if consumers:
            told = f"semantic model {model!r} has consumers, and no wide view for them to read"
            problems.append(BiError("G705", told, hint="add `wide_view: true` to its meta", about=about))
        return None
    if asked is not True and not isinstance(asked, dict):
        problems.append(_refused(about, f"wide_view is {asked!r}", "write `true`, or its name, schema and the like"))
        return None
    said = asked if isinstance(asked, dict) else {}
    unfit = [*_unknown(said, _SETTINGS, about), *_unfit(said, about)]
    problems += unfit
    if unfit:
        return None
    built = Built(
        cast(Materialized, said.get("materialized", "view")),
        said.get("alias"),
        said.get("schema"),
        said.get("database"),
    )
    return DeclaredView(model, _file(item), said.get("name") or f"{model}_wide", built, said.get("hops"), consumers)


_SETTINGS = ("name", "schema", "alias", "database", "materialized", "hops")


def _unfit(said: Mapping[str, Any], about: About) -> Iterator[GemelError]:
    for key in ("name", "schema", "alias", "database"):
        if key in said and not (isinstance(said[key], str) and said[key]):
            yield _refused(about, f"{key} of its wide_view is {said[key]!r}", "write a name")
    if said.get("materialized", "view") not in ("table", "view"):
        yield _refused(
            about, f"its wide_view is materialized as {said['materialized']!r}", "it can be a view or a table"
        )
    hops = said.get("hops", 0)
    if isinstance(hops, bool) or not isinstance(hops, int) or hops < 0:
        yield _refused(
            about, f"hops of its wide_view is {hops!r}", "write how many joins it goes at most, as `hops: 1`"
        )


def _unknown(said: Mapping[str, Any], known: Collection[str], about: About) -> Iterator[GemelError]:
    for key in said:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"there is {', '.join(known)}"
            yield _refused(about, f"its meta says {str(key)[:40]!r} to gemel, which is nothing there", hint)


def _refused(about: About, told: str, hint: str) -> GemelError:
    return BiError("G705", f"{about.kind.replace('_', ' ')} {about.name!r}: {told}", hint=hint, about=about)


def _meta(item: Json) -> Json:
    """`meta: {gemel: ...}` of a definition's config."""
    return _object(_object(_object(item.get("config")).get("meta")).get("gemel"))


def _file(item: Json) -> str:
    return str(item.get("original_file_path") or "").replace("\\", "/")


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
