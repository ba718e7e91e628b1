"""The newest row of each feature view's table."""

import datetime as dt
from typing import TYPE_CHECKING

from sqlglot import exp

from gemel.errors import GemelError

if TYPE_CHECKING:
    from gemel.project import Project


def newest(project: "Project") -> dict[str, dt.datetime]:
    """By view's name, in UTC. One whose table was not built, or has no rows, is left out."""
    dbt, found = project.dbt, {}
    for view in project.features.views:
        relation = dbt.relation_name(view.name)
        if relation is None:
            continue
        table = exp.to_table(relation, dialect=project.dialect)
        asked = exp.select(exp.Max(this=exp.column("event_timestamp"))).from_(table)
        try:
            [(moment,)] = project.warehouse.run(asked.sql(dialect=project.dialect)).rows()
        except GemelError:
            continue
        if moment is not None:
            found[view.name] = moment
    return found
