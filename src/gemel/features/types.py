"""The types that a feature can have, with their names in Feast and in SQL."""

import re
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types

from gemel.compiler.names.decimals import keeps_digits
from gemel.compiler.names.graph import Graph
from gemel.spec.metrics import Metric


@dataclass(frozen=True, slots=True)
class Type:
    """`feast` is the name in feast.types, `value` the ValueType that an entity's key takes."""

    name: str
    sql: str
    feast: str
    value: str


TYPES = {
    type_.name: type_
    for type_ in (
        Type("int32", "INTEGER", "Int32", "INT32"),
        Type("int64", "BIGINT", "Int64", "INT64"),
        Type("float32", "FLOAT", "Float32", "FLOAT"),
        Type("float64", "DOUBLE", "Float64", "DOUBLE"),
        Type("string", "VARCHAR", "String", "STRING"),
        Type("bool", "BOOLEAN", "Bool", "BOOL"),
        Type("timestamp", "TIMESTAMP", "UnixTimestamp", "UNIX_TIMESTAMP"),
    )
}
KEYS = ("int32", "int64", "string")
"""The types that an entity's key can have: Feast's online stores compare keys byte by byte."""
LARGE = ("UBIGINT", "HUGEINT", "UHUGEINT")
"""Integers that may not fit into an int64: with such a key, for example a hash, `dbt build` can fail."""

# What the engine's DESCRIBE says, to the narrowest type that Feast keeps without loss. Integers are one width,
# so that a table that grows does not change its features' type.
_FROM_ENGINE = {
    r"(U?(TINY|SMALL)INT|U?INTEGER|U?BIGINT|U?HUGEINT)": "int64",
    r"(DOUBLE|FLOAT|DECIMAL(\(.*\))?)": "float64",
    r"(VARCHAR|UUID|ENUM\(.*\))": "string",
    r"BOOLEAN": "bool",
    r"(DATE|TIMESTAMP.*)": "timestamp",
}


def from_engine(described: str) -> str | None:
    """`DECIMAL(38,2)` -> `float64`; None for a type that no feature can have, such as a list."""
    for pattern, name in _FROM_ENGINE.items():
        if re.fullmatch(pattern, described.upper()):
            return name
    return None


def certain_type(graph: Graph, metric: Metric) -> str | None:
    """The type that follows from a metric's definition alone; None if it depends on columns. Feast has no decimals."""
    definition = metric.definition
    if keeps_digits(graph, metric):
        return "float64"
    if definition.dtype is not None:
        return definition.dtype
    if definition.measure is not None:
        keeps = definition.measure.agg in ("sum", "min", "max")
        integer = definition.measure.is_flag or _is_integer(graph, definition.measure.expr)
        return "int64" if keeps and integer else None
    types = {certain_type(graph, graph.input_metric(used, by=metric.name)) for used in definition.inputs}
    return types.pop() if len(types) == 1 else None


def _is_integer(graph: Graph, expr: str) -> bool:
    """Whether an expression is an integer whatever its columns are, such as `CASE WHEN late THEN 1 ELSE 0 END`."""
    if expr.isidentifier():
        return False
    try:
        tree = annotate_types(graph.texts.scalar(expr).copy())
    except Exception:  # sqlglot reads some calls whose type it cannot find out
        return False
    return bool(tree.is_type(*exp.DataType.INTEGER_TYPES))
