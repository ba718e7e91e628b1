"""Names that lead nowhere: what was probably meant, and which way there is to it."""

from gemel.compiler.names.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.names.terms import Key
from gemel.errors import GemelError, QueryError, UnknownNameError, did_you_mean
from gemel.spec.metrics import Measure, Metric


def unreachable(graph: Graph, metric: Metric, measure: Measure, key: Key) -> GemelError:
    """Why a metric cannot be asked by a name: nothing is called so (G202), nothing joins it (G305), or each row of
    the metric's has many of it (G333)."""
    home, name = measure.model, "__".join(key.segments)
    reached = graph.attributes(home)
    known = ["__".join(segments) for segments in reached] + [METRIC_TIME]
    asks = f"measure {measure.name!r}" if metric.private else f"metric {metric.name!r}"
    see = "see `gemel list dimensions" + ("`" if metric.private else f" --metrics {metric.name}`")
    found = [each for model in graph.models if (each := graph.plain_attribute(model, key.segments))]
    if not found:
        told = f"no dimension or entity named {name[:80]!r} for {asks}"
        return UnknownNameError("G202", told, hint=spelling(name, known) or see)
    nearest = min(found, key=lambda each: len(each.hops))
    asked = f"{asks} cannot be grouped or filtered by {name!r}"
    if roles := _roles(nearest, reached):
        told = f"{asked}: nothing joins semantic model {home!r} to it under that name"
        return QueryError("G305", told, hint=f"here it is {' or '.join(roles[:4])}")
    for each in sorted(found, key=lambda each: len(each.hops)):
        if entity := graph.ways.entity_to(each.home, home):
            return _many(graph, asked, each.home, entity)
    told = f"{asked}: nothing joins semantic model {home!r} to it"
    return QueryError("G305", told, hint=did_you_mean(name, known) or see)


def spelling(name: str, known: list[str]) -> str | None:
    """The nearest names; first those that only lack their entity (`is_late` for `flight__is_late`)."""
    ends = sorted({full for full in known if full.rpartition("__")[2] == name})
    return f"did you mean {' or '.join(ends[:3])}?" if ends else did_you_mean(name, known)


def _roles(wanted: Attribute, reached: dict[tuple[str, ...], Attribute]) -> list[str]:
    """The names under which the very same column is reached: `billing_address__city` for `address__city`."""
    same = [s for s, each in reached.items() if (each.model, each.element) == (wanted.model, wanted.element)]
    return ["__".join(segments) for segments in same]


def _many(graph: Graph, asked: str, model: str, entity: str) -> QueryError:
    """A join would count each row as often as it has partners; a metric of them has one value for each."""
    over = [m.name for m in graph.metrics.values() if not m.private and m.definition.measure]
    own = next((name for name in over if graph.measures(graph.metrics[name])[0].model == model), None)
    return QueryError(
        "G333",
        f"{asked}: semantic model {model!r} has many rows for one {entity!r}",
        hint=f"ask for a metric of {model}, or group or filter by one for each {entity}: Metric('{own}', ['{entity}'])"
        if own
        else f"define a metric over {model}; its value for each {entity} can be grouped and filtered by",
    )
