"""A tree of asked text, rebuilt for an engine from nothing but what the closed language has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.compiler.question.language.closed import FOREIGN, called_names, extra_parts, generate
from gemel.compiler.question.language.functions import BY_NAME, LISTED, hint_for
from gemel.compiler.question.language.literals import (
    Unfit,
    check_time,
    is_interval,
    must_be_literal,
    read_interval,
    read_literal,
    read_type,
    read_unit,
)
from gemel.compiler.question.language.signatures import CASTS, PARTS, Function, Parameter, accepts
from gemel.compiler.question.language.spelling import (
    AND,
    BINARY,
    EXACT,
    GROWTH,
    JOINED,
    LARGEST,
    NOT,
    OR,
    PREDICATE,
    PREDICATES,
    SIGN,
    WHOLE,
    Written,
    cast,
    find_spelling,
    first_type,
)
from gemel.engines.postgres import DIALECT as POSTGRES
from gemel.errors import QueryError


@dataclass(slots=True)
class Writer:
    """Writes one text for one dialect. `column` writes a name; `who` names the text in messages."""

    dialect: str
    who: str
    column: Callable[[exp.Column], Written]
    restore: Callable[[str], str]
    own: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)

    def write(self, node: exp.Expr) -> Written:
        """Raises QueryError (G308, G327, G340, G341) for what is not in the language."""
        written = self._write(node)
        if written.size > LARGEST:
            raise QueryError("G341", f"{self.who} is too large once it is written for {self.dialect}", hint="split it")
        if written.growth > GROWTH:
            raise self._refuse("it could make texts of any length", "replace by shorter texts, or fewer times")
        return written

    def _write(self, node: exp.Expr) -> Written:
        self._check_parts(node)
        match node:
            case exp.Paren(this=inner):
                w = self.write(inner)
                return Written(exp.Paren(this=w.tree), w.type, WHOLE, w.size + 1, w.growth)
            case exp.Column(this=exp.Identifier()):
                return self.column(node)
            case exp.Literal():
                return self._literal(node)
            case exp.Boolean() | exp.Null():
                return Written(node.copy(), "boolean" if isinstance(node, exp.Boolean) else None, bare=True)
            case exp.Not(this=inner):
                return self._negated(inner)
            case exp.Neg(this=inner):
                w = self.write(inner)
                return Written(exp.Neg(this=w.at(WHOLE)), w.type, SIGN, w.size + 1)
            case exp.Case():
                return self._case(node)
            case exp.Cast():
                return self._cast(node)
            case exp.Interval():
                return self._interval(node)
            case exp.Anonymous() | exp.CurrentDate() | exp.CurrentTimestamp() | exp.Substring() | exp.Trim():
                return self._call(*self._spoken(node))
            case exp.StrPosition() | exp.Extract():
                return self._call(*self._spoken(node))
            case exp.Is() | exp.In() | exp.Between() | exp.Like() | exp.ILike() | exp.Escape():
                return self._predicate(node)
            case exp.Binary() if type(node) in BINARY:
                return self._binary(node)
        raise self._foreign(node)

    def _check_parts(self, node: exp.Expr) -> None:
        if extra := extra_parts(node):
            raise self._refuse(f"{self._text(node)} has a part that is not allowed ({', '.join(extra)})", LISTED)

    def _literal(self, node: exp.Literal) -> Written:
        if node.is_string:
            return Written(exp.Literal.string(node.this), "text", bare=True)
        try:
            fits = len(node.this) <= 40 and abs(float(node.this)) < 1e300
        except ValueError:
            fits = False
        if not fits:
            raise QueryError(
                "G308",
                f"{self.who} has the number {node.this[:60]}, which is too large",
                hint="numbers have at most 40 digits",
            )
        plain = node.this.isascii() and node.this.isdigit()
        number = f"{node.this}0" if node.this.endswith(".") else node.this
        return Written(exp.Literal.number(number), "whole" if plain and len(number) < 19 else "number", bare=True)

    def _negated(self, inner: exp.Expr) -> Written:
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null) and not inner.args.get("negate"):
            w = self._operand(inner.this)
            return Written(
                exp.Is(this=w.at(JOINED), expression=exp.Not(this=exp.null())), "boolean", PREDICATE, w.size + 2
            )
        w = self._typed(inner, "boolean", "NOT")
        return Written(exp.Not(this=w.at(NOT)), "boolean", NOT, w.size + 1)

    def _operand(self, node: exp.Expr) -> Written:
        """A side of a comparison. Engines disagree on comparisons of comparisons without parentheses."""
        if isinstance(node, PREDICATES) or BINARY.get(type(node), (WHOLE,))[0] == PREDICATE:
            raise QueryError(
                "G308",
                f"{self.who} has a comparison within a comparison: {self._text(node)}",
                hint="put it in parentheses",
            )
        return self.write(node)

    def _typed(self, node: exp.Expr, kind: str, by: str) -> Written:
        w = self.write(node)
        if w.type is not None and not accepts(kind, w.type):
            raise self._refuse(f"{by} cannot be used with {self._text(node)}, which is of type {w.type}", None, "G308")
        return w

    def _binary(self, node: exp.Binary) -> Written:
        level, type_ = BINARY[type(node)]
        if level in (OR, AND):
            return self._chain(node, level)
        sides = [
            self._operand(side) if level == PREDICATE else self.write(side) for side in (node.this, node.expression)
        ]
        left, right = sides
        size = left.size + right.size + 1
        trees = (left.at(level if level > PREDICATE else JOINED), right.at(level + 1 if level > PREDICATE else JOINED))
        if isinstance(node, exp.Div | exp.Mod):
            divisor = exp.Nullif(this=right.tree, expression=exp.Literal.number(0))
            literal = isinstance(right.tree, exp.Literal) and not right.tree.is_string and float(right.tree.this) != 0
            trees, size = (trees[0], trees[1] if literal else divisor), size + 2
            self.called.add("NULLIF")
        if type_ is None and {left.type, right.type} <= {"whole", "number"}:
            same = left.type == right.type == "whole" and not isinstance(node, exp.Div)
            type_ = "whole" if same else "number"
        self.called.add("MOD")  # as some engines spell %
        extra = {"typed": False, "safe": False} if isinstance(node, exp.Div) else {}
        tree = type(node)(this=trees[0], expression=trees[1], **extra)
        return Written(tree, type_, level, size, max(left.growth, right.growth))

    def _chain(self, node: exp.Binary, level: int) -> Written:
        """`a and b and c`, however long, without a level of recursion for each."""
        sides: list[exp.Expr] = []
        rest: exp.Expr = node
        while type(rest) is type(node):
            sides.append(rest.expression)
            rest = rest.this
        word = "OR" if level == OR else "AND"
        written = [self._typed(side, "boolean", word) for side in (rest, *reversed(sides))]
        tree = written[0].at(level)
        for each in written[1:]:
            tree = type(node)(this=tree, expression=each.at(level + 1))
        return Written(tree, "boolean", level, sum(each.size + 1 for each in written))

    def _predicate(self, node: exp.Expr) -> Written:
        negate = bool(node.args.get("negate") or node.this.args.get("negate"))
        match node:
            case exp.Is(expression=exp.Null() | exp.Boolean() as other):
                w = self._operand(node.this)
                tree: exp.Expr = exp.Is(this=w.at(JOINED), expression=other.copy())
                size = w.size + 2
            case exp.In(expressions=[_, *_] as members):
                w = self._operand(node.this)
                inside = [self.write(each) for each in members]
                tree = exp.In(this=w.at(JOINED), expressions=[each.tree for each in inside])
                size = w.size + sum(each.size for each in inside) + 1
            case exp.Between(args={"low": low, "high": high}):
                parts = [self._operand(each) for each in (node.this, low, high)]
                tree = exp.Between(this=parts[0].at(JOINED), low=parts[1].at(JOINED), high=parts[2].at(JOINED))
                size = sum(each.size for each in parts) + 1
            case exp.Like() | exp.ILike():
                tree, size = self._like(node, None)
            case exp.Escape(this=exp.Like() | exp.ILike() as like, expression=exp.Literal(is_string=True) as mark):
                if len(mark.this) != 1:
                    raise self._refuse("ESCAPE takes one character in quotes", None, "G308")
                self._check_parts(like)
                tree, size = self._like(like, mark)
            case _:
                raise self._foreign(node)
        if negate:
            return Written(exp.Not(this=tree), "boolean", NOT, size + 1)
        return Written(tree, "boolean", PREDICATE, size)

    def _like(self, node: exp.Expr, mark: exp.Literal | None) -> tuple[exp.Expr, int]:
        """A backslash is a character like any other, unless ESCAPE names it; engines differ in that."""
        value, pattern = self._operand(node.this), self._operand(node.expression)
        tree: exp.Expr = type(node)(this=value.at(JOINED), expression=pattern.at(JOINED))
        plain = isinstance(pattern.tree, exp.Literal) and "\\" not in pattern.tree.this
        if mark is not None:
            tree = exp.Escape(this=tree, expression=mark.copy())
        elif not plain and self.dialect == POSTGRES:
            tree = exp.Escape(this=tree, expression=exp.Literal.string(""))
        if self.dialect not in EXACT and not plain:
            raise self._inexpressible("LIKE with a computed pattern or a backslash")
        self.called.add("LOWER")  # as some engines spell ILIKE
        return tree, value.size + pattern.size + 2

    def _case(self, node: exp.Case) -> Written:
        subject = self._operand(node.this) if node.this is not None else None
        ifs, results, size = [], [], 1 + (subject.size if subject else 0)
        for each in node.args["ifs"]:
            self._check_parts(each)
            when = self.write(each.this) if subject else self._typed(each.this, "boolean", "WHEN")
            then = self.write(each.args["true"])
            ifs.append(exp.If(this=when.tree, true=then.tree))
            results.append(then)
            size += when.size + then.size + 1
        default = node.args.get("default")
        if default is not None:
            results.append(self.write(default))
            size += results[-1].size
        tree = exp.Case(
            this=subject.tree if subject else None, ifs=ifs, default=results[-1].tree if default is not None else None
        )
        return Written(tree, first_type(results), size=size, growth=max(each.growth for each in results))

    def _cast(self, node: exp.Cast) -> Written:
        try:
            if is_interval(node):
                return Written(read_interval(exp.Interval(this=node.this)), "interval", size=2)
            spelling, type_ = read_type(node.args["to"])
            w = self.write(node.this)
            if w.bare and w.type == "text" and type_ in ("date", "timestamp"):
                check_time(w.tree.name, type_)
        except Unfit as unfit:
            raise self._refuse(f"{self._text(node)}: {unfit}", None, "G308") from None
        tree = cast(w.tree, spelling)
        spoken = generate(cast(exp.null(), spelling), self.dialect)
        if "(" in spelling and spelling.partition("(")[2] not in spoken:
            raise self._inexpressible(f"a cast to {spelling.lower()}")
        self.called.update(called_names(spoken, self.dialect))
        return Written(tree, type_, size=w.size + 2, growth=w.growth)

    def _interval(self, node: exp.Interval) -> Written:
        try:
            return Written(read_interval(node), "interval", size=2)
        except Unfit as unfit:
            raise self._refuse(f"{self._text(node)}: {unfit}", None, "G308") from None

    def _spoken(self, node: exp.Expr) -> tuple[str, list[exp.Expr]]:
        """The name and the arguments of a call, also of one with words between its arguments."""
        args = node.args
        match node:
            case exp.CurrentDate():
                return "current_date", []
            case exp.CurrentTimestamp():
                return "current_timestamp", []
            case exp.Substring():
                given = [node.this, args.get("start") or exp.Literal.number(1), args.get("length")]
                return "substring", [each for each in given if each is not None]
            case exp.Trim():
                side = str(args.get("position") or "").upper()
                name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(side, "trim")
                return name, [each for each in (node.this, node.args.get("expression")) if each is not None]
            case exp.StrPosition():
                return "position", [args["substr"], node.this]
            case exp.Extract():
                return "date_part", [node.this, node.expression]
        if not isinstance(node.this, str):
            raise self._foreign(node)
        return node.this.lower(), list(node.expressions)

    def _call(self, name: str, arguments: Sequence[exp.Expr]) -> Written:
        rows = BY_NAME.get(name) or self.own.get(name, ())
        if not rows:
            hint = hint_for(name, (*BY_NAME, *self.own))
            raise self._refuse(f"there is no function {self.restore(name)[:60]} here", hint)
        fitting = [row for row in rows if row.takes(len(arguments))]
        if not fitting:
            shapes = " or ".join(row.signature for row in rows)
            raise self._refuse(f"{name} does not take {len(arguments)} arguments", f"it is {shapes}")
        written, unit = self._arguments(fitting[0], name, arguments)
        return self._spell(fitting[0], written, unit)

    def _arguments(
        self, row: Function, name: str, arguments: Sequence[exp.Expr]
    ) -> tuple[dict[str, list[Written]], str | None]:
        unit: str | None = None
        written: dict[str, list[Written]] = {each.name: [] for each in row.parameters}
        for place, node in enumerate(arguments):
            parameter = row.parameters[min(place, len(row.parameters) - 1)]
            try:
                if parameter.kind == "unit":
                    spellings = row.duckdb if isinstance(row.duckdb, Mapping) else {}
                    unit = read_unit(node, parts=set(PARTS) <= spellings.keys())
                    written[parameter.name].append(Written(exp.Literal.string(unit), "text", bare=True))
                elif must_be_literal(parameter.kind):
                    tree = read_literal(parameter.kind, node, self.dialect)
                    written[parameter.name].append(Written(tree, growth=_growth(parameter, tree), bare=True))
                else:
                    written[parameter.name].append(self._argument(parameter, node))
            except Unfit as unfit:
                raise self._refuse(f"{parameter.name} of {name}: {unfit}", f"it is {row.signature}") from None
        return written, unit

    def _argument(self, parameter: Parameter, node: exp.Expr) -> Written:
        w = self.write(node)
        kind = parameter.kind
        if isinstance(w.tree, exp.Null):
            return Written(cast(w.tree, CASTS[kind]), size=3) if kind in CASTS else w
        if kind == "time" and w.bare and w.type == "text":
            check_time(w.tree.name, "timestamp")
        elif not accepts(kind, w.type):
            raise Unfit(f"{self._text(node)} is of type {w.type}, not {kind}")
        if kind == "position" and w.bare and w.tree.name == "0":
            raise Unfit("positions are counted from 1")
        if kind == "position" and isinstance(w.tree, exp.Neg):
            raise Unfit("positions are counted from 1; right(value, 2) is the end of a text")
        if kind == "time" and w.type != "timestamp":
            return Written(cast(w.tree, "TIMESTAMP"), "timestamp", size=w.size + 2)
        return w

    def _spell(self, row: Function, written: Mapping[str, list[Written]], unit: str | None) -> Written:
        spelled = find_spelling(row, unit, self.dialect)
        if spelled is None:
            raise self._inexpressible(f"the function {row.name}" + (f" of {unit!r}" if unit else ""))
        self.called |= spelled.names
        return spelled.fill(row, written)

    def _inexpressible(self, what: str) -> QueryError:
        return QueryError(
            "G327",
            f"{what} cannot be expressed in {self.dialect} yet ({self.who})",
            hint="omit it, or write the filter in the warehouse's own words with --trusted-where",
        )

    def _foreign(self, node: exp.Expr) -> QueryError:
        if isinstance(node, FOREIGN):
            what = type(node).__name__.lower()
            return self._refuse(f"it contains a {what}; only plain expressions are allowed here", None, "G308")
        return self._refuse(f"{self._text(node)} is not part of the language of filters", LISTED)

    def _refuse(self, why: str, hint: str | None, code: str = "G340") -> QueryError:
        return QueryError(code, f"{self.who} cannot be used: {why}", hint=hint)

    def _text(self, node: exp.Expr) -> str:
        try:
            text = node.sql()
        except Exception:  # of a node that sqlglot itself cannot write
            text = type(node).__name__.lower()
        return self.restore(text if len(text) <= 60 else f"{text[:57]}...")


def _growth(parameter: Parameter, tree: exp.Expr) -> float:
    return max(1.0, len(tree.name)) if parameter.kind == "replacement" else 1.0
