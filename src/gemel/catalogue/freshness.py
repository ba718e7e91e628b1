"""The newest row of each feature view's table."""

import datetime as dt
from typing import TYPE_CHECKING

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.errors import GemelError
from gemel.features.opened import bound_features

if TYPE_CHECKING:
    from gemel.session import Session


def newest(session: "Session") -> dict[str, dt.datetime]:
    """The moments by view, in UTC, without views whose table is not built or has no rows."""
    dbt, moments = session.dbt, {}
    for view in bound_features(session).views:
        relation = dbt.relation_name(view.name)
        if relation is None:
            continue
        table = exp.to_table(relation, dialect=session.dialect)
        select = exp.select(exp.Max(this=exp.column("event_timestamp"))).from_(table)
        try:
            [(moment,)] = session.runner.rows(compile_select(select, session.dialect)).rows()
        except GemelError:
            continue
        if moment is not None:
            moments[view.name] = moment
    return moments
