"""An expression to its text and its leaves: the columns and SELECTs in it, each with how it affects the value."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from gemel.tracing.derivations import Why

PLACE = "?"
"""The place of a leaf in the text."""

_LEAVES = (exp.Column, exp.Query, exp.Columns, exp.Star)
_PATHS = (exp.Dot, exp.Bracket, exp.StructExtract)
_CALLS_OF_AGGREGATES = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)
_MULTIPLIERS = (exp.UDTF, exp.ExplodingGenerateSeries)
_SET_RETURNING = frozenset(
    [
        *("generate_subscripts", "json_array_elements", "json_array_elements_text", "json_each", "json_object_keys"),
        *("jsonb_array_elements", "jsonb_array_elements_text", "jsonb_each", "jsonb_object_keys"),
        *("regexp_matches", "regexp_split_to_table", "string_to_table"),
    ]
)
"""Functions of PostgreSQL that return several rows in a SELECT list."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`leaves` are in the order of their places in the text, each with how it affects the value. `multipliers` are
    functions that return several rows."""

    tree: exp.Expr
    text: str
    leaves: tuple[tuple[exp.Expr, Why], ...]
    aggregates: bool
    multipliers: tuple[exp.Expr, ...]


def read_expression(tree: exp.Expr) -> Expression:
    """The text has only what has a meaning: unquoted names are in lower case, and comments and brackets around a single
    name are omitted."""
    return _read(tree.unnest(), _LEAVES)


def text_of(tree: exp.Expr) -> str:
    """The same text, with its leaves written out."""
    return _read(tree, ()).text


def _read(tree: exp.Expr, stops: tuple[type[exp.Expr], ...]) -> Expression:
    words: list[str] = []
    leaves: list[tuple[exp.Expr, Why]] = []
    multipliers: list[exp.Expr] = []
    aggregates = loops = False
    waiting: list[exp.Expr | str] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            words.append(node)
            continue
        while isinstance(node, exp.Paren) and isinstance(node.this, (exp.Column, exp.Literal, exp.Func, exp.Paren)):
            node = node.this
        if isinstance(node, exp.Identifier):
            words.append(node.name if node.quoted and not node.name.islower() else node.name.lower())
            continue
        if isinstance(node, stops) or (stops and isinstance(node, _PATHS) and root_of(node) is not None):
            if isinstance(node, exp.Star) and isinstance(node.parent, exp.Count):
                words.append("*")
            elif loops and (name := _loop_variable(node, tree)):
                words.append(name)
            else:
                words.append(PLACE)
                leaves.append((node, bearing(node, tree)))
            continue
        if isinstance(node, exp.AggFunc):
            aggregates = aggregates or not _is_windowed(node)
        elif isinstance(node, _MULTIPLIERS) or (
            isinstance(node, exp.Anonymous) and node.name.lower() in _SET_RETURNING
        ):
            multipliers.append(node)
        elif isinstance(node, exp.Comprehension):
            loops = True
        waiting.append(")")
        for key, value in reversed(node.args.items()):
            if value is None or value is False or value == [] or isinstance(value, exp.TableAlias):
                continue
            for each in reversed(value) if isinstance(value, list) else (value,):
                is_name = key == "this" and isinstance(node, exp.Anonymous)
                waiting.append(each if isinstance(each, exp.Expr) else f"{each.lower() if is_name else each!r},")
            waiting.append(f" {key}=")
        words.append(f"({type(node).__name__}")
    return Expression(tree, "".join(words), tuple(leaves), aggregates, tuple(multipliers))


def root_of(node: exp.Expr) -> tuple[exp.Column, tuple[str, ...]] | None:
    """The column of `info.money`, `info['money']` and `struct_extract(info, 'money')`, and the fields below it."""
    fields: list[str] = []
    while not isinstance(node, exp.Column):
        match node:
            case exp.Paren():
                pass
            case exp.Dot(args={"expression": exp.Identifier() as name}):
                fields.append(name.name.lower())
            case exp.StructExtract(args={"expression": exp.Literal(is_string=True) as name}):
                fields.append(name.name.lower())
            case exp.Bracket(args={"expressions": [exp.Literal(is_string=True) as name]}):
                fields.append(name.name.lower())
            case _:
                return None
        node = node.this
    return (node, tuple(reversed(fields))) if not isinstance(node.this, exp.Star) else None


def bearing(node: exp.Expr, top: exp.Expr) -> Why:
    """How a part of an expression affects its value."""
    why: Why = "identity" if node is top else "transformation"
    while node is not top and node.parent is not None:
        parent, key = node.parent, node.arg_key
        match parent:
            case exp.If() | exp.Case() if key == "this":
                return "conditional"
            case exp.Filter() if key == "expression":
                return "conditional"
            case exp.Window() if key != "this":
                return "window"
            case exp.AggFunc() if not isinstance(parent.parent, exp.Window):
                why = "aggregation"
        node = parent
    return why


def spell_windows(tree: exp.Expr) -> None:
    """Replace the names of windows by the windows, in place: `sum(a) over w … window w as (…)`."""
    for select in tree.find_all(exp.Select):
        named = {each.name.lower(): each for each in select.args.get("windows") or []}
        if not named:
            continue
        select.set("windows", None)
        own = [each for each in select.find_all(exp.Window) if each.find_ancestor(exp.Select) is select]
        for window in (*named.values(), *own):
            _spell(window, named)


_CLAUSES = ("partition_by", "order", "spec")
_ORDER = ("this", *_CLAUSES, "over", "first")


def _spell(window: exp.Window, named: Mapping[str, exp.Window]) -> None:
    """A window that refers to another has the clauses of both."""
    base = named.get(window.text("alias").lower())
    window.set("alias", None)
    if base is None:
        return
    _spell(base, named)
    for clause in _CLAUSES:
        value = base.args.get(clause)
        if value and not window.args.get(clause):
            window.set(clause, [each.copy() for each in value] if isinstance(value, list) else value.copy())
    # In the order of a window without a name, so that both have the same text.
    window.args = {key: window.args[key] for key in _ORDER if key in window.args}


def _is_windowed(node: exp.Expr) -> bool:
    while isinstance(node.parent, _CALLS_OF_AGGREGATES):
        node = node.parent
    return isinstance(node.parent, exp.Window) and node.arg_key == "this"


def _loop_variable(node: exp.Expr, tree: exp.Expr) -> str | None:
    """The name of a loop variable of a list comprehension, which is parsed as a column: `v` in `[v * 2 for v in
    months]`."""
    root = root_of(node)
    if root is None:
        return None
    name, each = root[0].parts[0].name.lower(), node
    while each is not tree and each.parent is not None:
        parent = each.parent
        if (
            isinstance(parent, exp.Comprehension)
            and each.arg_key != "iterator"
            and name == parent.text("expression").lower()
        ):
            return name
        each = parent
    return None
