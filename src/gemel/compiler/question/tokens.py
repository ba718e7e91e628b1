"""The words of SQL that people write: brackets, atoms, the parts between commas, and a guess at what are columns."""

import re
from collections.abc import Iterable, Iterator, Sequence

from sqlglot import Dialect
from sqlglot.tokenizer_core import Token, TokenType

from gemel.compiler.question.keywords import KEYWORDS
from gemel.compiler.question.references import shorten

LONGEST = 100_000


class Refused(ValueError):
    """Why a text is not accepted as an expression. The caller adds where the text is."""


class Unknown(Refused):
    """A text with a call that sqlglot cannot read, though it may be one of the engine."""


class Forbidden(Refused):
    """A text that can be read, and is more than an expression."""


def tokenize(text: str, dialect: str) -> list[Token]:
    """Raises Refused."""
    if len(text) > LONGEST:
        raise Refused(f"an expression of {len(text):,} characters is too long")
    try:
        return [*Dialect.get_or_raise(dialect).tokenize(text)]
    except Exception as error:
        raise Refused(f"{shorten(text)} is not an expression{describe_error(error)}") from None


def is_atom(tokens: Sequence[Token]) -> bool:
    """`x`, `f(x, y)`, `(x + y)`, `CASE ... END`: nothing around it can bind to a part of it."""
    if len(tokens) == 1:
        return True
    depths = [depth for _, depth in with_depths(tokens)]
    first, second, last = tokens[0].token_type, tokens[1].token_type, tokens[-1].token_type
    if first == TokenType.CASE:
        return last == TokenType.END and all(depth > 0 for depth in depths[:-1])
    if last != TokenType.R_PAREN:
        return False
    if first == TokenType.L_PAREN:
        return all(depth > 0 for depth in depths[:-1])
    is_call = second == TokenType.L_PAREN and is_word(tokens[0]) and tokens[0].text.lower() not in _NO_CALLS
    return is_call and all(depth > 0 for depth in depths[1:-1])


_NO_CALLS = frozenset({"not", "in", "and", "or", "between", "like", "ilike", "is", "case", "when", "then", "else"})


def with_depths(tokens: Sequence[Token]) -> Iterator[tuple[Token, int]]:
    """Each token with the number of brackets and CASEs around it; a closing one is outside, an opening one inside."""
    depth = 0
    for token in tokens:
        if token.token_type in CLOSING:
            depth -= 1
        elif token.token_type in OPENING:
            depth += 1
        yield token, depth


OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE})
CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END})


QUOTED = frozenset(kind for kind in TokenType if kind.name.endswith("STRING") or kind == TokenType.IDENTIFIER)


def is_word(token: Token) -> bool:
    return re.fullmatch(r"[^\W\d]\w*", token.text) is not None and token.token_type not in QUOTED


def split(text: str, tokens: Sequence[Token]) -> Iterator[str]:
    """The texts between the commas that are in no brackets."""
    start = 0
    for place, (token, depth) in enumerate(with_depths(tokens)):
        if depth == 0 and token.token_type == TokenType.COMMA:
            yield text[tokens[start].start : tokens[place - 1].end + 1]
            start = place + 1
    if start < len(tokens):
        yield text[tokens[start].start : tokens[-1].end + 1]


def guess_references(tokens: Sequence[Token], columns: Iterable[str], refused: Refused) -> list[Token]:
    """The columns in a text that sqlglot cannot read: its words that are no keywords, names of functions or fields.

    Raises Refused for a keyword that is also a column of the project, and for a text that is not SQL in any engine.
    """
    depths = [depth for _, depth in with_depths(tokens)]
    if isinstance(refused, Forbidden) or not tokens or depths[-1] != 0 or min(depths) < 0:
        raise refused
    names, known = [], frozenset(columns)
    is_special = False
    for place, token in enumerate(tokens):
        before = tokens[place - 1].token_type if place else None
        after = tokens[place + 1].token_type if place + 1 < len(tokens) else None
        if token.token_type in _STATEMENTS or (token.token_type == TokenType.COMMA and depths[place] == 0):
            raise refused
        if not is_word(token) and token.token_type != TokenType.IDENTIFIER:
            continue
        if before in (TokenType.DOT, TokenType.DCOLON) or after in (TokenType.L_PAREN, TokenType.DOT, TokenType.STRING):
            continue
        word = token.text.lower()
        if token.token_type != TokenType.IDENTIFIER and word in KEYWORDS:
            if word in known:
                raise Refused(f"it is not clear whether {token.text!r} is a column or a keyword; quote it if it is one")
            is_special = is_special or (depths[place] > 0 and before not in (None, TokenType.COMMA))
            continue
        names.append(token)
    if not is_special and not isinstance(refused, Unknown):
        raise refused
    return names


_STATEMENTS = frozenset(
    {
        TokenType.SELECT,
        TokenType.SEMICOLON,
        TokenType.PLACEHOLDER,
        TokenType.PARAMETER,
        TokenType.WITH,
        TokenType.VALUES,
    }
)


def describe_error(error: BaseException) -> str:
    """sqlglot's message, if it is of use to a person: `: Expecting )`."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    first = text.splitlines()[0] if text else ""
    return f": {first.split('. Line ')[0][:100]}" if first.startswith(("Expect", "Invalid", "Error tok")) else ""
