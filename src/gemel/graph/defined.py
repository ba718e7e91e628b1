"""Definitions with their derivations, as they are added: names, tables, expressions and joins."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from gemel.compiler.names.entities import readings
from gemel.compiler.names.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.question.expressions import Refused, references_of
from gemel.compiler.question.own import words_of
from gemel.compiler.question.query import Item, MetricItem
from gemel.compiler.question.verbatim import as_read
from gemel.errors import GemelError
from gemel.graph.nodes import Definitions, Gap, Node
from gemel.spec.manifest import Dimension, Entity, Relation, SemanticModel, TimeSpine
from gemel.spec.metrics import Measure
from gemel.spec.project import DbtProject
from gemel.tracing.derivations import Derivation, Part, Why
from gemel.tracing.expressions import PLACE, bearing, read_expression, root_of, text_of
from gemel.tracing.scopes import field_of


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
        for model in sorted(self.graph.models.values(), key=lambda model: model.name):
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
