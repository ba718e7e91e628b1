"""Definitions of metrics: circles, unused inputs, expressions, divisions, and the time spines that they need."""

from collections.abc import Iterator

from sqlglot import exp

from gemel.checks.names import elements
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.keys import metric_grain
from gemel.compiler.question.expressions import ONE_EXPRESSION, Refused
from gemel.compiler.question.own import for_people
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, DefinitionError, GemelError
from gemel.spec.metrics import Measure, Metric
from gemel.spec.time import GRAINS, Window, coarsest, finer


def cycles(graph: Graph) -> Iterator[GemelError]:
    """Every circle of metrics, each reported once."""
    done: set[str] = set()
    reported: set[frozenset[str]] = set()
    for start in graph.metrics:
        # The path down to the current metric, each metric with the inputs still to visit.
        way: list[tuple[str, Iterator[str]]] = [] if start in done else [(start, _inner(graph, start))]
        while way:
            below = next(way[-1][1], None)
            if below is None:
                done.add(way.pop()[0])
            elif below in (above := [name for name, _ in way]):
                circle = above[above.index(below) :]
                if frozenset(circle) not in reported:
                    reported.add(frozenset(circle))
                    yield DefinitionError(
                        "G102",
                        f"metrics refer to each other in a circle: {' -> '.join([*circle, circle[0]])}",
                        hint="define one of them without the others",
                        about=About("metric", circle[0]),
                    )
            elif below not in done:
                way.append((below, _inner(graph, below)))


def _inner(graph: Graph, name: str) -> Iterator[str]:
    return iter([used.name for used in graph.metrics[name].definition.inputs if used.name in graph.metrics])


def expressions(graph: Graph) -> Iterator[GemelError]:
    """Every `expr` of a semantic model is one SQL expression, also if no metric uses it."""
    for model in graph.models.values():
        for element in elements(model):
            yield from _unreadable(graph, element.expr, About("semantic_model", model.name, element.name))
    for measure in graph.manifest.measures:
        yield from _unreadable(graph, measure.expr, about_measure(graph, measure))


def _unreadable(graph: Graph, text: str, about: About) -> Iterator[GemelError]:
    try:
        graph.texts.scalar(text)
    except Refused as refused:
        yield DefinitionError(
            "G105", f"the expr of {about.element or about.name!r}: {refused}", hint=ONE_EXPRESSION, about=about
        )


def unused_inputs(graph: Graph) -> Iterator[GemelError]:
    """An input that the expression does not use still adds its groups to the result, without a value."""
    for metric, tree in _derived(graph):
        used = {node.name.lower() for node in tree.find_all(exp.Column)}
        for item in metric.definition.inputs:
            if item.handle.lower() not in used:
                yield DefinitionError(
                    "G151",
                    f"the expr of metric {metric.name!r} does not use its input {item.handle!r}",
                    hint="remove the input, or use it in the expr",
                    about=About("metric", metric.name),
                    severity="warning",
                )


def divisions(graph: Graph) -> Iterator[GemelError]:
    """Divisions by something that can be 0. In a formula over metrics the result is NULL; in the rows of a table it
    depends on the engine."""
    for metric, tree in _derived(graph):
        for divisor in _divisors(tree):
            yield DefinitionError(
                "G156",
                f"metric {metric.name!r} divides by {divisor}: if that is 0, the metric is NULL",
                hint=f"write NULLIF({divisor}, 0) to make that explicit, or COALESCE around the division",
                about=About("metric", metric.name),
                severity="note",
            )
    for measure in graph.manifest.measures:
        for divisor in _divisors(_read(graph, measure.expr)):
            yield DefinitionError(
                "G157",
                f"measure {measure.name!r} divides by {divisor} in every row: if that is 0, some engines raise an "
                "error, others return infinity",
                hint=f"divide by NULLIF({divisor}, 0), or divide sums: a ratio metric",
                about=about_measure(graph, measure),
                severity="warning",
            )


def _divisors(tree: exp.Expr) -> list[str]:
    """The divisors, except numbers and NULLIFs, which are never 0."""
    divisors = (node.expression.unnest() for node in tree.find_all(exp.Div, exp.IntDiv, exp.Mod))
    safe = (exp.Literal, exp.Nullif)
    return list(dict.fromkeys(for_people(each, DIALECT) for each in divisors if not isinstance(each, safe)))


def time_spines(graph: Graph) -> Iterator[GemelError]:
    """A metric that is accumulated, offset or filled needs a time spine at each grain it can be queried at."""
    for metric in graph.metrics.values():
        # A private measure that comes from another metric, which is checked itself.
        why = None if metric.private and metric.definition.measure else metric.definition.on_spine
        measures = _measures(graph, metric)
        if not why or not measures:
            continue
        try:
            own = coarsest([graph.time_dimension(measure).grain or "day" for measure in measures])
            default = graph.grain_of(metric_grain(graph, metric))
            back = metric.definition.back
            unit = back.unit if isinstance(back, Window) else back
            if unit in GRAINS and finer(unit, default):  # steps are no longer than the window
                default = coarsest([unit, own])
        except GemelError:
            continue  # reported with the measure
        for grain in dict.fromkeys((default, own)):
            if any(not finer(grain, spine.grain) for spine in graph.spines):
                continue
            at = f" by {grain}" if grain != default else ""
            yield DefinitionError(
                "G104" if grain == default else "G155",
                f"metric {metric.name!r} {why}, but{at} no time spine is fine enough: it needs one of grain {grain!r}",
                hint=f"add a model with `time_spine:` and a `standard_granularity_column` of granularity {grain}",
                about=About("metric", metric.name),
                severity="error" if grain == default else "note",
            )
            break


def fine_windows(graph: Graph) -> Iterator[GemelError]:
    """A window of hours over facts by day covers the whole day."""
    for metric in graph.metrics.values():
        back = metric.definition.back
        unit, over = (back.unit, str(back)) if isinstance(back, Window) else (back, f"the {back} to date")
        for measure in _measures(graph, metric):
            time = graph.dimension(measure.model, measure.time_dimension)
            if unit in GRAINS and time is not None and time.grain and finer(unit, time.grain):
                yield DefinitionError(
                    "G159",
                    f"metric {metric.name!r} is accumulated over {over}, but its facts are by {time.grain}: "
                    f"the window covers the whole {time.grain}",
                    hint=f"accumulate over whole {time.grain}s, or give {time.name!r} a finer granularity",
                    about=About("metric", metric.name),
                    severity="warning",
                )


def about_measure(graph: Graph, measure: Measure) -> About:
    """A measure of the newer YAML is reported as the metric that defines it."""
    metric = graph.metrics.get(measure.name)
    if metric and metric.definition.measure == measure:
        return About("metric", metric.name)
    return About("semantic_model", measure.model, measure.name)


def _measures(graph: Graph, metric: Metric) -> tuple[Measure, ...]:
    """Empty if the metric cannot be resolved, which another rule reports."""
    try:
        return graph.measures(metric)
    except DefinitionError:
        return ()


def _derived(graph: Graph) -> Iterator[tuple[Metric, exp.Expr]]:
    for metric in graph.metrics.values():
        if metric.definition.expr is not None:
            yield metric, _read(graph, metric.definition.expr)


def _read(graph: Graph, text: str) -> exp.Expr:
    """NULL for an expression that cannot be parsed, which another rule reports."""
    try:
        return graph.texts.scalar(text)
    except Refused:
        return exp.null()
