"""What the YAML says for BI and only dbt's manifest.json keeps: exports as they are written, and `meta: {gemel: ...}`.

semantic_manifest.json fills an export's schema with the target's own, and has no meta of saved queries.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gemel.bi.consumers import Consumer, read_consumers
from gemel.errors import About, BiError, GemelError, did_you_mean
from gemel.spec.manifest import Export
from gemel.spec.project import DbtProject, Declaration


@dataclass(frozen=True, slots=True)
class DeclaredQuery:
    """What a saved query is to become, and who uses it. `file` is where it is written; an export has None where a
    setting is dbt's own matter."""

    name: str
    file: str
    exports: tuple[Export, ...]
    consumers: tuple[Consumer, ...]


@dataclass(frozen=True, slots=True)
class DeclaredView:
    """A wide view that is asked for, of a semantic model."""

    model: str
    file: str
    export: Export
    hops: int | None
    consumers: tuple[Consumer, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything that is asked for. `problems` are those of what cannot be read."""

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
    about = About("saved_query", query.name)
    problems += _unknown(query.gemel, ("consumers",), about)
    consumers = read_consumers(query.gemel.get("consumers"), about, problems)
    return DeclaredQuery(query.name, query.file, query.exports, tuple(consumers))


def _view(declaration: Declaration, problems: list[GemelError]) -> DeclaredView | None:
    model = declaration.name
    about = About("semantic_model", model)
    problems += _unknown(declaration.gemel, ("wide_view", "consumers"), about)
    asked = declaration.gemel.get("wide_view", False)
    consumers = tuple(read_consumers(declaration.gemel.get("consumers"), about, problems))
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
    export = Export(
        said.get("name") or f"{model}_wide",
        kind="table" if said.get("materialized") == "table" else "view",
        schema=said.get("schema"),
        alias=said.get("alias"),
        database=said.get("database"),
    )
    return DeclaredView(model, declaration.file, export, said.get("hops"), consumers)


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
