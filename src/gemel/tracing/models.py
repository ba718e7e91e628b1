"""A dbt node to how its columns and rows are derived: as dbt compiled it, or as it is written.

Where it cannot be followed, the reason is kept, and the node comes of its parents as whole tables.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from sqlglot import exp, maybe_parse, parse
from sqlglot.errors import SqlglotError

from gemel.dbt.rendering import Renderer, Rendering
from gemel.dbt.templates import Opaque
from gemel.spec.project import Node
from gemel.tracing.derivations import Derivation
from gemel.tracing.queries import trace
from gemel.tracing.relations import Relation, Unreadable

NOT_COMPILED = "it is not compiled, and only dbt can render it: run `dbt compile`"


@dataclass(frozen=True)
class Models:
    """The models of one project. `render` says how their SQL is found: as dbt built them, or as they are written."""

    renderer: Renderer
    dialect: str
    render: Callable[[Node], Rendering]

    def relation(self, node: Node, opened: Callable[[Node], Relation]) -> Relation:
        """`opened` are the nodes that it reads, as the tables that they are in its SQL."""
        try:
            traced = self._traced(node, opened)
            reason = traced.missed
        except Unreadable as unreadable:
            reason = str(unreadable)
        except SqlglotError as error:
            reason = f"its SQL cannot be followed: {_first_line(error)}"
        except RecursionError:
            reason = "its SQL is nested too deep"
        settings = [f"{key}={node.config.get(key)}" for key in _SETTINGS if node.kind == "snapshot"]
        if reason is not None:
            parents = [opened(each) for each in self._parents(node)]
            text = " ".join([self.renderer.text(node), *settings])
            return of_whole(text, [id for each in parents for id in each.tables], missed=reason)
        if not settings:
            return traced
        rows = Derivation(" ".join(settings), (("identity", traced.rows),))
        whole = Derivation("snapshot", (("identity", rows), ("identity", traced.whole)))
        return replace(traced, rows=rows, whole=whole)

    def parsed(self, rendering: Rendering) -> exp.Expr:
        """Its one statement, where a node goes by the name of its table. Raises Unreadable."""
        try:
            statements = [each for each in parse(rendering.sql, dialect=self.dialect) if each is not None]
        except (SqlglotError, ValueError) as error:
            raise Unreadable(f"its SQL cannot be parsed: {_first_line(error)}") from None
        if len(statements) != 1:
            raise Unreadable(f"its SQL is {len(statements)} statements")
        for table in statements[0].find_all(exp.Table) if rendering.nodes else ():
            node = self.renderer.project.nodes.get(rendering.nodes.get(table.name, ""))
            if node is not None and not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(node.relation.name)))
        return statements[0]

    def _traced(self, node: Node, opened: Callable[[Node], Relation]) -> Relation:
        if node.language != "sql":
            raise Unreadable(f"it is a {node.language.capitalize()} model")
        if node.compiled is None and node.raw is None:
            raise Unreadable("target/manifest.json has no SQL of it: run `dbt compile`")
        try:
            rendering = self.render(node)
        except Opaque:
            raise Unreadable(NOT_COMPILED) from None
        read = _Reading(self, node, rendering, opened)
        unknown = [] if rendering.is_complete else [id for each in self._parents(node) for id in opened(each).tables]
        relation = trace(self.parsed(rendering), read.table, unknown=unknown)
        gaps = {**relation.gaps, **read.gaps} | ({} if rendering.is_complete else {"": NOT_COMPILED})
        return replace(relation, gaps=gaps)

    def _parents(self, node: Node) -> Iterator[Node]:
        return (self.renderer.project.nodes[id] for id in node.parents if id in self.renderer.project.nodes)

    @cached_property
    def _by_place(self) -> dict[str, Node]:
        """The nodes by `market.main.orders` and `main.orders`."""
        nodes = self.renderer.project.nodes.values()
        return {name: each for each in nodes if each.relation_name for name in _places(each)[:2]}


class _Reading:
    """One model's SQL, whose names of tables stand for nodes."""

    def __init__(self, models: Models, node: Node, rendering: Rendering, opened: Callable[[Node], Relation]) -> None:
        self._models = models
        self._node = node
        self._rendering = rendering
        self._opened = opened
        self.gaps: dict[str, str] = {}

    def table(self, table: exp.Table) -> Relation | None:
        """None for what is no node, and for the model itself, of which an incremental one may take its last rows."""
        named = self._rendering.nodes.get(table.name)
        if named is not None:
            parent = self._models.renderer.project.nodes.get(named)
            return self._opened(parent) if parent is not None else of_whole(named)
        text = _text(table, self._models.dialect)
        node = self._parents.get(text) or self._models._by_place.get(text)
        if node is None and not isinstance(table.this, exp.Func):
            self.gaps.setdefault("", f"it reads {text}, which dbt does not know of")
        return self._opened(node) if node is not None and node is not self._node else None

    @cached_property
    def _parents(self) -> dict[str, Node]:
        """The nodes that the model says it reads, by every way in which its SQL may name them."""
        parents = self._models._parents(self._node)
        return {name: each for each in parents for name in _names(each, self._models.dialect)}


def of_whole(text: str, tables: Iterable[str] = (), *, missed: str | None = None) -> Relation:
    """A table that is not looked into, of which there is only a text: it comes of some others as a whole."""
    whole = Derivation(text, tuple(("table", id) for id in dict.fromkeys(tables)))
    return Relation({}, whole, whole, lambda name: Derivation(name, (("identity", whole),)), missed=missed)


_SETTINGS = ("strategy", "unique_key", "check_cols", "updated_at")
"""What says which rows a snapshot keeps."""


def _names(node: Node, dialect: str) -> list[str]:
    names = [*_places(node), f"__dbt__cte__{node.name}".lower()]
    if node.relation_name:
        with suppress(SqlglotError, ValueError):  # then nothing that can be parsed has it
            names.append(_text(maybe_parse(node.relation_name, into=exp.Table, dialect=dialect), dialect))
    return names


def _places(node: Node) -> list[str]:
    """`market.main.orders`, `main.orders`, `orders`"""
    relation = node.relation
    parts = [part.lower() for part in (relation.database, relation.schema, relation.name) if part]
    return [".".join(parts[start:]) for start in range(len(parts))]


def _text(node: exp.Expr, dialect: str) -> str:
    """A table without its alias, as a key: `market.main.orders`, `read_parquet('orders.parquet')`."""
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Func):
        return node.this.sql(dialect).lower()
    return ".".join(part.name for part in node.parts).lower() if isinstance(node, exp.Table) else node.sql().lower()


def _first_line(error: BaseException) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__
