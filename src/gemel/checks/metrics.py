"""What metrics are made of: circles, unused inputs, expressions, divisions, and the time spines that they need."""

from collections.abc import Iterator

from sqlglot import exp

from gemel.checks.names import elements
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.keys import metric_grain
from gemel.compiler.question.expressions import ONE_EXPRESSION, Refused
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, DefinitionError, GemelError
from gemel.spec.metrics import Measure, Metric
from gemel.spec.time import GRAINS, Window, coarsest, finer


def cycles(graph: Graph) -> Iterator[GemelError]:
    """Every circle of metrics, each told once."""
    done: set[str] = set()
    told: set[frozenset[str]] = set()
    for start in graph.metrics:
        # The way down to the metric that is looked at, each with the inputs that are still to be looked at.
        way: list[tuple[str, Iterator[str]]] = [] if start in done else [(start, _inner(graph, start))]
        while way:
            below = next(way[-1][1], None)
            if below is None:
                done.add(way.pop()[0])
            elif below in (above := [name for name, _ in way]):
                circle = above[above.index(below) :]
                if frozenset(circle) not in told:
                    told.add(frozenset(circle))
                    yield DefinitionError(
                        "G102",
                        f"metrics refer to each other in a circle: {' -> '.join([*circle, circle[0]])}",
                        hint="one of them has to be made of something else",
                        about=About("metric", circle[0]),
                    )
            elif below not in done:
                way.append((below, _inner(graph, below)))


def _inner(graph: Graph, name: str) -> Iterator[str]:
    return iter([used.name for used in graph.metrics[name].definition.inputs if used.name in graph.metrics])


def expressions(graph: Graph) -> Iterator[GemelError]:
    """Every `expr` of a semantic model is one SQL expression, asked for or not."""
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
    """An input that is not in the expression still brings its groups into the result, with no value."""
    for metric, tree in _derived(graph):
        used = {node.name.lower() for node in tree.find_all(exp.Column)}
        for item in metric.definition.inputs:
            if item.handle.lower() not in used:
                yield DefinitionError(
                    "G151",
                    f"the expr of metric {metric.name!r} does not use its input {item.handle!r}",
                    hint="take the input away, or put it into the expr",
                    about=About("metric", metric.name),
                    severity="warning",
                )


def divisions(graph: Graph) -> Iterator[GemelError]:
    """What divides by something that can be 0. In a formula over metrics that gives NULL; over the rows of a table it
    is the engine's affair."""
    for metric, tree in _derived(graph):
        for divisor in _divisors(tree):
            yield DefinitionError(
                "G156",
                f"metric {metric.name!r} divides by {divisor}; where that is 0, it has no value (NULL)",
                hint=f"NULLIF({divisor}, 0) in the expr says so, COALESCE around the division gives it another value",
                about=About("metric", metric.name),
                severity="note",
            )
    for measure in graph.manifest.measures:
        for divisor in _divisors(_read(graph, measure.expr)):
            yield DefinitionError(
                "G157",
                f"measure {measure.name!r} divides by {divisor} in every row; a 0 there is an error in one engine, "
                "infinite in another",
                hint=f"divide by NULLIF({divisor}, 0), or divide sums: a ratio metric",
                about=about_measure(graph, measure),
                severity="warning",
            )


def _divisors(tree: exp.Expr) -> list[str]:
    """What is divided by, without what is not 0 by itself: a number, a NULLIF."""
    divisors = (node.expression.unnest() for node in tree.find_all(exp.Div, exp.IntDiv, exp.Mod))
    sure = (exp.Literal, exp.Nullif)
    return list(dict.fromkeys(each.sql(DIALECT) for each in divisors if not isinstance(each, sure)))


def time_spines(graph: Graph) -> Iterator[GemelError]:
    """A metric that is accumulated, moved in time or filled needs a time spine, at each grain it can be asked at."""
    for metric in graph.metrics.values():
        # Reading made a private measure of what another metric has on the spine, which tells it.
        why = None if metric.private and metric.definition.measure else metric.definition.on_spine
        measures = _measures(graph, metric)
        if not why or not measures:
            continue
        try:
            own = coarsest([graph.time_dimension(measure).grain or "day" for measure in measures])
            # Accumulating goes step by step at the facts' own grain, whatever grain is asked for.
            is_stepwise = metric.definition.accumulated is not None
            asked = own if is_stepwise else graph.grain_of(metric_grain(graph, metric))
        except GemelError:
            continue  # told where the measure is
        for grain in dict.fromkeys((asked, own)):
            if any(not finer(grain, spine.grain) for spine in graph.spines):
                continue
            can = f" by {grain}" if grain != asked else ""
            yield DefinitionError(
                "G104" if grain == asked else "G155",
                f"metric {metric.name!r} {why}, and{can} no time spine is fine enough: it needs one of grain {grain!r}",
                hint=f"add a model with `time_spine:` and a `standard_granularity_column` of granularity {grain}",
                about=About("metric", metric.name),
                severity="error" if grain == asked else "note",
            )
            break


def fine_windows(graph: Graph) -> Iterator[GemelError]:
    """A window of hours over facts by day sees the whole day, whatever its name says."""
    for metric in graph.metrics.values():
        back = metric.definition.back
        unit, over = (back.unit, str(back)) if isinstance(back, Window) else (back, f"the {back} to date")
        for measure in _measures(graph, metric):
            time = graph.dimension(measure.model, measure.time_dimension)
            if unit in GRAINS and time is not None and time.grain and finer(unit, time.grain):
                yield DefinitionError(
                    "G159",
                    f"metric {metric.name!r} is accumulated over {over}, and its facts are known by {time.grain}: "
                    f"it is the whole {time.grain}",
                    hint=f"accumulate over whole {time.grain}s, or give {time.name!r} a finer granularity",
                    about=About("metric", metric.name),
                    severity="warning",
                )


def about_measure(graph: Graph, measure: Measure) -> About:
    """A measure of the newer YAML is the metric that says it."""
    metric = graph.metrics.get(measure.name)
    if metric and metric.definition.measure == measure:
        return About("metric", metric.name)
    return About("semantic_model", measure.model, measure.name)


def _measures(graph: Graph, metric: Metric) -> tuple[Measure, ...]:
    """None at all where the metric cannot be taken apart, which another rule tells."""
    try:
        return graph.measures(metric)
    except DefinitionError:
        return ()


def _derived(graph: Graph) -> Iterator[tuple[Metric, exp.Expr]]:
    for metric in graph.metrics.values():
        if metric.definition.expr is not None:
            yield metric, _read(graph, metric.definition.expr)


def _read(graph: Graph, text: str) -> exp.Expr:
    """NULL stands for what cannot be read, which another rule tells."""
    try:
        return graph.texts.scalar(text)
    except Refused:
        return exp.null()
