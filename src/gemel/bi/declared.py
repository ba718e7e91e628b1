"""BI settings of the YAML that only dbt's manifest.json keeps: exports as written, and `meta: {gemel: ...}`.

semantic_manifest.json sets the schema of an export to that of the target, and has no meta of saved queries.
"""

from dataclasses import dataclass, field
from functools import partial

from gemel.bi.consumers import Consumer, read_consumers
from gemel.errors import About, BiError, GemelError
from gemel.spec.manifest import Export
from gemel.spec.nodes import Keys, Node, Notes, Pairs, read_each
from gemel.spec.project import DbtProject, Declaration


@dataclass(frozen=True, slots=True)
class DeclaredQuery:
    """The exports and consumers of a saved query. `file` is where it is written; a setting of an export is None if dbt
    decides it."""

    name: str
    file: str
    exports: tuple[Export, ...]
    consumers: tuple[Consumer, ...]


@dataclass(frozen=True, slots=True)
class DeclaredView:
    """A wide view that the definition of a semantic model requests."""

    model: str
    file: str
    export: Export
    hops: int | None
    consumers: tuple[Consumer, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything that is requested. `problems` are the errors of definitions that cannot be read."""

    queries: tuple[DeclaredQuery, ...] = ()
    views: tuple[DeclaredView, ...] = ()
    problems: tuple[GemelError, ...] = field(default=(), compare=False)


def read_declared(dbt: DbtProject) -> Declared:
    problems: list[GemelError] = []
    queries = [_query(each, problems) for each in dbt.saved_queries]
    views = [_view(each, problems) for each in dbt.semantic_models]
    return Declared(
        tuple(query for query in queries if query.exports or query.consumers),
        tuple(sorted((view for view in views if view), key=lambda each: each.export.name)),
        tuple(problems),
    )


def _query(query: Declaration, problems: list[GemelError]) -> DeclaredQuery:
    keys = _ours(query, "saved_query", ("consumers",), problems)
    return DeclaredQuery(query.name, query.file, query.exports, tuple(read_consumers(keys)))


def _view(declaration: Declaration, problems: list[GemelError]) -> DeclaredView | None:
    model = declaration.name
    keys = _ours(declaration, "semantic_model", ("wide_view", "consumers"), problems)
    consumers = tuple(read_consumers(keys))
    node = keys.get("wide_view")
    if node is not None and node.value is not None and node.value is not False:
        return next(read_each([node], partial(_wide_view, declaration, consumers)), None)
    if consumers:
        message = f"semantic model {model!r} has consumers, but no wide view for them to read"
        keys["consumers"].note(message, "add `wide_view: true` to its meta")
    return None


_SETTINGS = ("name", "schema", "alias", "database", "materialized", "hops")


def _wide_view(declaration: Declaration, consumers: tuple[Consumer, ...], node: Node) -> DeclaredView:
    if node.value is not True and not isinstance(node.value, Pairs):
        node.refuse(f"wide_view cannot be {node}", "write `true`, or a mapping with its name, schema and so on")
    keys = Keys(node, {}) if node.value is True else node.keys("a wide view", _SETTINGS)
    hops = keys["hops"].value if "hops" in keys else None
    if hops is not None and (isinstance(hops, bool) or not isinstance(hops, int) or hops < 0):
        keys["hops"].note(f"hops cannot be {keys['hops']}", "write the maximum number of joins, for example `hops: 1`")
    export = Export(
        keys.text("name") or f"{declaration.name}_wide",
        kind="table" if keys.choice("materialized", ("view", "table")) == "table" else "view",
        schema=keys.text("schema"),
        alias=keys.text("alias"),
        database=keys.text("database"),
    )
    return DeclaredView(declaration.name, declaration.file, export, hops, consumers)


def _ours(declaration: Declaration, kind: str, allowed: tuple[str, ...], problems: list[GemelError]) -> Keys:
    about = About(kind, declaration.name, path=("config", "meta", "gemel"))
    node = Node(declaration.gemel, about, Notes(BiError, "G705", problems))
    return node.keys(f"gemel in the meta of {kind.replace('_', ' ')} {declaration.name!r}", allowed)
