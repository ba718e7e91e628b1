"""What stands in FROM: columns and rows with how each is derived."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from gemel.tracing.derivations import Derivation, Part, Why, of_node


class Unresolved(ValueError):
    """Why an expression cannot be followed."""


class Unreadable(Unresolved):
    """Why a whole SELECT cannot be followed by columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """The columns and the rows of something in FROM, or of a whole query.

    `rest` derives a column that is not among `columns`, where those are not all: a star over a table whose columns are
    not declared. `whole` is everything, `tables` the ids of the tables below it. `gaps` say which columns could not be
    followed, and why; under "" stands what else could not, and `missed` is why nothing could.
    """

    columns: Mapping[str, Derivation]
    rows: Derivation
    whole: Derivation
    rest: Callable[[str], Derivation | None] | None = None
    tables: tuple[str, ...] = ()
    gaps: Mapping[str, str] = field(default_factory=dict)
    missed: str | None = None

    def get(self, name: str) -> Derivation | None:
        """A column; None where there is none of that name."""
        found = self.columns.get(name)
        return found if found is not None or self.rest is None else self.rest(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that can be named: of two of one name, the first."""
        return tuple(name for name in self.columns if TWICE not in name)


TWICE = "#"
"""In the name of a column whose own name is an earlier one's."""


def of_table(
    id: str, rows: str, column: Callable[[str], str], columns: Iterable[str], *, closed: bool = False
) -> Relation:
    """A table as nodes; `closed` where `columns` are all that it has."""
    return Relation(
        columns={name: of_node(column(name)) for name in columns},
        rows=of_node(rows, "rows"),
        whole=of_node(id, "table"),
        rest=None if closed else lambda name: of_node(column(name)),
        tables=(id,),
    )


def of_function(text: str, inside: Sequence[Part], names: Iterable[str] = ()) -> Relation:
    """What a function in FROM gives: all that it takes decides on its rows, and may be in each of its columns. Without
    `names` any column may be there."""

    def column(name: str) -> Derivation:
        return Derivation(f"{name} of {text}", tuple(("transformation", part) for _, part in inside))

    columns = {name: column(name) for name in names}
    rows = Derivation(f"rows of {text}", tuple(("join", part) for _, part in inside))
    return Relation(columns, rows, Derivation(text, tuple(inside)), None if columns else column)


def anything(text: str, relations: Iterable[Relation], tables: Iterable[str] = ()) -> Derivation:
    """What may be made of anything in some relations."""
    relations = tuple(relations)
    ids = dict.fromkeys((*(id for each in relations for id in each.tables), *tables))
    wholes = ((None, each.whole) for each in relations)
    return Derivation(text, (*wholes, *(("table", id) for id in ids)))


def whole_of(rows: Derivation, columns: Mapping[str, Derivation], *others: Derivation) -> Derivation:
    """Everything of a relation; the order of columns is none."""
    named = sorted(columns.items())
    text = f"whole {' '.join(name for name, _ in named)}"
    return Derivation(text, tuple(("identity", each) for each in (rows, *(each for _, each in named), *others)))


def rename(relation: Relation, node: exp.Expr) -> Relation:
    """Under the column names of an alias, `AS t (a, b)`, by place."""
    alias = node.args.get("alias")
    defined = (alias.args.get("columns") or []) if isinstance(alias, exp.TableAlias) else []
    names = [each.name.lower() for each in defined]
    if not names:
        return relation
    columns = dict(zip(names, _in_order(relation, names), strict=False))
    known = list(relation.columns.items())[len(names) :]
    if relation.rest is None:
        columns |= {name: each for name, each in known if name not in columns}
    return replace(relation, columns=columns, rest=None)


def _in_order(relation: Relation, names: Sequence[str]) -> Iterator[Derivation]:
    """The columns by place. Of a table whose columns are not all known, each may be any."""
    known = [] if relation.rest is not None and relation.tables else list(relation.columns.values())
    for place, name in enumerate(names):
        if place < len(known):
            yield known[place]
        elif relation.rest is not None and not relation.tables:  # a function's, whatever they are called
            yield relation.rest(name) or relation.whole
        else:
            yield anything(f"column {place}", [relation])


def all_parts(why: Why, derivations: Iterable[Derivation]) -> tuple[Part, ...]:
    return tuple((why, each) for each in derivations)


def open_wholes(relations: Iterable[Relation]) -> list[Derivation]:
    """What the columns may be that are not all known."""
    return [anything("", [each]) for each in relations if each.rest is not None]


def joined(
    relations: Iterable[Relation],
    columns: Mapping[str, Derivation],
    rows: Derivation,
    rest: Callable[[str], Derivation | None] | None,
) -> Relation:
    """What is made of some relations, as a whole of their wholes where not all columns are known."""
    relations = tuple(relations)
    whole = whole_of(rows, columns) if rest is None else whole_of(rows, {}, *(each.whole for each in relations))
    gaps = {name: reason for each in relations for name, reason in each.gaps.items()}
    missed = [each.missed for each in relations if each.missed is not None]
    tables = tuple(dict.fromkeys(id for each in relations for id in each.tables))
    return Relation(columns, rows, whole, rest, tables, gaps | ({"": missed[0]} if missed else {}))
