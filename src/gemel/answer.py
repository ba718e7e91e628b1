"""A compiled query, which runs when its rows are requested."""

from contextlib import suppress
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any

from gemel.cancellation import Cancellation
from gemel.errors import GemelError, WarehouseError
from gemel.keeping import Keeper, kept
from gemel.spec.fields import format_count
from gemel.spec.principal import OWNER
from gemel.text_tables import html

if TYPE_CHECKING:
    import pyarrow

    from gemel.compiler.compiled import Column, Compiled
    from gemel.compiler.question.query import Query
    from gemel.engines.connections.opening import Result
    from gemel.session import Session

NOTEBOOK_ROWS = 100
"""How many rows an answer shows in a notebook."""


def answer(
    session: "Session",
    query: "Query",
    *,
    dialect: str | None = None,
    check_keys: bool = False,
    timeout: float | None = None,
) -> "Answer":
    """Compile a query for the warehouse or for another dialect. With `check_keys`, the answer first reads whether the
    keys are unique by which the query joins. It runs for at most `timeout` seconds, or as the project's limits say.
    Raises UnknownNameError (G2xx), QueryError (G3xx) and
    DefinitionError (G1xx)."""
    from gemel.compiler.compiled import compile_query

    with session.placing():
        compiled = compile_query(session.graph, query, session.context(dialect))
        return Answer(compiled, session, query, checks_keys=check_keys, timeout=timeout)


class Answer(Keeper):
    """A compiled query. It runs once, when its rows, columns or a table are first requested.

    answer = project.query(["revenue"], ["customer__region"])
    print(answer.sql)
    answer.df()
    """

    def __init__(
        self,
        compiled: "Compiled",
        session: "Session",
        query: "Query",
        *,
        checks_keys: bool = False,
        timeout: float | None = None,
    ) -> None:
        self._compiled = compiled
        self._session = session
        self._query = query
        self._checks_keys = checks_keys
        self._timeout = timeout
        self._lock = RLock()
        self._cancellation = Cancellation()

    def __repr__(self) -> str:
        metrics = ", ".join(metric.column for metric in self._query.metrics)
        items = ", ".join(map(str, self._query.group_by))
        return f"<Answer: {' by '.join(part for part in (metrics, items) if part)}>"

    def _repr_html_(self) -> str:
        """The first rows as a table: what a notebook shows. The query runs, as for `rows`."""
        rows = self.rows()
        shown = rows[:NOTEBOOK_ROWS]
        count = format_count(len(rows), "row")
        return html(self.columns, shown, note=count if len(shown) == len(rows) else f"{len(shown)} of {count}")

    @property
    def sql(self) -> str:
        """The SQL text. Reading it does not run the query."""
        return self._compiled.sql

    @property
    def described(self) -> "tuple[Column, ...]":
        """The columns with what each is: a metric, an entity, a time with its grain, another dimension, or the mark of
        a total. Reading it does not run the query."""
        return self._compiled.columns

    @property
    def is_ordered(self) -> bool:
        """Whether the query, or its saved query, says an order."""
        return bool(self._query.order_by)

    def cancel(self) -> None:
        """Stop the query, from any thread. Whoever waits for its rows gets WarehouseError (G411), now and later."""
        self._cancellation.cancel()

    @kept
    def _result(self) -> "Result":
        with self._session.placing(), self._cancellation.scope():
            if self._checks_keys and self._compiled.resolved is not None:
                from gemel.checks import check_keys

                for duplicate in check_keys(self._session.graph, self._compiled.resolved, self._session.runner):
                    raise duplicate
            limits = self._session.limits
            if self._timeout is not None:
                limits = replace(limits, time=self._timeout)
            try:
                return self._session.runner.rows(self._compiled, limits=limits)
            except WarehouseError as error:
                raise self._explain(error) from None

    def _explain(self, error: WarehouseError) -> GemelError:
        """The error with the table that is not built, or the definition that does not fit its table."""
        session = self._session
        if error.code not in ("G405", "G406") or session.principal != OWNER:
            return error
        from gemel.checks import explain

        with suppress(GemelError):
            return explain(session.graph, session.runner, session.dbt, self._compiled.relations, error)
        return error

    @kept
    def warnings(self) -> "tuple[GemelError, ...]":
        """What the rows do not show: facts outside the time spine (G167), if the query uses one. Only then reading this
        queries the database. Raises as `rows`."""
        graph = self._session.graph
        resolved = self._compiled.resolved
        if resolved is None or {spine.relation for spine in graph.spines}.isdisjoint(self._compiled.relations):
            return ()
        from gemel.checks import check_spines

        with self._session.placing(), self._cancellation.scope():
            findings = check_spines(graph, resolved, self._session.runner)
            for finding in findings:
                self._session.add_place(finding)
            return tuple(findings)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: group-by items, then metrics, in the order of the query. Raises as `rows`."""
        return self._result.columns

    @property
    def types(self) -> tuple[str, ...]:
        """The DuckDB types of the columns. Raises as `rows`."""
        return self._result.types

    def rows(self) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row.

        Raises WarehouseError (G4xx), QueryError (G342) if the SQL is in another dialect than the warehouse's, and, if
        keys are checked, DefinitionError (G166) for one that is not unique.
        """
        result = self._result
        with self._lock, self._cancellation.scope():  # the other threads get the rows of the first
            return result.rows()

    def arrow(self) -> "pyarrow.Table":
        """A pyarrow Table. Raises as `rows`."""
        result = self._result
        with self._cancellation.scope():
            return result.arrow()

    def df(self) -> Any:
        """A pandas DataFrame (pandas must be installed). Raises as `rows`."""
        result = self._result
        with self._cancellation.scope():
            return result.df()

    def pl(self) -> Any:
        """A polars DataFrame (polars must be installed). Raises as `rows`."""
        result = self._result
        with self._cancellation.scope():
            return result.pl()
