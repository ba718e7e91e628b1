"""The versions of a history that overlap: a fact would join both, and be counted twice."""

from sqlglot import exp

from gemel.compiler.plan.algebra import Versions
from gemel.compiler.question.expressions import column, identifier, present

START, END, NEXT = "valid_from", "valid_to", "next_valid_from"


def overlaps(versions: Versions, table: exp.Table, alias: str) -> exp.Select:
    """The keys of `table` with two rows that are valid at one time, each with that time in column NEXT.

        7, Jan 1, Mar 1   7, Feb 1, NULL   ->  7, Jan 1, Mar 1, Feb 1

    A version without a start, or that ends before it starts, is never valid. Of versions that overlap, two do that
    follow each other by their starts.
    """
    source = table.copy()
    if source.name != alias:
        source.set("alias", exp.TableAlias(this=identifier(alias)))
    start, end = versions.start, versions.end
    keys = [key.name for key in versions.keys]
    rows = {**{key.name: key.value for key in versions.keys}, START: start, END: end}
    read = exp.select(
        *(exp.alias_(value.copy() if value else exp.null(), identifier(name)) for name, value in rows.items())
    ).from_(source)
    begins = START if start is not None else END
    order = exp.Order(expressions=[exp.Ordered(this=column(begins))])
    following = exp.Window(this=exp.Lead(this=column(begins)), partition_by=list(map(column, keys)), order=order)
    in_order = (
        exp.select(*map(column, rows), exp.alias_(following, identifier(NEXT)))
        .from_("versions")
        .where(*(present(column(key)) for key in keys))
    )
    found = exp.select(*map(column, rows), column(NEXT)).from_("in_order").where(present(column(NEXT)))
    if start is not None:
        in_order = in_order.where(present(column(START)), *([_reaches(START)] if end is not None else []))
        found = found.where(*([_reaches(NEXT)] if end is not None else []))
    return found.with_("versions", as_=read).with_("in_order", as_=in_order)


def _reaches(moment: str) -> exp.Expr:
    """Whether a version is still valid at a moment."""
    is_open = exp.Is(this=column(END), expression=exp.null())
    return exp.paren(exp.or_(is_open, exp.GT(this=column(END), expression=column(moment))))
