"""A dbt model's text to SQL that can be compared: `ref()` and `source()` become names, and nothing is run.

It is not dbt's compilation, which needs the warehouse. What only dbt knows (macros of packages, the target, what is
built) becomes a name that stands for its text, so that two renderings are equal where the texts are.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from gemel.spec.project import DbtProject, Node

UNKNOWN = "gemel_unknown_"
"""What a name starts with that stands for a text that only dbt can render."""

_NODE = "gemel_node_"
_ADAPTERS = (
    *("athena", "bigquery", "clickhouse", "databricks", "doris", "duckdb", "fabric", "hive", "materialize", "mysql"),
    *("oracle", "postgres", "presto", "redshift", "risingwave", "snowflake", "spark", "sqlite", "sqlserver"),
    *("starrocks", "synapse", "trino"),
)
"""Each brings macros of dbt's own, in a package of its name: `dbt_trino`."""

Refer = Callable[..., str]


class Opaque(Exception):
    """A model whose very structure only dbt can tell: an `if` or `for` over what it knows."""


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
            salt=_digest(" ".join(self._macros(node))),
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


def render(
    text: str, *, ref: Refer, source: Refer, variables: Mapping[str, Any], macros: Iterable[str] = (), salt: str = ""
) -> str:
    """`select * from {{ ref('a') }}` -> `select * from <what ref gives>`. Raises Opaque.

    `macros` are the texts of the project's own; `salt` is a text on which everything unknown depends.
    """

    def var(name: str, default: Any = None) -> Any:
        return variables.get(name, default)

    environment = SandboxedEnvironment(undefined=_unknown(salt), extensions=["jinja2.ext.do"])
    environment.globals = {
        **{name: environment.globals[name] for name in ("range", "dict", "namespace") if name in environment.globals},
        "ref": ref,
        "source": source,
        "var": var,
        "config": _Config(),
        "is_incremental": lambda: False,
        "return": lambda value: value,
    }
    try:
        for macro in macros:
            _define(environment, macro)
        return environment.from_string(text).render()
    except Opaque:
        raise
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError, RecursionError, ArithmeticError) as error:
        raise Opaque(str(error)) from None


def _define(environment: SandboxedEnvironment, macro: str) -> None:
    """A macro that cannot be rendered alone stays unknown."""
    try:
        module = environment.from_string(macro).module
    except (TemplateError, Opaque, TypeError):
        return
    environment.globals |= {name: value for name, value in vars(module).items() if not name.startswith("_")}


class _Config:
    """`{{ config(...) }}` says how a model is built, and nothing of its rows."""

    def __call__(self, *_: Any, **__: Any) -> str:
        return ""

    def get(self, _: str, default: Any = None, **__: Any) -> Any:
        return default

    def require(self, name: str, **_: Any) -> str:
        return f"{UNKNOWN}config_{_digest(name)}"


_OF_JINJA = ("said", "unsafe_callable", "alters_data", "jinja_pass_arg", "environmentfunction", "contextfunction")
"""What jinja asks of whatever is called."""


def _unknown(salt: str) -> type[Undefined]:
    class Unknown(Undefined):
        """A name that dbt knows, with whatever is asked of it."""

        __slots__ = ("said",)

        def _told(self, more: str = "") -> "Unknown":
            found = Unknown(name=f"{getattr(self, 'said', self._undefined_name)}{more}")
            found.said = found._undefined_name  # type: ignore[attr-defined]
            return found

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name in _OF_JINJA:
                raise AttributeError(name)
            return self._told(f".{name}")

        def __getitem__(self, key: Any) -> Any:
            return self._told(f"[{key}]")

        def __call__(self, *arguments: Any, **named: Any) -> Any:
            said = [*map(str, arguments), *(f"{name}={value}" for name, value in sorted(named.items()))]
            return self._told(f"({', '.join(said)})")

        def __str__(self) -> str:
            return f"{UNKNOWN}{_digest(f'{self._undefined_name} {salt}')}"

        def __bool__(self) -> bool:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __iter__(self) -> Any:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __len__(self) -> int:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __add__(self, other: Any) -> Any:
            return self._told(f" + {other}")

        def __radd__(self, other: Any) -> Any:
            return self._told(f" after {other}")

        def __eq__(self, other: object) -> Any:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __hash__(self) -> int:
            return hash(self._undefined_name)

    return Unknown


def _digest(text: str) -> str:
    return hashlib.sha256(re.sub(r"\s+", " ", text).encode()).hexdigest()[:12]
