"""Entities whose key is several columns, `expr: (order_id, line_no)`, taken apart into their components."""

from collections.abc import Iterable, Iterator

from sqlglot import exp

from gemel.compiler.question.expressions import Refused, Texts
from gemel.errors import About, DefinitionError, GemelError, Problems
from gemel.spec.manifest import Entity, SemanticModel

Owned = tuple[SemanticModel, Entity, tuple[exp.Expr, ...]]

_STRENGTH = ("primary", "unique", "natural", "foreign")


def components(texts: Texts, entity: Entity) -> tuple[exp.Expr, ...]:
    """What a key is made of: `(order_id, line_no)` of two columns, anything else of itself."""
    if not entity.expr.lstrip().startswith("("):
        return ()
    try:
        tree = texts.scalar(entity.expr)
    except Refused:
        return ()  # told with its place where it is used
    return tuple(tree.expressions) if isinstance(tree, exp.Tuple) else ()


def composites(models: Iterable[SemanticModel], texts: Texts) -> dict[str, tuple[str, ...]]:
    """By the name of each composite entity, the names of its components.

    They are named by the model in which the entity is the key. Raises Problems with all that do not fit: G130 where
    an entity has not the same number of components everywhere, G131 where a component has no name.
    """
    owned: dict[str, list[Owned]] = {}
    for model in models:
        for entity in model.entities:
            owned.setdefault(entity.name, []).append((model, entity, components(texts, entity)))
    found: dict[str, tuple[str, ...]] = {}
    problems: list[GemelError] = []
    for name, each in owned.items():
        if any(parts for _, _, parts in each):
            keyed, *others = sorted(each, key=lambda one: _STRENGTH.index(one[1].type))
            problems += _misfits(keyed, others)
            found[name] = tuple(_columns(keyed[2]))
    if problems:
        raise Problems(problems)
    return found


def _misfits(keyed: Owned, others: list[Owned]) -> Iterator[GemelError]:
    model, entity, parts = keyed
    for other, same, its_parts in others:
        if len(its_parts) != len(parts):
            yield DefinitionError(
                "G130",
                f"entity {entity.name!r} is {_told(its_parts)} in semantic model {other.name!r}, and {_told(parts)} "
                f"in {model.name!r}",
                hint="write as many columns, in the same order, in both: `expr: (order_id, line_no)`",
                about=About("semantic_model", other.name, same.name),
            )
    names = list(_columns(parts))
    if len(set(names)) < len(parts):
        yield DefinitionError(
            "G131",
            f"entity {entity.name!r} is the key of semantic model {model.name!r} by {entity.expr}, of which not "
            "every component is one column with a name of its own",
            hint="name columns only, and compute what is no column in the dbt model",
            about=About("semantic_model", model.name, entity.name),
        )


def _columns(parts: Iterable[exp.Expr]) -> Iterator[str]:
    """The name of each component that has one: a column, perhaps converted."""
    for part in parts:
        inner = part.this if isinstance(part, exp.Cast) else part
        if isinstance(inner, exp.Column) and not inner.table:
            yield inner.name.lower()


def _told(parts: tuple[exp.Expr, ...]) -> str:
    return f"{len(parts)} columns" if parts else "one column"
