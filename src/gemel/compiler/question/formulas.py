"""The project's own formulas over metrics: arithmetic as a tree, and functions as they were written.

A division in a formula is not one of SQL: by zero it is NULL, and of whole numbers it has fractions on every engine.
"""

from collections.abc import Collection, Iterator, Sequence

from sqlglot import Dialect, exp
from sqlglot.tokenizer_core import Token, TokenType

from gemel.compiler.question.keywords import RESERVED
from gemel.compiler.question.own import ARITHMETIC, forget_positions, parse, read_own
from gemel.compiler.question.tokens import CLOSING, OPENING, Refused, is_word, split, tokenize
from gemel.compiler.question.verbatim import ATOM, Reading, Verbatim, verbatim


def read_formula(text: str, dialect: str, handles: Collection[str] = ()) -> exp.Expr:
    """One expression over bare columns, the `handles` of metrics. Raises Refused.

    A handle that is a word of SQL, such as `values`, need not be quoted.
    """
    words = {handle.lower() for handle in handles if handle.lower() in RESERVED}
    if words & _VALUES:
        text = _quoted(text, words & _VALUES, dialect)
    try:
        return _read(text, dialect)
    except Refused:
        if not words:
            raise
    return _read(_quoted(text, words, dialect), dialect)


_VALUES = frozenset({word for word in RESERVED if word.startswith("current_")} | {"true", "false", "null", "user"}) | {
    *("localtime", "localtimestamp", "session_user", "sysdate", "system_user")
}
"""Reserved words that are values by themselves."""


def _quoted(text: str, words: Collection[str], dialect: str) -> str:
    """The text with quotes around words that are columns."""
    parts, here = [], 0
    tokens = tokenize(text, dialect)
    for place, token in enumerate(tokens):
        called = place + 1 < len(tokens) and tokens[place + 1].token_type == TokenType.L_PAREN
        if is_word(token) and token.text.lower() in words and not called:
            quoted = exp.to_identifier(token.text.lower(), quoted=True).sql(dialect)
            parts += [text[here : token.start], quoted]
            here = token.end + 1
    return "".join([*parts, text[here:]])


def _read(text: str, dialect: str) -> exp.Expr:
    tokens = tokenize(text, dialect)
    calls = list(_calls(tokens))
    if calls == [(0, len(tokens) - 1)]:
        return _read_call(text, tokens, dialect)
    rest, here = "", 0
    for number, (first, last) in enumerate(calls):
        rest += f"{text[here : tokens[first].start]} __call_{number} "
        here = tokens[last].end + 1
    try:
        tree = parse(rest + text[here:], dialect)
    except Refused:
        return _read_whole(text, tokens, dialect)
    forget_positions(tree)
    if not all(isinstance(node, ARITHMETIC) for node in tree.walk()):
        return _read_whole(text, tokens, dialect)
    values = {
        f"__call_{number}": _read_call(text, tokens[first : last + 1], dialect)
        for number, (first, last) in enumerate(calls)
    }
    tree = guarded(tree)
    for column in [*tree.find_all(exp.Column)]:
        if column.name in values:
            column.replace(values[column.name])
    return tree


_KEYWORDS_BEFORE_BRACKETS = frozenset(
    "and or not in between like ilike is case when then else nullif coalesce over filter by as on".split()  # noqa: SIM905
)


def _calls(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """The first and last token of each outermost call of a function; NULLIF and COALESCE are arithmetic."""
    place = 0
    while place < len(tokens) - 1:
        token = tokens[place]
        is_call = is_word(token) and tokens[place + 1].token_type == TokenType.L_PAREN
        if is_call and token.text.lower() not in _KEYWORDS_BEFORE_BRACKETS:
            last = _closing(tokens, place + 1)
            yield place, last
            place = last
        place += 1


def _closing(tokens: Sequence[Token], opening: int) -> int:
    """The bracket or END that closes one; the last token if none does."""
    depth = 0
    for place in range(opening, len(tokens)):
        kind = tokens[place].token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth == 0:
            return place
    return len(tokens) - 1


def _read_call(text: str, tokens: Sequence[Token], dialect: str) -> exp.Expr:
    """A call as it was written, with formulas as its arguments."""
    written = text[tokens[0].start : tokens[-1].end + 1]
    arguments = list(split(text, tokens[2:-1]))
    whole = read_own(written, dialect)
    try:
        values = [_as_decimals(_read(argument, dialect), dialect) for argument in arguments]
    except Refused:  # words among the arguments: `cast(x as int)`
        return _read_whole(written, tokenize(written, dialect), dialect)
    names = {column.name for value in values for column in value.find_all(exp.Column)}
    if names != {column.name for column in whole.tree.find_all(exp.Column)}:  # a unit: `datediff(day, x, y)`
        return _read_whole(written, tokenize(written, dialect), dialect)
    name = tokens[0].text
    if not values:
        return whole.node
    texts = (f"{name}(", *[", "] * (len(values) - 1), ")")
    words = (f"{name.upper()} (", *[","] * (len(values) - 1), ")")
    handles = ", ".join(f"__ref_{place}" for place in range(len(values)))
    try:
        tree = parse(f"{name}({handles})", dialect)
    except Refused:
        return verbatim(texts, values, Reading(dialect, None, words, ATOM))
    forget_positions(tree)
    return verbatim(texts, values, Reading(dialect, tree, words, ATOM))


def _read_whole(text: str, tokens: Sequence[Token], dialect: str) -> exp.Expr:
    """A text that is more than arithmetic, with its divisors guarded where they stand."""
    return read_own(_guard(text, tokens, dialect), dialect).node


def _guard(text: str, tokens: Sequence[Token], dialect: str) -> str:
    """`a / b` as `a / NULLIF(b, 0)`; on engines that cut the fractions off, `b` as a floating-point number."""
    inserts: list[tuple[int, str]] = []
    double = exp.DataType.build("double").sql(dialect) if Dialect.get_or_raise(dialect).TYPED_DIVISION else None
    for place, token in enumerate(tokens[:-1]):
        if token.token_type != TokenType.SLASH:
            continue
        first, last = place + 1, _operand(tokens, place + 1)
        start, end = tokens[first].start, tokens[last].end + 1
        if first == last and tokens[first].token_type == TokenType.NUMBER and float(tokens[first].text) != 0:
            inserts += [(end, ".0")] if double and tokens[first].text.isdigit() else []
        elif tokens[first].text.lower() != "nullif" or double:
            inserts.append((start, "NULLIF(CAST(" if double else "NULLIF("))
            inserts.append((end, f" AS {double}), 0)" if double else ", 0)"))
    for at, insert in sorted(inserts, reverse=True):
        text = text[:at] + insert + text[at:]
    return text


def _operand(tokens: Sequence[Token], place: int) -> int:
    """The last token of the operand that begins at a token."""
    while place < len(tokens) - 1 and tokens[place].token_type in (TokenType.DASH, TokenType.PLUS):
        place += 1
    last = _closing(tokens, place) if tokens[place].token_type in OPENING else place
    while last < len(tokens) - 1:
        match tokens[last + 1].token_type:
            case TokenType.L_PAREN | TokenType.L_BRACKET:
                last = _closing(tokens, last + 1)
            case TokenType.DOT | TokenType.DCOLON if last < len(tokens) - 2:
                last += 2
            case TokenType.CARET | TokenType.DSTAR if last < len(tokens) - 2:
                return _operand(tokens, last + 2)
            case _:
                break
    return last


def guarded(tree: exp.Expr) -> exp.Expr:
    """The tree, changed in place: division by zero gives NULL, `a / NULLIF(b, 0)`, and whole numbers have fractions."""
    for node in list(tree.find_all(exp.Div)):
        node.set("expression", nonzero(node.expression))
        node.set("typed", False)
        node.set("safe", False)
    return tree


def _as_decimals(tree: exp.Expr, dialect: str) -> exp.Expr:
    """Divisions within the arguments of a function: a decimal stays one, as some functions take no other number."""
    if Dialect.get_or_raise(dialect).TYPED_DIVISION:
        for node in [each for each in tree.find_all(exp.Div) if not each.args.get("typed")]:
            left = node.this if isinstance(node.this, _FACTORS) else exp.Paren(this=node.this)
            node.set("this", exp.Mul(this=exp.Literal.number("1.0"), expression=left))
            node.set("typed", True)
    return tree


_FACTORS = (exp.Column, exp.Literal, exp.Paren, exp.Func, Verbatim)


def nonzero(tree: exp.Expr) -> exp.Expr:
    match tree:
        case exp.Literal() if not tree.is_string and float(tree.this) != 0:
            return tree
        case exp.Nullif():
            return tree
        case _:
            inner = tree.this if isinstance(tree, exp.Paren) else tree
            return exp.Nullif(this=inner, expression=exp.Literal.number(0))
