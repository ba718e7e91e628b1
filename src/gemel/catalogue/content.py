"""What the catalogue tells, as values: a page for each node of the lineage, and the edges between them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from gemel.catalogue.series import Series, Unknown
from gemel.graph.graph import Gap, Node


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
    """What stands on a node's page besides its name, its description and its lineage.

    `groups` are what a metric can be grouped by, as a query of it names that, with the dimension's id.
    """

    label: str | None = None
    facts: tuple[tuple[str, Value], ...] = ()
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sql: str | None = None
    sql_title: str | None = None
    series: Series | Unknown | None = None
    groups: tuple[tuple[str, str], ...] = ()


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
