"""Asked text: filters of anybody, read in a closed language and written for one engine.

Operators, CASE, IN, BETWEEN, LIKE, IS, casts to plain types, literals, references, and the functions of one table
(`functions.py`). Whatever is not there is refused, so nothing of an engine can be reached that was not looked at.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.question.language.closed import TooDeep, Unreadable, hold, read_text
from gemel.compiler.question.language.functions import Own
from gemel.compiler.question.language.spelling import Written
from gemel.compiler.question.language.writing import Writer
from gemel.compiler.question.parsing import parse_item
from gemel.compiler.question.query import Item, MetricItem
from gemel.compiler.question.references import HANDLE, has_template, restore, shorten, take_references
from gemel.errors import QueryError, did_you_mean


@dataclass(frozen=True, slots=True)
class AskedFilter:
    """A filter as the engine reads it. The columns `__ref_0`, `__ref_1` … stand for `references`.

    `bare` are the numbers of the references that were written as plain names, which may be no items at all.
    """

    tree: exp.Expr
    references: tuple[Item | MetricItem, ...]
    bare: frozenset[int] = frozenset()


def ask_filter(text: str, dialect: str, own: Own) -> AskedFilter:
    """Read `"{{ Dimension('user__country') }} = 'IS'"`. Raises QueryError (G303, G307 to G309, G327, G340, G341)."""
    plain, references = take_references(text)
    given = len(references)
    who = f"the filter {shorten(text)}"
    used: set[int] = set()

    def column(node: exp.Column) -> Written:
        match = None if node.table else HANDLE.fullmatch(node.name)
        number = int(match[1]) if match else _bare(node, references, given, who)
        used.add(number)
        return Written(exp.column(f"__ref_{number}"))

    hint = "a filter is one expression, such as {{ Dimension('entity__name') }} = 'value'"
    tree = _write(plain, Writer(dialect, who, column, lambda text: restore(text, references), own), hint)
    if lost := [each for number, each in enumerate(references) if number not in used]:
        raise QueryError(
            "G309",
            f"{who} has {lost[0]} where a value is not allowed",
            hint="a reference is a value, such as {{ Dimension('entity__name') }} = 'value'; remove quotes around it",
        )
    return AskedFilter(tree, tuple(references), frozenset(range(given, len(references))))


def _bare(node: exp.Column, references: list[Item | MetricItem], given: int, who: str) -> int:
    """The number of a plain name among the references, each once. The graph decides later whether it is an item."""
    try:
        if node.table or not re.fullmatch(r"\w+", node.name):
            raise ValueError
        item = parse_item(node.name)
    except (QueryError, ValueError):
        raise QueryError(
            "G309",
            f"{who} names {restore(node.sql(), references)[:80]!r}, which is not a reference",
            hint="write a reference such as {{ Dimension('entity__name') }}, and put a text value in single quotes",
        ) from None
    if item not in references[given:]:
        references.append(item)
    return references.index(item, given)


def ask_result_filter(text: str, available: Sequence[str], dialect: str, own: Own) -> exp.Expr:
    """A filter on the result, over the result's columns. Raises QueryError (G307, G308, G316, G327, G340, G341)."""
    who = f"the result filter {shorten(text)}"
    if has_template(text):
        hint = f"write the plain names of the result's columns: {', '.join(available)}"
        raise QueryError("G307", f"{who} contains template code", hint=hint)

    def column(node: exp.Column) -> Written:
        name = node.name.lower()
        if node.table or name not in available:
            raise QueryError(
                "G316",
                f"{who} names {node.sql()[:80]!r}, which is not a column of the result",
                hint=did_you_mean(node.name, available) or f"its columns are {', '.join(available)}",
            )
        return Written(exp.Column(this=exp.to_identifier(name)))

    hint = "a result filter is one expression over the result's columns, such as flights > 100"
    return _write(text, Writer(dialect, who, column, lambda text: text, own), hint)


def _write(text: str, writer: Writer, hint: str) -> exp.Expr:
    """The condition that a text is, checked once more as the engine will read it."""
    try:
        written = writer.write(read_text(text))
        if written.type not in (None, "boolean"):
            raise Unreadable(f"it is of type {written.type}, not a condition")
        hold(written.tree, writer.dialect, writer.called)
    except TooDeep as deep:
        raise QueryError(
            "G341", f"{writer.who} cannot be used: {deep}", hint="split it, or use fewer brackets"
        ) from None
    except Unreadable as unreadable:
        raise QueryError(
            "G308",
            f"{writer.who} cannot be used: {writer.restore(str(unreadable))}",
            hint=hint,
        ) from None
    return written.tree
