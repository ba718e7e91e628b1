"""Renders the Jinja of a dbt model without running anything. Text that only dbt can render becomes a name."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Undefined
    from jinja2.sandbox import SandboxedEnvironment

UNKNOWN = "gemel_unknown_"
"""The prefix of names that replace text that only dbt can render."""

Refer = Callable[..., str]


class Opaque(Exception):
    """Only dbt can render this model, because its structure depends on an `if` or `for` over what only dbt knows."""


def render(
    text: str, *, ref: Refer, source: Refer, variables: Mapping[str, Any], macros: Iterable[str] = (), salt: str = ""
) -> str:
    """`select * from {{ ref('a') }}` -> `select * from <the result of ref>`. Raises Opaque.

    `macros` are the texts of the project's own macros. `salt` becomes part of every name for unknown text.
    """

    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import SandboxedEnvironment

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


def _define(environment: "SandboxedEnvironment", macro: str) -> None:
    """Make a macro available. One that cannot be rendered on its own stays unknown."""
    from jinja2.exceptions import TemplateError

    try:
        module = environment.from_string(macro).module
    except (TemplateError, Opaque, TypeError):
        return
    environment.globals |= {name: value for name, value in vars(module).items() if not name.startswith("_")}


class _Config:
    """`{{ config(...) }}` decides how a model is built, and does not affect its rows."""

    def __call__(self, *_: Any, **__: Any) -> str:
        return ""

    def get(self, _: str, default: Any = None, **__: Any) -> Any:
        return default

    def require(self, name: str, **_: Any) -> str:
        return f"{UNKNOWN}config_{digest(name)}"


_OF_JINJA = ("unsafe_callable", "alters_data", "jinja_pass_arg", "environmentfunction", "contextfunction")
"""Attributes that jinja looks up on everything that is called."""


def _unknown(salt: str) -> "type[Undefined]":
    from jinja2 import Undefined

    class Unknown(Undefined):
        """A name that only dbt knows, with the attributes and calls that follow it."""

        def _extend(self, more: str = "") -> "Unknown":
            return Unknown(name=f"{self._undefined_name}{more}")

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name in _OF_JINJA:
                raise AttributeError(name)
            return self._extend(f".{name}")

        def __getitem__(self, key: Any) -> Any:
            return self._extend(f"[{key}]")

        def __call__(self, *arguments: Any, **named: Any) -> Any:
            texts = [*map(str, arguments), *(f"{name}={value}" for name, value in sorted(named.items()))]
            return self._extend(f"({', '.join(texts)})")

        def __str__(self) -> str:
            return f"{UNKNOWN}{digest(f'{self._undefined_name} {salt}')}"

        def __bool__(self) -> bool:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __iter__(self) -> Any:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __len__(self) -> int:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __add__(self, other: Any) -> Any:
            return self._extend(f" + {other}")

        def __radd__(self, other: Any) -> Any:
            return self._extend(f" after {other}")

        def __eq__(self, other: object) -> Any:
            raise Opaque(f"only dbt knows {self._undefined_name}")

        def __hash__(self) -> int:
            return hash(self._undefined_name)

    return Unknown


def digest(text: str) -> str:
    return hashlib.sha256(re.sub(r"\s+", " ", text).encode()).hexdigest()[:12]
