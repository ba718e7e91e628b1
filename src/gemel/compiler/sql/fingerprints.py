"""What each feature is computed from, as a text that changes when that does.

The SQL of a whole feature table is no such text: another feature beside it adds moments, renames parts and moves
filters. This goes from a feature's expression down to the facts, through what is its own alone.
"""

from dataclasses import dataclass, field, fields, is_dataclass

from sqlglot import exp
from sqlglot.generator import Generator

from gemel.compiler.plan.algebra import Aggregate, AsOf, Combine, Derive, Filter, Lookup, Moments, Plan, Scan, columns
from gemel.compiler.question.expressions import copied
from gemel.compiler.sql import dialects
from gemel.engines.duckdb import DIALECT
from gemel.spec.manifest import Relation


def fingerprints(plan: Plan) -> dict[str, str]:
    """By output of a plan of features, as `plan_features` makes it and before it is tidied."""
    assert isinstance(plan, Derive)
    tables: dict[str, tuple[object, ...]] = {}
    rows = plan.input
    while not isinstance(rows, Scan):
        assert isinstance(rows, Lookup | Filter)
        if isinstance(rows, Lookup):
            tables[rows.right.alias] = (rows.right, rows.on)
        rows = rows.input
    assert isinstance(rows.source, AsOf)
    teller = _Teller(rows.source, tables, dialects.generator(DIALECT))
    return {output.name: teller.output(output.value) for output in plan.outputs}


@dataclass(frozen=True, slots=True)
class _Teller:
    """`tables` are those looked up beside the features by alias. What was told already is kept, with its text: values
    by id, expressions and columns as they are."""

    seen: AsOf
    tables: dict[str, tuple[object, ...]]
    generator: Generator
    told: dict[int, tuple[object, str]] = field(default_factory=dict)
    said: dict[exp.Expr, str] = field(default_factory=dict)
    origins: dict[tuple[str, str], str] = field(default_factory=dict)
    names: dict[type, tuple[str, ...]] = field(default_factory=dict)

    def output(self, value: exp.Expr) -> str:
        """The expression, and what each of its columns is, in the order of their appearance. Their names are no
        matter: they tell of the neighbours."""
        if isinstance(value, exp.Column):
            return self.origin(value.text("table"), value.name)
        names: dict[tuple[str, str], str] = {}
        for node in value.find_all(exp.Column, bfs=False):
            names.setdefault((node.text("table"), node.name), f"c{len(names)}")
        renamed = value.transform(
            lambda node: exp.column(names[node.text("table"), node.name]) if isinstance(node, exp.Column) else node
        )
        origins = (f"{name} = {self.origin(*column)}" for column, name in names.items())
        return "; ".join([self.tell(renamed), *origins])

    def origin(self, table: str, name: str) -> str:
        if (table, name) not in self.origins:
            self.origins[table, name] = self.found(table, name)
        return self.origins[table, name]

    def found(self, table: str, name: str) -> str:
        if table in self.tables:
            return f"{name} of {self.tell(self.tables[table])}"
        for value in self.seen.values:
            if value.name == name:
                return f"{value.function} {value.back} by {self.seen.step} of {self.part(value.value)}"
        return name  # a key, or the moment

    def part(self, name: str) -> str:
        for result in self.results():
            if name in columns(result):
                break
        else:
            raise AssertionError(f"no part {name}")
        if not isinstance(result, Aggregate):
            return self.tell(result)
        [value] = [value for value in result.values if value.name == name]
        told = (value.function, value.value, value.where, value.fraction, result.keys, result.input)
        return " ".join(self.tell(each) for each in told)

    def results(self) -> tuple[Plan, ...]:
        facts = self.seen.facts
        return facts.inputs if isinstance(facts, Combine) else (facts,)

    def tell(self, value: object) -> str:
        if isinstance(value, exp.Expr):  # one is often said again of another fact, in a tree of its own
            text = self.said.get(value)
            if text is None:
                text = self.said[value] = self.generator.sql(copied(value))
            return text
        if value is None or isinstance(value, str | int | float):
            return repr(value)
        if id(value) not in self.told:
            kind = type(value)
            match value:
                case Relation():
                    text = value.name
                case Moments():
                    text = f"moments by {value.schedule}"
                case tuple():
                    text = f"({', '.join(map(self.tell, value))})"
                case _ if is_dataclass(kind):
                    if kind not in self.names:
                        self.names[kind] = tuple(each.name for each in fields(kind))
                    parts = (f"{name}={self.tell(getattr(value, name))}" for name in self.names[kind])
                    text = f"{kind.__name__}({', '.join(parts)})"
                case _:
                    text = repr(value)
            self.told[id(value)] = value, text
        return self.told[id(value)][1]
