"""SQL that people write inside definitions and filters, read into trees. Only expressions are accepted.

Every text of a user enters SQL as a tree that this module has checked: no statement, no subquery, no second statement
behind a semicolon, no comment.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from gemel.compiler.question.formulas import nonzero, read_formula
from gemel.compiler.question.keywords import RESERVED
from gemel.compiler.question.own import FORBIDDEN, OwnText, forget_positions, parse, read_own
from gemel.compiler.question.parsing import parse_item, parse_reference
from gemel.compiler.question.query import Item, MetricItem
from gemel.compiler.question.references import HANDLE, TAG, restore, shorten, take_references
from gemel.compiler.question.tokens import Refused as Refused
from gemel.compiler.question.verbatim import Verbatim
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, QueryError
from gemel.spec.columns import ColumnName
from gemel.spec.metrics import Measure
from gemel.spec.time import Window

if TYPE_CHECKING:
    from gemel.compiler.question.language.functions import Own
    from gemel.spec.functions import WarehouseFunction

_is_plain = re.compile(r"[a-z_][a-z0-9_]*").fullmatch


def identifier(name: str) -> exp.Identifier:
    """A name as SQL needs it: bare if that is safe, otherwise quoted."""
    return exp.Identifier(this=name, quoted=name in RESERVED or not _is_plain(name))


def identifiers(names: Iterable[str]) -> list[exp.Identifier]:
    return [exp.Identifier(this=name, quoted=name in RESERVED or not _is_plain(name)) for name in names]


def column(name: str, table: str | None = None) -> exp.Column:
    this = exp.Identifier(this=name, quoted=name in RESERVED or not _is_plain(name))
    owner = exp.Identifier(this=table, quoted=table in RESERVED or not _is_plain(table)) if table else None
    return exp.Column(this=this, table=owner)


def copied(tree: exp.Expr) -> exp.Expr:
    """The same as `tree.copy()` in half the time: plans consist of many small trees."""
    root: exp.Expr | None = None
    waiting: list[tuple[exp.Expr, exp.Expr | None, str | None, int | None]] = [(tree, None, None, None)]
    while waiting:
        node, parent, key, index = waiting.pop()
        copy = type(node)()
        copy._hash = node._hash
        copy._type = node._type
        if node.comments is not None:
            copy.comments = [*node.comments]
        if node._meta is not None:
            copy._meta = {**node._meta}
        if parent is None or key is None:
            root = copy
        else:
            copy.parent, copy.arg_key, copy.index = parent, key, index
            if index is None:
                parent.args[key] = copy
            else:
                parent.args[key][index] = copy
        for name, value in node.args.items():
            copy.args[name] = value  # a tree keeps its place here until its copy replaces it
            if isinstance(value, exp.Expr):
                waiting.append((value, copy, name, None))
            elif type(value) is list:
                copy.args[name] = [*value]
                waiting.extend((each, copy, name, at) for at, each in enumerate(value) if isinstance(each, exp.Expr))
    assert root is not None
    return root


ONE_EXPRESSION = "write one SQL expression, without SELECT and without a second one behind a semicolon"


def parse_expression(text: str, dialect: str = DIALECT) -> exp.Expr:
    """One scalar expression. Raises Refused."""
    tree = parse(text, dialect, (*FORBIDDEN, exp.PropertyEQ))
    forget_positions(tree)
    return tree


def qualify(tree: exp.Expr, table: str) -> exp.Expr:
    """A copy in which every bare column belongs to `table`."""

    whole = copied(tree)
    for node in whole.find_all(exp.Column):
        if not node.table:
            node.set("table", identifier(table))
    return whole


def substitute(tree: exp.Expr, values: Mapping[str, exp.Expr]) -> exp.Expr:
    """A copy in which every bare column that `values` names is that value."""
    if isinstance(tree, exp.Column) and not tree.table and tree.name in values:
        return parenthesized(values[tree.name].copy())
    whole = copied(tree)
    for node in [*whole.find_all(exp.Column)]:
        if not node.table and node.name in values:
            node.replace(parenthesized(values[node.name].copy()))
    return whole


def parenthesized(tree: exp.Expr) -> exp.Expr:
    """The tree in brackets if it is an operation, whose operands could otherwise bind to what surrounds it."""
    return (
        exp.Paren(this=tree)
        if isinstance(tree, (exp.Binary, exp.Not, exp.Between, exp.In, exp.Unary))
        and not isinstance(tree, (exp.Paren, exp.Dot))
        else tree
    )


def divide(left: exp.Expr, right: exp.Expr) -> exp.Div:
    """Floating-point division; NULL where `right` is zero."""
    return exp.Div(this=parenthesized(left), expression=nonzero(parenthesized(right)), typed=False, safe=False)


def mean(total: exp.Expr, count: exp.Expr) -> exp.Div:
    """The total of some numbers over their count, which is not zero. Its type is that of an average of the
    numbers, which an engine may need to be told (`engines.postgres.exact_mean`)."""
    quotient = exp.Div(this=parenthesized(total), expression=parenthesized(count), typed=False, safe=False)
    quotient.meta["mean"] = True
    return quotient


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed filter: a tree in which the columns `__ref_0`, `__ref_1` … stand for `references`.

    `bare` are the numbers of the references that are written as plain names.
    """

    tree: exp.Expr
    references: tuple[Item | MetricItem, ...]
    text: str
    bare: frozenset[int] = frozenset()


class Texts:
    """Texts of one dialect, each parsed once. The trees are shared: copy one before changing it."""

    def __init__(
        self, dialect: str = DIALECT, functions: "Sequence[WarehouseFunction]" = (), columns: Iterable[str] = ()
    ) -> None:
        self.dialect = dialect
        self._functions = tuple(functions)
        self.columns = columns
        """Names of columns in the project's definitions, read only for a text that sqlglot cannot read."""
        self._texts: dict[str, OwnText] = {}
        self._formulas: dict[tuple[str, tuple[str, ...]], exp.Expr] = {}
        self._over: dict[tuple[str, str], exp.Expr] = {}
        self._items: dict[str, Item] = {}
        self._filters: dict[tuple[str, About | None], Template] = {}
        self._asked: dict[tuple[str, str], Template] = {}
        self._results: dict[tuple[str, str, tuple[str, ...]], exp.Expr] = {}

    def own(self, text: str) -> OwnText:
        """The SQL of a definition. Raises Refused."""
        if isinstance(text, ColumnName):
            tree = column(str(text))
            return OwnText(tree, tree)
        if text not in self._texts:
            self._texts[text] = read_own(text, self.dialect, self.columns)
        return self._texts[text]

    def scalar(self, text: str) -> exp.Expr:
        """The SQL of a definition as a tree to look at: what goes into SQL is `over`. Raises Refused."""
        return self.own(text).tree

    def measured(self, measure: Measure) -> exp.Expr:
        """What a measure aggregates, as a tree to look at. Raises Refused."""
        value = self.scalar(measure.expr)
        return as_number(value.copy()) if measure.is_flag else value

    def formula(self, text: str, handles: Iterable[str], about: About | None = None) -> exp.Expr:
        """A definition's formula over metrics, with its divisions guarded. Raises Refused."""
        names = tuple(handles)
        if (text, names) not in self._formulas:
            self._formulas[text, names] = _of(read_formula(text, self.dialect, names), about)
        return self._formulas[text, names]

    def over(self, alias: str, text: str, about: About | None = None) -> exp.Expr:
        """An expression whose columns belong to `alias`, in definition `about`. Raises Refused."""
        if isinstance(text, ColumnName):
            return column(str(text), alias)
        if (alias, text) not in self._over:
            own = self.own(text)
            if own.parts:
                whole: exp.Expr = exp.Tuple(expressions=[self.over(alias, part).copy() for part in own.parts])
            else:
                whole = qualify(own.node, alias)
            self._over[(alias, text)] = _of(whole, about)
        return self._over[(alias, text)]

    def item(self, text: str) -> Item:
        """A name of a dimension or entity in a definition, such as `flight__landed_at`. Raises QueryError."""
        if text not in self._items:
            self._items[text] = parse_item(text)
        return self._items[text]

    def filter(self, text: str, about: About | None = None) -> Template:
        """A filter in the project's own words; `about` is the definition that it is of. Raises QueryError."""
        if (text, about) not in self._filters:
            template = parse_filter(text, self.dialect)
            _of(template.tree, about)
            _make_room(self._filters)
            self._filters[text, about] = template
        return self._filters[text, about]

    def asked(self, text: str, dialect: str) -> Template:
        """A filter in the closed language, written for a dialect. Raises QueryError."""
        template = self._asked.get((text, dialect))
        if template is None:
            from gemel.compiler.question.language.asked import ask_filter

            asked = ask_filter(text, dialect, self._own(dialect))
            _make_room(self._asked)
            template = Template(asked.tree, asked.references, text, asked.bare)
            self._asked[text, dialect] = template
        return template

    def result_filter(self, text: str, available: Sequence[str], dialect: str) -> exp.Expr:
        """A filter on the result's columns in the closed language. Raises QueryError."""
        place = text, dialect, tuple(available)
        tree = self._results.get(place)
        if tree is None:
            from gemel.compiler.question.language.asked import ask_result_filter

            tree = ask_result_filter(text, available, dialect, self._own(dialect))
            _make_room(self._results)
            self._results[place] = tree
        return copied(tree)

    def _own(self, dialect: str) -> "Own":
        """The project's functions, which only its own warehouse has. Raises ProjectError (G604)."""
        if not self._functions or dialect != self.dialect:
            return {}
        from gemel.compiler.question.language.functions import by_name, own_functions

        return by_name(own_functions(self._functions))


def _of(tree: exp.Expr, about: About | None) -> exp.Expr:
    """The tree, whose texts are those of a definition: for messages, and not for comparisons."""
    for node in tree.find_all(Verbatim) if about is not None else ():
        node.meta["about"] = about
    return tree


def _make_room(texts: dict[Any, Any]) -> None:
    """Texts of questions have no end: a server forgets them now and then, while other threads use them."""
    if len(texts) >= 1_000:
        texts.clear()


def parse_filter(text: str, dialect: str = DIALECT) -> Template:
    """A filter in the warehouse's own words, which the project's owner writes. Raises QueryError (G307 to G309)."""
    plain, references = take_references(text)
    try:
        own = read_own(plain, dialect)
    except Refused as refused:
        raise QueryError(
            "G308",
            f"the filter {shorten(text)} cannot be used: {restore(str(refused), references)}",
            hint="a filter is one expression, such as {{ Dimension('entity__name') }} = 'value'",
        ) from None
    tree = own.tree
    if tree.find(exp.AggFunc, exp.Window) is not None:
        raise QueryError(
            "G308",
            f"the filter {shorten(text)} computes over many rows, but a filter sees only one row",
            hint="filter the result with --having, or filter by {{ Metric('name', ['entity']) }}",
        )
    for node in tree.find_all(exp.Column, exp.Literal, exp.Anonymous):
        if isinstance(node, exp.Anonymous):
            if HANDLE.fullmatch(node.name):
                raise QueryError(
                    "G309",
                    f"the filter {shorten(text)} has a reference in place of a function's name",
                    hint="a reference is a value: put an operator between it and the bracket",
                )
        elif isinstance(node, exp.Literal):
            if node.is_string and HANDLE.search(node.name):
                raise QueryError(
                    "G309",
                    f"the filter {shorten(text)} has a reference inside quotes, where it is only text",
                    hint="remove the quotes around {{ ... }}",
                )
        elif node.text("table") or not HANDLE.fullmatch(node.name):
            raise QueryError(
                "G309",
                f"the filter {shorten(text)} names {shorten(node.sql(DIALECT))}, which is not a reference",
                hint="filter rows by a reference such as {{ Dimension('entity__name') }}, put a text value in single "
                "quotes, and filter a metric's result with --having",
            )
    values = {node.name for node in tree.find_all(exp.Column)}
    if lost := [each for number, each in enumerate(references) if f"__ref_{number}" not in values]:
        message = f"the filter {shorten(text)} has {lost[0]} where a value is not allowed"
        raise QueryError(
            "G309", message, hint="a reference is a value, such as {{ Dimension('entity__name') }} = 'value'"
        )
    if isinstance(own.node, Verbatim):
        own.node.set("texts", _without_padding(own.node.texts))
    return Template(own.node, tuple(references), text)


def _without_padding(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts around handles without the blanks around the handles, unless two words would become one."""
    last = len(texts) - 1
    trimmed = []
    for place, text in enumerate(texts):
        if place > 0 and re.match(r" (?!\w)", text):
            text = text[1:]
        if place < last and re.search(r"(?<!\w) $|^ $", text):
            text = text[:-1]
        trimmed.append(text)
    return tuple(trimmed)


def references_of(text: str) -> tuple[Item | MetricItem, ...]:
    """The references in a filter, whatever else the filter contains. Raises QueryError (G303)."""
    return tuple(parse_reference(match[1]) for match in TAG.finditer(text))


def bound(template: Template, values: Sequence[exp.Expr]) -> exp.Expr:
    """The filter's tree with each reference, in order, replaced by its value."""
    return substitute(template.tree, {f"__ref_{index}": value for index, value in enumerate(values)})


def free(name: str, used: Collection[str]) -> str:
    """The name, or one like it that is not used yet: `orders`, `orders_2`."""
    number, wanted = 1, name
    while name in used:
        number += 1
        name = f"{wanted}_{number}"
    return name


def conjunction(conditions: Sequence[exp.Expr]) -> exp.Expr:
    """One or more conditions, joined by AND."""
    return exp.and_(*conditions) if len(conditions) > 1 else conditions[0]


def equal(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.EQ(this=left, expression=right)


def as_number(flag: exp.Expr) -> exp.Case:
    """`CASE WHEN flag THEN 1 ELSE 0 END`"""
    return exp.case().when(flag, exp.Literal.number(1)).else_(exp.Literal.number(0))


def filled(value: exp.Expr, fill: int | None) -> exp.Expr:
    """The value, or `fill` where it is NULL."""
    return value if fill is None else exp.Coalesce(this=value, expressions=[exp.Literal.number(fill)])


def present(value: exp.Expr) -> exp.Expr:
    """`value IS NOT NULL`"""
    return exp.Is(this=value, expression=exp.Not(this=exp.null()))


def interval(window: Window) -> exp.Interval:
    return exp.Interval(this=exp.Literal.string(str(window.count)), unit=exp.var(window.unit.upper()))
