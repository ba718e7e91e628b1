"""Errors for names that cannot be reached, with the names that were probably intended."""

from gemel.compiler.names.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.names.joins import FARTHEST_HOPS, Hop
from gemel.compiler.names.misnamed import as_item
from gemel.compiler.names.terms import Key
from gemel.errors import GemelError, QueryError, UnknownNameError, did_you_mean
from gemel.spec.metrics import Measure, Metric
from gemel.spec.time import GRAINS


def unreachable(graph: Graph, metric: Metric, measure: Measure, key: Key) -> GemelError:
    """Why a metric cannot be grouped by a name: nothing has that name (G202), nothing joins it (G305), or only
    more joins than are searched (G334), or each row of the metric has many values of it (G333)."""
    home, name = measure.model, "__".join(key.segments)
    reached = graph.attributes(home)
    names = ["__".join(segments) for segments in reached] + [METRIC_TIME]
    subject = f"measure {measure.name!r}" if metric.private else f"metric {metric.name!r}"
    see = "see `gemel list dimensions" + ("`" if metric.private else f" --metrics {metric.name}`")
    attributes = [each for model in graph.models if (each := graph.plain_attribute(model, key.segments))]
    if not attributes:
        message = f"no dimension or entity named {name[:80]!r} for {subject}"
        if key.segments[:1] == (METRIC_TIME,) and len(key.segments) == 2:
            return UnknownNameError(
                "G202", message, hint=f"its grains are {', '.join((*GRAINS, *graph.custom_grains))}"
            )
        return UnknownNameError("G202", message, hint=as_item(graph, name) or spelling(name, names) or see)
    nearest = min(attributes, key=lambda each: len(each.hops))
    message = f"{subject} cannot be grouped or filtered by {name!r}"
    if roles := _roles(nearest, reached):
        message = f"{message}: nothing joins semantic model {home!r} to it under that name"
        return QueryError("G305", message, hint=f"here it is {' or '.join(roles[:4])}")
    if far := far_path(graph, home, key.segments):
        return too_far_away(home, name, far)
    for each in sorted(attributes, key=lambda each: len(each.hops)):
        if entity := graph.ways.entity_to(each.home, home):
            return _many(graph, message, each.home, entity)
    message = f"{message}: nothing joins semantic model {home!r} to it"
    return QueryError("G305", message, hint=did_you_mean(name, names) or see)


def far_path(graph: Graph, home: str, segments: tuple[str, ...]) -> tuple[str, ...] | None:
    """The whole path to something that a shortened path does not find, as it is farther away than is searched."""
    first, *rest = segments

    def leads_on(hop: Hop) -> bool:
        last = rest[0] if len(rest) == 1 else None
        return hop.entity == first and (last is None or graph.has(hop.model, last))

    route = graph.ways.route(home, leads_on) if rest else None
    if route is None:
        return None
    whole = (*(hop.entity for hop in route), *rest)
    return whole if len(whole) - 1 > FARTHEST_HOPS and graph.plain_attribute(home, whole) else None


def too_far_away(home: str, name: str, whole: tuple[str, ...]) -> QueryError:
    return QueryError(
        "G334",
        f"{name!r} is {len(whole) - 1} joins away from semantic model {home!r}, and a shortened path is searched over "
        f"{FARTHEST_HOPS} at most",
        hint=f"write the whole path: {'__'.join(whole)}",
    )


def spelling(name: str, names: list[str]) -> str | None:
    """The nearest names. A name that lacks only its entity comes first: `flight__is_late` for `is_late`."""
    ends = sorted({full for full in names if full.rpartition("__")[2] == name})
    return f"did you mean {' or '.join(ends[:3])}?" if ends else did_you_mean(name, names)


def _roles(wanted: Attribute, reached: dict[tuple[str, ...], Attribute]) -> list[str]:
    """The names by which the same column can be reached: `billing_address__city` for `address__city`."""
    same = [s for s, each in reached.items() if (each.model, each.element) == (wanted.model, wanted.element)]
    return ["__".join(segments) for segments in same]


def _many(graph: Graph, message: str, model: str, entity: str) -> QueryError:
    """A join would count each row once for each match; a metric over the matches has one value for each row."""
    over = [m.name for m in graph.metrics.values() if not m.private and m.definition.measure]
    own = next((name for name in over if graph.measures(graph.metrics[name])[0].model == model), None)
    return QueryError(
        "G333",
        f"{message}: semantic model {model!r} has many rows for one {entity!r}",
        hint=f"ask for a metric of {model}, or group or filter by one for each {entity}: Metric('{own}', ['{entity}'])"
        if own
        else f"define a metric over {model}; its value for each {entity} can be grouped and filtered by",
    )
