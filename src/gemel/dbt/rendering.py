"""A dbt model's text to SQL that can be compared: `ref()` and `source()` become names, and nothing is run.

It is not dbt's compilation, which needs the warehouse. What only dbt knows (macros of packages, the target, what is
built) becomes a name that stands for its text, so that two renderings are equal where the texts are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gemel.dbt.templates import UNKNOWN, Opaque, digest, render
from gemel.spec.project import DbtProject, Node

_NODE = "gemel_node_"
_ADAPTERS = (
    *("athena", "bigquery", "clickhouse", "databricks", "doris", "duckdb", "fabric", "hive", "materialize", "mysql"),
    *("oracle", "postgres", "presto", "redshift", "risingwave", "snowflake", "spark", "sqlite", "sqlserver"),
    *("starrocks", "synapse", "trino"),
)
"""Each brings macros of dbt's own, in a package of its name: `dbt_trino`."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A model's SQL. `nodes` are the ids of the nodes that names in it stand for; there are none in SQL that dbt
    compiled, where nodes have the names of their relations."""

    sql: str
    nodes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether nothing in it is for dbt to render."""
        return UNKNOWN not in self.sql


@dataclass(frozen=True, slots=True)
class Renderer:
    """The models of one project, with the variables of its dbt_project.yml."""

    project: DbtProject
    variables: Mapping[str, Any] = field(default_factory=dict)

    def as_built(self, node: Node) -> Rendering:
        """What dbt compiled; where it has not, what the model says. Raises Opaque."""
        return self.as_written(node) if node.compiled is None else Rendering(node.compiled)

    def as_written(self, node: Node) -> Rendering:
        """What a model says, whether dbt compiled it or not. Raises Opaque."""
        own = self.variables.get(str(node.package))
        macros = [macro for id in node.macros if (macro := self.project.macros.get(id)) is not None]
        sql = render(
            node.raw or "",
            ref=lambda *names, v=None, version=None: _name(node, names, v or version),
            source=lambda *names: _name(node, names, None),
            variables={**self.variables, **(own if isinstance(own, dict) else {})},
            macros=[macro.text for macro in macros if macro.package == node.package],
            salt=digest(" ".join(self._macros(node))),
        )
        return Rendering(sql, {f"{_NODE}{place}": parent for place, parent in enumerate(node.parents)})

    def text(self, node: Node) -> str:
        """Everything that decides what a model says, apart from the nodes that it reads."""
        text = " ".join([" ".join((node.raw or "").split()), *self._macros(node)])
        return f"{text} {json.dumps(self.variables, sort_keys=True, default=str)}" if "var" in text else text

    def _macros(self, node: Node) -> list[str]:
        """The texts of the macros that a node names, and of those that these name; not dbt's own."""
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
    """A name that stands for the parent which `ref` or `source` means. Raises Opaque."""
    tail = str(names[-1]) + (f".v{version}" if version is not None else "")
    package = f".{names[0]}." if len(names) > 1 else "."
    fit = [place for place, id in enumerate(node.parents) if id.endswith(f".{tail}") and package in id]
    # Without one: the latest version, which dbt has found.
    fit = fit or [place for place, id in enumerate(node.parents) if f".{names[-1]}." in id]
    if not fit:
        raise Opaque(f"no parent {tail}")
    return f"{_NODE}{fit[0]}"
