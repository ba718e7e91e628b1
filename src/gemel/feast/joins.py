"""The point-in-time join of one feature view, as SQL: an ASOF join of the entity rows with the newest row before each.

    entity rows (a, Jan 3)   rows (a, Jan 1, 10) (a, Jan 3, 7)   ->  (a, Jan 3, 7)

The entity rows are a table of row number, moment (microseconds and remaining nanoseconds) and keys. Their other columns
never go through the engine, and come back unchanged.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError
from gemel.feast.relations import Relation, aliased

ROWS, ROW, MOMENT, NANOS = "entity_rows", "__row", "__moment", "__nanos"
_SHIFT = 2**64
_FAR = 2**63 - 1
_INTEGERS = {*("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")} | {
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
}
_FRACTIONS = {"FLOAT", "DOUBLE"}


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of the source, its name in the result, and the SQL type of the Feast definition (None: unchanged)."""

    column: str
    name: str
    type: str | None


@dataclass(frozen=True, slots=True)
class View:
    """A feature view to join. `keys` has pairs of a column of the entity rows and a column of the source.

    All names are those of real columns.
    """

    name: str
    relation: Relation
    types: Mapping[str, str]
    keys: tuple[tuple[str, str], ...]
    moment: str
    created: str | None
    ttl: dt.timedelta | None
    features: tuple[Feature, ...]


def point_in_time(view: View, rows: Mapping[str, str], *, known_then: bool = False) -> exp.Select:
    """A SELECT of the view's features: one row for each entity row, in their order.

    `rows` has the types of the keys of the entity rows. A row counts from its own time on until `ttl` after it, both
    inclusive, as in Feast's stores. If several have one time, the one created last counts. `known_then` leaves out rows
    that were created after the moment of the entity row. Raises BridgeError (G541).
    """
    left, right = _entity_rows(view, rows, known_then), _feature_rows(view, rows, known_then)
    on: list[exp.Expr] = [_column(f"key_{n}", "e").eq(_column(f"key_{n}", "f")) for n in range(len(view.keys))]
    on.append(_column("place", "e") >= _column("place", "f"))
    join = exp.Join(this=right.subquery("f"), method="ASOF", side="LEFT", on=exp.and_(*on))
    values = [_young(view, n).as_(f"feature_{n}") for n in range(len(view.features))]
    joined = exp.select(_column(ROW, "e"), *values).from_(left.subquery("e")).join(join)
    return (
        exp.select(*(_cast(view, feature, n).as_(feature.name, quoted=True) for n, feature in enumerate(view.features)))
        .from_(joined.subquery("joined"))
        .order_by(_column(ROW))
    )


def _entity_rows(view: View, rows: Mapping[str, str], known_then: bool) -> exp.Select:
    moment, nanos = _column(MOMENT), _column(NANOS)
    if _is_fine(view):
        # Nanoseconds of a far future would overflow, so times are capped at the year 2262.
        place: exp.Expr = exp.func("LEAST", _huge(moment) * _number(1000) + nanos, _number(_FAR))
        young = place
    else:
        place, young = moment, moment + exp.func("SIGN", nanos)
    if view.created and not known_then:
        place = _huge(place) * _number(_SHIFT) + _number(_FAR)
    keys = [_key(view, n, rows, left=True).as_(f"key_{n}") for n in range(len(view.keys))]
    return exp.select(_column(ROW), young.as_("moment"), *keys, place.as_("place")).from_(ROWS)


def _feature_rows(view: View, rows: Mapping[str, str], known_then: bool) -> exp.Select:
    moment = exp.func("EPOCH_NS" if _is_fine(view) else "EPOCH_US", _source(view.moment))
    keys = [_key(view, n, rows, left=False).as_(f"key_{n}") for n in range(len(view.keys))]
    features = [_source(feature.column).as_(f"feature_{n}") for n, feature in enumerate(view.features)]
    source = exp.select().from_(aliased(view.relation.tree, "source"))
    if not view.created:
        return source.select(*keys, moment.as_("moment"), moment.as_("place"), *features)
    created: exp.Expr = exp.func("EPOCH_US", _source(view.created))
    if view.types[view.created] == "TIMESTAMPTZ_NS":  # of which DuckDB has no EPOCH_US
        created = exp.IntDiv(this=exp.func("EPOCH_NS", _source(view.created)), expression=_number(1000))
    newest = _huge(moment) * _number(_SHIFT) + exp.func("COALESCE", created, _number(-_FAR))
    if not known_then:
        return source.select(*keys, moment.as_("moment"), newest.as_("place"), *features)
    # A row is known from the later of its two times on. It counts if no newer row was known by then.
    known_from = _huge(created) * _number(1000) if _is_fine(view) else created
    place = exp.func("GREATEST", moment, known_from)
    # With RANGE, rows that become known at the same time see each other.
    frame = exp.WindowSpec(kind="RANGE", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")
    best = exp.Window(
        this=exp.Max(this=_column("newest")),
        partition_by=[_column(f"key_{n}") for n in range(len(view.keys))],
        order=exp.Order(expressions=[exp.Ordered(this=_column("place"))]),
        spec=frame,
    )
    known_rows = source.select(*keys, moment.as_("moment"), place.as_("place"), newest.as_("newest"), *features).where(
        created.is_(exp.null()).not_()
    )
    selected = exp.select("*").from_(known_rows.subquery("known"))
    selected.set("qualify", exp.Qualify(this=_column("newest").eq(best)))
    return selected


def _young(view: View, n: int) -> exp.Expr:
    """The feature, or NULL if it is past its ttl."""
    value = _column(f"feature_{n}", "f")
    if not view.ttl:
        return value
    ttl = view.ttl // dt.timedelta(microseconds=1) * (1000 if _is_fine(view) else 1)
    return exp.Case().when(_column("moment", "f") >= _column("moment", "e") - _number(ttl), value)


def _cast(view: View, feature: Feature, n: int) -> exp.Expr:
    """The feature in the type of its Feast definition.

    Pandas writes integers as fractions if a value is missing: for an integer type, only whole numbers are accepted.
    """
    value, built = _column(f"feature_{n}"), view.types[feature.column]
    if feature.type is None or feature.type == built:
        return value
    if feature.type not in _INTEGERS or not (built in _FRACTIONS or built.startswith("DECIMAL")):
        return exp.cast(value, feature.type, dialect=DIALECT)
    message = f"feature {view.name}:{feature.name} is {feature.type} in its view, and has a fraction in its source"
    case = exp.Case()
    if built in _FRACTIONS:
        case = case.when(exp.func("ISNAN", value, dialect=DIALECT), exp.null())
    return (
        case.when(value.is_(exp.null()), exp.null())
        .when(
            value.eq(exp.func("TRUNC", value, dialect=DIALECT)),
            exp.cast(value, feature.type, dialect=DIALECT),
        )
        .else_(exp.func("ERROR", exp.Literal.string(message), dialect=DIALECT))
    )


def _key(view: View, n: int, rows: Mapping[str, str], *, left: bool) -> exp.Expr:
    """One side of the comparison of a key. Integers that pandas turned into fractions, for lack of a NULL, are integers
    again."""
    mine, theirs = view.keys[n]
    types = rows[mine], view.types[theirs]
    column = _column(mine) if left else _source(theirs)
    if types[0] == '"NULL"':
        return exp.cast(column, types[1], dialect=DIALECT) if left else column
    kinds = tuple(_kind(type_) for type_ in types)
    if kinds[0] == kinds[1]:
        return column
    if set(kinds) != {"an integer", "a fraction"}:
        raise BridgeError(
            "G541",
            f"{mine!r} is {kinds[0]} in the entity rows ({types[0]}), and {theirs!r} is {kinds[1]} "
            f"in the source of {view.name!r} ({types[1]})",
            hint=f"cast it: entity_df[{mine!r}].astype(...)",
        )
    if kinds[0 if left else 1] == "an integer":
        return column
    whole = exp.TryCast(this=column, to=exp.DataType.build("BIGINT"))
    return exp.Case().when(column.copy().eq(exp.func("TRUNC", column.copy(), dialect=DIALECT)), whole)


def _kind(type_: str) -> str:
    if type_ in _INTEGERS:
        return "an integer"
    if type_ in _FRACTIONS:
        return "a fraction"
    return "a string" if type_ == "VARCHAR" or type_.startswith("ENUM") else type_


def _is_fine(view: View) -> bool:
    """Whether the source's times have nanoseconds."""
    return view.types[view.moment] in ("TIMESTAMP_NS", "TIMESTAMPTZ_NS")


def _huge(value: exp.Expr) -> exp.Expr:
    return exp.cast(value, "HUGEINT", dialect=DIALECT)


def _number(value: int) -> exp.Expr:
    return _huge(exp.Literal.string(str(value))) if abs(value) > _FAR else exp.Literal.number(value)


def _column(name: str, table: str | None = None) -> exp.Column:
    return exp.column(name, table=table, quoted=True)


def _source(name: str) -> exp.Column:
    return exp.column(name, table="source", quoted=True)
