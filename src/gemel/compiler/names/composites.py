"""Entities whose key is several columns, `expr: (order_id, line_no)`, split into their components."""

from collections.abc import Iterable, Iterator

from sqlglot import exp

from gemel.compiler.question.expressions import Refused, Texts
from gemel.errors import About, DefinitionError, GemelError, Problems
from gemel.spec.manifest import Entity, SemanticModel

Owned = tuple[SemanticModel, Entity, tuple[exp.Expr, ...]]

_STRENGTH = ("primary", "unique", "natural", "foreign")


def components(texts: Texts, entity: Entity) -> tuple[exp.Expr, ...]:
    """The columns of a composite key: two for `(order_id, line_no)`. A key of one column has no components."""
    if not entity.expr.lstrip().startswith("("):
        return ()
    try:
        tree = texts.scalar(entity.expr)
    except Refused:
        return ()  # reported, with its place, where the key is used
    return tuple(tree.expressions) if isinstance(tree, exp.Tuple) else ()


def composites(models: Iterable[SemanticModel], texts: Texts) -> dict[str, tuple[str, ...]]:
    """The names of each composite entity's components, by entity.

    The model in which the entity is the key names them. Raises Problems with every entity that does not fit: G130 if
    it does not have the same number of components in every model, G131 if a component has no name.
    """
    owned: dict[str, list[Owned]] = {}
    for model in models:
        for entity in model.entities:
            owned.setdefault(entity.name, []).append((model, entity, components(texts, entity)))
    components_by_entity: dict[str, tuple[str, ...]] = {}
    problems: list[GemelError] = []
    for name, each in owned.items():
        if any(parts for _, _, parts in each):
            keyed, *others = sorted(each, key=lambda one: _STRENGTH.index(one[1].type))
            problems += _misfits(keyed, others)
            components_by_entity[name] = tuple(_columns(keyed[2]))
    if problems:
        raise Problems(problems)
    return components_by_entity


def _misfits(keyed: Owned, others: list[Owned]) -> Iterator[GemelError]:
    model, entity, parts = keyed
    for other, same, its_parts in others:
        if len(its_parts) != len(parts):
            yield DefinitionError(
                "G130",
                f"entity {entity.name!r} is {_describe_width(its_parts)} in semantic model {other.name!r}, but "
                f"{_describe_width(parts)} in {model.name!r}",
                hint="write the same number of columns, in the same order, in both: `expr: (order_id, line_no)`",
                about=About("semantic_model", other.name, same.name),
            )
    names = list(_columns(parts))
    if len(set(names)) < len(parts):
        yield DefinitionError(
            "G131",
            f"entity {entity.name!r} is the key {entity.expr} of semantic model {model.name!r}, but each component "
            "must be one column with a name of its own",
            hint="use only columns in the key; compute other values in the dbt model",
            about=About("semantic_model", model.name, entity.name),
        )


def _columns(parts: Iterable[exp.Expr]) -> Iterator[str]:
    """The name of each component that has one: a column, perhaps converted."""
    for part in parts:
        inner = part.this if isinstance(part, exp.Cast) else part
        if isinstance(inner, exp.Column) and not inner.table:
            yield inner.name.lower()


def _describe_width(parts: tuple[exp.Expr, ...]) -> str:
    return f"{len(parts)} columns" if parts else "one column"
