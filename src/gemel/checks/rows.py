"""Rules over rows: a time spine has each time once, and a key is unique."""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from sqlglot import exp

from gemel.checks.tables import Tables, keys_of, select_from, spine_column
from gemel.checks.types import family
from gemel.compiler.compiled import compile_select
from gemel.compiler.names.graph import LISTED_HOPS, Graph
from gemel.compiler.plan.facts import truncated
from gemel.compiler.question.expressions import column
from gemel.errors import About, DefinitionError, GemelError
from gemel.run import Runner
from gemel.spec.manifest import SemanticModel
from gemel.spec.time import Window, finer, seconds


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


def keys(graph: Graph, tables: Tables, warehouse: Runner) -> Iterator[GemelError]:
    """A key that other models join by has one row for each value; in a history, one for each value and moment; in a
    partitioned table, one in each partition, if the facts lead through that partition."""
    for (entity, name, partitions), home in sorted(_joins(graph).items()):
        model, key = graph.models[name], graph.entity(name, entity)
        assert key is not None
        texts = list(keys_of(graph, key))
        if any(tables.type(model.relation, text) is None for text in texts):
            continue
        find_example = _find_overlap if graph.ways.has_validity(name) else _find_duplicate
        parts = [dimension.expr for dimension in model.dimensions if dimension.name in partitions]
        example = find_example(graph, warehouse, model, texts, parts)
        if example is not None:
            missing = [each.name for each in model.dimensions if each.is_partition and each.name not in partitions]
            whose = (
                f"of {home!r}, which do not join it by partition {', '.join(missing)}," if missing else "that join it"
            )
            hint = "make the rows of the dbt model unique (a `unique` test checks it), or make the entity foreign"
            if missing:
                hint = f"give {home!r} the dimension {missing[0]!r} with `is_partition: true`, or make its key unique"
            message = f"entity {entity!r} is {key.type} in semantic model {name!r}, but {example}: facts {whose} are "
            about = About("semantic_model", name, entity)
            yield DefinitionError("G166", f"{message}counted more than once", hint=hint, about=about)


def _joins(graph: Graph) -> dict[tuple[str, str, tuple[str, ...]], str]:
    """The entity, the model and the partitions of each join, with a model that leads to it: one with facts, if any."""
    joins: dict[tuple[str, str, tuple[str, ...]], str] = {}
    for home in dict.fromkeys(measure.model for measure in graph.manifest.measures):
        for length in range(1, LISTED_HOPS + 1):
            for walk in graph.ways.walks(home, (), length):
                partitions = tuple(sorted(name for _, name in graph.ways.partitions(home, walk)))
                joins.setdefault((walk[-1].entity, walk[-1].model, partitions), home)
    by_facts = {(entity, model) for entity, model, _ in joins}
    for home in graph.models:
        for hop in graph.ways.hops(home):
            if (hop.entity, hop.model) not in by_facts:
                partitions = tuple(sorted(name for _, name in graph.ways.partitions(home, (hop,))))
                joins.setdefault((hop.entity, hop.model, partitions), home)
    return joins


def _find_duplicate(
    graph: Graph, warehouse: Runner, model: SemanticModel, texts: list[str], parts: list[str]
) -> str | None:
    """The value with the most rows in one partition. `parts` are the columns of partitions."""
    columns = [column(f"c{place}", "keys") for place in range(len(texts) + len(parts))]
    inner = select_from(graph, warehouse, model.relation, [*texts, *parts]).subquery("keys")
    count = exp.Count(this=exp.Star())
    select = (
        exp.select(*columns[: len(texts)], exp.alias_(count, "rows"))
        .from_(inner)
        .where(*(_is_there(each) for each in columns[: len(texts)]))
        .group_by(*columns)
        .having(exp.GT(this=count.copy(), expression=exp.Literal.number(1)))
        .order_by(exp.Ordered(this=exp.to_identifier("rows"), desc=True))
        .limit(1)
    )
    for *key, rows in _query(warehouse, select):
        return f"{_format_key(key)} has {rows:,} rows"
    return None


def _find_overlap(
    graph: Graph, warehouse: Runner, model: SemanticModel, texts: list[str], parts: list[str]
) -> str | None:
    """A value with a row that is still valid when the next one starts."""
    edges = {dimension.validity: dimension.expr for dimension in model.dimensions if dimension.validity}
    if set(edges) != {"start", "end"}:
        return None
    texts = [*texts, *parts]
    inner = select_from(graph, warehouse, model.relation, [*texts, edges["start"], edges["end"]]).subquery("keys")
    columns = [column(f"c{place}", "keys") for place in range(len(texts) + 2)]
    *key, start, _ = columns
    order = exp.Order(expressions=[exp.Ordered(this=start.copy())])
    following = exp.Window(this=exp.Lead(this=start.copy()), partition_by=[each.copy() for each in key], order=order)
    rows = exp.select(*columns, exp.alias_(following, "following")).from_(inner).subquery("histories")
    here = [column(f"c{place}", "histories") for place in range(len(texts) + 2)]
    later = column("following", "histories")
    too_long = exp.or_(exp.Is(this=here[-1].copy(), expression=exp.null()), exp.GT(this=here[-1], expression=later))
    conditions = [_is_there(later), *(_is_there(each) for each in here[: len(texts)]), too_long]
    for example in _query(
        warehouse, exp.select(*here[: len(texts)], later.copy()).from_(rows).where(*conditions).limit(1)
    ):
        return f"{_format_key(example[:-1])} has two rows that are valid at {example[-1]}"
    return None


def _is_there(value: exp.Expr) -> exp.Expr:
    return exp.Is(this=value.copy(), expression=exp.Not(this=exp.null()))


def _format_key(key: Iterable[object]) -> str:
    return ", ".join(str(part)[:60] for part in key)


def _query(warehouse: Runner, select: exp.Select) -> list[tuple[Any, ...]]:
    return warehouse.rows(compile_select(select, warehouse.dialect)).rows()
