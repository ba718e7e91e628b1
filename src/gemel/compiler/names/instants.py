"""Times with an offset in asked filters, as times on the project's clocks, in which its sessions are.

Compared with a column whose times have no zone, engines ignore the offset: `'2024-03-31T01:00+02:00'` would be 1:00 in
any zone.
"""

import re
from collections.abc import Collection
from dataclasses import replace

from sqlglot import exp

from gemel.compiler.question.bounds import first_moment
from gemel.compiler.question.expressions import Template

_OFFSET = r"\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*(?:Z|[+-]\d\d(?::?\d\d)?)\s*"
_SOMEWHERE = re.compile(f"{_OFFSET}'", re.IGNORECASE)
_INSTANT = re.compile(rf"\s*\d{{4}}-\d\d-\d\d[T ]\d{_OFFSET}", re.IGNORECASE)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)


def has_instants(template: Template) -> bool:
    """Whether the filter may have a time with an offset; most have none."""
    return _SOMEWHERE.search(template.text) is not None


def on_clocks(template: Template, times: Collection[int], timezone: str) -> Template:
    """The filter with each instant that is compared with one of the references `times`, by number, as a time on the
    clocks of `timezone`. Raises QueryError (G302) for one that cannot be read, or that these clocks show twice."""
    tree, names = template.tree.copy(), {f"__ref_{number}" for number in times}
    for comparison in tree.find_all(*_COMPARISONS):
        sides = [side.unnest() for side in comparison.iter_expressions()]
        if any(isinstance(side, exp.Column) and side.name in names for side in sides):
            for side in sides:
                if isinstance(side, exp.Literal) and side.is_string and _INSTANT.fullmatch(side.this):
                    moment = first_moment(side.this, name="filter's", timezone=timezone)
                    side.replace(exp.Literal.string(moment and moment.isoformat(sep=" ")))
    return replace(template, tree=tree)
