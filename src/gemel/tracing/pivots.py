"""PIVOT and UNPIVOT over columns that are written out."""

from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp

from gemel.tracing.derivations import Derivation
from gemel.tracing.expressions import read_expression, root_of, text_of
from gemel.tracing.relations import Relation, Unreadable, all_parts, anything, joined, open_wholes
from gemel.tracing.scopes import Scope

_REASON = "it pivots, and the columns of that are values in rows"


def pivot(node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    """`scope` is over the relation. Raises Unreadable."""
    return _unpivot(node, relation) if node.args.get("unpivot") else _pivot(node, relation, scope)


def _unpivot(node: exp.Expr, relation: Relation) -> Relation:
    """Of `unpivot t on jan, feb into name month value v`: the other columns, `month`, and `v` of the named ones."""
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
    taken = dict.fromkeys(name for row in rows for name in row)
    text = f"unpivot {rows} {bool(node.args.get('include_nulls'))}"
    found = {name: each if (each := relation.get(name)) is not None else anything(name, [relation]) for name in taken}
    made = {
        name: Derivation(text, all_parts("transformation", (found[row[place]] for row in rows)))
        for place, name in enumerate(names)
    }
    filters = () if node.args.get("include_nulls") else all_parts("filter", found.values())
    counted = Derivation(text, (("identity", relation.rows), *filters))
    return _with_others(relation, taken, {label.lower(): Derivation(text), **made}, counted)


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
    """Of `pivot t on way in ('web', 'desk') using sum(fee)`: a column for each word, and the groups."""
    fields = node.args.get("fields") or node.expressions
    calls = node.expressions if node.args.get("fields") else node.args.get("using") or ()
    if not calls or not all(isinstance(each, exp.In) and _is_literal(each) for each in fields):
        raise Unreadable(_REASON)
    read = [read_expression(each.unalias()) for each in calls]
    ways = [scope.derive_or_all(each.this) for each in fields]
    taken = {root[0].name.lower() for each in read for leaf, _ in each.leaves if (root := root_of(leaf)) is not None}
    taken |= {each.this.name.lower() for each in fields}
    columns: dict[str, Derivation] = {}
    for name, word, call in _named(node, fields, calls):
        parts = (("identity", scope.derive_or_all(call.unalias())), *all_parts("conditional", ways))
        columns[name] = Derivation(f"pivot {word}", parts)
    group = node.args.get("group")
    if group is not None:
        keys = {each.name.lower(): scope.derive_or_all(each) for each in group.expressions}
        rows = Derivation("pivot", (("identity", relation.rows), *all_parts("group_by", keys.values())))
        return joined([relation], {**keys, **columns}, rows, None)
    others = [each for name, each in relation.columns.items() if name not in taken]
    rows = Derivation(
        f"pivot {sorted(taken)}",
        (("identity", relation.rows), *all_parts("group_by", (*others, *open_wholes([relation])))),
    )
    return _with_others(relation, taken, columns, rows)


def _is_literal(node: exp.Expr) -> bool:
    words = [each.this if isinstance(each, exp.PivotAlias) else each for each in node.expressions]
    return bool(words) and all(isinstance(each, exp.Literal) for each in words)


def _named(
    node: exp.Expr, fields: Iterable[exp.Expr], calls: Iterable[exp.Expr]
) -> Iterator[tuple[str, str, exp.Expr]]:
    """The columns of a PIVOT: a name, the word that it stands for, and what is computed there."""
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
    relation: Relation, taken: Iterable[str], columns: Mapping[str, Derivation], rows: Derivation
) -> Relation:
    """What is made, and the columns that it is not made of."""
    taken = frozenset(taken)
    others = {name: each for name, each in relation.columns.items() if name not in taken}

    def rest(name: str) -> Derivation | None:
        return None if name in taken else relation.get(name)

    return joined([relation], {**others, **columns}, rows, rest if relation.rest is not None else None)
