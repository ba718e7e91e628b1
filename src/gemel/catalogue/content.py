"""What the catalogue tells: a page for each node of the lineage, and the lineage between them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gemel.catalogue.series import Series, Unknown
from gemel.lineage.graph import TABLES, Gap, Node, Part
from gemel.spec.nodes import Nodes

if TYPE_CHECKING:
    from gemel.project import Project


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of an expression."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Another page, by its node's id."""

    id: str


@dataclass(frozen=True, slots=True)
class Address:
    """A page elsewhere."""

    url: str


Value = str | Code | Link | Address | tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on a node's page besides its name, its description and its lineage."""

    label: str | None = None
    facts: tuple[tuple[str, Value], ...] = ()
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sql: str | None = None
    sql_title: str | None = None
    series: Series | Unknown | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """All nodes, as they are listed, with their pages by id; `edges` are source, target, and whether it is direct."""

    project: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, bool], ...]
    pages: Mapping[str, Page]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was read of the database: by metric its last year, by feature view its newest moment."""

    series: Mapping[str, Series | Unknown]
    newest: Mapping[str, dt.datetime]


def gather(project: "Project", numbers: Numbers) -> Content:
    """Every definition, and every table and column that one of them comes from. Raises Problems (G5xx)."""
    from gemel.catalogue.pages import Pages

    lineage = project.lineage
    defined = lineage.upstream(*lineage.definitions.nodes.values())
    tables = {name: lineage.node(id) for name, id in lineage.tables.nodes().items() if name in _tables(defined)}
    whole = lineage.upstream(*lineage.definitions.nodes.values(), *tables.values())
    nodes = tuple(sorted((node for node in whole.nodes if node.kind != "rows"), key=lambda node: node.name))
    pages = Pages(project, numbers, nodes)
    name = Nodes(project.artifacts / "manifest.json" if project.artifacts else None).project
    return Content(
        name or "Catalogue", nodes, _edges(whole, tables), {node.id: pages.of(node) for node in nodes}, whole.gaps
    )


def _tables(part: Part) -> set[str]:
    """The names of the tables whose rows or columns are in it."""
    rows = {node.name for node in part.nodes if node.kind in ("rows", *TABLES)}
    return rows | {node.name.rpartition(".")[0] for node in part.nodes if node.kind == "column"}


def _edges(part: Part, tables: Mapping[str, Node]) -> tuple[tuple[str, str, bool], ...]:
    """Which rows a table has is told of the table itself."""

    def shown(id: str) -> str:
        kind, _, name = id.partition(":")
        return tables[name].id if kind == "rows" and name in tables else id

    known = {node.id for node in part.nodes}
    direct: dict[tuple[str, str], bool] = {}
    for edge in part.edges:
        ends = (shown(edge.source), shown(edge.target))
        if ends[0] != ends[1] and known.issuperset(ends):
            direct[ends] = direct.get(ends, False) or edge.direct
    return tuple((source, target, is_direct) for (source, target), is_direct in direct.items())
