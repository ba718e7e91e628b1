"""Where the numbers of a feature are: the ordinary query, the feature table, training sets, the online store."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlglot import exp

from gemel.compiler.compiled import Compiled, compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import column as sql_column
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import Engine
from gemel.features.bound import BoundView
from gemel.online.export import newest_rows
from gemel.online.store import StoredRow
from gemel.proof.rehearsal import Train
from gemel.spec.time import duration, floor

Row = tuple[Any, ...]
Key = tuple[Any, ...]


class Answer(Protocol):
    """The result of Project.query."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    def rows(self) -> list[Row]: ...


Ask = Callable[[Sequence[str], Sequence[str | Mapping[str, str]], Sequence[str]], Answer]
"""From metrics, group-by items and filters to an answer: the ordinary query."""


class Online(Protocol):
    """What is online of a view, as gemel.online.holdings has it: rows of entities, and then those of all others."""

    why_unlisted: str | None

    def find(self, entities: Sequence[Mapping[str, Any]]) -> Sequence[StoredRow | None]: ...
    def skip(self, entities: Sequence[Mapping[str, Any]]) -> None: ...
    def others(self) -> Iterator[tuple[Mapping[str, Any], StoredRow]]: ...


OpenOnline = Callable[[BoundView], AbstractContextManager[Online]]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the numbers are. `run` executes SQL in the warehouse, and so does `stream`, for batches of rows.
    `run_with_files` executes SQL that also reads the Parquet copies, which a query of the warehouse may not.
    `relations` are the tables' names.

    `ask_graph` queries a graph with other definitions, and `train` makes a training set. `until` is the moment up to
    which each view is online; a view without one is not compared online. No table has facts from `facts_until` on; None
    is now.
    """

    ask: Ask
    ask_graph: Callable[[Graph], Ask]
    run: Callable[[Compiled], Answer]
    stream: Callable[[Compiled], Iterator[list[Row]]]
    run_with_files: Callable[[Compiled], list[Row]]
    relations: Mapping[str, str]
    root: Path
    train: Train
    online: OpenOnline | None = None
    until: Mapping[str, dt.datetime | None] | None = None
    facts_until: dt.datetime | None = None
    engine: Engine = DUCKDB


class FeatureTable:
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
        """An entity of an answer as the table stores it: a UUID is text there."""
        return str(value) if value is not None and self.types[self.keys[place]] == "string" else value

    def as_of(self, moment: dt.datetime | None) -> dict[Key, dict[str, Any]]:
        """By entity, the newest row at or before a moment (None: at all), as a point-in-time join finds it."""
        answer = self._ask(newest_rows(self.relation, self.keys, moment))
        rows = (dict(zip(answer.columns, map(_unzoned, row), strict=True)) for row in answer.rows())
        return {tuple(row[key] for key in self.keys): row for row in rows}

    def newest(self, moment: dt.datetime) -> Iterator[list[dict[str, Any]]]:
        """Batches of the newest row of each entity at or before a moment: a table need not fit into memory."""
        names = (*self.keys, MOMENT, *self.view.feature_names)
        rows = newest_rows(self.relation, self.keys, moment).subquery("newest")
        yield from self._stream(exp.select(*map(sql_column, names)).from_(rows), names)

    def entities_after(self, moment: dt.datetime) -> Iterator[list[dict[str, Any]]]:
        """Batches of the entities that have a row after a moment."""
        query = exp.select(*map(sql_column, self.keys)).from_(self.relation.copy()).distinct()
        after = exp.GT(
            this=sql_column(MOMENT),
            expression=exp.cast(exp.Literal.string(moment.isoformat(sep=" ")), exp.DataType.Type.TIMESTAMP),
        )
        yield from self._stream(query.where(after), self.keys)

    def _stream(self, query: exp.Select, names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        for batch in self.places.stream(compile_select(query, self.places.engine.dialect)):
            yield [dict(zip(names, map(_unzoned, row), strict=True)) for row in batch]

    def ends(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """The moments of the first and the last row."""
        ends = exp.select(exp.Min(this=sql_column(MOMENT)), exp.Max(this=sql_column(MOMENT)))
        first, last = map(_unzoned, self._ask(ends.from_(self.relation.copy())).rows()[0])
        return first, last

    def within(self, moments: Sequence[dt.datetime]) -> list[dt.datetime]:
        """The moments; those after the last row become the moment of the last row."""
        last = self.ends()[1]
        return sorted({min(moment, last) if last else moment for moment in moments})

    def spread(self, count: int) -> list[dt.datetime]:
        """Moments of the schedule, evenly spread from the first row to the last, including the last."""
        first, last = self.ends()
        if first is None or last is None:
            return []
        lag = duration(self.view.delay)
        step = (last - first) / count
        picked = [floor(last - step * back - lag, self.view.schedule) + lag for back in range(count)]
        return sorted({moment for moment in picked if moment >= first})


def _unzoned(value: Any) -> Any:
    """A time as UTC without a zone; anything else as it is."""
    zoned = isinstance(value, dt.datetime) and value.tzinfo is not None
    return value.astimezone(dt.UTC).replace(tzinfo=None) if zoned else value
