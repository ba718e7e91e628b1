"""The proof: BI number = feature table = training set = Parquet copy = online store.

The BI side is the ordinary query of the metric, grouped by the entity and filtered to the window's days or hours.
It shares no SQL with the feature table, so that a mistake in either shows.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlglot import exp

from gemel.compiler.compiled import Compiled, compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.features.histories import own_row
from gemel.compiler.features.moments import side, sight
from gemel.compiler.names.entities import entity_item
from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.plan.distinct import Back
from gemel.compiler.question.expressions import column as sql_column
from gemel.compiler.question.parsing import parse_item
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import Capability, Engine
from gemel.errors import BridgeError
from gemel.features.bound import BoundView
from gemel.features.tables import DATA
from gemel.online.export import newest_rows
from gemel.online.store import Found
from gemel.proof.hindsight import to_ask
from gemel.proof.rehearsal import Train, rehearse
from gemel.proof.report import Report, Stale
from gemel.proof.sameness import kind, same, to_moment
from gemel.spec.feature_views import DimensionFeature, Feature, MetricFeature
from gemel.spec.time import Window, floor, seconds, step
from gemel.training.exactness import exact_features

MOST_ROWS = 10_000  # of a table that differs from its copy; more than that need not be told one by one

Row = tuple[Any, ...]
Key = tuple[Any, ...]


class Answer(Protocol):
    """What Project.query gives."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    def rows(self) -> list[Row]: ...


Ask = Callable[[Sequence[str], Sequence[str | Mapping[str, str]], Sequence[str]], Answer]
"""Metrics, group-by items and filters to an answer: the ordinary query."""

Online = Callable[[BoundView, Sequence[Mapping[str, Any]]], Sequence[Found | None]]
"""A view and keys to what the online store says of each."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the numbers are. `run` executes SQL in the warehouse; `relations` are the tables' names.

    `ask_of` asks a graph with other definitions, and `train` makes a training set. `until` says up to when each view
    is online; a view that is not there is not looked for online. Facts from `facts_until` on are in no table; None is
    now.
    """

    ask: Ask
    ask_of: Callable[[Graph], Ask]
    run: Callable[[Compiled], Answer]
    relations: Mapping[str, str]
    root: Path
    train: Train
    online: Online | None = None
    until: Mapping[str, dt.datetime | None] | None = None
    facts_until: dt.datetime | None = None
    engine: Engine = DUCKDB


def verify(
    graph: Graph,
    views: Iterable[BoundView],
    types: Mapping[str, Mapping[str, str]],
    places: Places,
    *,
    at: Sequence[dt.datetime] = (),
    moments: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Compare every feature of every view. Without `at`, at that many moments spread over each table's time.

    Raises WarehouseError where a table is not there.
    """
    report = Report()
    for view in views:
        table = _Table(view, types[view.name], places)
        for feature in view.features:
            report.count(view.name, feature.name)
        if table.ends() == (None, None):
            _compare_empty(graph, table, report)
            say(f"{view.name}: compared with BI, as a table without rows")
            continue
        chosen = table.within(at) if at else table.spread(moments)
        report.moments[view.name] = chosen
        seen = [_look(graph, table, moment) for moment in chosen]
        if not sum(_compare_bi(table, each, report) for each in seen):
            report.reasons.append(
                f"nothing of {view.name} was compared with BI: no entity has facts or rows at these moments"
            )
        say(f"{view.name}: compared with BI at {len(chosen)} moments")
        _compare_served(table, seen, report)
        _compare_exact(graph, table, seen, report)
        say(f"{view.name}: compared with training sets, served and exact")
        if places.engine.has(Capability.COPIED):
            _compare_copy(table, report)
        if places.online is not None and view.online:
            _compare_online(table, places.online, (places.until or {}).get(view.name), report)
            say(f"{view.name}: compared with the online store")
    if not report.counts:
        report.reasons.append("there is no feature view to compare")
    return report


class _Table:
    """One view's feature table."""

    def __init__(self, view: BoundView, types: Mapping[str, str], places: Places) -> None:
        self.view = view
        self.name = view.name
        self.keys = view.entities
        self.types = types
        self.places = places
        self.relation = exp.maybe_parse(places.relations[view.name], into=exp.Table, dialect=places.engine.dialect)

    def _ask(self, query: exp.Select) -> Answer:
        return self.places.run(compile_select(query, self.places.engine.dialect))

    def key(self, place: int, value: Any) -> Any:
        """An entity of an answer as the table has it: a UUID is a text there."""
        return str(value) if value is not None and self.types[self.keys[place]] == "string" else value

    def as_of(self, moment: dt.datetime | None) -> dict[Key, dict[str, Any]]:
        """By entity, the newest row at or before a moment (None: at all), as a point-in-time join finds it."""
        answer = self._ask(newest_rows(self.relation, self.keys, moment))
        rows = (dict(zip(answer.columns, map(_unzoned, row), strict=True)) for row in answer.rows())
        return {tuple(row[key] for key in self.keys): row for row in rows}

    def ends(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """The moments of the first and the last row."""
        ends = exp.select(exp.Min(this=sql_column(MOMENT)), exp.Max(this=sql_column(MOMENT)))
        first, last = map(_unzoned, self._ask(ends.from_(self.relation.copy())).rows()[0])
        return first, last

    def within(self, moments: Sequence[dt.datetime]) -> list[dt.datetime]:
        """The moments, those after the last row moved back to it: of later times the table says nothing."""
        last = self.ends()[1]
        return sorted({min(moment, last) if last else moment for moment in moments})

    def spread(self, count: int) -> list[dt.datetime]:
        """Moments of the schedule from the first row to the last, evenly, the last among them."""
        first, last = self.ends()
        if first is None or last is None:
            return []
        lag = _length(self.view.delay)
        step = (last - first) / count
        picked = [floor(last - step * back - lag, self.view.schedule) + lag for back in range(count)]
        return sorted({moment for moment in picked if moment >= first})


@dataclass(frozen=True, slots=True)
class _Seen:
    """One view at a moment: the table's rows and the values that BI has, by entity.

    `scheduled` is the moment of the schedule, the delay included, that the table is asked for with `asked`.
    """

    asked: dt.datetime
    scheduled: dt.datetime
    stored: dict[Key, dict[str, Any]]
    bi: dict[Key, dict[str, Any]]


def _compare_empty(graph: Graph, table: _Table, report: Report) -> None:
    """A table without rows is right where no fact of any of its features is known."""
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    until = table.places.facts_until or now
    moment = floor(until - _length(table.view.delay), table.view.schedule)
    for features, known, _ in _bi(graph, table, moment, (), reach=lambda feature: None):
        for key, values in known.items():
            for feature, value in zip(features, values, strict=True):
                if value is not None:
                    who = ", ".join(f"{name}={each}" for name, each in zip(table.keys, key, strict=True))
                    report.reasons.append(
                        f"the table of {table.name} has no rows, and BI has numbers for it: up to "
                        f"{moment:%Y-%m-%d %H:%M} the metric of {feature.name} is {value} for {who}"
                    )
                    return
    report.without_facts[table.name] = moment
    if table.places.engine.has(Capability.COPIED):
        _compare_copy(table, report)


def _look(graph: Graph, table: _Table, asked: dt.datetime) -> _Seen:
    stored = table.as_of(asked)
    lag = _length(table.view.delay)
    moment = floor(asked - lag, table.view.schedule)
    bi: dict[Key, dict[str, Any]] = {key: {} for key in stored}
    for features, known, nothing in _bi(graph, table, moment, stored):
        # An entity that has had no facts yet has no row, whatever its dimensions say.
        facts = isinstance(features[0], MetricFeature)
        for key in known.keys() | stored.keys() if facts else stored.keys():
            values = known.get(key, nothing)
            bi.setdefault(key, {}).update(zip((feature.name for feature in features), values, strict=True))
    return _Seen(asked, moment + lag, stored, bi)


def _compare_bi(table: _Table, seen: _Seen, report: Report) -> int:
    """How many values were compared."""
    for key, values in seen.bi.items():
        row = seen.stored.get(key)
        for name, bi in values.items():
            stored = row[name] if row is not None else None
            at = row[MOMENT] if row is not None else seen.asked
            _tell(table, name, key, at, {"BI": bi, "table": stored}, report)
    return sum(len(values) for values in seen.bi.values())


def _compare_served(table: _Table, seen: Sequence[_Seen], report: Report) -> None:
    """A training set as served has the table's newest row, unless it is older than the ttl."""
    ttl = table.view.ttl
    asked = [(key, each.asked) for each in seen for key in each.stored]
    rows = [row for each in seen for row in each.stored.values()]
    served = rehearse(table.places.train, table.view, table.view.features, asked, "served")
    for (key, moment), row, features in zip(asked, rows, served, strict=True):
        expired = ttl is not None and moment > row[MOMENT] + _length(ttl)
        for name, value in features.items():
            right = None if expired else row[name]
            _tell(table, name, key, row[MOMENT], {"table": right, "served": value}, report)


def _compare_exact(graph: Graph, table: _Table, seen: Sequence[_Seen], report: Report) -> None:
    """At a moment of the schedule an exact training set has BI's value, of each entity that has had facts."""
    exact = exact_features(graph, table.view)
    asked = [(key, each.scheduled) for each in seen for key in each.stored]
    if not exact:
        return
    found = rehearse(table.places.train, table.view, exact, asked, "exact")
    sides = [(each.bi[key], row) for each in seen for key, row in each.stored.items()]
    for (key, _), (bi, row), features in zip(asked, sides, found, strict=True):
        for name, value in features.items():
            if name in bi:
                _tell(table, name, key, row[MOMENT], {"BI": bi[name], "exact": value}, report)


def _tell(table: _Table, name: str, key: Key, moment: dt.datetime, sides: Mapping[str, Any], report: Report) -> None:
    """Two values of one feature; the first is the one to be."""
    right, other = sides.values()
    if same(right, other, table.types[name]):
        report.equal(table.name, name)
    else:
        entity = dict(zip(table.keys, key, strict=True))
        report.differs(kind(right, other), table.name, name, entity, moment, sides)


def _bi(
    graph: Graph,
    table: _Table,
    moment: dt.datetime,
    stored: Iterable[Key],
    reach: Callable[[MetricFeature], Back] | None = None,
) -> Iterator[tuple[list[Feature], dict[Key, Row], Row]]:
    """Features, their values by entity, and the value of an entity without facts: one query for each window.

    `reach` says how far back a feature sees, if not over its own window.
    """
    spec = table.view
    reach = reach or (lambda feature: sight(graph, feature))
    questions: dict[tuple[dt.datetime | None, tuple[str, ...], tuple[str, ...]], list[tuple[Feature, str]]] = {}
    for feature in spec.features:
        if isinstance(feature, MetricFeature):
            metric, filters = _plain_metric(graph, feature)
            since = _since(reach(feature), moment, spec.schedule)
            questions.setdefault((since, filters, _entities(graph, table, metric)), []).append((feature, metric))
        else:
            values = _dimension(graph, table, feature, moment)
            place = table.keys.index(parse_item(feature.dimension).segments[0])
            yield [feature], {key: (values[key[place]],) for key in stored if key[place] in values}, (None,)
    known = "__".join(parse_item(spec.known_at).segments) if spec.known_at else METRIC_TIME
    time = f"{{{{ TimeDimension('{known}', '{spec.schedule}') }}}}"
    for (since, filters, entities), asked in questions.items():
        metrics = list(dict.fromkeys(metric for _, metric in asked))
        inside = [f"{time} < '{moment:%Y-%m-%d %H:%M:%S}'", *filters]
        if since is not None:
            inside.append(f"{time} >= '{since:%Y-%m-%d %H:%M:%S}'")
        keys = [{"name": item, "alias": key} for item, key in zip(entities, table.keys, strict=True)]
        then = to_ask(graph, metrics, moment, spec.schedule)
        ask = table.places.ask if then is None else table.places.ask_of(then)
        found = _by_key(table, ask(metrics, keys, inside))
        # What the metric is of no facts at all: NULL, or what it fills in.
        nothing = ask(metrics, (), [*inside, f"{time} < '0001-01-01'"]).rows() or [(None,) * len(metrics)]
        # Of no rows at all a count of distinct values is 0; of an entity without any it is nothing.
        empty = [
            None if _counts_values(graph, name) else value for name, value in zip(metrics, nothing[0], strict=True)
        ]
        order = [metrics.index(metric) for _, metric in asked]
        yield (
            [feature for feature, _ in asked],
            {key: tuple(row[index] for index in order) for key, row in found.items()},
            tuple(empty[index] for index in order),
        )


def _entities(graph: Graph, table: _Table, metric: str) -> tuple[str, ...]:
    """The view's entities as items of a question about a metric: `plane__maker`."""
    return tuple(str(entity_item(graph, key, graph.metrics[metric])) for key in table.keys)


def _counts_values(graph: Graph, name: str) -> bool:
    """Whether a metric is made of a count of distinct values that nothing stands in for."""
    definition = graph.metrics[name].definition
    if definition.measure is not None:
        return definition.measure.agg == "count_distinct" and definition.fill_nulls_with is None
    return any(_counts_values(graph, used.name) for used in definition.inputs)


def _dimension(graph: Graph, table: _Table, feature: DimensionFeature, moment: dt.datetime) -> dict[Any, Any]:
    """By the entity's key, its dimension; of a history, that of the version in force just before the moment."""
    own = own_row(graph, table.keys, feature.dimension)
    grains = {edge.validity: graph.grain_of(edge.grain or "second") for edge in own.edges}
    values = {}
    edges = [f"{own.entity}__{edge.name}" for edge in own.edges]
    place = table.keys.index(own.entity)
    for key, value, *times in table.places.ask((), (own.entity, feature.dimension, *edges), ()).rows():
        # Of a day that is known as a day nothing counts before it is over.
        known = {
            which: time and step(to_moment(time), grain, 1)
            for (which, grain), time in zip(grains.items(), times, strict=True)
        }
        start, end = known.get("start"), known.get("end")
        if not own.edges or (start is not None and start <= moment and (end is None or moment < end)):
            values[table.key(place, key)] = value
    return values


def _since(back: Back, moment: dt.datetime, schedule: str) -> dt.datetime | None:
    """The first instant that a moment sees; None is the beginning of time."""
    match back:
        case Window():
            return moment - _length(back)
        case None:
            return None
        case _:
            return floor(moment - _length(Window(1, schedule)), back)


def _plain_metric(graph: Graph, feature: MetricFeature) -> tuple[str, tuple[str, ...]]:
    """The metric to ask for, and the filters it has as a side of a ratio."""
    metric = graph.metric(feature.metric)
    used = metric.definition.accumulated if feature.own else None
    if feature.part is not None:
        used = side(graph, feature)
    if used is None:
        return metric.name, ()
    return used.name, (*metric.filters, *used.filters)


def _by_key(table: _Table, answer: Answer) -> dict[Key, Row]:
    """Values by entity; the group without an entity is nobody's features."""
    count = len(table.keys)
    return {
        tuple(table.key(place, value) for place, value in enumerate(row[:count])): row[count:]
        for row in answer.rows()
        if None not in row[:count]
    }


def _compare_copy(table: _Table, report: Report) -> None:
    """Feast reads dbt's Parquet copy of the table; every row of the two must be the same."""
    path = table.places.root / DATA / f"{table.name}.parquet"
    if not path.is_file():
        raise BridgeError(
            "G533", f"the table of {table.name!r} has no Parquet copy at {path}", hint="`dbt build` writes it"
        )
    keys = (*table.keys, MOMENT)
    names = table.view.feature_names
    copy = exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[exp.Literal.string(str(path))]))
    both = {"t": exp.alias_(table.relation.copy(), "t", table=True), "f": exp.alias_(copy, "f", table=True)}
    same = [exp.EQ(this=sql_column(key, "t"), expression=sql_column(key, "f")) for key in keys]
    differ = [exp.NullSafeNEQ(this=sql_column(name, "t"), expression=sql_column(name, "f")) for name in (*keys, *names)]
    query = (
        exp.select(*(exp.alias_(sql_column(name, side), f"{side}_{name}") for side in "tf" for name in (*keys, *names)))
        .from_(both["t"])
        .join(both["f"], on=exp.and_(*same), join_type="full")
        .where(exp.or_(*differ))
        .limit(MOST_ROWS)
    )
    rows = table.places.run(compile_select(query, table.places.engine.dialect)).rows()
    for row in rows:
        left, right = row[: len(row) // 2], row[len(row) // 2 :]
        known = left if left[len(table.keys)] is not None else right
        entity, moment = dict(zip(table.keys, known, strict=False)), known[len(table.keys)]
        for name, in_table, in_file in zip(names, left[len(keys) :], right[len(keys) :], strict=True):
            if in_table != in_file:
                values = {"table": in_table, "copy": in_file}
                report.differs(kind(in_table, in_file), table.name, name, entity, moment, values)
    for relation, what in ((table.relation, "the table"), (copy, "the Parquet copy")):
        _tell_twins(table, relation, f"{what} of {table.name}", report)
    if len(rows) == MOST_ROWS:
        report.reasons.append(f"the Parquet copy of {table.name} differs from the table in {MOST_ROWS:,} rows or more")


def _tell_twins(table: _Table, relation: exp.Expr, name: str, report: Report) -> None:
    """Two rows of one entity and moment: which of them is joined to a label, or goes online, is chance."""
    keys = [sql_column(key) for key in (*table.keys, MOMENT)]
    rows = exp.Count(this=exp.Star())
    query = exp.select(*keys, rows).from_(relation.copy()).group_by(*keys)
    query = query.having(exp.GT(this=rows.copy(), expression=exp.Literal.number(1))).limit(1)
    for *entity, moment, count in table.places.run(compile_select(query, table.places.engine.dialect)).rows():
        who = ", ".join(f"{key}={value}" for key, value in zip(table.keys, entity, strict=True))
        report.reasons.append(f"{name} has {count} rows for {who} at {moment:%Y-%m-%d %H:%M}")


def _compare_online(table: _Table, online: Online, until: dt.datetime | None, report: Report) -> None:
    if until is None:
        report.reasons.append(f"{table.name} was never materialized, so nothing of it is online")
        return
    stored = table.as_of(until.replace(tzinfo=None))
    if not stored:
        report.reasons.append(f"{table.name} has no row up to {until:%Y-%m-%d %H:%M}, where it is online to")
        return
    ttl = table.view.ttl
    if ttl is not None:
        oldest = dt.datetime.now(dt.UTC).replace(tzinfo=None) - _length(ttl)
        stale = sum(row[MOMENT] < oldest for row in stored.values())
        report.stale[table.name] = Stale(stale, len(stored), str(ttl))
    entities = [dict(zip(table.keys, key, strict=True)) for key in stored]
    for (key, row), served in zip(stored.items(), online(table.view, entities), strict=True):
        if table.view.push and served and served.moment and to_moment(served.moment) > to_moment(row[MOMENT]):
            report.pushed[table.name] = report.pushed.get(table.name, 0) + 1
            continue
        for name in table.view.feature_names:
            value = served.values.get(name) if served is not None else None
            _tell(table, name, key, row[MOMENT], {"table": row[name], "online": value}, report)


def _length(window: Window | None) -> dt.timedelta:
    return dt.timedelta(seconds=seconds(window)) if window else dt.timedelta()


def _unzoned(value: Any) -> Any:
    """A time as UTC without a zone; anything else as it is."""
    zoned = isinstance(value, dt.datetime) and value.tzinfo is not None
    return value.astimezone(dt.UTC).replace(tzinfo=None) if zoned else value
