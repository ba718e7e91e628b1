"""The project's own SQL, read: where its references are, and what it is as a tree.

A text is never written again from its tree (`verbatim.py` says why): its references are replaced at their places.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from gemel.compiler.question.references import HANDLE, shorten
from gemel.compiler.question.tokens import (
    LONGEST,
    QUOTED,
    Forbidden,
    Refused,
    Unknown,
    describe_error,
    guess_references,
    is_atom,
    split,
    tokenize,
    with_depths,
)
from gemel.compiler.question.verbatim import (
    ATOM,
    COMPARISON,
    CONJUNCTION,
    LINE_BREAK,
    LOOSE,
    Reading,
    Verbatim,
    as_read,
    verbatim,
)

ARITHMETIC = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.Add, exp.Sub, exp.Mul),
    *(exp.Div, exp.Nullif, exp.Coalesce, exp.Case, exp.If, exp.And, exp.Or, exp.Not, exp.Is, exp.EQ, exp.NEQ, exp.LT),
    *(exp.LTE, exp.GT, exp.GTE),
)
"""What every engine reads as sqlglot does, and what sqlglot writes for every engine."""
_PLAIN = (*ARITHMETIC, exp.In, exp.Between, exp.Like, exp.Tuple)

FORBIDDEN = (
    exp.Query,
    exp.DML,
    exp.DDL,
    exp.Command,
    exp.From,
    exp.Table,
    exp.Star,
    exp.Placeholder,
    exp.Parameter,
    exp.Exists,
    exp.Alias,
)


@dataclass(frozen=True, slots=True)
class OwnText:
    """A text. `tree` is sqlglot's reading of it over bare columns, or for a text that sqlglot cannot read, a call of an
    unknown function with its columns. `node` is what goes into SQL: an atom as a tree, else a Verbatim.

    `parts` are the texts of the components of a composite key.
    """

    tree: exp.Expr
    node: exp.Expr
    parts: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...] | None:
        """The text around its references in one spelling; None if the tree says all that the text says."""
        return words_of(self.node)


def words_of(node: exp.Expr) -> tuple[str, ...] | None:
    """The words of a Verbatim around its references; None if a tree says all that they say."""
    if not isinstance(node, Verbatim):
        return None
    tree = node.reading.tree
    plain = tree is not None and all(isinstance(each, _PLAIN) for each in tree.walk())
    return None if plain else node.reading.words


def comparable(node: exp.Expr) -> exp.Expr:
    """The tree of a text that says no more than its tree, such as `status = 'done'`; otherwise the node itself."""
    return as_read(node) if isinstance(node, Verbatim) and words_of(node) is None else node


def read_own(text: str, dialect: str, columns: Iterable[str] = ()) -> OwnText:
    """One scalar expression. `columns` are names of columns, for a text that sqlglot cannot read. Raises Refused."""
    tokens = tokenize(text, dialect)
    try:
        tree = parse(text, dialect)
        spans = _columns(tree)
        _refuse_called_columns(text, spans, tokens)
    except Refused as refused:
        guessed = guess_references(tokens, columns, refused)
        node = _cut(text, tokens, guessed, dialect, None)
        return OwnText(
            exp.Anonymous(this="?".join(node.reading.words), expressions=[each.copy() for each in node.expressions]),
            node,
        )
    forget_positions(tree)
    if isinstance(tree, exp.Column | exp.Boolean) or (isinstance(tree, exp.Literal) and _is_number(text)):
        return OwnText(tree, tree)
    parts = tuple(_components(text, tokens)) if isinstance(tree, exp.Tuple) else ()
    places = {token.start: token for token in tokens}
    names = [places[start] for start in spans if start in places]
    if len(names) < len(spans):
        raise Refused(f"{shorten(text)} has a column whose place cannot be determined")
    numbers = {id(column): place for place, each in enumerate(spans.values()) for column in each}
    template = tree.copy()
    for column, copy in zip(tree.find_all(exp.Column), [*template.find_all(exp.Column)], strict=True):
        if id(column) in numbers:
            handle = exp.Column(this=exp.Identifier(this=f"__ref_{numbers[id(column)]}", quoted=False))
            template = handle if copy is template else template
            copy.replace(handle)
    return OwnText(tree, _cut(text, tokens, names, dialect, template), parts)


def parse(text: str, dialect: str, forbidden: tuple[type[exp.Expr], ...] = FORBIDDEN) -> exp.Expr:
    """sqlglot's reading, whose names have their positions in the text, counted from 1. Raises Refused."""
    if len(text) > LONGEST:
        raise Refused(f"an expression of {len(text):,} characters is too long")
    try:
        tree = parse_one(f"({text}\n)", dialect=dialect)
    except (SqlglotError, RecursionError) as error:
        kind = Unknown if _is_about_a_call(error) else Refused
        raise kind(f"{shorten(text)} is not an expression{describe_error(error)}") from None
    except Exception:  # sqlglot raises many kinds for calls of functions that it knows otherwise
        raise Unknown(f"{shorten(text)} has a call that cannot be read") from None
    if not isinstance(tree, exp.Paren):
        raise Refused(f"{shorten(text)} is not one expression")
    inner: exp.Expr = tree.this
    for node in inner.walk():
        if isinstance(node, forbidden):
            what = type(node).__name__.lower()
            raise Forbidden(f"{shorten(text)} contains a {what}; only plain expressions are allowed here")
        node.comments = None
    inner.parent = None
    return inner


def for_people(tree: exp.Expr, dialect: str) -> str:
    """The SQL of a part of a text, for a message."""
    try:
        text = HANDLE.sub("?", tree.sql(dialect))
    except Exception:  # sqlglot reads some calls that it cannot write
        text = f"a call of {tree.key}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def forget_positions(tree: exp.Expr) -> None:
    """Positions in the text would be copied by every copy."""
    for node in tree.walk():
        node._meta = None


def _columns(tree: exp.Expr) -> dict[int, list[exp.Expr]]:
    """The columns without a table, by their place in the text. sqlglot repeats some that stand there once."""
    found: dict[int, list[exp.Expr]] = {}
    for column in tree.find_all(exp.Column):
        if column.table or isinstance(column.this, exp.Star) or _is_loop_variable(column):
            continue
        start = column.this.meta_get("start")
        found.setdefault(-1 if start is None else start - 1, []).append(column)
    return dict(sorted(found.items()))


def _refuse_called_columns(text: str, spans: Mapping[int, object], tokens: Sequence[Token]) -> None:
    """Raises Refused for a name before a bracket that sqlglot reads as a column and not as a function."""
    for token, following in pairwise(tokens):
        if token.start in spans and following.token_type == TokenType.L_PAREN:
            raise Unknown(f"{shorten(text)} has a call that cannot be read")


def _is_loop_variable(column: exp.Expr) -> bool:
    """`v` in `[v * 2 for v in months]`"""
    loop = column.find_ancestor(exp.Comprehension)
    while loop is not None:
        if column.name.lower() == loop.text("expression").lower():
            return True
        loop = loop.find_ancestor(exp.Comprehension)
    return False


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) is not None


def _cut(text: str, tokens: Sequence[Token], names: Sequence[Token], dialect: str, tree: exp.Expr | None) -> Verbatim:
    """The text, cut at its references. Comments are left out: what is written behind the text must not be in them."""
    cuts = {name.start for name in names}
    texts, words, here = [""], [[""]], tokens[0].start
    for token in tokens:
        texts[-1] += _blank(text[here : token.start])
        here = token.end + 1
        if token.start in cuts:
            texts.append("")
            words.append([])
        else:
            written = text[token.start : here]
            texts[-1] += written.replace("\n", LINE_BREAK)
            words[-1].append(written if _is_quoted(token) else written.upper())
    columns: list[exp.Expr] = [
        exp.Column(this=exp.Identifier(this=name.text, quoted=name.token_type == TokenType.IDENTIFIER))
        for name in names
    ]
    last = len(words) - 1
    spelled = tuple(
        f"{' ' if place and each else ''}{' '.join(each)}{' ' if place < last and each else ''}"
        for place, each in enumerate(words)
    )
    return verbatim(tuple(texts), columns, Reading(dialect, tree, spelled, _binding(tree, tokens)))


def _blank(gap: str) -> str:
    """What stands between two words: blanks, and lines without the comments that they end with."""
    if not gap.strip() or _comments(gap) is None:
        return gap
    _, line, indentation = gap.rpartition("\n")
    return line + (indentation if not indentation.strip() else " ") if line else " "


_comments = re.compile(r"(\s|--[^\n]*(\n|$)|#[^\n]*(\n|$)|//[^\n]*(\n|$)|/\*.*?\*/)*", re.DOTALL).fullmatch


_UNQUOTED = frozenset({TokenType.HEX_STRING, TokenType.BIT_STRING})


def _is_quoted(token: Token) -> bool:
    return token.token_type not in _UNQUOTED and token.token_type in QUOTED


def _binding(tree: exp.Expr | None, tokens: Sequence[Token]) -> int:
    if is_atom(tokens):
        return ATOM
    outside = {token.token_type for token, depth in with_depths(tokens) if depth == 0}
    if TokenType.OR in outside or TokenType.XOR in outside:
        return LOOSE
    match tree:
        case exp.And():
            return CONJUNCTION
        case exp.Predicate() | exp.Not(this=exp.Predicate()) if not isinstance(tree, exp.Not) or _is_infix_not(tokens):
            return COMPARISON
        case _:
            return LOOSE


def _is_infix_not(tokens: Sequence[Token]) -> bool:
    """`a NOT IN (1, 2)`"""
    return tokens[0].token_type != TokenType.NOT


def _components(text: str, tokens: Sequence[Token]) -> Iterator[str]:
    """`order_id` and `line_no` of `(order_id, line_no)`"""
    inner = tokens[1:-1] if is_atom(tokens) else tokens
    yield from split(text, inner)


def _is_about_a_call(error: BaseException) -> bool:
    """Whether a function only has more or fewer arguments than sqlglot expects."""
    if "number of provided arguments" in str(error):
        return True
    lacking = re.search(r"Required keyword: '\w+' missing for <class 'sqlglot[\w.]*\.(\w+)'>", str(error))
    kind = getattr(exp, lacking[1], exp.Expr) if lacking else exp.Expr
    return issubclass(kind, exp.Func) and not issubclass(kind, exp.Binary | exp.Case | exp.If | exp.Cast)
