"""Infinite times, `'-infinity'` and `'infinity'`, which engines store, and which Feast and Python cannot read.

A fact at `'-infinity'` would have a row there. A fact at `'infinity'` is never known, so it has no row. `'infinity'` is
allowed as the end of a version, but not as the value of a feature.
"""

from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import column
from gemel.errors import BridgeError, GemelError
from gemel.features.bound import BoundView
from gemel.features.times import known_times
from gemel.run import Runner
from gemel.spec.manifest import Relation

_HINT = "make it NULL in the dbt model"


def find_infinite_facts(graph: Graph, views: Iterable[BoundView], warehouse: Runner) -> Iterator[GemelError]:
    """G537 for each view with facts that become known at `'-infinity'`. Their tables must exist."""
    counted: dict[tuple[Relation, str], int] = {}
    for view in views:
        for (relation, name), value in known_times(graph, view).items():
            if (relation, value.sql()) not in counted:
                table = exp.alias_(warehouse.table(relation), exp.to_identifier(relation.name, quoted=True), table=True)
                counted[relation, value.sql()] = _count(warehouse, table, value, ("-infinity",))
            if count := counted[relation, value.sql()]:
                yield BridgeError(
                    "G537",
                    f"feature view {view.name!r} has facts that become known at '-infinity' ({relation.name}.{name}, "
                    f"{count:,} of them), which cannot be the moment of a row",
                    hint=_HINT,
                    place=view.place,
                )


def find_infinite_rows(
    view: BoundView, built: Mapping[str, str], relation: str, warehouse: Runner
) -> Iterator[BridgeError]:
    """G537 for each column of a feature table with infinite times. `built` are the types of its columns."""
    table = exp.maybe_parse(relation, into=exp.Table, dialect=warehouse.dialect)
    for name in (MOMENT, *view.feature_names):
        if not built.get(name, "").startswith("TIMESTAMP"):
            continue
        count = _count(warehouse, table, column(name), ("-infinity", "infinity"))
        if count:
            rows = f"{count:,} rows" if count > 1 else "1 row"
            yield BridgeError(
                "G537",
                f"{name!r} of feature view {view.name!r} is infinite in {rows} of its table",
                hint=f"{_HINT} that it comes from",
                place=view.place,
            )


def _count(warehouse: Runner, table: exp.Expr, value: exp.Expr, words: Iterable[str]) -> int:
    time = exp.DataType.Type.TIMESTAMP
    endless = [exp.cast(exp.Literal.string(word), time) for word in words]
    is_one = exp.In(this=exp.cast(value.copy(), time), expressions=endless)
    query = exp.select(exp.Count(this=exp.Star())).from_(table.copy()).where(is_one)
    [(count,)] = warehouse.rows(compile_select(query, warehouse.dialect)).rows()
    return int(count)
