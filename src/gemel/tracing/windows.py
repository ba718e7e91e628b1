"""Named windows written out where they are used: `sum(a) over w … window w as (order by b)`."""

from collections.abc import Mapping

from sqlglot import exp

_CLAUSES = ("partition_by", "order", "spec")
_ORDER = ("this", *_CLAUSES, "over", "first")


def spell_windows(tree: exp.Expr) -> None:
    """In place, in every SELECT of the tree. A window that stands on another has the clauses of both."""
    for select in tree.find_all(exp.Select):
        named = {each.name.lower(): each for each in select.args.get("windows") or []}
        if not named:
            continue
        select.set("windows", None)
        for name in named:
            _spell(named[name], named)
        for clause in [*select.expressions, select.args.get("qualify"), select.args.get("order")]:
            for window in clause.find_all(exp.Window) if clause is not None else ():
                if window.find_ancestor(exp.Select) is select:
                    _spell(window, named)


def _spell(window: exp.Window, named: Mapping[str, exp.Window]) -> None:
    base = named.get(window.text("alias").lower())
    window.set("alias", None)
    if base is None:
        return
    _spell(base, named)
    for clause in _CLAUSES:
        told = base.args.get(clause)
        if told and not window.args.get(clause):
            copied = [each.copy() for each in told] if isinstance(told, list) else told.copy()
            window.set(clause, copied)
    # As the parser leaves a window without a name, so that both are one tree.
    window.args = {key: window.args[key] for key in _ORDER if key in window.args}
