"""The content of the catalogue, as values: a page for each node of the lineage, and the edges between them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from gemel.catalogue.series import Series, Unknown
from gemel.graph.nodes import Gap, Node


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
    """The page of a node, without its name, its description and its lineage.

    `groups` are the names by which queries can group a metric, each with the id of its dimension.
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
    """All nodes in the order of lists, with their pages by id; `edges` are source, target, and whether it is direct."""

    project: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, bool], ...]
    pages: Mapping[str, Page]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """The data from the database: the last year of each metric, the newest moment of each feature view."""

    series: Mapping[str, Series | Unknown]
    newest: Mapping[str, dt.datetime]
