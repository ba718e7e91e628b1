"""A dbt node to the derivations of its columns and rows, from its compiled or from its written SQL.

If the SQL cannot be traced, the reason is recorded, and the node depends on its parents as whole tables.
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
    """The models of one project. `render` gets the SQL of a node: as dbt compiled it, or as it is written."""

    renderer: Renderer
    dialect: str
    render: Callable[[Node], Rendering]

    def trace(self, node: Node, open_node: Callable[[Node], Relation]) -> Relation:
        """The relation of a node. `open_node` gives the relations of the nodes that it reads."""
        try:
            traced = self._trace_sql(node, open_node)
            reason = traced.missed
        except Unreadable as unreadable:
            reason = str(unreadable)
        except SqlglotError as error:
            reason = f"its SQL cannot be followed: {_first_line(error)}"
        except RecursionError:
            reason = "its SQL is nested too deep"
        settings = [f"{key}={node.config.get(key)}" for key in _SETTINGS if node.kind == "snapshot"]
        if reason is not None:
            parents = [open_node(each) for each in self._parents(node)]
            text = " ".join([self.renderer.text(node), *settings])
            return untraced(text, [id for each in parents for id in each.tables], missed=reason)
        if not settings:
            return traced
        rows = Derivation(" ".join(settings), (("identity", traced.rows),))
        whole = Derivation("snapshot", (("identity", rows), ("identity", traced.whole)))
        return replace(traced, rows=rows, whole=whole)

    def parse(self, rendering: Rendering) -> exp.Expr:
        """The one statement of a rendered node, in which other nodes have the names of their tables. Raises
        Unreadable."""
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

    def _trace_sql(self, node: Node, open_node: Callable[[Node], Relation]) -> Relation:
        if node.language != "sql":
            raise Unreadable(f"it is a {node.language.capitalize()} model")
        if node.compiled is None and node.raw is None:
            raise Unreadable("target/manifest.json has no SQL of it: run `dbt compile`")
        try:
            rendering = self.render(node)
        except Opaque:
            raise Unreadable(NOT_COMPILED) from None
        reading = _Reading(self, node, rendering, open_node)
        unknown = [] if rendering.is_complete else [id for each in self._parents(node) for id in open_node(each).tables]
        relation = trace(self.parse(rendering), reading.table, unknown=unknown)
        gaps = {**relation.gaps, **reading.gaps} | ({} if rendering.is_complete else {"": NOT_COMPILED})
        return replace(relation, gaps=gaps)

    def _parents(self, node: Node) -> Iterator[Node]:
        return (self.renderer.project.nodes[id] for id in node.parents if id in self.renderer.project.nodes)

    @cached_property
    def _by_place(self) -> dict[str, Node]:
        """The nodes by `market.main.orders` and `main.orders`."""
        nodes = self.renderer.project.nodes.values()
        return {name: each for each in nodes if each.relation_name for name in _places(each)[:2]}


class _Reading:
    """The SQL of one model, in which names of tables stand for nodes."""

    def __init__(self, models: Models, node: Node, rendering: Rendering, open_node: Callable[[Node], Relation]) -> None:
        self._models = models
        self._node = node
        self._rendering = rendering
        self._open_node = open_node
        self.gaps: dict[str, str] = {}

    def table(self, table: exp.Table) -> Relation | None:
        """None for a table that is not a node, and for the model itself: an incremental model can read its own rows."""
        id = self._rendering.nodes.get(table.name)
        if id is not None:
            parent = self._models.renderer.project.nodes.get(id)
            return self._open_node(parent) if parent is not None else untraced(id)
        text = _text(table, self._models.dialect)
        node = self._parents.get(text) or self._models._by_place.get(text)
        if node is None and not isinstance(table.this, exp.Func):
            self.gaps.setdefault("", f"it reads {text}, which dbt does not know of")
        return self._open_node(node) if node is not None and node is not self._node else None

    @cached_property
    def _parents(self) -> dict[str, Node]:
        """The nodes that dbt lists as the model's parents, by every name that its SQL can use for them."""
        parents = self._models._parents(self._node)
        return {name: each for each in parents for name in _names(each, self._models.dialect)}


def untraced(text: str, tables: Iterable[str] = (), *, missed: str | None = None) -> Relation:
    """A relation that is not traced: it depends as a whole on other tables, and on its text."""
    whole = Derivation(text, tuple(("table", id) for id in dict.fromkeys(tables)))
    return Relation({}, whole, whole, lambda name: Derivation(name, (("identity", whole),)), missed=missed)


_SETTINGS = ("strategy", "unique_key", "check_cols", "updated_at")
"""The settings that decide which rows a snapshot keeps."""


def _names(node: Node, dialect: str) -> list[str]:
    names = [*_places(node), f"__dbt__cte__{node.name}".lower()]
    if node.relation_name:
        with suppress(SqlglotError, ValueError):  # then no SQL that can be parsed has the name
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
