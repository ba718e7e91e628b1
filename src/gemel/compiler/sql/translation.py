"""The project's own SQL on another engine than its warehouse: translated from its tree, function by function.

What is not in the table below is refused: two engines can have a function of one name and two meanings.
"""

from collections.abc import Callable, Mapping
from itertools import chain, zip_longest

from sqlglot import Dialect, exp

from gemel.compiler.question.language.closed import Unreadable, generate, read_text
from gemel.compiler.question.language.functions import BY_NAME
from gemel.compiler.question.language.spelling import EXACT, Written, find_spelling
from gemel.compiler.question.language.writing import Writer
from gemel.compiler.question.own import for_people
from gemel.compiler.question.references import HANDLE
from gemel.compiler.question.verbatim import Verbatim, fill
from gemel.engines.engine import Capability, Engine
from gemel.engines.lookup import engine_for_dialect
from gemel.errors import QueryError


def translate(tree: exp.Expr, dialect: str) -> exp.Expr:
    """The tree with every text that is written for another engine translated. Raises QueryError (G327)."""
    return _translate(tree, lambda node: _translated(node, dialect) if node.reading.dialect != dialect else None)


def standardize(tree: exp.Expr, dialect: str) -> exp.Expr:
    """The tree with every text in standard SQL, for which `dialect` stands: also texts of that dialect, as far as they
    are of the table."""
    return _translate(tree, lambda node: _by_table(node, dialect))


def _translate(tree: exp.Expr, read: Callable[[Verbatim], exp.Expr | None]) -> exp.Expr:
    for node in [*tree.find_all(Verbatim)][::-1]:  # inner ones first
        reading = read(node)
        if reading is not None:
            translated = fill(reading, node.expressions)
            if node is tree:
                return translated
            node.replace(exp.Paren(this=translated) if _needs_brackets(node, translated) else translated)
    return tree


def _needs_brackets(node: exp.Expr, read: exp.Expr) -> bool:
    around = isinstance(node.parent, exp.Binary | exp.Unary | exp.In | exp.Between | exp.AtTimeZone)
    return around and isinstance(read, exp.Binary | exp.Unary | exp.In | exp.Between)


def _translated(node: Verbatim, dialect: str) -> exp.Expr:
    """The tree of a text for another engine, over its handles. Raises QueryError (G327)."""
    try:
        return _by_table(node, dialect)
    except QueryError:
        written = _by_functions(node, dialect)
        if written is None:
            raise
        return written


def _by_table(node: Verbatim, dialect: str) -> exp.Expr:
    tree = node.reading.tree
    if tree is None:
        raise _refused(node, dialect, "sqlglot cannot read it")
    fault = _find_fault(tree, node.reading.dialect, dialect)
    if fault is not None:
        raise _refused(node, dialect, fault)
    return tree


def _find_fault(tree: exp.Expr, own: str, dialect: str) -> str | None:
    """The part of a tree that the table does not have for both engines; None if it has all."""
    engines = engine_for_dialect(own), engine_for_dialect(dialect)
    for each in tree.walk():
        if not _is_translated(each, *engines):
            return f"{for_people(each, own)} is not in the table of translations"
    try:
        generate(tree, dialect)
    except Unreadable as error:
        return str(error)
    return None


def _by_functions(node: Verbatim, dialect: str) -> exp.Expr | None:
    """By the functions of filters, whose spellings on two engines are proven equal; None if that is not possible.

    The text is one of a filter too if its own engine spells each function just so.
    """
    own = node.reading.dialect
    if own not in EXACT or dialect not in EXACT:
        return None
    handles = (f" __ref_{place} " for place in range(len(node.expressions)))
    text = "".join(chain.from_iterable(zip_longest(node.texts, handles, fillvalue="")))
    try:
        tree = read_text(text)
        if not all(_is_alike(each, own) for each in tree.walk()):
            return None
        return Writer(dialect, "it", lambda column: Written(exp.column(column.name)), str).write(tree).tree
    except (Unreadable, QueryError):
        return None


def _is_alike(node: exp.Expr, own: str) -> bool:
    if isinstance(node, exp.Column):
        return HANDLE.fullmatch(node.name) is not None and not node.table
    if not isinstance(node, exp.Anonymous):
        return isinstance(node, _ALIKE) and "\\" not in node.text("this")
    name = str(node.this).lower()
    for row in BY_NAME.get(name, ()):
        spelled = None if isinstance(row.duckdb, Mapping) else find_spelling(row, None, own)
        call = f"{name}({', '.join(each.name for each in row.parameters)})"
        if row.takes(len(node.expressions)) and spelled is not None and generate(spelled.tree, own).lower() == call:
            return True
    return False


_ALIKE = (
    *(exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.Add, exp.Sub, exp.Mul),
    *(exp.Case, exp.If, exp.And, exp.Or, exp.Not, exp.Is, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In),
    *(exp.Between, exp.DPipe),
)
"""What means the same in a filter as in the words of DuckDB and PostgreSQL."""


def _refused(node: Verbatim, dialect: str, why: str) -> QueryError:
    shown = " ".join("?".join(node.texts).split())
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return QueryError(
        "G327",
        f"{shown!r} of the project's definitions cannot be translated to {dialect}{f': {why}' if why else ''}",
        hint="omit --dialect, or compute the value as a column of the dbt model",
        about=node.meta_get("about"),
    )


def _is_translated(node: exp.Expr, own: Engine, other: Engine) -> bool:
    rule = _TABLE.get(type(node))
    if rule is None:
        return False
    parts, holds = rule
    extra = [name for name, value in node.args.items() if value not in (None, False, []) and name not in parts.split()]
    return not extra and (holds is None or holds(node, own, other))


Rule = Callable[[exp.Expr, Engine, Engine], bool]


def _both(capability: Capability) -> Rule:
    return lambda node, own, other: own.has(capability) == other.has(capability)


def _is_division_alike(node: exp.Expr, own: Engine, other: Engine) -> bool:
    """A division of whole numbers may have a fraction on one engine only: one side must be no whole number."""
    if not node.args.get("typed") or Dialect.get_or_raise(other.dialect).TYPED_DIVISION:
        return True
    return any(_is_fractional(side) for side in (node.this, node.expression))


def _is_fractional(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Literal):
        return not node.is_string and "." in node.this
    return node.is_type(*exp.DataType.REAL_TYPES) or (
        isinstance(node, exp.Mul | exp.Add | exp.Sub) and any(map(_is_fractional, (node.this, node.expression)))
    )


def _is_plain_cast(node: exp.Expr, own: Engine, other: Engine) -> bool:
    type_ = node.args["to"]
    if type_.this in exp.DataType.INTEGER_TYPES and not isinstance(node.this, exp.Literal):
        return own.has(Capability.CASTS_HALF_TO_EVEN) and other.has(Capability.CASTS_HALF_TO_EVEN)
    # A decimal without digits has any number of them on one engine, and three on another.
    return type_.this in _TYPES and bool(type_.expressions) == (type_.this == exp.DType.DECIMAL)


_TYPES = frozenset(
    {
        *exp.DataType.INTEGER_TYPES,
        *(exp.DType.DOUBLE, exp.DType.DECIMAL, exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.BOOLEAN),
        *(exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ),
    }
)


def _is_number(node: object, *, least: int) -> bool:
    return isinstance(node, exp.Literal) and node.this.isdigit() and int(node.this) >= least


def _is_from_one(node: exp.Expr, *_: Engine) -> bool:
    length = node.args.get("length")
    return _is_number(node.args.get("start"), least=1) and (length is None or _is_number(length, least=0))


def _is_of_something(node: exp.Expr, *_: Engine) -> bool:
    """Engines differ in what they do with an empty text."""
    part = node.args.get("substr") or node.expression
    return isinstance(part, exp.Literal) and part.is_string and part.this != ""


def _is_counted(node: exp.Expr, *_: Engine) -> bool:
    return _is_number(node.expression, least=0)


def _is_rounded_alike(node: exp.Expr, own: Engine, other: Engine) -> bool:
    decimals = node.args.get("decimals")
    is_plain = decimals is None or _is_number(decimals, least=0)
    return is_plain and own.has(Capability.ROUNDS_HALF_AWAY) and other.has(Capability.ROUNDS_HALF_AWAY)


def _is_common_part(node: exp.Expr, *_: Engine) -> bool:
    return node.this.name.upper() in {"YEAR", "QUARTER", "MONTH", "DAY", "HOUR", "MINUTE", "ISODOW"}


def _is_common_unit(node: exp.Expr, *_: Engine) -> bool:
    unit = node.args.get("unit")
    return unit is not None and unit.name.upper() in _UNITS


def _is_plain_interval(node: exp.Expr, *_: Engine) -> bool:
    unit = node.args.get("unit")
    is_plain = isinstance(node.this, exp.Literal) and node.this.this.isdigit()
    return is_plain and unit is not None and unit.name.upper().removesuffix("S") in _UNITS


_UNITS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"})


def _has_plain_pattern(node: exp.Expr, *_: Engine) -> bool:
    return isinstance(node.expression, exp.Literal) and "\\" not in node.expression.this


_TABLE: Mapping[type[exp.Expr], tuple[str, Rule | None]] = {
    # What a tree consists of, and operators
    **dict.fromkeys((exp.Paren, exp.Neg, exp.Not), ("this", None)),
    exp.Column: ("this table", None),
    exp.Identifier: ("this quoted", None),
    exp.Literal: ("this is_string", None),
    exp.Boolean: ("this", None),
    exp.Null: ("", None),
    exp.Var: ("this", None),
    exp.DataType: ("this expressions nested", None),
    exp.DataTypeParam: ("this", None),
    **dict.fromkeys((exp.And, exp.Or, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), ("this expression", None)),
    **dict.fromkeys((exp.NullSafeEQ, exp.NullSafeNEQ, exp.Add, exp.Sub, exp.Mul, exp.Mod), ("this expression", None)),
    exp.Div: ("this expression typed safe", _is_division_alike),
    exp.Is: ("this expression negate", None),
    exp.In: ("this expressions negate", None),
    exp.Between: ("this low high negate", None),
    **dict.fromkeys((exp.Like, exp.ILike), ("this expression negate", _has_plain_pattern)),
    exp.DPipe: ("this expression safe", None),
    exp.Interval: ("this unit", _is_plain_interval),
    # Conditions
    exp.Case: ("this ifs default", None),
    exp.If: ("this true false", None),
    exp.Coalesce: ("this expressions", None),
    exp.Nullif: ("this expression", None),
    **dict.fromkeys((exp.Greatest, exp.Least), ("this expressions ignore_nulls", _both(Capability.GREATEST_OF_SOME))),
    exp.Cast: ("this to", _is_plain_cast),
    # Texts
    **dict.fromkeys((exp.Lower, exp.Upper, exp.Trim), ("this", None)),
    exp.Length: ("this", _both(Capability.LENGTH_OF_ALL)),
    exp.Replace: ("this expression replacement", _is_of_something),
    exp.Substring: ("this start length", _is_from_one),
    **dict.fromkeys((exp.Left, exp.Right), ("this expression", _is_counted)),
    exp.StrPosition: ("this substr", _is_of_something),
    exp.StartsWith: ("this expression", _is_of_something),
    # Numbers
    **dict.fromkeys((exp.Abs, exp.Floor, exp.Ceil, exp.Sign), ("this", None)),
    exp.Round: ("this decimals", _is_rounded_alike),
    # Times
    exp.CurrentDate: ("", None),
    **dict.fromkeys((exp.Year, exp.Month, exp.Day), ("this", None)),
    exp.Extract: ("this expression", _is_common_part),
    exp.TimestampTrunc: ("this unit", _is_common_unit),
}
"""The parts that a node may have, and a further condition on it and on the two engines."""
