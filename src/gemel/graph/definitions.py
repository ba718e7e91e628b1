"""The derivations of definitions: from columns to metrics and saved queries."""

from collections.abc import Iterable, Iterator

from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import Refused
from gemel.compiler.question.parsing import parse_item, parse_order
from gemel.errors import About, GemelError
from gemel.graph.defined import Defined
from gemel.graph.nodes import Node
from gemel.spec.manifest import Dimension, Entity, SavedQuery, SemanticModel
from gemel.spec.metrics import Measure, Metric, MetricDefinition, MetricInput
from gemel.spec.project import DbtProject
from gemel.tracing.derivations import Derivation, Part, Why
from gemel.tracing.expressions import PLACE, read_expression


def define(graph: Graph, dbt: DbtProject) -> Defined:
    """The semantic models, metrics and saved queries, each with its derivation, down to columns."""
    defined = Defined(graph, dbt)
    for spine in graph.spines:
        node = Node("time_spine", spine.grain, about=About("time_spine", spine.grain))
        text = f"{defined.place(spine.relation)} {spine.column} {sorted(spine.custom)}"
        defined.add_unlisted(node, text)
    # By name: dbt writes definitions in another order after each partial parse.
    for model in sorted(graph.models.values(), key=_name):
        _model(defined, model)
    for measure in sorted(graph.manifest.measures, key=_name):
        _measure(defined, measure)
    for metric in sorted(graph.metrics.values(), key=_name):
        if metric.bare_measure is None:
            _metric(defined, metric)
    for query in sorted(graph.saved_queries.values(), key=_name):
        _saved_query(defined, query)
    return defined


def _name(defined: SemanticModel | Measure | Metric | SavedQuery) -> str:
    return defined.name


def _model(defined: Defined, model: SemanticModel) -> None:
    about = About("semantic_model", model.name)
    node = Node("semantic_model", model.name, words=_words(model), about=about)
    defined.add_unlisted(node, f"{defined.place(model.relation)} {model.primary_entity}")
    for dimension in model.dimensions:
        id = defined.dimension(model.name, dimension.name)
        names = [*defined.dimension_names(model, dimension), dimension.name]
        text = " ".join(["dimension", *filter(None, (dimension.grain, dimension.validity))])
        derivation = Derivation(
            f"{text} partition" if dimension.is_partition else text,
            (("identity", defined.expression(dimension.expr, model, id)),),
        )
        about = About("semantic_model", model.name, dimension.name)
        node = Node("dimension", id.partition(":")[2], dimension.description, words=_words(dimension), about=about)
        defined.add(node, derivation, *names[:-2], names[-1])
        defined.weak[f"{model.name}.{dimension.name}"][id] = None
    for entity in model.entities:
        about = About("semantic_model", model.name, entity.name)
        name = f"{model.name}.{entity.name}"
        node = Node("entity", name, entity.description, words=_words(entity), about=about)
        id = node.id
        expression = defined.expression(entity.expr, model, id)
        defined.nodes[id] = node
        defined.derivations[id] = Derivation(f"entity {entity.type}", (("identity", expression),))
        defined.names[entity.name][id] = None
        defined.weak[node.name][id] = None


def _measure(defined: Defined, measure: Measure) -> None:
    model = defined.graph.models[measure.model]
    node = Node("measure", measure.name, measure.description)
    parts: list[Part] = [("aggregation", defined.measure_input(measure, model, node.id))]
    parts.append(("identity", defined.rows(model)))
    if any(dimension.name == measure.time_dimension for dimension in model.dimensions):
        parts.append(("group_by", defined.dimension(model.name, measure.time_dimension)))
    if measure.non_additive is not None:
        for name in (measure.non_additive.dimension, *measure.non_additive.groupings):
            if defined.graph.dimension(model.name, name) is not None:
                parts.append(("window", defined.dimension(model.name, name)))
            elif defined.graph.entity(model.name, name) is not None:
                parts.append(("window", f"entity:{model.name}.{name}"))
    choice = measure.non_additive.choice if measure.non_additive else None
    decimal = " decimal" if measure.is_decimal else ""
    id = defined.add(node, Derivation(f"measure {measure.agg} {measure.percentile} {choice}{decimal}", tuple(parts)))
    defined.weak[f"{model.name}.{measure.name}"][id] = None


def _metric(defined: Defined, metric: Metric) -> None:
    owner = metric.meta.get("owner")
    about = About("metric", metric.name)
    node = Node(
        "metric",
        metric.name,
        metric.description or metric.label,
        owner=owner if isinstance(owner, str) else None,
        words=_words(metric),
        about=None if metric.private else about,
    )
    parts = tuple(_parts(defined, metric, node.id, metric.definition.inputs))

    def exact() -> Derivation:
        text = f"metric {metric.type} {metric.time_granularity} {_settings(defined, metric.definition)}"
        text += " decimal" if metric.is_decimal else ""
        inputs = _in_order(defined, metric.definition)
        return Derivation(text, tuple(_parts(defined, metric, node.id, inputs)))

    defined.add(node, Derivation("", parts, exact=exact))


def _settings(defined: Defined, definition: MetricDefinition) -> str:
    """The settings of a metric, without its inputs."""
    words = dict(definition.settings)
    if definition.expr is not None:
        try:
            own = defined.graph.texts.own(definition.expr)
            words["expr"] = read_expression(own.tree).text if own.words is None else PLACE.join(own.words)
        except Refused:
            words["expr"] = " ".join(definition.expr.split())
    return " ".join(f"{name} {value}" for name, value in words.items())


def _parts(defined: Defined, metric: Metric, id: str, inputs: Iterable[MetricInput]) -> Iterator[Part]:
    """The inputs of a metric, except those that cannot be resolved."""
    definition = metric.definition
    try:
        yield from defined.filters(metric.filters, defined.homes([metric.name]) if metric.filters else (), id)
        if definition.measure is not None:
            why: Why = "identity" if definition.fill_nulls_with is None else "transformation"
            yield why, f"measure:{definition.measure.name}"
        for used in inputs:
            yield from _input(defined, used, id, "transformation" if definition.is_formula else "aggregation")
        if definition.on_spine:
            for measure in defined.graph.measures(metric):
                grain = defined.graph.time_dimension(measure).grain or "day"
                yield "identity", defined.spine(defined.graph.spine(grain))
        for used, elements in definition.matched:
            for home in defined.homes([used.name]):
                for name in elements:
                    if defined.graph.dimension(home, name) is not None:
                        yield "join", defined.dimension(home, name)
                    else:
                        yield from defined.items([parse_item(name)], [home], id, "join")
    except GemelError as error:
        defined.miss(id, error.message)


def _in_order(defined: Defined, definition: MetricDefinition) -> Iterator[MetricInput]:
    """The inputs of a formula in the order of their use in it; then the others."""
    by_handle = {used.handle.lower(): used for used in definition.inputs}
    if definition.expr is None or len(by_handle) < len(definition.inputs):
        yield from definition.inputs
        return
    try:
        leaves = read_expression(defined.graph.texts.scalar(definition.expr)).leaves
    except Refused:
        leaves = ()
    named = [leaf.name.lower() for leaf, _ in leaves]
    yield from (by_handle[name] for name in named if name in by_handle)
    yield from (used for handle, used in by_handle.items() if handle not in named)


def _input(defined: Defined, used: MetricInput, id: str, why: Why) -> Iterator[Part]:
    inner = defined.graph.metrics.get(used.name)
    if inner is None:
        defined.miss(id, f"there is no metric {used.name!r}")
        return
    is_bare = inner.bare_measure is not None
    texts = (*used.filters, *(inner.filters if is_bare else ()))
    if not texts and not used.moved and not is_bare:
        yield why, f"metric:{used.name}"
        return
    filters = defined.filters(texts, defined.homes([used.name]) if texts else (), id)
    text = f"{used.moved} {_settings(defined, inner.definition) if is_bare else ''}"
    yield "identity", Derivation(text, ((why, defined.metric(used.name)), *filters))


def _saved_query(defined: Defined, query: SavedQuery) -> None:
    about = About("saved_query", query.name)
    node = Node("saved_query", query.name, query.description or query.label, words=_words(query), about=about)
    metrics = [name for name in query.metrics if name in defined.graph.metrics]
    parts: list[Part] = [("identity", defined.metric(name)) for name in metrics]
    keys, orders = [*query.group_by], [*query.order_by]
    try:
        homes = defined.homes(query.metrics) or list(defined.graph.models)
        items = [parse_item(text) for text in query.group_by]
        keys = [str(item) for item in items]
        parts += defined.items(items, homes, node.id, "identity")
        parts += defined.filters(query.where, homes, node.id)
        columns = {*query.metrics, *keys}
        by = [parse_order(text) for text in query.order_by]
        orders = [f"{each.key} {each.descending}" for each in by]
        parts += defined.items([each.key for each in by if str(each.key) not in columns], homes, node.id, "sort")
    except GemelError as error:
        defined.miss(node.id, error.message)
    exports = [(each.name, each.kind, each.schema, each.alias, each.database) for each in query.exports]
    text = f"saved query {query.metrics} {keys} {orders} {query.limit} {exports}"
    defined.add(node, Derivation(text, tuple(parts)))


def _words(defined: SemanticModel | Dimension | Entity | Metric | SavedQuery) -> str:
    """The label and description of a definition."""
    return f"{defined.label or ''} {defined.description or ''}"
