"""Renders a dbt model to SQL that can be compared: `ref()` and `source()` become names, and nothing is run.

This is not dbt's compilation, which needs the warehouse. Whatever only dbt can render (macros of packages, the target,
the state of the warehouse) becomes a name derived from its text: equal texts give equal SQL.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gemel.dbt.templates import UNKNOWN, Opaque, digest, render
from gemel.dbt.variables import Variables
from gemel.spec.project import DbtProject, Node

_NODE = "gemel_node_"
_ADAPTERS = (
    *("athena", "bigquery", "clickhouse", "databricks", "doris", "duckdb", "fabric", "hive", "materialize", "mysql"),
    *("oracle", "postgres", "presto", "redshift", "risingwave", "snowflake", "spark", "sqlite", "sqlserver"),
    *("starrocks", "synapse", "trino"),
)
"""dbt's adapters. Each brings built-in macros in a package of its name: `dbt_trino`."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A model's SQL. `nodes` maps names in it to ids of nodes; it is empty for SQL that dbt compiled, which names the
    nodes' relations."""

    sql: str
    nodes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether it contains no text that only dbt can render."""
        return UNKNOWN not in self.sql


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders the models of one project, with the variables of its dbt_project.yml."""

    project: DbtProject
    variables: Variables = field(default_factory=lambda: Variables({}))

    def render_built(self, node: Node) -> Rendering:
        """The SQL that dbt compiled, or else the model's own text, rendered. Raises Opaque."""
        return self.render_written(node) if node.compiled is None else Rendering(node.compiled)

    def render_written(self, node: Node) -> Rendering:
        """The model's own text, rendered, whether dbt compiled it or not. Raises Opaque."""
        macros = [macro for id in node.macros if (macro := self.project.macros.get(id)) is not None]
        sql = render(
            node.raw or "",
            ref=lambda *names, v=None, version=None: _name(node, names, v or version),
            source=lambda *names: _name(node, names, None),
            variables=self.variables.of(str(node.package)),
            macros=[macro.text for macro in macros if macro.package == node.package],
            salt=digest(" ".join(self._macros(node))),
        )
        return Rendering(sql, {f"{_NODE}{place}": parent for place, parent in enumerate(node.parents)})

    def text(self, node: Node) -> str:
        """Everything that determines a model's SQL, except the nodes that it reads."""
        text = " ".join([" ".join((node.raw or "").split()), *self._macros(node)])
        return f"{text} {json.dumps(self.variables, sort_keys=True, default=str)}" if "var" in text else text

    def _macros(self, node: Node) -> list[str]:
        """The texts of the macros that a node calls, directly or through others, except dbt's built-in ones."""
        texts: dict[str, str] = {}
        waiting = [*node.macros]
        builtin = {"dbt", *(f"dbt_{adapter}" for adapter in (*_ADAPTERS, self.project.adapter))}
        while waiting:
            macro = self.project.macros.get(waiting.pop())
            if macro is not None and macro.id not in texts and macro.package not in builtin:
                texts[macro.id] = " ".join(macro.text.split())
                waiting += macro.macros
        return [texts[id] for id in sorted(texts)]


def _name(node: Node, names: tuple[Any, ...], version: Any) -> str:
    """The name in the SQL of the parent that `ref` or `source` refers to. Raises Opaque."""
    tail = str(names[-1]) + (f".v{version}" if version is not None else "")
    package = f".{names[0]}." if len(names) > 1 else "."
    fit = [place for place, id in enumerate(node.parents) if id.endswith(f".{tail}") and package in id]
    # Without a version, dbt has resolved the latest one.
    fit = fit or [place for place, id in enumerate(node.parents) if f".{names[-1]}." in id]
    if not fit:
        raise Opaque(f"no parent {tail}")
    return f"{_NODE}{fit[0]}"
