"""From what people write to nodes: `late_rate`, `metric:late_rate`, `flights.departure_delay`, `carrier__name`."""

from typing import TYPE_CHECKING, get_args

from gemel.errors import QueryError, UnknownNameError, did_you_mean
from gemel.graph.nodes import Kind, Node

if TYPE_CHECKING:
    from gemel.graph.graph import MeaningGraph

_KINDS = tuple(kind for kind in get_args(Kind) if kind not in ("rows", "semantic_model", "time_spine"))


def find(lineage: "MeaningGraph", name: str) -> tuple[Node, ...]:
    """The node of that name; several for an entity, which is one thing in several models.

    Raises UnknownNameError (G751) for a name that nothing has, and QueryError (G750) for one that several have.
    """
    asked = name.strip().lower()
    prefix, colon, rest = asked.partition(":")
    kind = prefix.replace("-", "_").replace(" ", "_")
    if colon and kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS) or f"one of {', '.join(_KINDS)}"
        raise UnknownNameError("G751", f"there is no kind of thing called {prefix[:80]!r}", hint=hint)
    found = [id for id in _called(lineage, rest if colon else asked) if not colon or id.startswith(f"{kind}:")]
    if len(found) > 1:
        found = _without_those_that_give_way(lineage, found)
    nodes = tuple(lineage.node(id) for id in found)
    if not nodes:
        raise UnknownNameError("G751", f"nothing is named {name[:80]!r}", hint=_near(lineage, asked, kind, rest))
    if len(nodes) > 1 and not _is_one_entity(nodes):
        told = f"{name!r} is the name of {len(nodes)} things"
        raise QueryError("G750", told, hint=f"write {' or '.join(_qualified(nodes))}")
    return nodes


def _called(lineage: "MeaningGraph", name: str) -> list[str]:
    """The ids of all that goes by a name. A name that only a part goes by counts where no whole does."""
    defined = lineage.definitions
    found = list(defined.names.get(name, ()))
    if name in lineage.tables.nodes():
        found.append(lineage.tables.nodes()[name])
    owner, _, column = name.rpartition(".")
    if owner in lineage.tables.nodes() and column in lineage.tables.columns(owner):
        found.append(f"column:{owner}.{column}")
    if name.count("__") > 1 and not found:  # carrier__name seen from afar: flight__carrier__name
        found = list(defined.names.get("__".join(name.split("__")[-2:]), ()))
    return list(dict.fromkeys(found or defined.weak.get(name, ())))


def _without_those_that_give_way(lineage: "MeaningGraph", ids: list[str]) -> list[str]:
    """All but a measure that serves only the metric of its name, and what is generated of another of its name: who asks
    for the one is told of both."""

    def gives_way(id: str) -> bool:
        node = lineage.node(id)
        if node.kind == "measure":
            return {edge.target for edge in lineage.children(id)} == {f"metric:{node.name}"}
        return node.generated and any(edge.source in ids for edge in lineage.parents(id))

    return [id for id in ids if not gives_way(id)]


def _is_one_entity(nodes: tuple[Node, ...]) -> bool:
    return all(node.kind == "entity" for node in nodes)


def _qualified(nodes: tuple[Node, ...]) -> list[str]:
    """`entity:carrier` once, for the entity in all of its models."""
    names = (f"entity:{node.name.rpartition('.')[2]}" if node.kind == "entity" else node.id for node in nodes)
    return list(dict.fromkeys(names))


def _near(lineage: "MeaningGraph", asked: str, kind: str, rest: str) -> str:
    tables = lineage.tables.nodes()
    plain = rest if ":" in asked else asked
    owner = plain.rpartition(".")[0]
    if owner in tables:
        known = {f"{owner}.{column}": f"column:{owner}.{column}" for column in lineage.tables.columns(owner)}
    else:
        known = {name: id for name, ids in lineage.definitions.names.items() for id in ids} | dict(tables)
    if ":" in asked:
        known = {name: id for name, id in known.items() if id.startswith(f"{kind}:")}
    near = did_you_mean(plain, known)
    if near and ":" in asked:
        names = near.removeprefix("did you mean ").removesuffix("?").split(" or ")
        return f"did you mean {' or '.join(f'{kind}:{name}' for name in names)}?"
    return near or "see `gemel list`; a column is written model.column or source.table.column"
