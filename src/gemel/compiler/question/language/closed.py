"""The closed language of asked text: how a text is read, and how a checked tree is held to what was allowed.

The parser knows no function and no statement: each call arrives with the name that was written, for the table to find.
"""

from collections.abc import Collection, Iterable, Iterator

from sqlglot import Dialect, ErrorLevel, exp
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token, TokenType

LONGEST_TEXT = 100_000


class Unreadable(ValueError):
    """Why a text is not an expression."""


class TooDeep(Unreadable):
    """An expression with so many levels that it cannot be read."""


class _ClosedParser(Parser):
    """Standard SQL without functions: only the syntax of a few, such as `extract(year FROM x)`, is read."""

    FUNCTIONS = {}  # noqa: RUF012
    FUNCTION_PARSERS = {  # noqa: RUF012
        name: read
        for name, read in Parser.FUNCTION_PARSERS.items()
        if name in ("CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM")
    }
    NO_PAREN_FUNCTIONS = {  # noqa: RUF012
        TokenType.CURRENT_DATE: exp.CurrentDate,
        TokenType.CURRENT_TIMESTAMP: exp.CurrentTimestamp,
    }
    NO_PAREN_FUNCTION_PARSERS = {"CASE": Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012
    STATEMENT_PARSERS = {}  # noqa: RUF012
    COLUMN_OPERATORS = {  # noqa: RUF012
        token: Parser.COLUMN_OPERATORS[token] for token in (TokenType.DOT, TokenType.DCOLON)
    }
    FACTOR = {token: kind for token, kind in Parser.FACTOR.items() if token != TokenType.DIV}  # noqa: RUF012
    FUNC_TOKENS = {*Parser.FUNC_TOKENS, TokenType.DIV}  # noqa: RUF012


class _SpellingParser(_ClosedParser):
    """For the spellings of the table, in which every function is written as it is."""

    FUNCTION_PARSERS = {"CAST": Parser.FUNCTION_PARSERS["CAST"]}  # noqa: RUF012


def read_text(text: str) -> exp.Expr:
    """One expression, whose functions are all `Anonymous`. Raises Unreadable."""
    if len(text) > LONGEST_TEXT:
        raise Unreadable(f"an expression of {len(text):,} characters is too long")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise Unreadable("it contains a character that no database stores")
    return _read(_ClosedParser, text)


def read_spelling(text: str) -> exp.Expr:
    """A spelling of the table."""
    return _read(_SpellingParser, text)


def _read(kind: type[Parser], text: str) -> exp.Expr:
    whole = f"({text}\n)"
    dialect = Dialect()
    try:
        trees = kind(dialect=dialect).parse(dialect.tokenize(whole), whole)
    except RecursionError:
        raise TooDeep("it has too many levels") from None
    except Exception as error:  # sqlglot raises many kinds for texts that are not SQL
        raise Unreadable(f"it is not an expression{_detail(error)}") from None
    if len(trees) != 1 or type(trees[0]) is not exp.Paren or not isinstance(trees[0].this, exp.Expr):
        raise Unreadable("it is not one expression")
    inner: exp.Expr = trees[0].this
    inner.parent = None
    return inner


def _detail(error: Exception) -> str:
    import re

    first = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().split("\n")[0]
    return f": {first.split('. Line ')[0][:100]}" if first.startswith(("Expect", "Invalid", "Error tok")) else ""


def generate(tree: exp.Expr, dialect: str) -> str:
    """The text of a tree. Raises Unreadable for what the dialect cannot express."""
    try:
        return str(tree.sql(dialect, unsupported_level=ErrorLevel.RAISE, comments=False))
    except RecursionError:
        raise
    except Exception as error:
        raise Unreadable(f"it cannot be expressed in {dialect}: {str(error)[:100]}") from None


def hold(tree: exp.Expr, dialect: str, allowed: Collection[str]) -> None:
    """Check a tree as the engine will read it: its text calls only what is allowed, and is one plain expression.

    sqlglot can build other things than it was given, on writing. Raises Unreadable.
    """
    text = f"({generate(tree, dialect)}\n)"
    engine = Dialect.get_or_raise(dialect)
    tokens = engine.tokenize(text)
    for name in _called(tokens):
        if name not in allowed and name not in _SYNTAX:
            raise Unreadable(f"it would call {name.lower()}, which is not allowed")
    try:
        [again] = engine.parser().parse(tokens, text)
    except RecursionError:
        raise
    except Exception:
        raise Unreadable("it cannot be read again once it is written") from None
    if not isinstance(again, exp.Paren) or again.find(*FOREIGN) is not None:
        raise Unreadable("it is not a plain expression once it is written")


FOREIGN = (
    exp.Query,
    exp.DML,
    exp.DDL,
    exp.Command,
    exp.From,
    exp.Table,
    exp.Placeholder,
    exp.Parameter,
    exp.Exists,
    exp.Window,
    exp.Lambda,
    exp.Unnest,
    exp.SessionParameter,
)
"""What no asked text may contain, in whatever way it came in."""

_SYNTAX = frozenset(
    """( , = < > <= >= <> != + - * / % || AND OR NOT IN IS LIKE ILIKE BETWEEN CASE WHEN THEN ELSE AS ESCAPE FROM DECIMAL
    NUMERIC CAST EXTRACT DISTINCT""".split()  # noqa: SIM905
)
"""What can stand before a bracket without being the name of a function."""


def called_names(text: str, dialect: str) -> Iterator[str]:
    """The words before each opening bracket, in upper case."""
    return _called(Dialect.get_or_raise(dialect).tokenize(text))


def _called(tokens: Iterable[Token]) -> Iterator[str]:
    previous = ""
    for token in tokens:
        if token.token_type == TokenType.L_PAREN and previous:
            yield previous
        previous = "(" if token.token_type == TokenType.L_PAREN else token.text.upper()
        if token.token_type == TokenType.SEMICOLON:
            raise Unreadable("it is more than one expression once it is written")


def extra_parts(node: exp.Expr) -> list[str]:
    """The parts of a node that nobody would write again, or that would come through unseen."""
    allowed = _PARTS_OF.get(type(node), _TWO)
    return [name for name, value in node.args.items() if value not in (None, False, []) and name not in allowed]


_TWO = frozenset(("this", "expression"))
_PARTS_OF: dict[type[exp.Expr], frozenset[str]] = {
    exp.Literal: frozenset(("this", "is_string")),
    exp.Column: frozenset(("this", "table")),
    exp.Case: frozenset(("this", "ifs", "default")),
    exp.If: frozenset(("this", "true")),
    exp.Cast: frozenset(("this", "to")),
    exp.Interval: frozenset(("this", "unit")),
    exp.Anonymous: frozenset(("this", "expressions")),
    exp.CurrentDate: frozenset(),
    exp.CurrentTimestamp: frozenset(),
    exp.Substring: frozenset(("this", "start", "length")),
    exp.Trim: frozenset(("this", "expression", "position")),
    exp.StrPosition: frozenset(("this", "substr")),
    exp.Is: frozenset(("this", "expression", "negate")),
    exp.In: frozenset(("this", "expressions", "negate")),
    exp.Between: frozenset(("this", "low", "high", "negate")),
    exp.Like: frozenset(("this", "expression", "negate")),
    exp.ILike: frozenset(("this", "expression", "negate")),
    exp.DPipe: frozenset(("this", "expression", "safe")),
    exp.Div: frozenset(("this", "expression", "typed", "safe")),
}
"""The parts that a node may have besides `this` and `expression`. Anything else would get lost or come through."""
