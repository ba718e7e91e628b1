"""What other engines than DuckDB want said otherwise: each a rewrite of the lowered SELECT, and what none can say.

A rewrite has the same rows. What cannot be rewritten so is refused, never guessed.
"""

from collections.abc import Callable

from sqlglot import exp

from gemel.errors import QueryError

WITH_ISODOW = frozenset({"duckdb", "postgres", "redshift", "materialize", "risingwave"})
SUNDAY_WEEKS = frozenset({"bigquery", "mysql", "tsql", "oracle"})
WITH_SERIES = frozenset({"duckdb", "postgres", "spark", "databricks"})
WITHOUT_PERCENTILES = frozenset({"bigquery", "trino", "presto", "athena", "clickhouse", "mysql", "sqlite", "hive"})
WITHOUT_APPROXIMATE = frozenset({"postgres", "clickhouse", "mysql", "sqlite", "materialize", "risingwave"})
WITHOUT_FILTER = frozenset({"snowflake", "bigquery", "redshift", "mysql", "tsql", "oracle", "doris", "starrocks"})
"""Engines in which an aggregate takes no FILTER clause; there it becomes a CASE inside the aggregate."""
DECIMAL_DIVISION = frozenset({"snowflake"})
"""Engines that divide whole numbers into decimals of few places."""
UNEQUAL_DATES = frozenset({"bigquery", "oracle"})
"""Engines in which a date is not its midnight: it compares with no timestamp, or has hours too."""
ZONED_TRUNCATION = frozenset({"postgres", "materialize", "risingwave"})
"""Engines that truncate a date to a time with a zone, which depends on the session."""
PAIRWISE_UNIONS = frozenset({"postgres", "redshift", "materialize", "risingwave"})
"""Engines that settle the types of a UNION two by two, so that two NULLs are a text before a number follows."""
WITHIN_GROUP = frozenset({"spark", "databricks"})
WITHOUT_IS_TRUE = frozenset({"snowflake", "trino", "presto", "athena", "starrocks"})
"""Engines without `x IS TRUE`. sqlglot leaves `x` of it, which is not the same where x is NULL."""
UNNAMED_WINDOWS = frozenset({"bigquery"})
WITHOUT_RANGES = frozenset({"redshift", "bigquery", "clickhouse", "tsql", "fabric"})
"""Engines whose window frames are not as long as an interval; there facts are joined to the moments that see them."""


def accented(select: exp.Query, dialect: str) -> None:
    """Change a lowered SELECT into one that the engine takes. Raises QueryError (G327) for what it cannot say."""
    if dialect != "duckdb":
        _refuse(select, dialect)
        for join in list(select.find_all(exp.Join)):
            if join.method == "ASOF":
                _last_before(join)
    if dialect in WITHOUT_IS_TRUE:
        for node in list(select.find_all(exp.Is))[::-1]:  # inner ones first
            _true_or_not(node)
    for engines, rewrite in _NODES:
        if dialect in engines:
            select.transform(rewrite, copy=False)
    if dialect in PAIRWISE_UNIONS:
        _type_nulls(select)
    if dialect == "clickhouse":
        _name_outputs(select)
    if dialect in UNNAMED_WINDOWS:
        _spell_windows(select)


def _refuse(select: exp.Query, dialect: str) -> None:
    """Where sqlglot would write something that the engine refuses, or reads otherwise."""
    for node in select.walk():
        match node:
            case exp.Extract(this=exp.Var(this="ISODOW")) if dialect not in WITH_ISODOW:
                what = "the day of the week"
            case exp.TimestampTrunc(unit=exp.Var(this="WEEK")) if dialect in SUNDAY_WEEKS:
                what = "a week, which starts on Sunday there,"
            case exp.GenerateSeries() if dialect not in WITH_SERIES:
                what = "a feature at every step, which `ttl` asks for,"
            case exp.PercentileCont() | exp.PercentileDisc() if dialect in WITHOUT_PERCENTILES:
                what = "a percentile"
            case exp.ApproxQuantile() if dialect in WITHOUT_APPROXIMATE:
                what = "an approximate percentile"
            case _:
                continue
        raise QueryError(
            "G327", f"{what} cannot be said in {dialect} yet", hint="leave --dialect away for DuckDB's SQL"
        )


def _last_before(join: exp.Join) -> None:
    """`a ASOF JOIN b ON same AND a.t >= b.t` as an ordinary join: each row of b holds until the next one of its kind.

    Of several rows of b at one time one is taken, as by ASOF: the others hold for no time at all.
    """
    table = join.this
    alias = table.alias_or_name
    on = join.args["on"]
    conditions = list(on.flatten()) if isinstance(on, exp.And) else [on]
    [order] = [each for each in conditions if isinstance(each, exp.GT | exp.GTE | exp.LT | exp.LTE)]
    theirs, ours = (order.expression, order.this) if _is_of(order.expression, alias) else (order.this, order.expression)
    # `ours >= theirs`, whichever way round it is written: the earlier ones of theirs fit, the last of them is wanted.
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
    found = each.from_(table.copy()).subquery(alias)
    until = exp.column("following", alias)
    kinds = {(True, False): exp.LT, (True, True): exp.LTE, (False, False): exp.GT, (False, True): exp.GTE}
    before = kinds[backwards, strict](this=ours.copy(), expression=until.copy())
    holds = exp.paren(exp.or_(before, exp.Is(this=until, expression=exp.null())))
    join.replace(exp.Join(this=found, on=exp.and_(*(each.copy() for each in conditions), holds)))


def _is_of(side: exp.Expr, alias: str) -> bool:
    columns = list(side.find_all(exp.Column))
    return bool(columns) and all(column.table == alias for column in columns)


def _floating(node: exp.Expr) -> exp.Expr:
    """A division of whole numbers that keeps its fraction."""
    if isinstance(node, exp.Div):
        return exp.Div(this=exp.cast(node.this, "double"), expression=node.expression, typed=False, safe=False)
    return node


def _day_to_moment(node: exp.Expr) -> exp.Expr:
    """A day as its midnight."""
    return exp.TimestampTrunc(this=node.this, unit=exp.var("DAY")) if isinstance(node, exp.TsOrDsToDate) else node


_UNZONED = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)


def _unzoned(node: exp.Expr) -> exp.Expr:
    """A truncated time is one without a zone, of a date too; a date less an interval is one already."""
    if isinstance(node, exp.TimestampTrunc):
        time = node.this
        if not time.is_type(*_UNZONED) and not isinstance(time, exp.Add | exp.Sub):
            node.set("this", exp.cast(time.copy(), exp.DataType.Type.TIMESTAMP))
    return node


def _filter_to_case(node: exp.Expr) -> exp.Expr:
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


def _series(node: exp.Expr) -> exp.Expr:
    """A set among the outputs makes a row of each of its members."""
    return node.this if isinstance(node, exp.Explode) and isinstance(node.this, exp.GenerateSeries) else node


def _true_or_not(node: exp.Is) -> None:
    """`x IS FALSE` as `COALESCE(NOT x, FALSE)`: it says something of a missing value, too."""
    if not isinstance(node.expression, exp.Boolean):
        return
    value = node.this if node.expression.this else exp.not_(node.this)
    known: exp.Expr = exp.Coalesce(this=value, expressions=[exp.false()])
    node.replace(exp.not_(known) if node.args.get("negate") else known)


def _within_group(node: exp.Expr) -> exp.Expr:
    """`PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x)`, by a name that sqlglot does not know: of the one that it knows
    it makes PERCENTILE_APPROX for Spark, another number."""
    if isinstance(node, exp.PercentileCont | exp.PercentileDisc) and node.args.get("expression"):
        # Values that are not there are passed over; as first they go unsaid, and these engines take no more.
        order = exp.Order(expressions=[exp.Ordered(this=node.this, nulls_first=True)])
        function = exp.Anonymous(this=node.sql_name(), expressions=[node.expression])
        return exp.WithinGroup(this=function, expression=order)
    return node


def _whole_part(node: exp.Expr) -> exp.Expr:
    """A part of a time is a whole number, not a numeric."""
    if isinstance(node, exp.Extract) and isinstance(node.this, exp.Var) and node.this.name in _WHOLE_PARTS:
        return exp.cast(node, "bigint")
    return node


_WHOLE_PARTS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "ISODOW", "DOY"})


def _counted(node: exp.Expr) -> exp.Expr:
    """`INTERVAL 7 DAY`"""
    if isinstance(node, exp.Interval) and isinstance(node.this, exp.Literal) and node.this.is_string:
        node.set("this", exp.Literal.number(node.this.name))
    return node


def _in_days(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Interval) and node.text("unit") == "WEEK" and isinstance(node.this, exp.Literal):
        return exp.Interval(this=exp.Literal.string(str(7 * int(node.this.name))), unit=exp.var("DAY"))
    return node


def _of_one_kind(node: exp.Expr) -> exp.Expr:
    """BigQuery compares a column with a time only if both have a zone, or neither has."""
    if isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE) and isinstance(node.this, exp.Column):
        other = node.expression.find(exp.Cast, exp.TimestampTrunc)
        if isinstance(other, exp.TimestampTrunc) or (other and other.is_type(*_UNZONED)):
            node.set("this", exp.cast(node.this.copy(), exp.DataType.Type.TIMESTAMP))
    return node


def _precise(node: exp.Expr) -> exp.Expr:
    """ClickHouse's DateTime has no fractions of a second, no time before 1970, and the server's zone."""
    if isinstance(node, exp.DataType) and node.this == exp.DataType.Type.TIMESTAMP:
        return exp.DataType.build("Nullable(DateTime64(6, 'UTC'))", dialect="clickhouse")
    return node


def _signed(node: exp.Expr) -> exp.Expr:
    """ClickHouse counts without a sign, and has no type for such a count and the same with a minus."""
    counted = node.this if isinstance(node, exp.Filter | exp.Window) else node
    return exp.cast(node, "bigint") if isinstance(counted, exp.Count) else node


Rewrite = Callable[[exp.Expr], exp.Expr]

_NODES: tuple[tuple[frozenset[str], Rewrite], ...] = (
    (DECIMAL_DIVISION, _floating),
    (UNEQUAL_DATES, _day_to_moment),
    (ZONED_TRUNCATION, _unzoned),
    (frozenset({"postgres"}), _whole_part),
    (frozenset({"postgres"}), _series),
    (WITHIN_GROUP, _within_group),
    (frozenset({"clickhouse"}), _precise),
    (frozenset({"clickhouse"}), _signed),
    (frozenset({"bigquery"}), _counted),
    (frozenset({"bigquery"}), _of_one_kind),
    (frozenset({"trino", "athena", "presto"}), _in_days),
    (WITHOUT_FILTER, _filter_to_case),
)


def _type_nulls(select: exp.Query) -> None:
    """In a UNION of three and more, a NULL is given the type of the column that it stands in for."""
    for union in list(select.find_all(exp.Union)):
        branches = [] if isinstance(union.parent, exp.Union) else _branches(union)
        if len(branches) < 3:
            continue
        written = [branch.copy() for branch in branches]
        outputs = [[each.unalias() for each in branch.selects] for branch in branches]
        for place, values in enumerate(zip(*outputs, strict=True)):
            told = next((at for at, value in enumerate(values) if not isinstance(value, exp.Null)), None)
            if told is None:
                continue
            rows = written[told].copy().subquery("typed")
            name = branches[told].selects[place].alias_or_name
            nothing = exp.select(exp.column(exp.to_identifier(name, quoted=None))).from_(rows).limit(0).subquery()
            for value in values:
                if isinstance(value, exp.Null):
                    value.replace(nothing.copy())


def _branches(query: exp.Query) -> list[exp.Select]:
    if isinstance(query, exp.Union):
        return [*_branches(query.this), *_branches(query.expression)]
    return [query] if isinstance(query, exp.Select) else []


def _name_outputs(select: exp.Query) -> None:
    """ClickHouse calls the output `a.x` of a join `a.x`, where others call it `x`."""
    for inner in list(select.find_all(exp.Select)):
        for output in inner.selects:
            if isinstance(output, exp.Column) and output.table and not output.is_star:
                output.replace(exp.alias_(output.copy(), output.this.copy()))


def _spell_windows(select: exp.Query) -> None:
    """Each named window where it is used."""
    for inner in list(select.find_all(exp.Select)):
        named = {window.name: window for window in inner.args.get("windows") or []}
        if not named:
            continue
        for window in list(inner.find_all(exp.Window)):
            used = named.get(window.alias)
            if used is not None and window is not used:
                parts = {k: v.copy() if isinstance(v, exp.Expr) else v for k, v in used.args.items() if k != "this"}
                parts["partition_by"] = [each.copy() for each in used.args.get("partition_by") or []]
                window.replace(exp.Window(this=window.this, **parts))
        inner.set("windows", None)
