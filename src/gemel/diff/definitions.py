"""Every definition of a state by kind and name: what it means, as a digest, and what it is made of."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from gemel.compiler.features.moments import feature_term, sight
from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.names.resolution import resolve
from gemel.compiler.names.terms import Metrics
from gemel.compiler.question.parsing import make_query
from gemel.compiler.question.query import AskedMetric, Item, Query
from gemel.diff.models import Models, is_generated
from gemel.diff.states import State
from gemel.diff.telling import OWN, Part, Teller, element_text, sql_of
from gemel.errors import About, GemelError
from gemel.features.bound import BoundService, BoundView
from gemel.on_demand.binding import BoundOnDemand
from gemel.spec.feature_views import MetricFeature
from gemel.spec.manifest import Dimension, Entity, SavedQuery, SemanticModel
from gemel.spec.metrics import Metric, MetricInput
from gemel.spec.project import Exposure, Node
from gemel.tracing.derivations import digest
from gemel.tracing.expressions import text_of


@dataclass(frozen=True, slots=True)
class Definition:
    """`meaning` is equal where two definitions mean the same; `words` are its label and description."""

    meaning: str
    parts: Mapping[Part, str] = field(default_factory=dict)
    words: str = ""
    about: About | None = None


def definitions(state: State) -> dict[Part, Definition]:
    root = Teller(state.session.graph, state.models)
    graph, models = root.graph, root.models
    found: dict[Part, Definition] = {}
    for node in models.nodes.values():
        part = node_part(node)
        if part is not None and part[0] != "view":
            found[part] = _node(models, node)
    for spine in graph.manifest.time_spines:
        told = f"{root.place(spine.relation)} {spine.column} {sorted(spine.custom)}"
        found["time spine", spine.grain] = Definition(told, {OWN: told})
    for model in graph.manifest.models:
        found |= _semantic_model(root, model)
    for metric in graph.manifest.metrics:
        if not metric.private:
            found["metric", metric.name] = _metric(root, metric)
    for query in graph.manifest.saved_queries:
        found["saved query", query.name] = _saved_query(root, query, found)
    for node in models.nodes.values():
        if node_part(node) == ("view", node.name):
            found["view", node.name] = _view(models, node, found)
    for view in state.features.views:
        found |= _features(root, view)
    for on_demand in state.features.on_demand:
        found |= _on_demand(on_demand, found)
    for service in state.features.services:
        found["feature service", service.name] = _service(service, found)
    for exposure in models.dbt.exposures:
        found["exposure", exposure.name] = _exposure(models, exposure, found)
    return found


def node_part(node: Node) -> Part | None:
    """Under what a node is told of; a feature view's table is told of as the feature view."""
    if node.gemel.get("feature_view"):
        return None
    return ("view", node.name) if is_generated(node) else (node.kind, node.name)


def _node(models: Models, node: Node) -> Definition:
    parts: dict[Part, str] = {OWN: models.own(node.id).whole if not is_generated(node) else ""}
    for parent in node.parents:
        above = models.nodes.get(parent)
        part = node_part(above) if above else None
        if part is not None:
            parts[part] = models.whole(parent)
    place = About("model", node.name)
    return Definition(models.whole(node.id), parts, node.description or "", place)


def _view(models: Models, node: Node, found: Mapping[Part, Definition]) -> Definition:
    """What gemel generates for BI: a saved query, whether it was generated since or not, or what its SQL reads."""
    query = ("saved query", str(node.gemel.get("saved_query")))
    if query in found:
        meaning = found[query].meaning
        return Definition(digest(meaning, str(node.materialized)), {OWN: str(node.materialized), query: meaning})
    return _node(models, node)


def _semantic_model(root: Teller, model: SemanticModel) -> dict[Part, Definition]:
    """The model, and its entities and dimensions."""
    own = f"{root.place(model.relation)} {model.primary_entity}"
    about = About("semantic_model", model.name)
    found: dict[Part, Definition] = {("semantic model", model.name): Definition(own, {OWN: own}, _words(model), about)}
    elements: tuple[Entity | Dimension, ...] = (*model.entities, *model.dimensions)
    for element in elements:
        teller = root.fresh()
        told = element_text(teller, element)
        meaning = digest(told, teller.columns(model, [element.expr]))
        kind = "entity" if isinstance(element, Entity) else "dimension"
        about = About("semantic_model", model.name, element.name)
        parts = {**teller.parts, OWN: told}
        found[kind, f"{model.name}.{element.name}"] = Definition(meaning, parts, _words(element), about)
    return found


def _metric(root: Teller, metric: Metric) -> Definition:
    about = About("metric", metric.name)
    teller = root.fresh()
    own = _own_text(teller, metric)
    try:
        asked = Query(metrics=(AskedMetric(metric.name),), group_by=(Item((METRIC_TIME,)),))
        resolved = resolve(root.graph, asked)
        assert isinstance(resolved, Metrics)
        meaning = digest(teller.tell(resolved.keys), teller.term(resolved.outputs[0].term))
    except GemelError:  # what cannot be asked by time is told by its text
        meaning = digest(own, *(f"{part}{told}" for part, told in teller.parts.items()))
    parts = {OWN: own, **teller.parts}
    for name in _made_of(root.graph, metric):
        parts["metric", name] = ""
    return Definition(meaning, parts, _words(metric), about)


def _own_text(teller: Teller, metric: Metric) -> str:
    """What is written of the metric itself: private metrics, which reading made, belong to it."""
    told = [metric.type, str(metric.time_granularity), *sorted(_filter_text(teller, f) for f in metric.filters)]
    definition = metric.definition
    for each in fields(definition):
        value = getattr(definition, each.name)
        if value not in (definition.measure, definition.inputs, *definition.inputs):
            told.append(f"{each.name} {teller.expr(value) if each.name == 'expr' else value}")
    for used in definition.inputs:
        inner = teller.graph.metrics.get(used.name)
        private = _own_text(teller, inner) if inner and inner.private else used.name
        told.append(f"{private} {_use_text(teller, used)}")
    return "; ".join(told)


def _use_text(teller: Teller, used: MetricInput) -> str:
    filters = sorted(_filter_text(teller, each) for each in used.filters)
    return f"{used.alias} {filters} {used.offset_window} {used.offset_to_grain}"


def _filter_text(teller: Teller, text: str) -> str:
    try:
        template = teller.graph.texts.filter(text)
        return f"{text_of(template.tree)} of {', '.join(map(str, template.references))}"
    except GemelError:
        return " ".join(text.split())


def _made_of(graph: Graph, metric: Metric) -> Iterator[str]:
    for used in metric.definition.inputs:
        inner = graph.metrics.get(used.name)
        if inner is not None and inner.private:
            yield from _made_of(graph, inner)
        elif inner is not None:
            yield inner.name


def _saved_query(root: Teller, query: SavedQuery, found: Mapping[Part, Definition]) -> Definition:
    teller = root.fresh()
    try:
        made = make_query(query.metrics, query.group_by, where=query.where, order_by=query.order_by, limit=query.limit)
        keys = [str(item) for item in made.group_by]
        order = [f"{each.key} {each.descending}" for each in made.order_by]
        resolved = resolve(root.graph, made)
        meaning = [teller.tell(output.term) for output in resolved.outputs] if isinstance(resolved, Metrics) else []
    except GemelError:
        keys, order, meaning = [*query.group_by], [*query.order_by], []
    where = sorted(_filter_text(teller, each) for each in query.where)
    own = f"{query.metrics} {keys} {where} {order} {query.limit} {query.exports}"
    metrics = {("metric", name): found[part].meaning for name in query.metrics if (part := ("metric", name)) in found}
    parts: dict[Part, str] = {OWN: own, **{k: v for k, v in teller.parts.items()}, **metrics}
    about = About("saved_query", query.name)
    return Definition(digest(own, *meaning, *metrics.values()), parts, _words(query), about)


def _features(root: Teller, view: BoundView) -> dict[Part, Definition]:
    """A view's features, and the view of them."""
    own = f"{view.entities} {view.schedule} {view.known_at} {view.delay} {view.ttl} {view.online}"
    found: dict[Part, Definition] = {}
    for feature in view.features:
        teller, about = root.fresh(), About("feature_view", view.name, feature.name)
        parts: dict[Part, str] = {}
        if isinstance(feature, MetricFeature):
            if feature.part is not None:
                continue
            back = sight(root.graph, feature)
            told = f"{feature.metric} {back} {feature.dtype}"
            meaning = [str(back), teller.term(feature_term(root.graph, view, feature))]
            parts["metric", feature.metric] = ""
        else:
            told = f"{feature.dimension} {feature.current} {feature.dtype}"
            meaning = [teller.own_dimension(view.entities, feature.dimension)]
        parts |= {OWN: told, ("feature view", view.name): own, **teller.parts}
        found["feature", f"{view.name}.{feature.name}"] = Definition(
            digest(own, str(feature.dtype), *meaning), parts, feature.description or "", about
        )
    inner = {part: each.meaning for part, each in found.items()}
    kept = f"{own} {view.lookback} {view.freshness} {view.push}"
    words = f"{view.description or ''} {view.owner or ''} {view.tags}"
    found["feature view", view.name] = Definition(
        digest(kept, *inner.values()), {OWN: kept, **inner}, words, About("feature_view", view.name)
    )
    return found


def _on_demand(bound: BoundOnDemand, found: Mapping[Part, Definition]) -> dict[Part, Definition]:
    """The features of an on-demand view, and the view."""
    made: dict[Part, Definition] = {}
    for feature, parsed in bound.expressions():
        taken = _taken(found, (name for name in parsed.names if "." in name))
        own = sql_of(parsed.tree)
        about = About("feature_view", bound.name, feature.name)
        made["feature", f"{bound.name}.{feature.name}"] = Definition(
            digest(own, *taken.values()), {OWN: own, **taken}, feature.description or "", about
        )
    own = repr(sorted(bound.inputs))
    parts = {part: each.meaning for part, each in made.items()}
    about, words = About("feature_view", bound.name), bound.description or ""
    made["feature view", bound.name] = Definition(digest(own, *parts.values()), {OWN: own, **parts}, words, about)
    return made


def _service(bound: BoundService, found: Mapping[Part, Definition]) -> Definition:
    names = [
        f"{view.name}.{feature}"
        for view, features in bound.taken
        for feature in (features if features is not None else view.declared_names)
    ]
    taken = _taken(found, names)
    own = repr(sorted(names))
    words = f"{bound.description or ''} {bound.owner}"
    about = About("feature_service", bound.name)
    return Definition(digest(own, *taken.values()), {OWN: own, **taken}, words, about)


def _taken(found: Mapping[Part, Definition], names: Iterable[str]) -> dict[Part, str]:
    """Features by `view.feature`; a part of a ratio is the ratio's."""
    taken: dict[Part, str] = {}
    for name in names:
        for each in (name, name.removesuffix("__numerator").removesuffix("__denominator")):
            if ("feature", each) in found:
                taken["feature", each] = found["feature", each].meaning
                break
    return taken


def _exposure(models: Models, exposure: Exposure, found: Mapping[Part, Definition]) -> Definition:
    ours = exposure.gemel
    parts: dict[Part, str] = {}
    listed = _taken(found, [str(each) for each in ours.get("features") or ()])
    for id in exposure.parents:
        node = models.nodes.get(id)
        part = node_part(node) if node else None
        if node is not None and node.gemel.get("feature_view"):
            if not listed:
                part = ("feature view", str(node.gemel["feature_view"]))
        elif id.startswith("metric."):
            part = ("metric", id.rsplit(".", 1)[1])
        if part is not None and part in found:
            parts[part] = found[part].meaning
    parts |= listed
    service = ("feature service", str(ours.get("feature_service")))
    if service in found:
        parts = {service: found[service].meaning}
    # What gemel writes of a service into an exposure is told of as the service.
    own = f"{exposure.type} {exposure.url}" + ("" if ours else f" {sorted(exposure.parents)}")
    words = f"{exposure.label} {exposure.description} {exposure.owner} {exposure.maturity}"
    return Definition(digest(own, *parts.values()), {OWN: own, **parts}, words, About("exposure", exposure.name))


def _words(item: object) -> str:
    return f"{getattr(item, 'label', None) or ''}\n{' '.join((getattr(item, 'description', None) or '').split())}"
