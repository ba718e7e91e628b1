"""What a metric or feature means, as a text without the names that mean nothing, and as the parts it is made of."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

from sqlglot import exp

from gemel.compiler.features.histories import own_row
from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.terms import Formula, Key, Leaf, PerEntity, Predicate, Term, Trailing
from gemel.compiler.question.expressions import Refused
from gemel.diff.models import Models
from gemel.engines.duckdb import DIALECT
from gemel.spec.manifest import Dimension, Entity, Relation, SemanticModel
from gemel.spec.metrics import Measure
from gemel.tracing.derivations import digest
from gemel.tracing.expressions import text_of

Part = tuple[str, str]
"""`("measure", "late_departures")`: a kind of definition and a name; kind "" is the definition's own text."""

OWN: Part = ("", "")


class Teller:
    """Tells one definition. `parts` are what was come by: each with a text that changes when it does."""

    def __init__(self, graph: Graph, models: Models, texts: dict[str, str] | None = None) -> None:
        self.graph = graph
        self.models = models
        self.parts: dict[Part, str] = {}
        self._texts: dict[str, str] = {} if texts is None else texts

    def fresh(self) -> "Teller":
        """One that tells of the same state, without the parts of this one."""
        return Teller(self.graph, self.models, self._texts)

    def tell(self, value: object) -> str:
        match value:
            case Leaf():
                own = (value.measure, value.time, value.keys, value.span, value.fill, value.spine)
                filters = sorted(self.tell(each) for each in value.filters)
                spine = self.spines() if value.spine else ""
                return f"Leaf({self.tell(own)}, where {' and '.join(filters)}{spine})"
            case Trailing():
                over = (value.window, value.grain_to_date, value.period_agg)
                return f"Trailing({self.tell(value.leaf)}, {self.tell(over)}, {self.spines()})"
            case Formula():
                return self.formula(value)
            case Measure():
                return self.measure(value)
            case Attribute():
                return self.attribute(value)
            case PerEntity():
                return f"PerEntity({self.tell((value.term, value.attributes))})"
            case Predicate():
                return f"{text_of(value.template.tree)} of {self.tell(value.operands)} {value.outer}"
            case Key():
                spine = self.spines() if value.grain in self.graph.custom_grains else ""
                return f"Key({value.grain}, {value.part}, {value.component}, {value.is_metric_time}{spine})"
            case exp.Expr():
                return text_of(value)
            case tuple():
                return f"({', '.join(map(self.tell, value))})"
            case _ if is_dataclass(value):
                parts = (f"{field.name}={self.tell(getattr(value, field.name))}" for field in fields(value))
                return f"{type(value).__name__}({', '.join(parts)})"
            case _:
                return repr(value)

    def formula(self, formula: Formula) -> str:
        """Its inputs are told in the order in which they are used, whatever they are called."""
        inputs = dict(formula.inputs)
        used = dict.fromkeys(node.name for node in formula.expression.find_all(exp.Column, bfs=False))
        numbers = {name: f"i{place}" for place, name in enumerate(used)}
        renamed = formula.expression.transform(
            lambda node: exp.column(numbers[node.name]) if isinstance(node, exp.Column) else node
        )
        told = [self.tell(inputs[name]) for name in used]
        beside = sorted(self.tell(term) for name, term in inputs.items() if name not in used)
        return f"Formula({text_of(renamed)}; {'; '.join(told)}; beside {beside})"

    def measure(self, measure: Measure) -> str:
        model = self.graph.models[measure.model]
        own = [measure.agg, self.expr(measure.expr)]
        if measure.percentile:
            own.append(repr(measure.percentile))
        if measure.non_additive:
            over = self.graph.dimension(model.name, measure.non_additive.dimension)
            groups = [self.graph.entity(model.name, name) for name in measure.non_additive.groupings]
            own += [measure.non_additive.choice, *(self.element(model, each) for each in (over, *groups) if each)]
        told = " ".join(own)
        self.parts["measure", measure.name] = told
        return digest(told, self.relation(model), self.columns(model, [measure.expr]))

    def attribute(self, attribute: Attribute) -> str:
        told, here = [self.relation(self.graph.models[attribute.home])], self.graph.models[attribute.home]
        for hop in attribute.hops:
            there = self.graph.models[hop.model]
            for model in (here, there):
                entity = self.graph.entity(model.name, hop.entity)
                if entity:
                    told.append(self.element(model, entity))
            told.append(self.relation(there))
            told += [self.element(there, each) for each in there.dimensions if each.validity]
            here = there
        told.append(self.element(here, attribute.element))
        return digest(*told, str(attribute.grain), str(attribute.part), str(attribute.component))

    def element(self, model: SemanticModel, element: Dimension | Entity) -> str:
        told = element_text(self, element)
        self.parts["entity" if isinstance(element, Entity) else "dimension", f"{model.name}.{element.name}"] = told
        return digest(told, self.columns(model, [element.expr]))

    def relation(self, model: SemanticModel) -> str:
        told = self.place(model.relation)
        self.parts["semantic model", model.name] = told
        node = self.models.dbt.node_at(model.relation)
        if node is None:
            return told
        rows = self.models.rows(node.id)
        self.parts["rows", node.name] = rows
        return digest(told, rows)

    def spines(self) -> str:
        """The time spines, for what has a row in every bucket of time, or a custom grain."""
        told = []
        for spine in self.graph.spines:
            told.append(f"{self.place(spine.relation)} {spine.grain} {sorted(spine.custom)}")
            node = self.models.dbt.node_at(spine.relation)
            if node is not None:
                self.parts["rows", node.name] = self.models.rows(node.id)
                told.append(self.parts["rows", node.name])
                for name in (spine.column, *(column for _, column in spine.custom)):
                    self.parts["column", f"{node.name}.{name}"] = self.models.column(node.id, name)
                    told.append(self.parts["column", f"{node.name}.{name}"])
        return digest(*told)

    def columns(self, model: SemanticModel, texts: Iterable[str]) -> str:
        """What the columns in some expressions over a model are computed from, as far as dbt's SQL tells."""
        node = self.models.dbt.node_at(model.relation)
        if node is None:
            return ""
        told = []
        for name in dict.fromkeys(name for text in texts for name in self.names(text)):
            told.append(self.models.column(node.id, name))
            self.parts["column", f"{node.name}.{name}"] = told[-1]
        return digest(*told)

    def names(self, text: str) -> Iterator[str]:
        try:
            yield from (column.name.lower() for column in self.graph.texts.scalar(text).find_all(exp.Column))
        except Refused:
            return

    def expr(self, text: str) -> str:
        if text not in self._texts:
            try:
                self._texts[text] = sql_of(self.graph.texts.scalar(text))
            except Refused:
                self._texts[text] = " ".join(text.split())
        return self._texts[text]

    def place(self, relation: Relation) -> str:
        """The dbt node, wherever it is built; without dbt's manifest, the table."""
        node = self.models.dbt.node_at(relation)
        return node.id if node else ".".join(filter(None, (relation.database, relation.schema, relation.name)))

    def term(self, term: Term) -> str:
        return digest(self.tell(term))

    def own_dimension(self, entities: tuple[str, ...], name: str) -> str:
        """A dimension of an entity's own row, as a feature takes it."""
        own = own_row(self.graph, entities, name)
        key = self.graph.entity(own.model.name, own.entity)
        edges = [self.element(own.model, each) for each in own.edges]
        keyed = [self.element(own.model, key)] if key else []
        return digest(self.relation(own.model), *keyed, *edges, self.element(own.model, own.dimension))


def element_text(teller: Teller, element: Dimension | Entity) -> str:
    match element:
        case Entity():
            return f"{element.type} {teller.expr(element.expr)}"
        case Dimension():
            more = [element.grain, element.validity, "partition" if element.is_partition else None]
            return " ".join([teller.expr(element.expr), *(each for each in more if each)])


def sql_of(tree: exp.Expr) -> str:
    """The tree as SQL, names in lower case where nothing quotes them, without brackets around all of it."""

    def plain(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Identifier):
            return exp.to_identifier(node.name if node.quoted else node.name.lower(), quoted=False)
        return node

    told = tree.transform(plain)
    while isinstance(told, exp.Paren):
        told = told.this
    return str(told.sql(DIALECT, comments=False, normalize_functions="upper"))
