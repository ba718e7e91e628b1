"""The types in the warehouse of all expressions that definitions have over its tables, read once for each table."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlglot import exp

from gemel.checks.metrics import about_measure
from gemel.checks.missing import explain_expression, explain_table
from gemel.compiler.compiled import compile_select
from gemel.compiler.names.composites import components
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import Refused, column
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, GemelError
from gemel.run import Runner
from gemel.spec.manifest import Entity, Relation
from gemel.spec.project import DbtProject

Texts = dict[str, About]
"""SQL expressions over one table, each with the first definition that uses it."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The types of expressions over tables, as the engine spells them, and the problems of reading them."""

    types: dict[tuple[Relation, str], str]
    problems: tuple[GemelError, ...]

    def type(self, relation: Relation, text: str) -> str | None:
        """None if the warehouse refuses the expression, which is among the problems."""
        return self.types.get((relation, text))


def read_types(
    graph: Graph,
    warehouse: Runner,
    dbt: DbtProject | None = None,
    *,
    relations: Collection[Relation] | None = None,
) -> Tables:
    """One query for each table, or for each of these; if that fails, one for each of its expressions."""
    types: dict[tuple[Relation, str], str] = {}
    problems: list[GemelError] = []
    for relation, texts in _texts(graph).items():
        if relations is not None and relation not in relations:
            continue
        try:
            types |= _types(graph, warehouse, relation, texts)
        except GemelError:
            for text, error in _one_by_one(graph, warehouse, relation, texts, types):
                about = texts[text] if text else _owner(texts)
                if text:
                    error = explain_expression(error, about, relation, warehouse)
                else:
                    error = explain_table(error, relation, warehouse, dbt or DbtProject())
                error.about = about
                problems.append(error)
    return Tables(types, tuple(problems))


def keys_of(graph: Graph, entity: Entity) -> tuple[str, ...]:
    """The expression of an entity; of a composite one, each of its columns."""
    return graph.texts.own(entity.expr).parts if components(graph.texts, entity) else (entity.expr,)


def spine_column(name: str) -> str:
    return column(name).sql(DIALECT)


def select_from(graph: Graph, warehouse: Runner, relation: Relation, texts: list[str]) -> exp.Select:
    """`SELECT <text> AS c0, ... FROM <relation>`, for expressions that can be parsed."""
    values = [exp.alias_(graph.texts.over(relation.name, text).copy(), f"c{i}") for i, text in enumerate(texts)]
    table = warehouse.table(relation)
    return exp.select(*values).from_(exp.alias_(table, exp.to_identifier(relation.name, quoted=True), table=True))


def _texts(graph: Graph) -> dict[Relation, Texts]:
    texts_by_relation: dict[Relation, Texts] = {}

    def add(relation: Relation, text: str, about: About) -> None:
        texts_by_relation.setdefault(relation, {}).setdefault(text, about)

    for model in graph.models.values():
        for entity in model.entities:
            for text in keys_of(graph, entity):
                add(model.relation, text, About("semantic_model", model.name, entity.name))
        for dimension in model.dimensions:
            add(model.relation, dimension.expr, About("semantic_model", model.name, dimension.name))
    for measure in graph.manifest.measures:
        relation = graph.models[measure.model].relation
        add(relation, measure.expr, about_measure(graph, measure))
    for spine in graph.spines:
        for name in (spine.column, *(custom for _, custom in spine.custom)):
            add(spine.relation, spine_column(name), About("time_spine", spine.relation.name))
    return {relation: _readable(graph, texts) for relation, texts in texts_by_relation.items()}


def _readable(graph: Graph, texts: Texts) -> Texts:
    """The texts that can be parsed; another rule reports the rest."""
    kept: Texts = {}
    for text, about in texts.items():
        try:
            graph.texts.scalar(text)
        except Refused:
            continue
        kept[text] = about
    return kept


def _types(graph: Graph, warehouse: Runner, relation: Relation, texts: Texts) -> dict[tuple[Relation, str], str]:
    if not texts:
        return {}
    select = select_from(graph, warehouse, relation, list(texts))
    described = warehouse.describe(compile_select(select, warehouse.dialect))
    return {(relation, text): kind for text, (_, kind) in zip(texts, described, strict=True)}


def _one_by_one(
    graph: Graph, warehouse: Runner, relation: Relation, texts: Texts, types: dict[tuple[Relation, str], str]
) -> Iterator[tuple[str | None, GemelError]]:
    """Each expression that the warehouse refuses, with its error; None stands for a table that is missing."""
    try:
        _types(graph, warehouse, relation, {"1": _owner(texts)})
    except GemelError as error:
        yield None, error
        return
    for text, about in texts.items():
        try:
            types |= _types(graph, warehouse, relation, {text: about})
        except GemelError as error:
            yield text, error


def _owner(texts: Texts) -> About:
    about = next(iter(texts.values()))
    return About(about.kind, about.name)
