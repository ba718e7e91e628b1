"""How far numbers move: a metric by groups, a feature by entity and moment, in both states and compared."""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.compiler.features.moments import plan_features
from gemel.compiler.features.reach import Within
from gemel.compiler.names.resolution import resolve
from gemel.compiler.plan import planning
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.question.parsing import make_query
from gemel.compiler.question.query import Query
from gemel.diff.asking import Reader
from gemel.diff.meaning import Change
from gemel.diff.states import State
from gemel.errors import GemelError, ProjectError
from gemel.features.bound import BoundView
from gemel.features.times import timestamp
from gemel.progress import track
from gemel.run import open_empty
from gemel.spec.feature_views import DimensionFeature, MetricFeature
from gemel.spec.time import Window

if TYPE_CHECKING:
    import pyarrow

EXAMPLES = 3
NEAR = 1e-9
"""Values are equal if they differ by less than this share: the last digits of a sum of fractions depend on its
order."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


MakeQueries = Callable[[str], tuple[Query, Query]]
"""The queries of a metric, before and after, with the same columns."""


@dataclass(frozen=True, slots=True)
class Example:
    """One group, and its value in both states; None if it has none there."""

    group: tuple[Any, ...]
    before: Any
    after: Any

    @property
    def difference(self) -> float | None:
        before, after = _number(self.before), _number(self.after)
        return None if before is None or after is None else after - before

    @property
    def relative(self) -> float | None:
        before, difference = _number(self.before), self.difference
        return None if difference is None or not before else difference / abs(before)


@dataclass(frozen=True, slots=True)
class Moved:
    """A metric's or feature's numbers in both states. `keys` are the columns of a group.

    `largest` is the greatest absolute difference, `relative` the greatest share of the value before; `appeared` and
    `gone` count groups with a value in one state only. `unscaled` counts groups that moved by no share of their value:
    from zero, from or to NaN or infinity, and texts and times. `why` is the reason if nothing was compared.
    """

    kind: str
    name: str
    keys: tuple[str, ...] = ()
    groups: int = 0
    moved: int = 0
    appeared: int = 0
    gone: int = 0
    unscaled: int = 0
    largest: float | None = None
    relative: float | None = None
    examples: tuple[Example, ...] = ()
    quantiles: tuple[float, ...] = ()
    mean: float | None = None
    why: str | None = None

    def exceeds(self, share: float) -> bool:
        """Whether a group moved by more than a share of its value, or in a way that has no share."""
        return self.appeared + self.gone + self.unscaled > 0 or (self.relative or 0) > share


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The period in which features are compared; None is the beginning, or the last moment that is known."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None
    until: dt.datetime


def make_queries(
    group_by: Sequence[str],
    where: Sequence[str],
    *,
    times: tuple[str | None, str | None],
    candidate: str | None,
    timezone: str,
) -> MakeQueries:
    """The queries of a metric: of itself, and after, of its `candidate` under the metric's name."""
    start, end = times

    def make(name: str, alias: str) -> Query:
        metric = {"name": name, "alias": alias} if name != alias else name
        items = group_by or ["metric_time"]
        return make_query([metric], items, where=where, start=start, end=end, timezone=timezone)

    return lambda name: (make(name, name), make(candidate or name, name))


def last_known_moment(state: State) -> dt.datetime:
    """The moment up to which facts are known: `gemel_until` of the project, or now."""
    inner = [each.get("gemel_until") for each in state.variables.values() if isinstance(each, dict)]
    until = state.variables.get("gemel_until", next(filter(None, inner), None))
    try:
        return dt.datetime.fromisoformat(str(until))
    except ValueError:
        return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)


def metric_numbers(
    before: Reader, after: Reader, *, names: Sequence[str], make: MakeQueries, examples: int = EXAMPLES
) -> Iterator[Moved]:
    """The numbers of each metric in both states, by the queries that `make` gives for its name."""
    for name in track(names, "numbers of", str):
        try:
            tables = _tables(before, after, make(name))
        except GemelError as error:
            if len(names) == 1 or error.code == "G763":
                raise
            yield Moved("metric", name, why=str(error).splitlines()[0])
            continue
        yield from compare_tables(tables, "metric", [name], examples)


def feature_numbers(
    before: Reader, after: Reader, *, changes: Iterable[Change], times: Times, examples: int = EXAMPLES
) -> Iterator[Moved]:
    """The numbers of each feature among the changes that is in both states, at every step of its view's schedule."""
    wanted: dict[str, list[str]] = {}
    for change in changes:
        if change.kind == "feature" and change.how in ("changed", "touched"):
            view, _, name = change.name.partition(".")
            wanted.setdefault(view, []).append(name)
    for view, names in track(list(wanted.items()), "numbers of", lambda each: each[0]):
        bound = [next((v for v in reader.state.features.views if v.name == view), None) for reader in (before, after)]
        old, new = bound
        if old is None or new is None:  # an on-demand view, whose values depend on requests
            continue
        if (old.entities, old.schedule) != (new.entities, new.schedule):
            for name in names:
                yield Moved("feature", f"{view}.{name}", why="its view has other entities, or another schedule")
            continue
        tables = [
            _drop_others(reader.table(_features(reader, each, names, times)), (old, new), names)
            for reader, each in zip((before, after), (old, new), strict=True)
        ]
        yield from compare_tables(tables, "feature", names, examples, prefix=f"{view}.")


def side_by_side(before: Reader, after: Reader, queries: tuple[Query, Query], *, limit: int | None) -> "pyarrow.Table":
    """Every group with its value before and after, the difference and its share; the largest differences first."""
    [metric] = [item.column for item in queries[0].metrics]
    tables = _tables(before, after, queries)
    keys = tuple(name for name in tables[0].column_names if name != metric)
    with _Compared(tables, keys, [metric]) as compared:
        return compared.side_by_side(metric, limit)


def _tables(before: Reader, after: Reader, queries: tuple[Query, Query]) -> list["pyarrow.Table"]:
    return [reader.table(_plan(reader, query)) for reader, query in zip((before, after), queries, strict=True)]


def _plan(reader: Reader, query: Query) -> Plan:
    graph = reader.state.session.graph
    with reader.state.session.placing():
        return planning.plan(graph, resolve(graph, replace(query, limit=None, order_by=())))


def _features(reader: Reader, bound: BoundView, names: Sequence[str], times: Times) -> Plan:
    """Features at every step, so that a row that only one state needs is not a difference."""
    features = [feature for feature in bound.features if feature.name in names]
    if all(isinstance(feature, DimensionFeature) for feature in features):  # the rows come from facts
        features += [next(each for each in bound.features if isinstance(each, MetricFeature))]
    within = None
    if times.start or times.end:
        end = times.end + dt.timedelta(microseconds=1) if times.end else dt.datetime(9999, 12, 31)
        within = Within(timestamp(str(times.start or dt.datetime(1, 1, 1))), timestamp(str(end)))
    view = replace(
        bound, features=tuple(features), ttl=Window(1, bound.schedule)
    )  # with a ttl, there is a row at every step
    return plan_features(reader.state.session.graph, view, until=timestamp(str(times.until)), within=within)


def _drop_others(table: "pyarrow.Table", views: Iterable[BoundView], names: Sequence[str]) -> "pyarrow.Table":
    """The table without features that were only needed for its rows."""
    others = {name for view in views for name in view.feature_names} - {*names}
    return table.drop_columns([name for name in table.column_names if name in others])


def compare_tables(
    tables: Sequence["pyarrow.Table"], kind: str, values: Sequence[str], examples: int, prefix: str = ""
) -> Iterator[Moved]:
    """Two results with the same columns, before and after: for each of `values`, how far it moved."""
    keys = tuple(name for name in tables[0].column_names if name not in values)
    with _Compared(tables, keys, values) as compared:
        for value in values:
            if (why := compared.incomparable(value)) is not None:
                yield Moved(kind, f"{prefix}{value}", keys, why=why)
                continue
            yield compared.measure(kind, f"{prefix}{value}", value, examples)


class _Compared:
    """Two results side by side, in a database of their own in memory."""

    def __init__(self, tables: Sequence["pyarrow.Table"], keys: tuple[str, ...], values: Sequence[str]) -> None:
        if tables[0].column_names != tables[1].column_names:
            old, new = (", ".join(table.column_names) for table in tables)
            message = f"the columns of the result differ: {old} before, {new} after"
            raise ProjectError("G764", message, hint="choose --group-by items that have the same name in both states")
        for key in keys:
            if (why := _clash(*(table.schema.field(key).type for table in tables))) is not None:
                raise ProjectError(
                    "G764", f"{key}: {why}", hint="choose --group-by items of the same type in both states"
                )
        self.keys = keys
        self._scratch = open_empty()
        names = {name: f"k{place}" for place, name in enumerate(keys)}
        self.values = {name: f"v{place}" for place, name in enumerate(values)}
        self._tables = [
            table.rename_columns([(names | self.values)[n] for n in table.column_names]) for table in tables
        ]
        for name, table in zip(("b", "a"), self._tables, strict=True):
            self._scratch.register(name, table)

    def __enter__(self) -> "_Compared":
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.close()

    def measure(self, kind: str, name: str, value: str, examples: int) -> Moved:
        pairs = self._pairs(value)
        count = exp.func("COUNT", exp.Star())
        moved = exp.column("moved")
        size, share = exp.func("ABS", exp.column("difference")), exp.func("ABS", exp.column("relative"))
        totals = [
            count,
            exp.func("COUNT_IF", moved),
            exp.func("COUNT_IF", exp.column("old").is_(exp.null())),
            exp.func("COUNT_IF", exp.column("new").is_(exp.null())),
            exp.func("COUNT_IF", exp.column("unscaled")),
            exp.func("MAX", exp.case().when(moved.copy(), size)),
            exp.func("MAX", exp.case().when(moved.copy(), share)),
            exp.func("AVG", exp.column("difference")),
            exp.func(
                "QUANTILE_CONT",
                exp.column("difference"),
                exp.Array(expressions=[exp.Literal.number(each) for each in QUANTILES]),
            ),
        ]
        total = self._rows(exp.select(*totals).from_(pairs.subquery("pairs")))[0]
        order = [exp.Ordered(this=size.copy(), desc=True, nulls_first=True)]
        order += [exp.Ordered(this=exp.column(f"k{place}"), nulls_first=True) for place in range(len(self.keys))]
        columns = [exp.column(f"k{place}") for place in range(len(self.keys))]
        shown = exp.select(*columns, "old", "new").from_(pairs.subquery("pairs")).where(moved.copy())
        largest_rows = self._rows(shown.order_by(*order).limit(examples)) if examples and total[1] else []
        *counts, largest, relative, mean, quantiles = total
        groups, count_moved, appeared, gone, unscaled = (each or 0 for each in counts)  # COUNT_IF of no rows is NULL
        return Moved(
            kind,
            name,
            self.keys,
            groups=groups,
            moved=count_moved,
            appeared=appeared,
            gone=gone,
            unscaled=unscaled,
            largest=largest,
            relative=relative,
            examples=tuple(Example(tuple(row[:-2]), row[-2], row[-1]) for row in largest_rows),
            quantiles=tuple(quantiles or ()),
            mean=mean,
        )

    def side_by_side(self, value: str, limit: int | None) -> "pyarrow.Table":
        columns = [exp.alias_(exp.column(f"k{place}"), key, quoted=True) for place, key in enumerate(self.keys)]
        named = (("old", "before"), ("new", "after"), ("difference", "difference"), ("relative", "relative"))
        columns += [exp.alias_(exp.column(name), shown, quoted=True) for name, shown in named]
        select = exp.select(*columns).from_(self._pairs(value).subquery("pairs"))
        size = exp.func("ABS", exp.column("difference", "pairs"))
        order = [exp.Ordered(this=each, desc=True, nulls_first=True) for each in (exp.column("moved"), size)]
        order += [exp.Ordered(this=exp.column(f"k{place}"), nulls_first=True) for place in range(len(self.keys))]
        select = select.order_by(*order)
        shown = compile_select(select.limit(limit) if limit else select, self._scratch.dialect)
        return self._scratch.arrow(shown)

    def _pairs(self, value: str) -> exp.Select:
        """Each group with a value in either state: `k0, …, old, new, difference, relative, moved, unscaled`."""
        own = self.values[value]
        old, new = exp.column(own, "b"), exp.column(own, "a")
        keys = [f"k{place}" for place in range(len(self.keys))]
        same: list[exp.Expr] = [
            exp.NullSafeEQ(this=exp.column(key, "b"), expression=exp.column(key, "a")) for key in keys
        ]
        columns: list[exp.Expr] = [
            exp.alias_(exp.func("COALESCE", exp.column(key, "a"), exp.column(key, "b")), key) for key in keys
        ]
        differs: exp.Expr = exp.NullSafeNEQ(this=old.copy(), expression=new.copy())
        difference: exp.Expr = exp.null()
        relative: exp.Expr = exp.null()
        if self._is_number(value):
            old_, new_ = (exp.cast(each.copy(), exp.DataType.Type.DOUBLE) for each in (old, new))
            # DuckDB compares NaN and infinity as values; a difference to them would be NaN, which would count as near.
            finite = exp.and_(*(exp.func("ISFINITE", each.copy()) for each in (old_, new_)))
            difference = exp.case().when(finite, exp.Sub(this=new_, expression=old_))
            size = exp.func("ABS", difference.copy())
            scale = exp.func("GREATEST", exp.func("ABS", new_.copy()), exp.func("ABS", old_.copy()))
            near = exp.LTE(this=size, expression=exp.Mul(this=exp.Literal.number(NEAR), expression=scale))
            differs = exp.and_(differs, exp.not_(exp.func("COALESCE", near, exp.false())))
            base = exp.Nullif(this=exp.func("ABS", old_.copy()), expression=exp.Literal.number(0))
            relative = exp.Div(this=difference.copy(), expression=base)
        both = exp.and_(*(exp.not_(each.copy().is_(exp.null())) for each in (old, new)))
        columns += [
            exp.alias_(each, name)
            for each, name in (
                (old, "old"),
                (new, "new"),
                (difference, "difference"),
                (relative, "relative"),
                (differs, "moved"),
                (exp.and_(differs.copy(), both, exp.Is(this=relative.copy(), expression=exp.null())), "unscaled"),
            )
        ]
        join = exp.Join(this=exp.to_table("a"), side="FULL", on=exp.and_(*same) if same else exp.true())
        either = exp.or_(*(exp.not_(each.copy().is_(exp.null())) for each in (old, new)))
        select = exp.select(*columns).from_("b")
        select.append("joins", join)
        return select.where(either)

    def incomparable(self, value: str) -> str | None:
        """Why the values of the two states cannot be compared; None if they can."""
        return _clash(*(table.schema.field(self.values[value]).type for table in self._tables))

    def _is_number(self, value: str) -> bool:
        kinds = [table.schema.field(self.values[value]).type for table in self._tables]
        return all(_family(kind) in ("number", "null") for kind in kinds)

    def _rows(self, select: exp.Select) -> list[tuple[Any, ...]]:
        return self._scratch.rows(compile_select(select, self._scratch.dialect))


def _clash(old: "pyarrow.DataType", new: "pyarrow.DataType") -> str | None:
    """Why values of two types cannot be compared; None if they can."""
    families = {_family(old), _family(new)} - {"null"}
    return f"its type changes from {old} to {new}" if len(families) > 1 else None


def _family(kind: "pyarrow.DataType") -> str:
    """What a type can be compared with: `number`, `text`, `date`, `time`; for any other type itself."""
    import pyarrow.types as types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind):
        return "text"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "date"
    return str(kind)


def _number(value: Any) -> float | None:
    """A finite number. NaN and infinity have no distance to any value."""
    number = float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else None
