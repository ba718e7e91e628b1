"""PIVOT and UNPIVOT with columns that the SQL lists."""

from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp

from gemel.tracing.derivations import Derivation
from gemel.tracing.expressions import read_expression, root_of, text_of
from gemel.tracing.relations import Relation, Unreadable, all_parts, combine, from_anything, open_wholes
from gemel.tracing.scopes import Scope

_REASON = "it pivots by values that are not written out"


def pivot(node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    """`scope` has the relation as its source. Raises Unreadable."""
    return _unpivot(node, relation) if node.args.get("unpivot") else _pivot(node, relation, scope)


def _unpivot(node: exp.Expr, relation: Relation) -> Relation:
    """`unpivot t on jan, feb into name month value v` has the other columns, `month`, and `v` from `jan` and `feb`."""
    into, fields = node.args.get("into"), list(node.args.get("fields") or ())
    if into is not None:
        label, values, lists = into.this.name, into.expressions, node.expressions
    elif len(fields) == 1:
        label, values, lists = fields[0].this.name, node.expressions, fields[0].expressions
    else:
        raise Unreadable(_REASON)
    names = [each.name.lower() for value in values for each in value.expressions or (value,)]
    rows = [[*_columns(each)] for each in lists]
    if any(len(row) != len(names) for row in rows):
        raise Unreadable(_REASON)
    used = dict.fromkeys(name for row in rows for name in row)
    text = f"unpivot {rows} {bool(node.args.get('include_nulls'))}"
    columns = {name: relation.get(name) or from_anything(name, [relation]) for name in used}
    values_by_name = {
        name: Derivation(text, all_parts("transformation", (columns[row[place]] for row in rows)))
        for place, name in enumerate(names)
    }
    filters = () if node.args.get("include_nulls") else all_parts("filter", columns.values())
    derived_rows = Derivation(text, (("identity", relation.rows), *filters))
    return _with_others(relation, used, {label.lower(): Derivation(text), **values_by_name}, derived_rows)


def _columns(node: exp.Expr) -> Iterator[str]:
    """The names in `jan`, `jan as january` and `(jan, feb)`. Raises Unreadable for anything else."""
    match node:
        case exp.Tuple():
            for each in node.expressions:
                yield from _columns(each)
        case exp.Alias() | exp.PivotAlias() | exp.Paren():
            yield from _columns(node.this)
        case exp.Column(this=exp.Identifier()):
            yield node.name.lower()
        case _:
            raise Unreadable(_REASON)


def _pivot(node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    """`pivot t on way in ('web', 'desk') using sum(fee)` has a column for each value, and the groups."""
    fields = node.args.get("fields") or node.expressions
    calls = node.expressions if node.args.get("fields") else node.args.get("using") or ()
    if not calls or not all(isinstance(each, exp.In) and _is_literal(each) for each in fields):
        raise Unreadable(_REASON)
    read = [read_expression(each.unalias()) for each in calls]
    ways = [scope.derive_or_all(each.this) for each in fields]
    used = {root[0].name.lower() for each in read for leaf, _ in each.leaves if (root := root_of(leaf)) is not None}
    used |= {each.this.name.lower() for each in fields}
    columns: dict[str, Derivation] = {}
    for name, word, call in _pivot_columns(node, fields, calls):
        parts = (("identity", scope.derive_or_all(call.unalias())), *all_parts("conditional", ways))
        columns[name] = Derivation(f"pivot {word}", parts)
    group = node.args.get("group")
    if group is not None:
        keys = {each.name.lower(): scope.derive_or_all(each) for each in group.expressions}
        rows = Derivation("pivot", (("identity", relation.rows), *all_parts("group_by", keys.values())))
        return combine([relation], {**keys, **columns}, rows, None)
    others = [each for name, each in relation.columns.items() if name not in used]
    rows = Derivation(
        f"pivot {sorted(used)}",
        (("identity", relation.rows), *all_parts("group_by", (*others, *open_wholes([relation])))),
    )
    return _with_others(relation, used, columns, rows)


def _is_literal(node: exp.Expr) -> bool:
    words = [each.this if isinstance(each, exp.PivotAlias) else each for each in node.expressions]
    return bool(words) and all(isinstance(each, exp.Literal) for each in words)


def _pivot_columns(
    node: exp.Expr, fields: Iterable[exp.Expr], calls: Iterable[exp.Expr]
) -> Iterator[tuple[str, str, exp.Expr]]:
    """The columns of a PIVOT: a name, the value that it stands for, and the call that computes it."""
    calls = list(calls)
    names = [each.name.strip("'").lower() for each in node.args.get("columns") or ()]
    words = [""]
    for each in fields:
        words = [f"{before} {word.sql()}".strip() for before in words for word in each.expressions]
    pairs = [(word, call) for word in words for call in calls]
    if names and len(names) != len(pairs):
        raise Unreadable(_REASON)
    for place, (word, call) in enumerate(pairs):
        if names:
            name = names[place]
        else:
            name = word.replace("'", "").replace(" ", "_").lower()
            name += f"_{call.alias or text_of(call)}".lower() if len(calls) > 1 or call.alias else ""
        yield name, word, call


def _with_others(
    relation: Relation, used: Iterable[str], columns: Mapping[str, Derivation], rows: Derivation
) -> Relation:
    """The new columns, and those columns of the relation that they do not use."""
    used = frozenset(used)
    others = {name: each for name, each in relation.columns.items() if name not in used}

    def rest(name: str) -> Derivation | None:
        return None if name in used else relation.get(name)

    return combine([relation], {**others, **columns}, rows, rest if relation.rest is not None else None)
