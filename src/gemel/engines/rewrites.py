"""Rewrites of a lowered SELECT that several engines need. Each keeps the rows, and changes the tree in place.

A rewrite that only one engine needs is in that engine's file.
"""

from collections.abc import Callable
from functools import wraps

from sqlglot import exp

Rewrite = Callable[[exp.Query], None]


def each_node(rewrite: Callable[[exp.Expr], exp.Expr]) -> Rewrite:
    """A rewrite of a SELECT that applies `rewrite` to each node."""

    @wraps(rewrite)
    def rewrite_all(select: exp.Query) -> None:
        select.transform(rewrite, copy=False)

    return rewrite_all


def asof_to_join(select: exp.Query) -> None:
    """`a ASOF JOIN b` as an ordinary join."""
    for join in list(select.find_all(exp.Join)):
        if join.method == "ASOF":
            _last_before(join)


def _last_before(join: exp.Join) -> None:
    """`a ASOF JOIN b ON same AND a.t >= b.t` as an ordinary join: each row of b is valid until the next row of its key.

    If b has several rows at one time, one of them joins, as with ASOF: the others are valid for no time at all.
    """
    table = join.this
    alias = table.alias_or_name
    on = join.args["on"]
    conditions = list(on.flatten()) if isinstance(on, exp.And) else [on]
    [order] = [each for each in conditions if isinstance(each, exp.GT | exp.GTE | exp.LT | exp.LTE)]
    theirs, ours = (order.expression, order.this) if _is_of(order.expression, alias) else (order.this, order.expression)
    # `ours >= theirs`, in whichever order it is written: the last of the earlier rows of b joins.
    backwards = isinstance(order, exp.GT | exp.GTE) == (theirs is order.expression)
    strict = isinstance(order, exp.GT | exp.LT)
    same = [side for each in conditions for side in (each.this, each.expression) if side is not theirs]
    keys = [side.copy() for side in same if _is_of(side, alias)]
    following = exp.Window(
        this=exp.Lead(this=theirs.copy()),
        partition_by=keys,
        order=exp.Order(expressions=[exp.Ordered(this=theirs.copy(), desc=not backwards, nulls_first=False)]),
    )
    each = exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier(alias)), exp.alias_(following, "following"))
    numbered = each.from_(table.copy()).subquery(alias)
    until = exp.column("following", alias)
    kinds = {(True, False): exp.LT, (True, True): exp.LTE, (False, False): exp.GT, (False, True): exp.GTE}
    before = kinds[backwards, strict](this=ours.copy(), expression=until.copy())
    holds = exp.paren(exp.or_(before, exp.Is(this=until, expression=exp.null())))
    join.replace(exp.Join(this=numbered, on=exp.and_(*(each.copy() for each in conditions), holds)))


def _is_of(side: exp.Expr, alias: str) -> bool:
    columns = list(side.find_all(exp.Column))
    return bool(columns) and all(column.table == alias for column in columns)


def is_true_to_coalesce(select: exp.Query) -> None:
    """`x IS TRUE` as COALESCE. sqlglot writes only `x`, which differs where x is NULL."""
    for node in list(select.find_all(exp.Is))[::-1]:  # inner ones first
        _true_or_not(node)


def _true_or_not(node: exp.Is) -> None:
    """`x IS FALSE` as `COALESCE(NOT x, FALSE)`, which is false, not NULL, for a missing value."""
    if not isinstance(node.expression, exp.Boolean):
        return
    value = node.this if node.expression.this else exp.not_(node.this)
    condition: exp.Expr = exp.Coalesce(this=value, expressions=[exp.false()])
    node.replace(exp.not_(condition) if node.args.get("negate") else condition)


@each_node
def day_to_moment(node: exp.Expr) -> exp.Expr:
    """A day as its midnight, for engines that cannot compare a date with a timestamp, or whose dates have hours."""
    return exp.TimestampTrunc(this=node.this, unit=exp.var("DAY")) if isinstance(node, exp.TsOrDsToDate) else node


UNZONED = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)


@each_node
def unzoned_truncation(node: exp.Expr) -> exp.Expr:
    """Truncate to a time without a zone, also from a date; a date minus an interval is such a time already.

    Some engines truncate a date to a time with a zone, which depends on the session.
    """
    if isinstance(node, exp.TimestampTrunc):
        time = node.this
        if not time.is_type(*UNZONED) and not isinstance(time, exp.Add | exp.Sub):
            node.set("this", exp.cast(time.copy(), exp.DataType.Type.TIMESTAMP))
    return node


@each_node
def filter_to_case(node: exp.Expr) -> exp.Expr:
    """`SUM(x) FILTER (WHERE y)` as a CASE inside the aggregate."""
    if not isinstance(node, exp.Filter):
        return node
    function: exp.Expr = node.this
    where = node.expression.this
    argument = function.this
    if isinstance(argument, exp.Star):
        argument = exp.Literal.number(1)
    if isinstance(argument, exp.Distinct):
        cases = [exp.case().when(where.copy(), inner) for inner in argument.expressions]
        return function.__class__(this=exp.Distinct(expressions=cases))
    return function.__class__(**{**function.args, "this": exp.case().when(where.copy(), argument)})


def type_nulls(select: exp.Query) -> None:
    """In a UNION of three or more branches, give each NULL the type of its column.

    Some engines determine the types of a UNION pair by pair: two NULLs are text before a number follows.
    """
    for union in list(select.find_all(exp.Union)):
        branches = [] if isinstance(union.parent, exp.Union) else _branches(union)
        if len(branches) < 3:
            continue
        written = [branch.copy() for branch in branches]
        outputs = [[each.unalias() for each in branch.selects] for branch in branches]
        for place, values in enumerate(zip(*outputs, strict=True)):
            typed = next((at for at, value in enumerate(values) if not isinstance(value, exp.Null)), None)
            if typed is None:
                continue
            rows = written[typed].copy().subquery("typed")
            name = branches[typed].selects[place].alias_or_name
            typed_null = exp.select(exp.column(exp.to_identifier(name, quoted=None))).from_(rows).limit(0).subquery()
            for value in values:
                if isinstance(value, exp.Null):
                    value.replace(typed_null.copy())


def _branches(query: exp.Query) -> list[exp.Select]:
    if isinstance(query, exp.Union):
        return [*_branches(query.this), *_branches(query.expression)]
    return [query] if isinstance(query, exp.Select) else []
