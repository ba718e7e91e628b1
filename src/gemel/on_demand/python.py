"""A term as Python text, complete with the functions of runtime.py that it calls."""

import ast
import builtins
import datetime as dt
import inspect
import keyword
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TypeGuard

from gemel.on_demand import runtime
from gemel.on_demand.operations import OPERATIONS
from gemel.on_demand.terms import Constant, Operation, Parameter, Reference, Type, Typed, walk
from gemel.python_text import bracket, literal

INWARDS: Mapping[Type, str] = {
    "int64": "whole",
    "float64": "real",
    "string": "text",
    "bool": "truth",
    "timestamp": "moment",
}
"""The function that converts a value from a request or a store to its type."""

MODULES = {"import datetime as dt": "dt", "import math": "math"}
"""The imports of runtime.py, and their names."""


def function_of(name: str, features: Mapping[str, Typed], expressions: Mapping[str, str]) -> str:
    """The text of a function from columns by name to the columns of the features.

    Its argument is like `{"distance": [733, None], "plane_history__seats": [178, 55]}`. The text needs no imports.
    `expressions` are the features' SQL, written as comments.
    """
    called = {OPERATIONS[each.name].python for each in _operations(features.values())}
    called |= {INWARDS[each.type] for each in _references(features.values())}
    called |= {"moment" for term in features.values() for each in walk(term) if _is_time(each)}
    helpers = [source(helper) for helper in _with_callees(called)]
    own = [_own(feature, term, expressions[feature]) for feature, term in features.items()]
    columns = [f"{literal(feature)}: {_column(feature, term)}" for feature, term in features.items()]
    modules = [line for line, used in MODULES.items() if any(f"{used}." in helper for helper in helpers)]
    imports = ["\n".join(modules)] if modules else []
    body = "\n\n".join([*imports, *helpers, *own, f"return {bracket('{', columns, '}')}"])
    return f"def {name}(inputs):\n{textwrap.indent(body, '    ')}"


def key(name: str) -> str:
    """The name that Feast gives to the column of a `view.feature`."""
    return name.replace(".", "__")


def _own(feature: str, term: Typed, expression: str) -> str:
    names = [_safe(each.name) for each in _references([term])]
    plain = "".join(letter if letter.isprintable() else " " for letter in expression)
    comment = "\n".join(f"# {line}" for line in textwrap.wrap(plain, 80))
    value = textwrap.indent(f"return {_text(term)}", "    ")
    return f"{bracket(f'def {_safe(feature)}(', names, '):')}\n{textwrap.indent(comment, '    ')}\n{value}"


def _column(feature: str, term: Typed) -> str:
    columns = [
        bracket("map(", [INWARDS[each.type], f"inputs[{literal(key(each.name))}]"], ")") for each in _references([term])
    ]
    return bracket("list(", [bracket("map(", [_safe(feature), *columns], ")")], ")")


def _text(term: Typed | Parameter) -> str:
    match term:
        case Reference(name=name):
            return _safe(name)
        case Operation(name=name, arguments=arguments):
            return bracket(f"{OPERATIONS[name].python}(", list(map(_text, arguments)), ")")
        case Constant(value=dt.datetime() as value):
            return f'moment("{value:%Y-%m-%d %H:%M:%S}")'
        case Constant(value=value) | Parameter(value=value):
            return literal(value) if isinstance(value, str) else repr(value)


def _is_time(term: object) -> bool:
    return isinstance(term, Constant) and isinstance(term.value, dt.datetime)


def _references(terms: Iterable[Typed]) -> list[Reference]:
    """Each once, in the order of the text."""
    return list(dict.fromkeys(each for term in terms for each in walk(term) if isinstance(each, Reference)))


def _operations(terms: Iterable[Typed]) -> Iterator[Operation]:
    return (each for term in terms for each in walk(term) if isinstance(each, Operation))


def _safe(name: str) -> str:
    """A user's name as a Python identifier."""
    name = key(name)
    is_taken = keyword.iskeyword(name) or hasattr(builtins, name) or hasattr(runtime, name) or name == "inputs"
    return f"{name}_" if is_taken else name


def _with_callees(names: Iterable[str]) -> list[str]:
    """These helpers and the helpers that they call, in the order of runtime.py."""
    needed, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _calls(name)
    return [name for name in _helpers() if name in needed]


@cache
def _helpers() -> tuple[str, ...]:
    tree = ast.parse(inspect.getsource(runtime))
    return tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@cache
def _calls(name: str) -> tuple[str, ...]:
    tree = ast.parse(inspect.getsource(getattr(runtime, name)))
    return tuple(n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and _is_helper(n.func))


def _is_helper(called: ast.expr) -> TypeGuard[ast.Name]:
    return isinstance(called, ast.Name) and called.id in _helpers()


@cache
def source(name: str) -> str:
    """The text of a function of runtime.py, without annotations: their names would need imports."""
    text = inspect.getsource(getattr(runtime, name)).rstrip()
    first, _, rest = text.partition("\n")
    for annotation in (": Any", " -> Any"):
        first = first.replace(annotation, "")
    return f"{first}\n{rest}"
