"""Names to nodes: `late_rate`, `metric:late_rate`, `flights.departure_delay`, `carrier__name`."""

from typing import TYPE_CHECKING, get_args

from gemel.errors import QueryError, UnknownNameError, did_you_mean
from gemel.graph.nodes import Kind, Node

if TYPE_CHECKING:
    from gemel.graph.graph import MeaningGraph

_KINDS = tuple(kind for kind in get_args(Kind) if kind not in ("rows", "semantic_model", "time_spine"))


def find(lineage: "MeaningGraph", name: str) -> tuple[Node, ...]:
    """The node of that name; several nodes for an entity, one for each of its models.

    Raises UnknownNameError (G751) for an unknown name, and QueryError (G750) for the name of several things.
    """
    text = name.strip().lower()
    prefix, colon, rest = text.partition(":")
    kind = prefix.replace("-", "_").replace(" ", "_")
    if colon and kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS) or f"one of {', '.join(_KINDS)}"
        raise UnknownNameError("G751", f"there is no kind {prefix[:80]!r}", hint=hint)
    ids = [id for id in _ids_named(lineage, rest if colon else text) if not colon or id.startswith(f"{kind}:")]
    if len(ids) > 1:
        ids = _drop_secondary(lineage, ids)
    nodes = tuple(lineage.node(id) for id in ids)
    if not nodes:
        raise UnknownNameError("G751", f"nothing is named {name[:80]!r}", hint=_near(lineage, text, kind, rest))
    if len(nodes) > 1 and not _is_one_entity(nodes):
        message = f"{name!r} is the name of {len(nodes)} things"
        raise QueryError("G750", message, hint=f"write {' or '.join(_qualified(nodes))}")
    return nodes


def _ids_named(lineage: "MeaningGraph", name: str) -> list[str]:
    """The ids of all nodes of a name; weak names count only if there is no other."""
    defined = lineage.definitions
    ids = list(defined.names.get(name, ()))
    if name in lineage.tables.ids():
        ids.append(lineage.tables.ids()[name])
    owner, _, column = name.rpartition(".")
    if owner in lineage.tables.ids() and column in lineage.tables.columns(owner):
        ids.append(f"column:{owner}.{column}")
    if name.count("__") > 1 and not ids:  # carrier__name by a longer path: flight__carrier__name
        ids = list(defined.names.get("__".join(name.split("__")[-2:]), ()))
    return list(dict.fromkeys(ids or defined.weak.get(name, ())))


def _drop_secondary(lineage: "MeaningGraph", ids: list[str]) -> list[str]:
    """Drop a measure that only the metric of its name uses, and a node that is generated from another of its name: the
    lineage of the other shows both."""

    def is_secondary(id: str) -> bool:
        node = lineage.node(id)
        if node.kind == "measure":
            return {edge.target for edge in lineage.children(id)} == {f"metric:{node.name}"}
        return node.generated and any(edge.source in ids for edge in lineage.parents(id))

    return [id for id in ids if not is_secondary(id)]


def _is_one_entity(nodes: tuple[Node, ...]) -> bool:
    return all(node.kind == "entity" for node in nodes)


def _qualified(nodes: tuple[Node, ...]) -> list[str]:
    """Ids; `entity:carrier` once, for the entity in all of its models."""
    names = (f"entity:{node.name.rpartition('.')[2]}" if node.kind == "entity" else node.id for node in nodes)
    return list(dict.fromkeys(names))


def _near(lineage: "MeaningGraph", text: str, kind: str, rest: str) -> str:
    tables = lineage.tables.ids()
    name = rest if ":" in text else text
    owner = name.rpartition(".")[0]
    if owner in tables:
        ids = {f"{owner}.{column}": f"column:{owner}.{column}" for column in lineage.tables.columns(owner)}
    else:
        ids = {each: id for each, several in lineage.definitions.names.items() for id in several} | dict(tables)
    if ":" in text:
        ids = {each: id for each, id in ids.items() if id.startswith(f"{kind}:")}
    near = did_you_mean(name, ids)
    if near and ":" in text:
        names = near.removeprefix("did you mean ").removesuffix("?").split(" or ")
        return f"did you mean {' or '.join(f'{kind}:{each}' for each in names)}?"
    return near or "see `gemel list`; a column is written model.column or source.table.column"
