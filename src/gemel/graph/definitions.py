"""The derivations of definitions: from columns to metrics and saved queries."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from gemel.compiler.names.entities import readings
from gemel.compiler.names.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.question.expressions import Refused, references_of
from gemel.compiler.question.own import words_of
from gemel.compiler.question.parsing import parse_item, parse_order
from gemel.compiler.question.query import Item, MetricItem
from gemel.compiler.question.verbatim import as_read
from gemel.errors import About, GemelError
from gemel.graph.nodes import Definitions, Gap, Node
from gemel.spec.manifest import Dimension, Entity, Relation, SavedQuery, SemanticModel, TimeSpine
from gemel.spec.metrics import Measure, Metric, MetricDefinition, MetricInput
from gemel.spec.project import DbtProject
from gemel.tracing.derivations import Derivation, Part, Why
from gemel.tracing.expressions import PLACE, bearing, read_expression, root_of, text_of
from gemel.tracing.scopes import field_of


def define(graph: Graph, dbt: DbtProject) -> "Defined":
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


@dataclass(slots=True)
class Defined:
    """Definitions as they are added: each node and name once."""

    graph: Graph
    dbt: DbtProject
    nodes: dict[str, Node] = field(default_factory=dict)
    derivations: dict[str, Derivation] = field(default_factory=dict)
    gaps: dict[Gap, None] = field(default_factory=dict)
    names: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    weak: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    unlisted: dict[str, Node] = field(default_factory=dict)
    _dimensions: dict[tuple[str, str], str] = field(default_factory=dict)
    _tables: dict[Relation, str] = field(default_factory=dict)
    _rows: dict[tuple[str, Why], Derivation] = field(default_factory=dict)
    _attributes: dict[tuple[Attribute, Why], Derivation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        used: set[str] = set()
        for model in sorted(self.graph.models.values(), key=_name):
            for dimension in model.dimensions:
                name = self.dimension_names(model, dimension)[0]
                name = f"{model.name}.{dimension.name}" if name in used else name
                used.add(name)
                self._dimensions[model.name, dimension.name] = f"dimension:{name}"

    def freeze(self) -> Definitions:
        """Everything that was added, as a frozen value."""
        return Definitions(
            dict(self.nodes),
            dict(self.derivations),
            tuple(self.gaps),
            {name: tuple(ids) for name, ids in self.names.items()},
            {name: tuple(ids) for name, ids in self.weak.items()},
            dict(self.unlisted),
        )

    def add(self, node: Node, derivation: Derivation, *names: str) -> str:
        id = node.id
        self.nodes[id] = node
        self.derivations[id] = derivation
        for name in (node.name, *names):
            self.names[name][id] = None
        return id

    def add_unlisted(self, node: Node, text: str) -> None:
        self.unlisted[node.id] = node
        self.derivations[node.id] = Derivation(text)

    def miss(self, node: str, reason: str) -> None:
        self.gaps[Gap(node, reason)] = None

    def table(self, relation: Relation) -> str:
        """The name for people of the table of a semantic model or time spine."""
        if relation not in self._tables:
            node = self.dbt.node_at(relation)
            self._tables[relation] = node.unique_name if node else relation.name
        return self._tables[relation]

    def place(self, relation: Relation) -> str:
        """The id of the dbt node, independent of the target; without dbt's manifest, the table."""
        node = self.dbt.node_at(relation)
        return node.id if node else ".".join(filter(None, (relation.database, relation.schema, relation.name)))

    def dimension_names(self, model: SemanticModel, dimension: Dimension) -> list[str]:
        prefixes = self.graph.ways.prefixes(model.name)
        return [*(f"{prefix}__{dimension.name}" for prefix in prefixes), f"{model.name}.{dimension.name}"]

    def dimension(self, model: str, name: str) -> str:
        return self._dimensions[model, name]

    def metric(self, name: str) -> str:
        """The node of a metric, or of the measure if the metric is only that measure."""
        measure = self.graph.metrics[name].bare_measure
        return f"metric:{name}" if measure is None else f"measure:{measure.name}"

    def homes(self, metrics: Iterable[str]) -> list[str]:
        """The models with the facts of metrics."""
        models: dict[str, None] = {}
        for name in metrics:
            if name in self.graph.metrics:
                models |= {measure.model: None for measure in self.graph.measures(self.graph.metrics[name])}
        return list(models)

    def rows(self, model: SemanticModel, why: Why = "rows") -> Derivation:
        """The rows of a semantic model's table."""
        if (model.name, why) not in self._rows:
            parts = ((why, f"rows:{self.table(model.relation)}"),)
            name = f"semantic_model:{model.name}"
            self._rows[model.name, why] = Derivation(self.place(model.relation), parts, name=name)
        return self._rows[model.name, why]

    def column(self, model: SemanticModel, name: str) -> Derivation:
        """A column of a semantic model's table."""
        id = f"column:{self.table(model.relation)}.{name.lower()}"
        return Derivation("", (("identity", id),), name=f"semantic_model:{model.name} {name.lower()}")

    def expression(self, text: str, model: SemanticModel, target: str) -> Derivation:
        """An expression over the columns of a model, each with how it affects the value."""
        if text.isidentifier():
            return self.column(model, text)
        return self._expression(text, self.graph.texts.scalar, model, target)

    def measure_input(self, measure: Measure, model: SemanticModel, target: str) -> Derivation:
        """The expression that a measure aggregates."""
        if not measure.is_flag:
            return self.expression(measure.expr, model, target)
        return self._expression(measure.expr, lambda _: self.graph.texts.measured(measure), model, target)

    def _expression(self, text: str, read: Callable[[str], exp.Expr], model: SemanticModel, target: str) -> Derivation:
        try:
            expression = read_expression(read(text))
        except Refused as refused:
            self.miss(target, f"its expr cannot be read: {refused}")
            return Derivation(" ".join(text.split()))
        flag, parts = flag_of(expression.tree), []
        for leaf, why in expression.leaves:
            column, fields = root_of(leaf) or (leaf, ())
            is_key = isinstance(expression.tree, exp.Tuple)  # a composite one
            why = "identity" if is_key else why if flag is expression.tree else bearing(leaf, flag)
            parts.append((why, field_of(self.column(model, column.name), fields)))
        words = self.graph.texts.own(text).words
        written = expression.text if words is None else f"{flag is expression.tree} {PLACE.join(words)}"
        return Derivation("" if expression.text == PLACE else written, tuple(parts))

    def spine(self, spine: TimeSpine, grain: str | None = None) -> Derivation:
        """The time spine; for a custom grain, with its column."""
        table = self.table(spine.relation)
        names = [spine.column, *(column for name, column in spine.custom if name == grain)]
        parts: list[Part] = [("join", f"column:{table}.{name.lower()}") for name in names]
        text = f"{self.place(spine.relation)} {spine.grain} {names}"
        return Derivation(text, (*parts, ("join", f"rows:{table}")), name=f"time_spine:{spine.grain}")

    def attribute(self, attribute: Attribute, why: Why) -> Derivation:
        """A dimension or entity joined to facts, with the keys and the rows of the joins."""
        if (attribute, why) not in self._attributes:
            self._attributes[attribute, why] = self._join(attribute, why)
        return self._attributes[attribute, why]

    def _join(self, attribute: Attribute, why: Why) -> Derivation:
        parts: list[Part] = []
        match attribute.element:
            case Dimension(name=name):
                parts.append((why, self.dimension(attribute.model, name)))
            case Entity(name=name):
                parts.append((why, f"entity:{attribute.model}.{name}"))
        here = attribute.home
        models = [here, *(hop.model for hop in attribute.hops)]
        for count, hop in enumerate(attribute.hops, 1):
            there = self.graph.models[hop.model]
            parts += [("join", f"entity:{here}.{hop.entity}"), ("join", f"entity:{hop.model}.{hop.entity}")]
            parts.append(("join", self.rows(there, "join")))
            parts += [("join", self.dimension(there.name, each.name)) for each in there.dimensions if each.validity]
            for place, name in self.graph.ways.partitions(attribute.home, attribute.hops[:count]):
                parts += [("join", self.dimension(model, name)) for model in (models[place], hop.model)]
            here = hop.model
        return Derivation(f"{attribute.grain} {attribute.part} {attribute.component}", tuple(parts))

    def items(self, items: Iterable[Item | MetricItem], homes: Iterable[str], target: str, why: Why) -> Iterator[Part]:
        """The items of a filter or a group-by, joined to the facts of each of `homes`."""
        for item in items:
            subject = item.metric if isinstance(item, Item) and item.metric else item
            if isinstance(subject, MetricItem):
                if subject.metric in self.graph.metrics:
                    yield "filter" if why == "filter" else "group_by", self.metric(subject.metric)
                    for home in homes:
                        entities = [self._entity_in(home, subject.metric, each) for each in subject.group_by]
                        yield from self.items(entities, [home], target, "join")
                continue
            segments, grain = self.graph.split_grain(subject.segments)
            grain = subject.grain or grain
            if grain in self.graph.custom_grains:
                yield "identity", self.spine(self.graph.custom_grains[grain], grain)
            if segments == (METRIC_TIME,):
                continue  # each measure is linked to its own time
            for home in homes:
                attribute = self.graph.plain_attribute(home, segments)
                if attribute is None:
                    self.miss(target, f"{subject} cannot be reached from semantic model {home!r}")
                else:
                    derivation = self.attribute(attribute, why)
                    yield "identity", Derivation(f"{grain} {subject.part}", (("identity", derivation),))

    def _entity_in(self, home: str, metric: str, item: Item) -> Item:
        """An entity that a metric is computed for, by the name that the facts of `home` have for it."""
        names = readings(self.graph, self.graph.metrics[metric], item.segments)
        return next((replace(item, segments=n) for n in names if self.graph.plain_attribute(home, n)), item)

    def filters(self, texts: Iterable[str], homes: Iterable[str], target: str) -> Iterator[Part]:
        """Conditions that all hold, in any order."""
        filters = [self._filter(text, homes, target) for text in texts]
        if filters:
            yield "identity", Derivation("filters", tuple(("identity", each) for each in filters), ordered=False)

    def _filter(self, text: str, homes: Iterable[str], target: str) -> Derivation:
        parts: list[Part] = []
        try:
            parts += self.items(references_of(text), homes, target, "filter")
        except GemelError as error:
            self.miss(target, error.message)

        def exact() -> Derivation:
            try:
                condition = self.graph.texts.filter(text).tree
                exact_words = words_of(condition)
                words = text_of(as_read(condition).unnest()) if exact_words is None else PLACE.join(exact_words)
            except GemelError:
                words = " ".join(text.split())
            return Derivation(words, tuple(parts))

        return Derivation("", tuple(parts), exact=exact)


def flag_of(tree: exp.Expr) -> exp.Expr:
    """`flag` of `CASE WHEN flag THEN 1 ELSE 0 END`; any other tree unchanged."""
    match tree:
        case exp.Case(args={"this": None, "ifs": [only], "default": exp.Literal(this="0")}):
            return only.this if isinstance(only.args["true"], exp.Literal) and only.args["true"].this == "1" else tree
        case _:
            return tree


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
