"""Types in the warehouse that do not fit a definition. Some of its queries would fail in the engine, others would
return wrong numbers."""

from collections.abc import Iterator
from typing import Literal, assert_never

from gemel.checks.metrics import about_measure
from gemel.checks.tables import Tables, keys_of, spine_column
from gemel.compiler.names.graph import Graph
from gemel.errors import About, DefinitionError, GemelError
from gemel.spec.metrics import Measure
from gemel.spec.time import finer

Family = Literal["number", "text", "time", "boolean"]

_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"), "number"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "BIGNUM"), "number"),
    **dict.fromkeys(("VARCHAR", "ENUM"), "text"),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"), "time"),
    "TIMESTAMP WITH TIME ZONE": "time",
    "BOOLEAN": "boolean",
}


def family(kind: str | None) -> Family | None:
    """`DECIMAL(18,3)` -> `number`; None for other types, and for an unknown type."""
    return None if kind is None or kind.endswith("]") else _FAMILIES.get(kind.partition("(")[0])


def times(graph: Graph, tables: Tables) -> Iterator[GemelError]:
    """Time dimensions, starts and ends of histories and time spines are dates or timestamps."""
    for model in graph.models.values():
        for dimension in model.dimensions:
            kind = tables.type(model.relation, dimension.expr)
            about = About("semantic_model", model.name, dimension.name)
            if not dimension.is_time or kind is None:
                continue
            if family(kind) != "time":
                yield _no_time(f"time dimension {dimension.name!r} of semantic model {model.name!r}", kind, about)
            elif kind == "DATE" and finer(dimension.grain or "day", "day"):
                yield DefinitionError(
                    "G163",
                    f"time dimension {dimension.name!r} has granularity {dimension.grain}, but is a DATE",
                    hint="set `time_granularity: day`",
                    about=about,
                    severity="warning",
                )
    for spine in graph.spines:
        kind = tables.type(spine.relation, spine_column(spine.column))
        if kind is not None and family(kind) != "time":
            about = About("time_spine", spine.relation.name)
            yield _no_time(f"column {spine.column!r} of time spine {spine.relation.name!r}", kind, about)


def _no_time(what: str, kind: str, about: About) -> GemelError:
    return DefinitionError(
        "G160",
        f"{what} is {kind} in the warehouse, which is not a time",
        hint="convert it to DATE or TIMESTAMP, in the dbt model or in its expr",
        about=about,
    )


def join_keys(graph: Graph, tables: Tables) -> Iterator[GemelError]:
    """Both sides of a join have the same kind of type: the text '07' is not a number."""
    for left in graph.models.values():
        for hop in graph.ways.hops(left.name):
            right = graph.models[hop.model]
            near, far = graph.entity(left.name, hop.entity), graph.entity(right.name, hop.entity)
            if near is None or far is None:
                continue
            for one, other in zip(keys_of(graph, near), keys_of(graph, far), strict=False):
                kinds = tables.type(left.relation, one), tables.type(right.relation, other)
                families = [family(kind) for kind in kinds]
                if None not in families and families[0] != families[1]:
                    yield DefinitionError(
                        "G161",
                        f"entity {hop.entity!r} is {kinds[0]} in semantic model {left.name!r}, but {kinds[1]} in "
                        f"{right.name!r}: equal keys may not match",
                        hint="convert one of them in its dbt model",
                        about=About("semantic_model", left.name, hop.entity),
                    )


def aggregates(graph: Graph, tables: Tables) -> Iterator[GemelError]:
    """Texts have no sum and no average, and `sum_boolean` counts only booleans and numbers."""
    for measure in graph.manifest.measures:
        relation = graph.models[measure.model].relation
        kind = tables.type(relation, measure.expr)
        kind_family = family(kind)
        if measure.is_flag:
            wrong, use = kind_family not in ("boolean", "number", None), "counts true values"
        else:
            wrong, use = kind_family in _not_aggregated(measure), f"has agg {measure.agg}"
        if wrong:
            yield DefinitionError(
                "G162",
                f"measure {measure.name!r} {use}, but {measure.expr} is {kind} in the warehouse",
                hint="convert it in the dbt model, or in the expr",
                about=about_measure(graph, measure),
            )


def _not_aggregated(measure: Measure) -> tuple[Family, ...]:
    """The types that a measure's aggregate does not accept."""
    match measure.agg:
        case "sum":
            return ("text", "time")
        case "average":
            return ("text",)
        case "percentile":
            return () if measure.percentile and measure.percentile.discrete else ("text",)
        case "count" | "count_distinct" | "min" | "max":
            return ()
        case _:
            assert_never(measure.agg)
