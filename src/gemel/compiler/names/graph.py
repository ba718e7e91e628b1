"""A manifest with its names looked up: what each model has, and how one model's rows reach another's columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gemel.compiler.names.composites import composites
from gemel.compiler.names.joins import FARTHEST_HOPS, Hop, Ways
from gemel.compiler.question.expressions import Texts
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, DefinitionError, QueryError, UnknownNameError, did_you_mean
from gemel.spec.functions import WarehouseFunction
from gemel.spec.manifest import Dimension, Entity, Manifest, SavedQuery, SemanticModel, TimeSpine
from gemel.spec.metrics import Measure, Metric, MetricInput
from gemel.spec.time import GRAINS, finer
from gemel.spec.zones import UTC

METRIC_TIME = "metric_time"
LISTED_HOPS = 2  # how far `list dimensions` walks; a query may go any number of hops


@dataclass(frozen=True, slots=True)
class Attribute:
    """A dimension or entity as the facts of `home` reach it: the hops to its model, then the element there.

    `grain` truncates a time and `part` extracts from it; both are None unless the element is a time dimension.
    `component` is the number of one column of a composite entity, counted from 0.
    """

    home: str
    hops: tuple[Hop, ...]
    element: Dimension | Entity
    grain: str | None = None
    part: str | None = None
    component: int | None = None

    @property
    def model(self) -> str:
        return self.hops[-1].model if self.hops else self.home

    @property
    def is_moment(self) -> bool:
        """Whether its values are times, and not parts of times."""
        return isinstance(self.element, Dimension) and self.element.is_time and self.part is None


@dataclass(frozen=True, slots=True)
class GraphMiss:
    """The result of looking up a name that has no match, or (with `error`) several."""

    error: QueryError | None = None


@dataclass(slots=True)
class Graph:
    """Lookups over one manifest, made by `bind`. Results are cached, as the manifest never changes."""

    manifest: Manifest
    models: dict[str, SemanticModel]
    metrics: Mapping[str, Metric]
    saved_queries: dict[str, SavedQuery]
    spines: tuple[TimeSpine, ...]
    custom_grains: dict[str, TimeSpine]
    composites: dict[str, tuple[str, ...]]
    ways: Ways
    _entities: dict[str, dict[str, Entity]]
    _dimensions: dict[str, dict[str, Dimension]]
    _times: dict[tuple[str, str], Dimension]
    texts: Texts
    timezone: str = UTC
    _leaves: dict[str, tuple[Measure, ...]] = field(default_factory=dict)
    _attributes: dict[tuple[str, tuple[str, ...]], Attribute | GraphMiss] = field(default_factory=dict)

    def metric(self, name: str) -> Metric:
        """The metric of that name. Raises UnknownNameError (G201), with the nearest names."""
        found = self.metrics.get(name.lower())
        if found is None or found.private:
            names = [metric.name for metric in self.metrics.values() if not metric.private]
            hint = did_you_mean(name, names) or _list_some(names)
            raise UnknownNameError("G201", f"no metric named {name[:80]!r}", hint=hint)
        return found

    def input_metric(self, used: MetricInput, *, by: str) -> Metric:
        """An input metric of metric `by`; it may be private."""
        found = self.metrics.get(used.name)
        if found is None:
            raise DefinitionError(
                "G101",
                f"metric {by!r} is made of {used.name!r}, which is not a metric",
                hint=did_you_mean(used.name, [m.name for m in self.metrics.values() if not m.private]),
                about=About("metric", by),
            )
        return found

    def saved_query(self, name: str) -> SavedQuery:
        found = self.saved_queries.get(name.lower())
        if found is None:
            raise UnknownNameError(
                "G203",
                f"no saved query named {name[:80]!r}",
                hint=did_you_mean(name, self.saved_queries) or "see `gemel list saved-queries`",
            )
        return found

    def measures(self, metric: Metric) -> tuple[Measure, ...]:
        """The measures that a metric is computed from, in order. Raises DefinitionError (G102) on a cycle."""
        return self._leaves.get(metric.name) or self._measures(metric, ())

    def _measures(self, metric: Metric, above: tuple[str, ...]) -> tuple[Measure, ...]:
        if metric.name in above:
            circle = " -> ".join([*above[above.index(metric.name) :], metric.name])
            raise DefinitionError(
                "G102",
                f"metrics refer to each other in a circle: {circle}",
                hint="one of them must be defined without the others",
                about=About("metric", metric.name),
            )
        definition = metric.definition
        if len(above) > 150:  # far below Python's own limit
            raise DefinitionError(
                "G341",
                f"metric {above[0]!r} is made of metrics more than 150 levels deep",
                hint="use fewer levels",
                about=About("metric", above[0]),
            )
        if metric.name not in self._leaves:
            measures = [definition.measure] if definition.measure is not None else []
            for used in definition.inputs:
                measures += self._measures(self.input_metric(used, by=metric.name), (*above, metric.name))
            self._leaves[metric.name] = tuple(dict.fromkeys(measures))
        return self._leaves[metric.name]

    def entity(self, model: str, name: str) -> Entity | None:
        return self._entities[model].get(name)

    def dimension(self, model: str, name: str) -> Dimension | None:
        return self._dimensions[model].get(name)

    def has(self, model: str, name: str) -> bool:
        """Whether a model has a dimension or an entity of that name."""
        return name in self._dimensions[model] or name in self._entities[model]

    def time_dimension(self, measure: Measure) -> Dimension:
        """A measure's time dimension. Raises DefinitionError (G103)."""
        found = self._times.get((measure.model, measure.time_dimension))
        if found is None:
            times = [d.name for d in self.models[measure.model].dimensions if d.is_time]
            raise DefinitionError(
                "G103",
                f"measure {measure.name!r} has the agg_time_dimension {measure.time_dimension!r}, "
                f"which is not a time dimension of semantic model {measure.model!r}",
                hint=did_you_mean(measure.time_dimension, times)
                or "set agg_time_dimension to one of " + ", ".join(times),
                about=About("semantic_model", measure.model, measure.name),
            )
        return found

    def grain_of(self, grain: str) -> str:
        """The standard grain of a grain: for a custom grain, the grain of its time spine."""
        return grain if grain in GRAINS else self.custom_grains[grain].grain

    def split_grain(self, segments: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
        """`("metric_time", "month")` -> `("metric_time",), "month"`."""
        if len(segments) > 1 and (segments[-1] in GRAINS or segments[-1] in self.custom_grains):
            return segments[:-1], segments[-1]
        return segments, None

    def spine(self, grain: str) -> TimeSpine:
        """The coarsest time spine that is fine enough for a grain. Raises DefinitionError (G104)."""
        if grain in self.custom_grains:
            return self.custom_grains[grain]
        fit = [spine for spine in self.spines if not finer(grain, spine.grain)]
        if not fit:
            raise DefinitionError(
                "G104",
                f"no time spine is fine enough for grain {grain!r}",
                hint="add a model with `time_spine:` and `standard_granularity_column` at that grain or finer",
            )
        return max(fit, key=lambda spine: GRAINS.index(spine.grain))

    def attribute(self, home: str, segments: tuple[str, ...]) -> Attribute | None:
        """What `segments` (without a grain) name for the facts of model `home`; None if nothing.

        Raises QueryError (G306) if several ways are equally short.
        """
        key = (home, segments)
        if key not in self._attributes:
            try:
                self._attributes[key] = self._find(home, segments) or GraphMiss()
            except QueryError as error:
                self._attributes[key] = GraphMiss(error)
        found = self._attributes[key]
        if isinstance(found, GraphMiss):
            if found.error is not None:
                raise found.error
            return None
        return found

    def plain_attribute(self, home: str, segments: tuple[str, ...]) -> Attribute | None:
        """As `attribute`, but None for a name with several equally short ways."""
        try:
            return self.attribute(home, segments)
        except QueryError:
            return None

    def _find(self, home: str, segments: tuple[str, ...]) -> Attribute | None:
        *path, name = segments
        if not path:
            local = self.entity(home, name)
            return Attribute(home, (), local) if local else None
        if len(path) == 1 and path[0] in self.ways.prefixes(home):
            own = self.dimension(home, name) or (self.entity(home, name) if name != path[0] else None)
            if own is not None:
                return Attribute(home, (), own)
        if not any(self._element(Hop(path[-1], model), name) for model in self.ways.keyed(path[-1])):
            return self._component(home, segments)
        found = self._along(home, tuple(path), name)
        length = len(path)
        while not found and length < FARTHEST_HOPS:
            length += 1
            found = self._ends(home, self.ways.walks(home, tuple(path), length), name)
        if len(found) > 1:
            raise _tie(segments, found)
        return found[0] if found else self._component(home, segments)

    def _component(self, home: str, segments: tuple[str, ...]) -> Attribute | None:
        """`line__line_no`, one column of a composite entity. A dimension of that name takes precedence."""
        *path, name = segments
        names = self.composites.get(path[-1], ())
        found = self.attribute(home, tuple(path)) if name in names else None
        if found is None or not isinstance(found.element, Entity):
            return None
        return replace(found, component=names.index(name))

    def _along(self, home: str, path: tuple[str, ...], name: str) -> list[Attribute]:
        """Where a whole path leads. The path may also name a key of the model that it has reached, which adds no hop:
        `flight__carrier__name` is `carrier__name` of a flight."""
        found = self._ends(home, self.ways.walks(home, path, len(path)), name)
        if found or len(path) == 1:
            return found
        for place, entity in enumerate(path):
            for walk in self.ways.walks(home, path[:place], place):
                here, by = (walk[-1].model, walk[-1].entity) if walk else (home, None)
                if entity in self.ways.prefixes(here) and entity != by:
                    return self._along(home, (*path[:place], *path[place + 1 :]), name)
        return []

    def _ends(self, home: str, walks: Iterable[tuple[Hop, ...]], name: str) -> list[Attribute]:
        return [
            Attribute(home, walk, element) for walk in walks if (element := self._element(walk[-1], name)) is not None
        ]

    def _element(self, hop: Hop, name: str) -> Dimension | Entity | None:
        if name == hop.entity:
            return None  # the key is already on the near side of the hop
        return self.dimension(hop.model, name) or self.entity(hop.model, name)

    def attributes(self, home: str, hops: int = LISTED_HOPS) -> dict[tuple[str, ...], Attribute]:
        """Everything that the facts of a model can be grouped by within a number of hops, by segments."""
        attributes: dict[tuple[str, ...], Attribute] = {}
        for entity in self._entities[home].values():
            attributes[(entity.name,)] = Attribute(home, (), entity)
        for prefix in self.ways.prefixes(home):
            for dimension in self._dimensions[home].values():
                attributes.setdefault((prefix, dimension.name), Attribute(home, (), dimension))
        ambiguous: set[tuple[str, ...]] = set()
        for length in range(1, hops + 1):
            for walk in self.ways.walks(home, (), length):
                path = tuple(hop.entity for hop in walk)
                last = walk[-1].model
                elements: list[Dimension | Entity] = [*self._dimensions[last].values(), *self._entities[last].values()]
                for element in elements:
                    segments = (*path, element.name)
                    if element.name in path or (segments in attributes and not attributes[segments].hops):
                        continue
                    if segments in attributes:
                        ambiguous.add(segments)
                    attributes.setdefault(segments, Attribute(home, walk, element))
        return {segments: attribute for segments, attribute in attributes.items() if segments not in ambiguous}

    def common_attributes(self, homes: Iterable[str]) -> dict[tuple[str, ...], Attribute]:
        """Everything that the facts of all these models can be grouped by together, by segments."""
        homes = tuple(dict.fromkeys(homes))
        near = {segments: found for home in homes for segments, found in self.attributes(home).items()}
        return {
            segments: found
            for segments, found in near.items()
            if all(self.plain_attribute(home, segments) for home in homes)
        }


def bind(
    manifest: Manifest, dialect: str = DIALECT, *, timezone: str = UTC, functions: Sequence[WarehouseFunction] = ()
) -> Graph:
    """Look up the manifest's names. `dialect` is that of its expressions: the dialect of the warehouse. `timezone` is
    that of its sessions, in which bounds without an offset are. Questions may call the warehouse's `functions`.

    Raises Problems (G130, G131) for composite entities that do not fit.
    """
    texts = Texts(dialect, functions, columns=_Columns(manifest))
    models = {model.name: model for model in manifest.models}
    entities = {model.name: {e.name: e for e in model.entities} for model in manifest.models}
    return Graph(
        manifest=manifest,
        models=models,
        metrics=manifest.metrics_by_name,
        saved_queries={query.name: query for query in manifest.saved_queries},
        spines=manifest.time_spines,
        custom_grains={name: spine for spine in manifest.time_spines for name, _ in spine.custom},
        composites=composites(manifest.models, texts),
        ways=Ways(models, entities),
        _entities=entities,
        _dimensions={model.name: {d.name: d for d in model.dimensions} for model in manifest.models},
        _times={(model.name, d.name): d for model in manifest.models for d in model.dimensions if d.is_time},
        texts=texts,
        timezone=timezone,
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """The names of columns that definitions use by themselves, gathered when somebody asks for them."""

    manifest: Manifest

    def __iter__(self) -> Iterator[str]:
        for model in self.manifest.models:
            texts = [*(each.expr for each in model.entities), *(each.expr for each in model.dimensions)]
            yield from (text.lower() for text in texts if text.isidentifier())


def _tie(segments: tuple[str, ...], attributes: list[Attribute]) -> QueryError:
    ways = [" -> ".join((a.home, *(f"{hop.model} (by {hop.entity})" for hop in a.hops))) for a in attributes]
    full = ["__".join((*(hop.entity for hop in a.hops), segments[-1])) for a in attributes]
    name = "__".join(segments)
    return QueryError(
        "G306",
        f"{name!r} can be reached in {len(attributes)} ways: {'; '.join(ways)}",
        hint=f"write the whole path: {' or '.join(dict.fromkeys(full))}"
        if len(set(full)) > 1
        else "give the dimension or the entity another name in one of these models",
    )


def _list_some(names: list[str]) -> str:
    """Some metrics to choose from, for a name that resembles none."""
    if not names:
        return "the project defines no metric"
    named = ", ".join(sorted(names)[:8])
    return f"the project has {named}" + (f" and {len(names) - 8} more: `gemel list metrics`" if len(names) > 8 else "")
