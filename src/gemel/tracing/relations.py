"""A relation in FROM: its columns and rows, each with its derivation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from gemel.tracing.derivations import Derivation, Part, Why, of_node


class Unresolved(ValueError):
    """The reason why an expression cannot be traced."""


class Unreadable(Unresolved):
    """The reason why the columns of a whole SELECT cannot be traced."""


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """The columns and the rows of an item of FROM, or of a whole query.

    `columns` can be incomplete, for example after a star over a table without declared columns; then `rest` derives any
    other column. `whole` derives from everything, `tables` are the ids of the tables below. `gaps` has the reason for
    each column that could not be traced, and under "" a reason for anything else; `missed` is the reason if nothing
    could be traced.
    """

    columns: Mapping[str, Derivation]
    rows: Derivation
    whole: Derivation
    rest: Callable[[str], Derivation | None] | None = None
    tables: tuple[str, ...] = ()
    gaps: Mapping[str, str] = field(default_factory=dict)
    missed: str | None = None

    def get(self, name: str) -> Derivation | None:
        """A column; None if there is none of that name."""
        column = self.columns.get(name)
        return column if column is not None or self.rest is None else self.rest(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which columns can be selected; of two columns of one name, only the first can."""
        return tuple(name for name in self.columns if TWICE not in name)


TWICE = "#"
"""In the key of a column that has the name of an earlier column."""


def of_table(
    id: str, rows: str, column: Callable[[str], str], columns: Iterable[str], *, closed: bool = False
) -> Relation:
    """A table whose columns and rows are nodes; `closed` if `columns` are all of its columns."""
    return Relation(
        columns={name: of_node(column(name)) for name in columns},
        rows=of_node(rows, "rows"),
        whole=of_node(id, "table"),
        rest=None if closed else lambda name: of_node(column(name)),
        tables=(id,),
    )


def of_function(text: str, inside: Sequence[Part], names: Iterable[str] = ()) -> Relation:
    """The result of a function in FROM: all its arguments decide its rows, and can be in each of its columns. Without
    `names` it can have any column."""

    def column(name: str) -> Derivation:
        return Derivation(f"{name} of {text}", tuple(("transformation", part) for _, part in inside))

    columns = {name: column(name) for name in names}
    rows = Derivation(f"rows of {text}", tuple(("join", part) for _, part in inside))
    return Relation(columns, rows, Derivation(text, tuple(inside)), None if columns else column)


def from_anything(text: str, relations: Iterable[Relation], tables: Iterable[str] = ()) -> Derivation:
    """A value that can depend on anything in some relations."""
    relations = tuple(relations)
    ids = dict.fromkeys((*(id for each in relations for id in each.tables), *tables))
    wholes = ((None, each.whole) for each in relations)
    return Derivation(text, (*wholes, *(("table", id) for id in ids)))


def whole_of(rows: Derivation, columns: Mapping[str, Derivation], *others: Derivation) -> Derivation:
    """All of a relation, whatever the order of its columns."""
    named = sorted(columns.items())
    text = f"whole {' '.join(name for name, _ in named)}"
    return Derivation(text, tuple(("identity", each) for each in (rows, *(each for _, each in named), *others)))


def rename(relation: Relation, node: exp.Expr) -> Relation:
    """Rename columns by the column names of an alias, `AS t (a, b)`, by position."""
    alias = node.args.get("alias")
    defined = (alias.args.get("columns") or []) if isinstance(alias, exp.TableAlias) else []
    names = [each.name.lower() for each in defined]
    if not names:
        return relation
    columns = dict(zip(names, _in_order(relation, names), strict=False))
    others = list(relation.columns.items())[len(names) :]
    if relation.rest is None:
        columns |= {name: each for name, each in others if name not in columns}
    return replace(relation, columns=columns, rest=None)


def _in_order(relation: Relation, names: Sequence[str]) -> Iterator[Derivation]:
    """The columns by position. If the columns of a table are not all declared, each position can be any column."""
    columns = [] if relation.rest is not None and relation.tables else list(relation.columns.values())
    for place, name in enumerate(names):
        if place < len(columns):
            yield columns[place]
        elif relation.rest is not None and not relation.tables:  # the columns of a function, whatever their names
            yield relation.rest(name) or relation.whole
        else:
            yield from_anything(f"column {place}", [relation])


def all_parts(why: Why, derivations: Iterable[Derivation]) -> tuple[Part, ...]:
    return tuple((why, each) for each in derivations)


def open_wholes(relations: Iterable[Relation]) -> list[Derivation]:
    """For each relation with undeclared columns, a derivation of any of them."""
    return [from_anything("", [each]) for each in relations if each.rest is not None]


def combine(
    relations: Iterable[Relation],
    columns: Mapping[str, Derivation],
    rows: Derivation,
    rest: Callable[[str], Derivation | None] | None,
) -> Relation:
    """A relation over some others. If not all of its columns are known, its whole is that of their wholes."""
    relations = tuple(relations)
    whole = whole_of(rows, columns) if rest is None else whole_of(rows, {}, *(each.whole for each in relations))
    gaps = {name: reason for each in relations for name, reason in each.gaps.items()}
    missed = [each.missed for each in relations if each.missed is not None]
    tables = tuple(dict.fromkeys(id for each in relations for id in each.tables))
    return Relation(columns, rows, whole, rest, tables, gaps | ({"": missed[0]} if missed else {}))
