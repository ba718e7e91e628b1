"""What the definitions say of who is made of whom: from columns to metrics, saved queries and what people read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.compiler.names.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.question.expressions import Refused, references_of
from gemel.compiler.question.parsing import parse_item, parse_order
from gemel.compiler.question.query import Item, MetricItem
from gemel.dbt.dag import Dag, by_place, place_of
from gemel.errors import GemelError
from gemel.graph.graph import Definitions, Edge, Gap, Node
from gemel.spec.manifest import Dimension, Entity, Relation, SavedQuery, SemanticModel
from gemel.spec.metrics import Measure, Metric, MetricInput
from gemel.tracing.derivations import Why
from gemel.tracing.expressions import bearing


def define(graph: Graph, dag: Dag) -> "Defined":
    """The semantic models, metrics and saved queries, as nodes and edges from columns on."""
    defined = Defined(graph, dag)
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
    """Definitions as they are gathered: each node, edge and name once."""

    graph: Graph
    dag: Dag
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    gaps: dict[Gap, None] = field(default_factory=dict)
    names: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    weak: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    _dimensions: dict[tuple[str, str], str] = field(default_factory=dict)
    _tables: dict[tuple[str | None, str | None, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tables = {place: table.name for place, table in by_place(self.dag).items()}
        taken: set[str] = set()
        for model in sorted(self.graph.models.values(), key=_name):
            for dimension in model.dimensions:
                name = self.dimension_names(model, dimension)[0]
                name = f"{model.name}.{dimension.name}" if name in taken else name
                taken.add(name)
                self._dimensions[model.name, dimension.name] = f"dimension:{name}"

    def done(self) -> Definitions:
        """All that was gathered, as it stays."""
        return Definitions(
            dict(self.nodes),
            tuple(self.edges),
            tuple(self.gaps),
            {name: tuple(ids) for name, ids in self.names.items()},
            {name: tuple(ids) for name, ids in self.weak.items()},
        )

    def add(self, node: Node, *names: str) -> str:
        self.nodes[node.id] = node
        for name in (node.name, *names):
            self.names[name][node.id] = None
        return node.id

    def link(self, sources: str | Iterable[str], target: str, why: Why) -> None:
        for source in (sources,) if isinstance(sources, str) else sources:
            self.edges[Edge(source, target, why)] = None

    def miss(self, node: str, reason: str) -> None:
        self.gaps[Gap(node, reason)] = None

    def table(self, relation: Relation) -> str:
        """What people call the table of a semantic model or time spine."""
        return self._tables.get(place_of(relation)) or relation.name

    def dimension_names(self, model: SemanticModel, dimension: Dimension) -> list[str]:
        prefixes = self.graph.ways.prefixes(model.name)
        return [*(f"{prefix}__{dimension.name}" for prefix in prefixes), f"{model.name}.{dimension.name}"]

    def dimension(self, model: str, name: str) -> str:
        return self._dimensions[model, name]

    def metric(self, name: str) -> str:
        """The node of a metric, or of the measure that stands for it."""
        measure = self.graph.metrics[name].bare_measure
        return f"metric:{name}" if measure is None else f"measure:{measure.name}"

    def homes(self, metrics: Iterable[str]) -> list[str]:
        """The models whose facts metrics count."""
        found: dict[str, None] = {}
        for name in metrics:
            if name in self.graph.metrics:
                found |= {measure.model: None for measure in self.graph.measures(self.graph.metrics[name])}
        return list(found)

    def expression(self, text: str, model: SemanticModel, target: str) -> list[tuple[str, Why]]:
        """The columns of a model in an expression, each with how it bears on the value."""
        table = self.table(model.relation)
        if text.isidentifier():
            return [(f"column:{table}.{text.lower()}", "identity")]
        try:
            tree = self.graph.texts.scalar(text)
        except Refused as refused:
            self.miss(target, f"its expr is not read: {refused}")
            return []
        return [(f"column:{table}.{name}", why) for name, why in columns_of(tree)]

    def link_seen(self, attribute: Attribute, target: str, why: Why) -> None:
        """A dimension or entity as facts see it, with the keys by which they get there, and the rows that they find."""
        match attribute.element:
            case Dimension(name=name):
                self.link(self.dimension(attribute.model, name), target, why)
            case Entity(name=name):
                self.link(f"entity:{attribute.model}.{name}", target, why)
        here = attribute.home
        for hop in attribute.hops:
            self.link([f"entity:{here}.{hop.entity}", f"entity:{hop.model}.{hop.entity}"], target, "join")
            self.link(f"rows:{self.table(self.graph.models[hop.model].relation)}", target, "join")
            here = hop.model

    def link_items(self, items: Iterable[Item | MetricItem], homes: Iterable[str], target: str, why: Why) -> None:
        """What stands in a filter or a group-by, seen from the facts of each of `homes`."""
        for item in items:
            asked = item.metric if isinstance(item, Item) and item.metric else item
            if isinstance(asked, MetricItem):
                if asked.metric in self.graph.metrics:
                    self.link(self.metric(asked.metric), target, "filter" if why == "filter" else "group_by")
                    self.link_items(asked.group_by, homes, target, "join")
                continue
            segments, _ = self.graph.split_grain(asked.segments)
            if segments == (METRIC_TIME,):
                continue  # each measure is linked to its own time
            for home in homes:
                found = self.graph.plain_attribute(home, segments)
                if found is None:
                    self.miss(target, f"{asked} cannot be found from semantic model {home!r}")
                else:
                    self.link_seen(found, target, why)

    def link_filters(self, texts: Iterable[str], homes: Iterable[str], target: str) -> None:
        for text in texts:
            try:
                self.link_items(references_of(text), homes, target, "filter")
            except GemelError as error:
                self.miss(target, error.message)


def columns_of(tree: exp.Expr) -> list[tuple[str, Why]]:
    """The names of the columns in an expression over one table, in lower case, each with how it bears on the value."""
    if isinstance(tree, exp.Column):
        return [(tree.name.lower(), "identity")]
    if isinstance(tree, exp.Tuple):  # a composite key
        return [(column.name.lower(), "identity") for column in tree.find_all(exp.Column)]
    tree = flag_of(tree.unnest())
    found = dict.fromkeys((column.name.lower(), bearing(column, tree)) for column in tree.find_all(exp.Column))
    return list(found)


def flag_of(tree: exp.Expr) -> exp.Expr:
    """The flag itself of `CASE WHEN flag THEN 1 ELSE 0 END`, which is the flag as a number."""
    match tree:
        case exp.Case(args={"this": None, "ifs": [only], "default": exp.Literal(this="0")}):
            return only.this if isinstance(only.args["true"], exp.Literal) and only.args["true"].this == "1" else tree
        case _:
            return tree


def _model(defined: Defined, model: SemanticModel) -> None:
    for dimension in model.dimensions:
        id = defined.dimension(model.name, dimension.name)
        names = [*defined.dimension_names(model, dimension), dimension.name]
        defined.add(Node("dimension", id.partition(":")[2], dimension.description), *names[:-2], names[-1])
        defined.weak[f"{model.name}.{dimension.name}"][id] = None
        for column, why in defined.expression(dimension.expr, model, id):
            defined.link(column, id, why)
    for entity in model.entities:
        node = Node("entity", f"{model.name}.{entity.name}", entity.description)
        defined.nodes[node.id] = node
        defined.names[entity.name][node.id] = None
        defined.weak[node.name][node.id] = None
        for column, why in defined.expression(entity.expr, model, node.id):
            defined.link(column, node.id, why)


def _measure(defined: Defined, measure: Measure) -> None:
    model = defined.graph.models[measure.model]
    id = defined.add(Node("measure", measure.name, measure.description))
    defined.weak[f"{model.name}.{measure.name}"][id] = None
    for column, why in defined.expression(measure.expr, model, id):
        defined.link(column, id, why if why in ("conditional", "window") else "aggregation")
    defined.link(f"rows:{defined.table(model.relation)}", id, "rows")
    if any(dimension.name == measure.time_dimension for dimension in model.dimensions):
        defined.link(defined.dimension(model.name, measure.time_dimension), id, "group_by")
    if measure.non_additive is not None:
        for name in (measure.non_additive.dimension, *measure.non_additive.groupings):
            if defined.graph.dimension(model.name, name) is not None:
                defined.link(defined.dimension(model.name, name), id, "window")
            elif defined.graph.entity(model.name, name) is not None:
                defined.link(f"entity:{model.name}.{name}", id, "window")


def _metric(defined: Defined, metric: Metric) -> None:
    owner = metric.meta.get("owner")
    about = metric.description or metric.label
    id = defined.add(Node("metric", metric.name, about, owner=owner if isinstance(owner, str) else None))
    try:
        defined.link_filters(metric.filters, defined.homes([metric.name]), id)
        _definition(defined, metric, id)
    except GemelError as error:
        defined.miss(id, error.message)


def _definition(defined: Defined, metric: Metric, id: str) -> None:
    definition = metric.definition
    if definition.measure is not None:
        why: Why = "identity" if definition.fill_nulls_with is None else "transformation"
        defined.link(f"measure:{definition.measure.name}", id, why)
    _inputs(defined, definition.inputs, id, "transformation" if definition.is_formula else "aggregation")
    if definition.on_spine:
        _spine(defined, metric, id)
    for used, elements in definition.matched:
        for home in defined.homes([used.name]):
            for name in elements:
                if defined.graph.dimension(home, name) is not None:
                    defined.link(defined.dimension(home, name), id, "join")
                else:
                    defined.link_items([parse_item(name)], [home], id, "join")


def _inputs(defined: Defined, inputs: Iterable[MetricInput], id: str, why: Why) -> None:
    for used in inputs:
        if used.name not in defined.graph.metrics:
            defined.miss(id, f"there is no metric {used.name!r}")
            continue
        defined.link(defined.metric(used.name), id, why)
        defined.link_filters((*used.filters, *_bare_filters(defined, used)), defined.homes([used.name]), id)


def _bare_filters(defined: Defined, used: MetricInput) -> Iterator[str]:
    metric = defined.graph.metrics[used.name]
    if metric.bare_measure is not None:
        yield from metric.filters


def _spine(defined: Defined, metric: Metric, id: str) -> None:
    """The time spine that the metric is put on when it is asked by time."""
    for measure in defined.graph.measures(metric):
        grain = defined.graph.time_dimension(measure).grain or "day"
        fit = [spine for spine in defined.graph.spines if defined.graph.spine(grain) == spine]
        for spine in fit:
            table = defined.table(spine.relation)
            defined.link([f"column:{table}.{spine.column.lower()}", f"rows:{table}"], id, "join")


def _saved_query(defined: Defined, query: SavedQuery) -> None:
    id = defined.add(Node("saved_query", query.name, query.description or query.label))
    defined.link([defined.metric(name) for name in query.metrics if name in defined.graph.metrics], id, "identity")
    try:
        homes = defined.homes(query.metrics) or list(defined.graph.models)
        items = [parse_item(text) for text in query.group_by]
        defined.link_items(items, homes, id, "identity")
        defined.link_filters(query.where, homes, id)
        asked = {*query.metrics, *(str(item) for item in items)}
        orders = [parse_order(text).key for text in query.order_by]
        defined.link_items([key for key in orders if str(key) not in asked], homes, id, "sort")
    except GemelError as error:
        defined.miss(id, error.message)
