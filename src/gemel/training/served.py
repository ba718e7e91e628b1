"""Features as served: the newest row of each table at or before the moment."""

from collections.abc import Iterable, Sequence

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.features.streams import ROW
from gemel.compiler.question.expressions import column, conjunction, equal, identifier, interval
from gemel.engines.duckdb import DIALECT
from gemel.features.selection import Chosen
from gemel.features.tables import CREATED
from gemel.run import ScratchRunner
from gemel.training.source import Source, requests_table


def join_served(scratch: ScratchRunner, source: Source, chosen: Sequence[Chosen], inputs: Iterable[str]) -> exp.Select:
    """Join the newest row of each view's table at or before each moment, if it is not older than the `ttl`.

    If one moment has several rows, the one created last counts.
    """
    repeated = _repeated(scratch, source, chosen)
    query = exp.select(*(column(name, "requests") for name in (ROW, *inputs)))
    query = query.from_(exp.alias_(requests_table(), "requests", table=True), copy=False)
    moment = column(MOMENT, "requests")
    for each in chosen:
        view = each.view
        table: exp.Expr = exp.maybe_parse(source.relations[view.name], into=exp.Table, dialect=DIALECT)
        if view.name in repeated:
            table = exp.Subquery(this=_created_last(table, view.entities))
        table.set("alias", exp.TableAlias(this=identifier(view.name)))
        on = [equal(column(key, "requests"), column(key, view.name)) for key in view.entities]
        on.append(exp.GTE(this=moment.copy(), expression=column(MOMENT, view.name)))
        query = query.join(exp.Join(this=table, on=conjunction(on), method="ASOF", side="LEFT"), copy=False)
        for name in each.columns:
            value: exp.Expr = column(name, view.name)
            if view.ttl is not None:
                end = exp.Add(this=column(MOMENT, view.name), expression=interval(view.ttl))
                value = exp.case().when(exp.LTE(this=moment.copy(), expression=end), value)
            query = query.select(exp.alias_(value, identifier(f"{view.name}.{name}")), copy=False)
    return query


def _repeated(scratch: ScratchRunner, source: Source, chosen: Sequence[Chosen]) -> list[str]:
    """The views whose tables were built by several runs: only they can have several rows for one moment."""
    repeated = []
    for each in chosen:
        ends = exp.NEQ(this=exp.Min(this=column(CREATED)), expression=exp.Max(this=column(CREATED)))
        table = exp.to_table(source.relations[each.view.name], dialect=scratch.dialect)
        [(several,)] = scratch.rows(compile_select(exp.select(ends).from_(table), scratch.dialect))
        if several:
            repeated.append(each.view.name)
    return repeated


def _created_last(table: exp.Expr, keys: Sequence[str]) -> exp.Select:
    rank = exp.Window(
        this=exp.RowNumber(),
        partition_by=[column(name) for name in (*keys, MOMENT)],
        order=exp.Order(expressions=[exp.Ordered(this=column(CREATED), desc=True, nulls_first=False)]),
    )
    query = exp.select("*").from_(table)
    query.set("qualify", exp.Qualify(this=equal(rank, exp.Literal.number(1))))
    return query
