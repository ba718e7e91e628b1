"""The project's own SQL in a tree: one node that holds the text as it was written, around its references.

sqlglot does not write such a text again, as reading and writing change it: `to_char(t, 'MM')` would lose its format.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp, generator
from sqlglot.generator import Generator

LINE_BREAK = Generator.SENTINEL_LINE_BREAK
"""A line break inside a value, which keeps its place where other lines are indented."""

ATOM, COMPARISON, CONJUNCTION, LOOSE = range(4)
"""How much of what surrounds a text could bind to its parts: nothing, any operator, a comparison or NOT, or AND."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How a text is understood. It has no part in comparisons of texts.

    `tree` is sqlglot's reading, which has the columns `__ref_0`, `__ref_1` … for the references in their order; None if
    sqlglot cannot read the text. `words` are the texts around the references in one spelling: without comments, with
    single blanks, in upper case outside of quotes. `binding` says which operators need brackets around the text.
    """

    dialect: str
    tree: exp.Expr | None
    words: tuple[str, ...]
    binding: int

    def __hash__(self) -> int:
        return 0


class Verbatim(exp.Expression):
    """A text as it was written: `texts`, with one of `expressions` between each two of them. Equality is by both.

    `reading` serves lineage, types and translation. Rewrites of a tree see only `expressions`, the references.
    """

    arg_types = {"texts": True, "expressions": False, "reading": True}  # noqa: RUF012

    @property
    def texts(self) -> tuple[str, ...]:
        texts: tuple[str, ...] = self.args["texts"]
        return texts

    @property
    def reading(self) -> Reading:
        reading: Reading = self.args["reading"]
        return reading

    def is_type(self, *dtypes: Any) -> bool:
        tree = self.reading.tree
        return tree is not None and tree.unnest().is_type(*dtypes)

    def around(self, place: int) -> tuple[type[exp.Expr], ...]:
        """The expressions around a reference in sqlglot's reading, from the inside out."""
        found: list[type[exp.Expr]] = []
        for column in self.reading.tree.find_all(exp.Column) if self.reading.tree is not None else ():
            node = column.parent if column.name == f"__ref_{place}" else None
            while node is not None:
                found.append(type(node))
                node = node.parent
        return tuple(found)


def verbatim(texts: tuple[str, ...], references: list[exp.Expr], reading: Reading) -> Verbatim:
    return Verbatim(texts=texts, expressions=references, reading=reading)


def as_read(tree: exp.Expr) -> exp.Expr:
    """The tree with sqlglot's reading in place of each text, to be looked at. It is the tree itself without texts."""
    if tree.find(Verbatim) is None:
        return tree
    whole = tree.copy()
    while (node := whole.find(Verbatim)) is not None:
        reading = _reading_of(node)
        if node is whole:
            whole = reading
        else:
            node.replace(exp.Paren(this=reading) if isinstance(reading, exp.Binary | exp.Unary) else reading)
    return whole


def _reading_of(node: Verbatim) -> exp.Expr:
    if node.reading.tree is None:  # a call of something, as far as anybody can tell
        return exp.Anonymous(this="".join(node.reading.words), expressions=[each.copy() for each in node.expressions])
    return fill(node.reading.tree, node.expressions)


def fill(reading: exp.Expr, references: Sequence[exp.Expr]) -> exp.Expr:
    """A copy of a reading with the references in place of the columns `__ref_0`, `__ref_1` …"""
    tree = reading.copy()
    for column in [*tree.find_all(exp.Column)]:
        place = column.name.removeprefix("__ref_")
        if column.name != place and not column.table:
            value = references[int(place)].copy()
            if column is tree:
                return value
            column.replace(value if _is_closed(value) else exp.Paren(this=value))
    return tree


def respell(node: Verbatim, dialect: str) -> None:
    """Change a text in place into the one spelling of all texts that differ only in blanks, comments and upper or lower
    case. `dialect` is of the SQL around it, for which it is not translated."""
    node.set("texts", node.reading.words)
    node.set("reading", replace(node.reading, dialect=dialect))


_CLOSED = (exp.Column, exp.Func, exp.Paren, exp.Literal, exp.Case, exp.Null, exp.Boolean, exp.Var, exp.Tuple, Verbatim)
"""Nodes that are one operand by themselves. A text puts brackets around any other reference."""
_SPACIOUS = (
    *(exp.AggFunc, exp.Alias, exp.Case, exp.Cast, exp.Coalesce, exp.Distinct, exp.Extract, exp.Group, exp.Having),
    *(exp.If, exp.Nullif, exp.Ordered, exp.Paren, exp.Select, exp.TimestampTrunc, exp.Tuple, exp.TsOrDsToDate),
    exp.Where,
)
"""Nodes that delimit what stands in them."""


def _write(writer: Generator, node: Any) -> str:
    """The text with its references, in brackets where operators around it could bind to its parts."""
    first, *others = node.texts
    parts = [_laid_out(first, writer)]
    for reference, before, text in zip(node.expressions, node.texts, others, strict=False):
        written = writer.sql(reference)
        alone = before.rstrip().endswith(("(", ",")) and text.lstrip().startswith((")", ","))
        parts += [written if alone or _is_closed(reference) else f"({written})", _laid_out(text, writer)]
    text = "".join(parts)
    return f"({text})" if _needs_brackets(node) else text


def _is_closed(reference: exp.Expr) -> bool:
    return isinstance(reference, _CLOSED) and not isinstance(reference, exp.Binary)


def _laid_out(text: str, writer: Generator) -> str:
    """Lines stay lines if those of the whole statement are; a value keeps its line breaks in any case."""
    if "\n" not in text and LINE_BREAK not in text:
        return text
    return text if writer.pretty else " ".join(text.split("\n")).replace(LINE_BREAK, "\n")


def _needs_brackets(node: Verbatim) -> bool:
    match node.parent:
        case None:
            return False
        case parent if isinstance(parent, _SPACIOUS):
            return False
        case exp.And():
            return node.reading.binding > CONJUNCTION
        case exp.Or():
            return node.reading.binding > COMPARISON
        case _:
            return node.reading.binding > ATOM


# sqlglot finds how to write a node by the node's class, in a table that it makes once for each of its writers.
exp.EXPR_CLASSES[Verbatim.key] = Verbatim
setattr(Generator, f"{Verbatim.key}_sql", _write)
getattr(generator, "_DISPATCH_CACHE", {}).clear()
