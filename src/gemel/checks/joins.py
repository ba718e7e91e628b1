"""Joins between models: keys that join nothing, names with two join paths, dimensions that no metric reaches."""

from collections.abc import Iterator
from difflib import get_close_matches

from gemel.compiler.names.graph import LISTED_HOPS, Graph
from gemel.compiler.names.joins import Hop
from gemel.errors import About, DefinitionError, GemelError

TYPING_ERROR = 0.85
"""The similarity from which a name is probably a typing error of another: carier, carrier."""


def half_histories(graph: Graph) -> Iterator[GemelError]:
    """Without an end, every older row of a history would still be valid, and facts would join several rows."""
    for model in graph.models.values():
        edges = [str(dimension.validity) for dimension in model.dimensions if dimension.validity]
        if edges and sorted(edges) != ["end", "start"]:
            counts = " and ".join(f"{edges.count(edge) or 'no'} {edge}" for edge in ("start", "end"))
            yield DefinitionError(
                "G143",
                f"the history of semantic model {model.name!r} has {counts}",
                hint="mark one time dimension with `validity_params: {is_start: true}`, one with `{is_end: true}`",
                about=About("semantic_model", model.name),
            )
        for dimension in model.dimensions:
            if dimension.validity and not dimension.is_time:
                yield DefinitionError(
                    "G143",
                    f"dimension {dimension.name!r} starts or ends the history of {model.name!r}, but is not a time",
                    hint="set `type: time`",
                    about=About("semantic_model", model.name, dimension.name),
                )


def lost_keys(graph: Graph) -> Iterator[GemelError]:
    """A foreign entity that is the key of no model: facts can be grouped by it, but it joins nothing."""
    keys = [entity.name for model in graph.models.values() for entity in model.entities if entity.type != "foreign"]
    reported: set[str] = set()
    for model in graph.models.values():
        for entity in model.entities:
            if entity.type != "foreign" or graph.ways.keyed(entity.name) or entity.name in reported:
                continue
            reported.add(entity.name)
            near = get_close_matches(entity.name, keys, n=1, cutoff=TYPING_ERROR)
            yield DefinitionError(
                "G152",
                f"entity {entity.name!r} of semantic model {model.name!r} is the key of no semantic model",
                hint=f"did you mean {near[0]}?"
                if near
                else "queries can group by its values; for more, make it the primary entity of a semantic model",
                about=About("semantic_model", model.name, entity.name),
                severity="warning" if near else "note",
            )


def ambiguous(graph: Graph) -> Iterator[GemelError]:
    """Names with two equally short join paths. A query that uses one is refused (G306)."""
    reported: set[tuple[str, ...]] = set()
    for home in _homes(graph):
        nearest: dict[tuple[str, str], list[tuple[Hop, ...]]] = {}
        for length in range(1, LISTED_HOPS + 1):
            for walk in graph.ways.walks(home, (), length):
                for element in _elements(graph, walk[-1]):
                    shortest = nearest.setdefault((walk[-1].entity, element), [])
                    if not shortest or len(shortest[0]) == length:
                        shortest.append(walk)
        together: dict[tuple[str, tuple[tuple[Hop, ...], ...]], list[str]] = {}
        for (entity, element), walks in nearest.items():
            if len(walks) > 1:
                together.setdefault((entity, tuple(walks)), []).append(element)
        for (entity, ways), elements in together.items():
            finding, ends = _two_ways(home, entity, ways, elements)
            if ends not in reported:
                reported.add(ends)
                yield finding


def _two_ways(
    home: str, entity: str, ways: tuple[tuple[Hop, ...], ...], elements: list[str]
) -> tuple[GemelError, tuple[str, ...]]:
    paths = list(dict.fromkeys("__".join(hop.entity for hop in walk) for walk in ways))
    shown = " and ".join(" -> ".join((home, *(f"{hop.model} (by {hop.entity})" for hop in walk))) for walk in ways)
    names = ", ".join(f"{entity}__{element}" for element in elements[:3]) + (", ..." if len(elements) > 3 else "")
    is_path_unique = len(paths) == len(ways)
    finding = DefinitionError(
        "G153",
        f"{names} can be reached in {len(ways)} ways: {shown}",
        hint=f"in queries, write the whole path: {' or '.join(f'{path}__{elements[0]}' for path in paths)}"
        if is_path_unique
        else "give the dimension or the entity another name in one of these models",
        about=About("semantic_model", home, ways[0][0].entity),
        severity="note" if is_path_unique else "warning",
    )
    ends = (entity, *sorted(walk[-1].model for walk in ways), *((home, *paths) if is_path_unique else ()))
    return finding, ends


def unreached(graph: Graph) -> Iterator[GemelError]:
    """Dimensions that no metric can be grouped by."""
    border = _homes(graph)
    reached = set(border)
    while border:
        border = list(dict.fromkeys(hop.model for model in border for hop in graph.ways.hops(model)))
        border = [model for model in border if model not in reached]
        reached.update(border)
    for model in graph.models.values():
        about = About("semantic_model", model.name)
        if model.dimensions and not graph.ways.prefixes(model.name):
            yield DefinitionError(
                "G154",
                f"queries cannot name dimensions of semantic model {model.name!r}: it has no primary entity",
                hint="give it a primary entity, or set `primary_entity:`",
                about=about,
                severity="warning",
            )
        elif model.dimensions and model.name not in reached and reached:
            yield DefinitionError(
                "G154",
                f"no metric can be grouped by the dimensions of semantic model {model.name!r}",
                hint="facts reach it by an entity that is foreign in their model and primary or unique in this one",
                about=about,
                severity="note",
            )


def _homes(graph: Graph) -> list[str]:
    """The models that have facts, which metrics count."""
    return list(dict.fromkeys(measure.model for measure in graph.manifest.measures))


def _elements(graph: Graph, hop: Hop) -> list[str]:
    model = graph.models[hop.model]
    names = [*(dimension.name for dimension in model.dimensions), *(entity.name for entity in model.entities)]
    return [name for name in dict.fromkeys(names) if name != hop.entity]
