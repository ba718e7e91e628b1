"""Rules over rows: a time spine has each time once, and a key is unique."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from gemel.checks.tables import Tables, keys_of, select_from, spine_column
from gemel.checks.types import family
from gemel.compiler.compiled import compile_select
from gemel.compiler.names.graph import LISTED_HOPS, Graph
from gemel.compiler.names.joins import Hop
from gemel.compiler.names.terms import Resolved, attributes_of
from gemel.compiler.plan.facts import truncated, versions_of
from gemel.compiler.question.expressions import column
from gemel.compiler.sql.overlaps import overlaps
from gemel.errors import About, DefinitionError, GemelError
from gemel.histories import overlapping
from gemel.run import Runner
from gemel.spec.manifest import SemanticModel
from gemel.spec.time import Window, finer, seconds

EXAMPLES = 3


def time_spines(graph: Graph, tables: Tables, warehouse: Runner) -> Iterator[GemelError]:
    """A duplicate time of a spine counts facts twice; a missing time is missing in every result. Spines finer than an
    hour are long, and not checked."""
    for spine in graph.spines:
        kind = tables.type(spine.relation, spine_column(spine.column))
        if family(kind) != "time" or finer(spine.grain, "hour"):
            continue
        value = truncated(column("c0", "steps"), spine.grain, None)
        source = select_from(graph, warehouse, spine.relation, [spine_column(spine.column)])
        different = exp.Count(this=exp.Distinct(expressions=[value]))
        outputs = [exp.Count(this=value), different, exp.Min(this=value), exp.Max(this=value)]
        select = exp.select(*(each.copy() for each in outputs)).from_(source.subquery("steps"))
        [(rows, steps, first, last)] = _query(warehouse, select)
        about = About("time_spine", spine.relation.name)
        name = f"time spine {spine.relation.name!r}"
        if not rows:
            message = f"{name} is empty: metrics that are accumulated, offset or filled return no rows"
            yield DefinitionError(
                "G165", message, hint="run `dbt build`, which fills it", about=about, severity="warning"
            )
        elif rows > steps:
            yield DefinitionError(
                "G164",
                f"{name} has {rows - steps:,} more rows than {spine.grain}s: facts that join it are counted twice",
                hint=f"keep one row for each {spine.grain}",
                about=about,
            )
        elif (missing := _between(first, last, spine.grain) - steps) > 0:
            yield DefinitionError(
                "G165",
                f"{name} lacks {missing:,} {spine.grain}s between {_day(first)} and {_day(last)}",
                hint=f"add one row for each {spine.grain}; `dbt_utils.date_spine` generates them",
                about=about,
                severity="warning",
            )


def _between(first: dt.date, last: dt.date, grain: str) -> int:
    """The number of steps from `first` to `last`, both included."""
    months = 12 * (last.year - first.year) + last.month - first.month
    match grain:
        case "month" | "quarter" | "year":
            return months // {"month": 1, "quarter": 3, "year": 12}[grain] + 1
        case _:
            return int((last - first).total_seconds() // seconds(Window(1, grain))) + 1


def _day(moment: dt.date) -> str:
    return str(moment).removesuffix(" 00:00:00")


def histories(graph: Graph, tables: Tables, warehouse: Runner) -> Iterator[GemelError]:
    """A history has one row for each key and moment: facts that join two are counted more than once. A row that ends
    before it starts is a warning, as it is never joined."""
    joins = [join for join in _all_joins(graph) if graph.ways.has_validity(join.model)]
    joined = {(join.entity, join.model) for join in joins}
    alone = [
        Join(key.name, model.name, tuple(each.name for each in model.dimensions if each.is_partition))
        for model in graph.models.values()
        for key in model.entities
        if graph.ways.has_validity(model.name) and key.type != "foreign" and (key.name, model.name) not in joined
    ]
    for join in _sorted([*joins, *alone]):
        if _is_typed(graph, tables, join):
            found = _overlap(graph, warehouse, join)
            if found is not None:
                found.severity = "error" if join in joins else "warning"
                yield found
    for name in dict.fromkeys(join.model for join in _sorted([*joins, *alone]) if _is_typed(graph, tables, join)):
        yield from _inverted(graph, warehouse, graph.models[name])


def keys(graph: Graph, tables: Tables, warehouse: Runner) -> Iterator[GemelError]:
    """A key that other models join by has one row for each value; in a partitioned table, one in each partition, if the
    facts lead through that partition. A duplicate key that no model joins by is a warning."""
    joins = _all_joins(graph)
    plain = {
        join: home
        for join, home in joins.items()
        if not graph.ways.has_validity(join.model) and _is_typed(graph, tables, join)
    }
    yield from joined_keys(graph, warehouse, plain)
    joined = {(join.entity, join.model) for join in joins}
    for model in graph.models.values():
        if graph.ways.has_validity(model.name):
            continue
        for key in model.entities:
            if key.type in ("primary", "unique") and (key.name, model.name) not in joined:
                partitions = tuple(each.name for each in model.dimensions if each.is_partition)
                join = Join(key.name, model.name, partitions)
                example = _find_examples(graph, warehouse, join) if _is_typed(graph, tables, join) else None
                if example is not None:
                    message = f"entity {key.name!r} is {key.type} in semantic model {model.name!r}, but {example}"
                    about = About("semantic_model", model.name, key.name)
                    yield DefinitionError("G166", message, hint=_UNIQUE, about=about, severity="warning")


_UNIQUE = "make the rows of the dbt model unique (a `unique` test checks it), or make the entity foreign"


@dataclass(frozen=True, slots=True)
class Join:
    """A many-to-one join over `entity` to `model`, by some of its partition dimensions."""

    entity: str
    model: str
    partitions: tuple[str, ...]


Joins = Mapping[Join, str]
"""Joins, each with a model that leads to it."""


def joined_keys(graph: Graph, warehouse: Runner, joins: Joins) -> Iterator[GemelError]:
    """The keys with several rows for one value, by which a join counts facts more than once."""
    for join in _sorted(joins):
        home = joins[join]
        if graph.ways.has_validity(join.model):
            found = _overlap(graph, warehouse, join)
            yield from [found] if found else []
            continue
        example = _find_examples(graph, warehouse, join)
        if example is None:
            continue
        model, key = graph.models[join.model], graph.entity(join.model, join.entity)
        assert key is not None
        missing = [each.name for each in model.dimensions if each.is_partition and each.name not in join.partitions]
        whose = f"of {home!r}, which do not join it by partition {', '.join(missing)}," if missing else "that join it"
        hint = _UNIQUE
        if missing:
            hint = f"give {home!r} the dimension {missing[0]!r} with `is_partition: true`, or make its key unique"
        message = (
            f"entity {key.name!r} is {key.type} in semantic model {model.name!r}, but {example}: facts {whose} are "
        )
        about = About("semantic_model", model.name, key.name)
        yield DefinitionError("G166", f"{message}counted more than once", hint=hint, about=about)


def _sorted(joins: Iterable[Join]) -> list[Join]:
    return sorted(joins, key=lambda join: (join.entity, join.model, join.partitions))


def joins_of(graph: Graph, resolved: Resolved) -> Joins:
    """The joins that answer a query, also those of its filters and of metrics that it filters by."""
    joins: dict[Join, str] = {}
    for attribute in attributes_of(resolved):
        for length in range(1, len(attribute.hops) + 1):
            joins.setdefault(_join(graph, attribute.home, attribute.hops[:length]), attribute.home)
    return joins


def _all_joins(graph: Graph) -> Joins:
    """Each join with a model that leads to it: one with facts, if any."""
    joins: dict[Join, str] = {}
    for home in dict.fromkeys(measure.model for measure in graph.manifest.measures):
        for length in range(1, LISTED_HOPS + 1):
            for walk in graph.ways.walks(home, (), length):
                joins.setdefault(_join(graph, home, walk), home)
    by_facts = {(join.entity, join.model) for join in joins}
    for home in graph.models:
        for hop in graph.ways.hops(home):
            if (hop.entity, hop.model) not in by_facts:
                joins.setdefault(_join(graph, home, (hop,)), home)
    return joins


def _join(graph: Graph, home: str, hops: tuple[Hop, ...]) -> Join:
    partitions = tuple(sorted(name for _, name in graph.ways.partitions(home, hops)))
    return Join(hops[-1].entity, hops[-1].model, partitions)


def _is_typed(graph: Graph, tables: Tables, join: Join) -> bool:
    """Whether the warehouse accepts the key, and the times of a history; otherwise another rule reports it."""
    model = graph.models[join.model]
    edges = [tables.type(model.relation, each.expr) for each in model.dimensions if each.validity]
    if not all(kind and family(kind) == "time" for kind in edges):
        return False
    return all(tables.type(model.relation, text) is not None for text in _key_texts(graph, join))


def _key_texts(graph: Graph, join: Join) -> list[str]:
    key = graph.entity(join.model, join.entity)
    assert key is not None
    return list(keys_of(graph, key))


def _find_examples(graph: Graph, warehouse: Runner, join: Join) -> str | None:
    """`7 has 2 rows`, for a key that is not unique; None if it is."""
    model = graph.models[join.model]
    texts = _key_texts(graph, join)
    # The values with the most rows in one partition.
    parts = [dimension.expr for dimension in model.dimensions if dimension.name in join.partitions]
    columns = [column(f"c{place}", "keys") for place in range(len(texts) + len(parts))]
    inner = select_from(graph, warehouse, model.relation, [*texts, *parts]).subquery("keys")
    count = exp.Count(this=exp.Star())
    select = (
        exp.select(*columns[: len(texts)], exp.alias_(count, "rows"))
        .from_(inner)
        .where(*(_is_there(each) for each in columns[: len(texts)]))
        .group_by(*columns)
        .having(exp.GT(this=count.copy(), expression=exp.Literal.number(1)))
        .order_by(exp.Ordered(this=exp.to_identifier("rows"), desc=True), *(each.copy() for each in columns))
        .limit(EXAMPLES)
    )
    examples = [f"{_format_key(key)} has {rows:,} rows" for *key, rows in _query(warehouse, select)]
    return " and ".join(filter(None, [", ".join(examples[:-1]), *examples[-1:]])) or None


def _overlap(graph: Graph, warehouse: Runner, join: Join) -> DefinitionError | None:
    """The error for a history with two rows for one key and moment; None if it has none."""
    model = graph.models[join.model]
    versions = versions_of(graph, model, join.entity, model.relation.name, partitions=join.partitions)
    table = warehouse.table(model.relation)
    for example in _query(warehouse, overlaps(versions, table, model.relation.name).limit(1)):
        return overlapping(versions, example)
    return None


def _inverted(graph: Graph, warehouse: Runner, model: SemanticModel) -> Iterator[GemelError]:
    """The rows of a history that end before they start."""
    edges = {each.validity: each.expr for each in model.dimensions if each.validity}
    if set(edges) != {"start", "end"}:
        return
    inner = select_from(graph, warehouse, model.relation, [edges["start"], edges["end"]]).subquery("rows")
    start, end = column("c0", "rows"), column("c1", "rows")
    select = exp.select(exp.Count(this=exp.Star()), exp.Max(this=start.copy())).from_(inner)
    [(number, example)] = _query(warehouse, select.where(exp.LT(this=end, expression=start)))
    if number:
        yield DefinitionError(
            "G172",
            f"{number:,} {'row' if number == 1 else 'rows'} of semantic model {model.name!r}, a history, "
            f"{'ends' if number == 1 else 'end'} before {'it starts' if number == 1 else 'they start'}, such as the "
            f"one from {_day(example)} on: no fact joins {'it' if number == 1 else 'them'}",
            hint="correct the start or the end in the dbt model",
            about=About("semantic_model", model.name),
            severity="warning",
        )


def _is_there(value: exp.Expr) -> exp.Expr:
    return exp.Is(this=value.copy(), expression=exp.Not(this=exp.null()))


def _format_key(key: Iterable[object]) -> str:
    return ", ".join(str(part)[:60] for part in key)


def _query(warehouse: Runner, select: exp.Select) -> list[tuple[Any, ...]]:
    return warehouse.rows(compile_select(select, warehouse.dialect)).rows()
