"""A text for each feature that changes when the feature's computation changes.

The SQL of a whole feature table cannot be used: another feature of the table adds moments, renames parts and moves
filters. A fingerprint covers only what the feature itself uses, from its expression down to the facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never, cast

from sqlglot import exp
from sqlglot.generator import Generator

from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Calendar,
    Combine,
    Derive,
    Distinct,
    Filter,
    Join,
    Lookup,
    Moments,
    Named,
    Plan,
    Scan,
    Stack,
    Summary,
    Top,
    Windowed,
    columns,
)
from gemel.compiler.question.expressions import copied
from gemel.compiler.question.verbatim import Verbatim, respell
from gemel.compiler.sql import dialects
from gemel.engines.duckdb import DIALECT
from gemel.spec.manifest import Relation
from gemel.spec.metrics import Percentile
from gemel.spec.time import Window


def fingerprints(plan: Plan) -> dict[str, str]:
    """The fingerprints by output of a plan of features, as `plan_features` makes it and before it is tidied."""
    assert isinstance(plan, Derive)
    tables: dict[str, tuple[object, ...]] = {}
    rows = plan.input
    while not isinstance(rows, Scan):
        assert isinstance(rows, Lookup | Filter)
        if isinstance(rows, Lookup):
            tables[rows.right.alias] = (rows.right, rows.on)
        rows = rows.input
    assert isinstance(rows.source, AsOf)
    writer = _Writer(rows.source, tables, dialects.generator(DIALECT))
    return {output.name: writer.output(output.value) for output in plan.outputs}


def _respelled(value: exp.Expr) -> exp.Expr:
    copy = copied(value)
    for node in copy.find_all(Verbatim):
        respell(node, DIALECT)
    return copy


@dataclass(frozen=True, slots=True)
class _Writer:
    """`tables` are the lookups beside the features, by alias. Texts that were written are cached: those of values by
    id, those of expressions and columns by themselves."""

    features: AsOf
    tables: dict[str, tuple[object, ...]]
    generator: Generator
    texts: dict[int, tuple[object, str]] = field(default_factory=dict)
    expressions: dict[exp.Expr, str] = field(default_factory=dict)
    origins: dict[tuple[str, str], str] = field(default_factory=dict)

    def output(self, value: exp.Expr) -> str:
        """The expression, then the origin of each of its columns in order of appearance. Names of columns are left
        out, as they depend on other features."""
        if isinstance(value, exp.Column):
            return self.origin(value.text("table"), value.name)
        names: dict[tuple[str, str], str] = {}
        for node in value.find_all(exp.Column, bfs=False):
            names.setdefault((node.text("table"), node.name), f"c{len(names)}")
        renamed = value.transform(
            lambda node: exp.column(names[node.text("table"), node.name]) if isinstance(node, exp.Column) else node
        )
        origins = (f"{name} = {self.origin(*column)}" for column, name in names.items())
        return "; ".join([self.write(renamed), *origins])

    def origin(self, table: str, name: str) -> str:
        if (table, name) not in self.origins:
            self.origins[table, name] = self.find_origin(table, name)
        return self.origins[table, name]

    def find_origin(self, table: str, name: str) -> str:
        if table in self.tables:
            return f"{name} of {self.write(self.tables[table])}"
        for value in self.features.values:
            if value.name == name:
                return f"{value.function} {value.back} by {self.features.step} of {self.part(value.value)}"
        return name  # a key, or the moment

    def part(self, name: str) -> str:
        for result in self.results():
            if name in columns(result):
                break
        else:
            raise AssertionError(f"no part {name}")
        if not isinstance(result, Aggregate):
            return self.write(result)
        [value] = [value for value in result.values if value.name == name]
        parts = (value.function, value.value, value.where, value.percentile, result.keys, result.input)
        return " ".join(self.write(each) for each in parts)

    def results(self) -> tuple[Plan, ...]:
        facts = self.features.facts
        return facts.inputs if isinstance(facts, Combine) else (facts,)

    def write(self, value: object) -> str:
        if isinstance(value, exp.Expr):  # equal expressions often occur in several trees
            text = self.expressions.get(value)
            if text is None:
                text = self.expressions[value] = self.generator.sql(_respelled(value))
            return text
        if value is None or isinstance(value, str | int | float):
            return repr(value)
        if id(value) not in self.texts:
            self.texts[id(value)] = value, self.write_value(value)
        return self.texts[id(value)][1]

    def write_value(self, value: object) -> str:
        match value:
            case tuple():
                return f"({', '.join(map(self.write, value))})"
            case Relation():
                return value.name
            case Window() | Percentile():
                return str(value)
            case _:
                word, parts, more = _form(cast("_Node", value))
                written = [
                    *map(self.write, parts),
                    *(f"{name} {self.write(each)}" for name, each in more.items() if each is not None),
                ]
                return f"{word}({', '.join(written)})"


_Node = Plan | Named | Summary | Calendar | Windowed


def _form(node: _Node) -> tuple[str, tuple[object, ...], Mapping[str, object]]:
    """The word for a node, its parts by position, and those that most nodes of its kind do not have, by name.

    Only these words and positions are in a fingerprint, and no name in Python. A part that is added to a kind of node
    goes to those by name, and is left out where it changes nothing: other fingerprints stay.
    """
    match node:
        case Named():
            return "named", (node.name, node.value), {}
        case Scan():
            return "scan", (node.source, node.alias), {}
        case Lookup():
            return "lookup", (node.input, node.right, node.on), {}
        case Join():
            return "join", (node.how, node.input, node.right, node.on), {}
        case Filter():
            return "filter", (node.input, node.predicate), {}
        case Summary():
            return "summary", (node.name, node.function, node.value), {"where": node.where, "at": node.percentile}
        case Aggregate():
            return "aggregate", (node.input, node.keys, node.values), {}
        case Distinct():
            return "distinct", (node.input, node.keys), {}
        case Combine():
            return "combine", (node.inputs, node.keys), {}
        case Stack():
            return "stack", (node.inputs, node.title), {}
        case Moments():  # which moments there are depends on the other features of the table
            return "moments", (node.schedule,), {}
        case Calendar():
            return "calendar", (node.days, node.moment, node.keys), {"of a period": node.period_agg}
        case Windowed():
            return "windowed", (node.name, node.function, node.value), {"back": node.back}
        case AsOf():
            return "as of", (node.spine, node.facts, node.step, node.values), {}
        case Derive():
            return "derive", (node.input, node.outputs), {}
        case Top():
            return "top", (node.input, node.order), {"limit": node.limit}
        case _:
            assert_never(node)
