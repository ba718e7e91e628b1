"""Feature views against the metrics of a project: what each column of a feature table is, or why it cannot be."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlglot import exp

from gemel.compiler.features import moments
from gemel.compiler.features.histories import own_row
from gemel.compiler.features.moments import FeatureQuery, plan_features
from gemel.compiler.names.graph import Attribute, Graph, inputs
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.plan.distinct import Back
from gemel.compiler.question.expressions import Refused
from gemel.compiler.question.parsing import parse_item
from gemel.errors import BridgeError, GemelError, Place, Problems, did_you_mean
from gemel.features.types import certain
from gemel.on_demand.binding import BoundOnDemand, Source, bind_on_demand
from gemel.spec.feature_views import (
    RESERVED,
    DimensionFeature,
    Feature,
    FeatureService,
    FeatureSpec,
    FeatureView,
    MetricFeature,
)
from gemel.spec.manifest import Dimension, Measure, Metric, Ratio, Relation
from gemel.spec.time import Window, finer

Part = Literal["numerator", "denominator"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a feature table. A ratio has three: itself, `__numerator` and `__denominator`.

    `dtype` is what the view says or the definition makes certain; None is for the engine to say.
    """

    name: str
    feature: Feature
    dtype: str | None
    description: str | None
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class BoundView:
    """A feature view whose names are all found, and the columns that its table has besides keys and times.

    `plan` computes the table up to `UNTIL`, with every column of the type that comes out.
    """

    view: FeatureView
    columns: tuple[Column, ...]
    plan: Plan = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.view.name

    def query(
        self,
        until: exp.Expr,
        types: dict[str, str] | None = None,
        within: tuple[exp.Expr, exp.Expr] | None = None,
    ) -> FeatureQuery:
        """The view as the compiler takes it; `types` are the SQL types to cast to, `within` bounds the rows' times."""
        return replace(feature_query(self.view, self.columns, until, types or {}), within=within)


@dataclass(frozen=True, slots=True)
class BoundService:
    """A feature service and the columns that it takes of each view; None is all of them."""

    service: FeatureService
    views: tuple[tuple[BoundView, tuple[str, ...] | None], ...]
    on_demand: tuple[tuple[BoundOnDemand, tuple[str, ...] | None], ...] = ()

    def taken(self) -> Iterator[tuple[str, tuple[str, ...] | None]]:
        """The names of all views, and which of their features."""
        yield from ((view.name, names) for view, names in self.views)
        yield from ((view.name, names) for view, names in self.on_demand)


@dataclass(frozen=True, slots=True)
class Bound:
    views: tuple[BoundView, ...]
    services: tuple[BoundService, ...]
    warnings: tuple[GemelError, ...] = ()
    on_demand: tuple[BoundOnDemand, ...] = ()


def bind_features(graph: Graph, spec: FeatureSpec) -> Bound:
    """Every view and service with its names looked up. Raises Problems with all that has no meaning, or none yet."""
    problems: list[GemelError] = []
    warnings: list[GemelError] = []
    views: dict[str, BoundView] = {}
    entities = {entity.name for model in graph.models.values() for entity in model.entities}
    nodes = {model.relation.node or model.relation.name for model in graph.models.values()}
    for view in spec.views:
        found = list(_problems(graph, view, entities, nodes))
        if not found:
            try:
                views[view.name] = _bind_view(graph, view, problems)
                warnings.extend(_warnings(graph, view))
            except GemelError as error:
                found = list(_refusals(graph, view)) or [_at(error, view.place)]
        problems.extend(found)
    if spec.on_demand and not spec.views:
        told = "there is no feature view beside the on-demand views, and so no Feast repository"
        hint = "add a feature view; what a request brings alone needs no store"
        problems.append(BridgeError("G511", told, hint=hint, place=spec.on_demand[0].place))
    sources = {view.name: _as_source(view, views.get(view.name)) for view in spec.views}
    found_on_demand = [bind_on_demand(view, sources, problems) for view in spec.on_demand]
    on_demand = {each.name: each for each in found_on_demand if each}
    services = [_bind_service(service, views, on_demand, problems) for service in spec.services]
    if problems:
        raise Problems(dict.fromkeys(problems))
    return Bound(tuple(views.values()), tuple(services), tuple(warnings), tuple(on_demand.values()))


def _as_source(view: FeatureView, bound: BoundView | None) -> Source:
    columns = [column.name for column in bound.columns] if bound else []
    return Source(view.entities, columns, online=view.online, unread=bound is None)


def feature_query(
    view: FeatureView, columns: Iterable[Column], until: exp.Expr | None, types: dict[str, str]
) -> FeatureQuery:
    made: list[moments.MetricFeature | moments.DimensionFeature] = []
    for column in columns:
        type_ = types.get(column.name)
        match column.feature:
            case MetricFeature() as feature:
                made.append(as_asked(feature, column.name, type_, column.part))
            case DimensionFeature(dimension=dimension):
                made.append(moments.DimensionFeature(column.name, dimension, type_))
    return FeatureQuery(
        entities=view.entities,
        schedule=view.schedule,
        features=tuple(made),
        until=until,
        known_at=view.known_at,
        delay=view.delay,
        every_step=view.ttl is not None,
    )


def as_asked(
    feature: MetricFeature, column: str = "", type_: str | None = None, part: Part | None = None
) -> moments.MetricFeature:
    """A feature as the compiler takes it."""
    return moments.MetricFeature(column, feature.metric, feature.window, type_, part, feature.own)


def known_at(graph: Graph, view: FeatureView, measure: Measure) -> Attribute | None:
    """The time dimension at which a measure's facts become known to a view; None where the model has none so named."""
    if view.known_at is None:
        return Attribute(measure.model, (), graph.time_dimension(measure))
    found = graph.attribute(measure.model, parse_item(view.known_at).segments)
    return found if found and isinstance(found.element, Dimension) and found.element.is_time else None


def known_times(graph: Graph, view: BoundView) -> dict[tuple[Relation, str], exp.Expr]:
    """The times at which the facts of a view become known, by table and dimension, as expressions over the table."""
    found = {}
    metrics = dict.fromkeys(
        column.feature.metric for column in view.columns if isinstance(column.feature, MetricFeature)
    )
    for measure in (measure for name in metrics for measure in graph.measures(graph.metric(name))):
        attribute = known_at(graph, view.view, measure)
        if attribute is None:
            continue
        relation = graph.models[attribute.model].relation
        try:
            value = graph.texts.over(relation.name, attribute.element.expr)
        except Refused:
            continue  # told where it is bound
        found[relation, attribute.element.name] = value
    return found


UNTIL = '{{ var("gemel_until", run_started_at.strftime("%Y-%m-%d %H:%M:%S")) }}'
"""What dbt fills in when it runs: facts after `gemel_until` are not known yet; by default that is now."""


def timestamp(text: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), exp.DataType.Type.TIMESTAMP)


def _problems(graph: Graph, view: FeatureView, entities: set[str], nodes: set[str]) -> Iterator[GemelError]:
    """What is wrong with a view before any of its features is looked at. `nodes` are the names of dbt's models."""
    unknown = [entity for entity in view.entities if entity not in entities]
    for entity in unknown:
        yield BridgeError(
            "G506",
            f"feature view {view.name!r} is about {entity!r}, which is not an entity of any semantic model",
            hint=did_you_mean(entity, entities) or f"there are {', '.join(sorted(entities))}",
            place=view.place,
        )
    composite = [entity for entity in view.entities if entity in graph.composites]
    for entity in composite:
        names = graph.composites[entity]
        yield BridgeError(
            "G508",
            f"feature view {view.name!r} is about {entity!r}, a key of {len(names)} columns, and Feast looks rows up "
            "by one value for each entity",
            hint=f"define an entity for each of {', '.join(names)}, and write `entities:` with all of them",
            place=view.place,
        )
    if not unknown and not composite and not _metrics(view):
        yield BridgeError(
            "G511",
            f"feature view {view.name!r} has no metric, whose facts make its rows",
            hint="add a metric; a table of dimensions alone is not made yet",
            place=view.place,
        )
    if view.name in nodes:
        yield BridgeError(
            "G503",
            f"feature view {view.name!r} has the name of a dbt model",
            hint="its own table is a dbt model too, so it needs another name",
            place=view.place,
        )


def _metrics(view: FeatureView) -> list[MetricFeature]:
    return [feature for feature in view.features if isinstance(feature, MetricFeature)]


def _refusals(graph: Graph, view: FeatureView) -> Iterator[GemelError]:
    """What is wrong with the features, each tried by itself so that each error knows its place."""
    nowhere = _known_nowhere(graph, view)
    if nowhere is not None:  # told once, and not at each metric
        yield nowhere
        view = replace(view, known_at=None)
    healthy: MetricFeature | None = None
    seen: set[str] = set()
    for feature in _metrics(view):
        error = _refusal(graph, view, (feature,))
        if error is not None and error.code == "G522" and nowhere is not None:
            error = None  # of another time than the one that is meant
        if error is None:
            healthy = feature
        elif str(error) not in seen:  # the windows of one metric share its place, and mostly its fault
            seen.add(str(error))
            yield error
    for each in view.features:
        if isinstance(each, DimensionFeature) and healthy is not None:
            error = _refusal(graph, view, (healthy, each))
            if error is not None:
                yield error


def _known_nowhere(graph: Graph, view: FeatureView) -> GemelError | None:
    """A `known_at` that the facts of none of the metrics have."""
    if view.known_at is None:
        return None
    names = sorted({feature.metric for feature in _metrics(view) if feature.metric in graph.metrics})
    try:
        measures = [measure for name in names for measure in graph.measures(graph.metrics[name])]
        if not measures or any(known_at(graph, view, measure) for measure in measures):
            return None
    except GemelError:
        return None  # told where it is planned
    times: dict[str, None] = {}
    for measure in measures:
        prefix = (graph.ways.prefixes(measure.model) or (measure.model,))[0]
        times |= {f"{prefix}__{each.name}": None for each in graph.models[measure.model].dimensions if each.is_time}
    return BridgeError(
        "G516",
        f"known_at {view.known_at!r} is not a time dimension of the facts of feature view {view.name!r}",
        hint=did_you_mean(view.known_at, times) or f"one of {', '.join(times)}",
        place=view.known_at_place,
    )


def _refusal(graph: Graph, view: FeatureView, features: tuple[Feature, ...]) -> GemelError | None:
    columns = [Column(feature.name, feature, None, None) for feature in features]
    try:
        _plan(graph, view, columns)
    except GemelError as error:
        return _at(error, features[-1].place)
    return None


def _at(error: GemelError, place: Place | None) -> GemelError:
    """The error at the line of `feature_views/` that asked for it, which is where a user starts."""
    error.place = place or error.place
    return error


def _plan(graph: Graph, view: FeatureView, columns: Sequence[Column]) -> Plan:
    """Raises BridgeError (G51x, G522) for what has no meaning."""
    plan = plan_features(graph, feature_query(view, columns, timestamp(UNTIL), {}))
    for feature in dict.fromkeys(column.feature for column in columns):
        if isinstance(feature, MetricFeature):
            _check_grain(graph, view, feature)
    return plan


def _check_grain(graph: Graph, view: FeatureView, feature: MetricFeature) -> None:
    """A day counted at its first hour would be known before it has happened."""
    for measure in graph.measures(graph.metric(feature.metric)):
        attribute = known_at(graph, view, measure)
        grain = attribute.element.grain if attribute and isinstance(attribute.element, Dimension) else None
        if grain and finer(view.schedule, graph.grain_of(grain)):
            raise BridgeError(
                "G522",
                f"the facts of metric {feature.metric!r} are known by {grain}, and the view's schedule is by "
                f"{view.schedule}: what happened late in a {grain} would be told at its start",
                hint=f"use `schedule: {grain}`, or a finer time dimension as known_at",
                place=feature.place,
            )


def _bind_view(graph: Graph, view: FeatureView, problems: list[GemelError]) -> BoundView:
    columns = tuple(column for feature in view.features for column in _columns(graph, feature))
    plan = _plan(graph, view, columns)
    taken: dict[str, str] = dict.fromkeys((*view.entities, *RESERVED), "")
    for column in columns:
        if column.name in taken:
            problems.append(
                BridgeError(
                    "G503",
                    f"two columns of feature view {view.name!r} would be named {column.name!r}",
                    hint="give the feature another name with `name:`",
                    place=column.feature.place,
                )
            )
        taken[column.name] = column.name
    return BoundView(view, columns, plan)


def _columns(graph: Graph, feature: Feature) -> Iterator[Column]:
    match feature:
        case MetricFeature():
            metric = graph.metric(feature.metric)
            seen = over(moments.sight(graph, as_asked(feature)))
            text = feature.description or f"{_sentence(metric)} Taken over {seen}."
            yield Column(feature.name, feature, feature.dtype or certain(graph, metric), text)
            if isinstance(metric.definition, Ratio):
                sides: tuple[tuple[Part, str], ...] = (
                    ("numerator", metric.definition.numerator.name),
                    ("denominator", metric.definition.denominator.name),
                )
                for part, name in sides:
                    inner = graph.metrics[name]
                    told = f"The {part} of {feature.name}: {name}."
                    yield Column(f"{feature.name}__{part}", feature, certain(graph, inner), told, part)
        case DimensionFeature():
            yield Column(feature.name, feature, feature.dtype, feature.description or _dimension_text(graph, feature))


def over(back: Back) -> str:
    """`the last 7 days`"""
    match back:
        case Window():
            return f"the last {back}"
        case None:
            return "all time before"
        case _:
            return f"the {back} to date"


def _sentence(metric: Metric) -> str:
    text = " ".join((metric.description or metric.label or metric.name).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _dimension_text(graph: Graph, feature: DimensionFeature) -> str | None:
    entity, _, name = feature.dimension.partition("__")
    for model in graph.ways.keyed(entity):
        found = graph.dimension(model, name)
        if found is not None and found.description:
            return " ".join(found.description.split())
    return None


def _bind_service(
    service: FeatureService,
    views: dict[str, BoundView],
    on_demand: dict[str, BoundOnDemand],
    problems: list[GemelError],
) -> BoundService:
    columns = {name: tuple(column.name for column in view.columns) for name, view in views.items()}
    columns |= {name: view.features for name, view in on_demand.items()}
    chosen: dict[str, list[str] | None] = {}
    for reference in service.features:
        if reference.view not in columns:
            continue  # it has problems of its own
        if reference.feature is None:
            chosen[reference.view] = None
        elif reference.feature not in columns[reference.view]:
            names = columns[reference.view]
            problems.append(
                BridgeError(
                    "G505",
                    f"feature view {reference.view!r} has no feature named {reference.feature!r}",
                    hint=did_you_mean(reference.feature, names) or f"it has {', '.join(names)}",
                    place=reference.place,
                )
            )
        else:
            taken = chosen.setdefault(reference.view, [])
            if taken is not None:
                taken.append(reference.feature)
    problems.extend(_twins(service, chosen, columns, views, on_demand))
    taken_of = {name: None if names is None else tuple(names) for name, names in chosen.items()}
    return BoundService(
        service,
        tuple((views[name], names) for name, names in taken_of.items() if name in views),
        tuple((on_demand[name], names) for name, names in taken_of.items() if name in on_demand),
    )


def _twins(
    service: FeatureService,
    chosen: dict[str, list[str] | None],
    columns: dict[str, tuple[str, ...]],
    views: dict[str, BoundView],
    on_demand: dict[str, BoundOnDemand],
) -> Iterator[GemelError]:
    """Names that two columns of a training set, or of an answer of Feast's, would have."""
    computed = [on_demand[name] for name in chosen if name in on_demand]
    sources = {source for view in computed for source, _ in view.sources}
    owners = dict.fromkeys((e for name in {*chosen, *sources} & views.keys() for e in views[name].view.entities), "")
    inputs: dict[str, str] = {}
    for view in computed:
        for name, type_ in view.view.inputs:
            if inputs.setdefault(name, type_) != type_:
                yield BridgeError(
                    "G507",
                    f"feature service {service.name!r} would take input {name!r} as {inputs[name]} and as {type_}",
                    hint="give one another name, or both one type",
                    place=service.place,
                )
            owners[name] = ""
    for reference in service.features:
        if reference.view in chosen:
            for name in [reference.feature] if reference.feature else columns[reference.view]:
                if owners.setdefault(name, reference.view) != reference.view:
                    yield BridgeError(
                        "G507",
                        f"feature service {service.name!r} would have two columns named {name!r}",
                        hint="give a feature another name with `name:`, or take single features of the view",
                        place=reference.place,
                    )


def has_history(graph: Graph, view: FeatureView, feature: DimensionFeature) -> bool:
    """Whether a dimension is taken as of each moment, from a table that keeps its versions."""
    return graph.ways.has_validity(own_row(graph, view.entities, feature.dimension).model.name)


def _warnings(graph: Graph, view: FeatureView) -> Iterator[GemelError]:
    for feature in view.features:
        if isinstance(feature, DimensionFeature) and not feature.current and not has_history(graph, view, feature):
            yield BridgeError(
                "G520",
                f"{feature.dimension!r} has no history: every past moment would see it as it is now, which can leak",
                hint="say `as_of: current` if it never changes, or changes in no way that tells the outcome",
                place=feature.place,
                severity="warning",
            )
    seen: set[str] = set()
    for feature in view.features:
        if isinstance(feature, MetricFeature) and feature.metric not in seen:
            seen.add(feature.metric)
            for name, said in _said(graph, view, graph.metric(feature.metric)):
                yield BridgeError(
                    "G521",
                    f"metric {name!r} says in its meta that its facts are known at {said}, and the view "
                    f"takes {view.known_at or 'the time that they are reported under'}, which can leak",
                    hint=f"write `known_at: {said}`",
                    place=feature.place,
                    severity="warning",
                )


def _said(graph: Graph, view: FeatureView, metric: Metric) -> Iterator[tuple[str, str]]:
    """The metrics that a metric is made of, itself among them, whose facts are known at another time than the view
    takes, with that time."""
    said = metric.meta.get("known_at")
    if isinstance(said, str):
        segments = parse_item(said).segments
        if view.known_at is not None:
            taken = segments == parse_item(view.known_at).segments
        else:  # each measure's own time
            measures = graph.measures(metric)
            found = [(graph.attribute(each.model, segments), graph.time_dimension(each)) for each in measures]
            taken = all(known is not None and not known.hops and known.element == own for known, own in found)
        if not taken:
            yield metric.name, said
    for used in inputs(metric):
        yield from _said(graph, view, graph.input_metric(used, by=metric.name))
