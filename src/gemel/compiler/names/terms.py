"""What a query comes down to once its names are looked up: terms over the facts of single models."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.names.graph import METRIC_TIME, Attribute
from gemel.compiler.question.expressions import Template
from gemel.compiler.question.query import MetricItem
from gemel.spec.manifest import SemanticModel
from gemel.spec.metrics import Measure, PeriodAgg
from gemel.spec.time import Window

TOTAL = "is_total"
"""The column that tells a total from a group without a value."""


@dataclass(frozen=True, slots=True)
class Key:
    """A group-by column: its name in the result, and what it is. Which model it is read from depends on the leaf.

    A composite entity is a key for each of its components.
    """

    name: str
    segments: tuple[str, ...]
    grain: str | None = None
    part: str | None = None
    metric: MetricItem | None = None
    component: int | None = None

    @property
    def is_metric_time(self) -> bool:
        return self.segments == (METRIC_TIME,)


@dataclass(frozen=True, slots=True)
class Span:
    """The times `start <= t < end`; None is open."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class PerEntity:
    """A metric to filter or group by: its value for the entity that a fact belongs to."""

    name: str
    term: "Term"
    keys: tuple[Key, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Predicate:
    """A filter whose references, in order, are bound to the facts of one model.

    `outer` marks one that came from outside of the metric's own definition: from the query, or from a metric that
    this one is an input of. `keys` are the references that are dimensions, as group-by keys.
    """

    template: Template
    operands: tuple[Attribute | PerEntity, ...]
    keys: tuple[Key, ...] = ()
    outer: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """One aggregate over one model's facts. `keys` pairs each group-by column with where its value is found.

    `time` is the dimension that places the facts in time. `fill` stands in for a missing value; `spine` asks for a
    row in every bucket of time, with facts or without.
    """

    measure: Measure
    time: Attribute
    keys: tuple[tuple[Key, Attribute | PerEntity], ...]
    filters: tuple[Predicate, ...]
    span: Span | None = None
    fill: int | None = None
    spine: bool = False

    @property
    def times(self) -> tuple[Key, ...]:
        """The keys that are the facts' own time, at some grain."""
        return tuple(key for key, attribute in self.keys if self.is_time(attribute))

    def is_time(self, attribute: Attribute | PerEntity) -> bool:
        return isinstance(attribute, Attribute) and not attribute.hops and attribute.element == self.time.element

    def is_only_time(self, predicate: Predicate) -> bool:
        """Whether a filter speaks of nothing but the facts' own time."""
        return bool(predicate.operands) and all(self.is_time(operand) for operand in predicate.operands)

    def touches_time(self, predicate: Predicate) -> bool:
        return any(self.is_time(operand) for operand in predicate.operands)


@dataclass(frozen=True, slots=True)
class Trailing:
    """A leaf accumulated over the `window` before each moment, since the start of a grain, or over all time."""

    leaf: Leaf
    window: Window | None = None
    grain_to_date: str | None = None
    period_agg: PeriodAgg = "first"


@dataclass(frozen=True, slots=True)
class Shifted:
    """A term as it was a `window` earlier, or at the start of the grain `to_grain`, shown at the asked time.

    `times` are the keys that move. What is looked up knows no span and no filter on time from outside: `span` and
    `bounds` hold for the time that is shown, `after` for the rows that are.
    """

    term: "Term"
    keys: tuple[Key, ...]
    times: tuple[Key, ...]
    window: Window | None = None
    to_grain: str | None = None
    bounds: tuple[Predicate, ...] = ()
    after: tuple[Predicate, ...] = ()
    span: Span | None = None

    @property
    def unit(self) -> str:
        return self.window.unit if self.window else self.to_grain or ""


@dataclass(frozen=True, slots=True)
class Converted:
    """Conversion events, each under the latest base event of its entity at or before it, within `window`.

    `base` and `conversion` are the two events' leaves; the keys, filters and span of `base` hold. `entity` and
    `properties` pair what has to be equal, on the base side and on the conversion side.
    """

    base: Leaf
    conversion: Leaf
    same: tuple[tuple[Attribute, Attribute], ...]
    grain: str
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression over other terms, each under its handle: `a / NULLIF(b, 0)`.

    It has a value in every group in which one of `inputs` has one, in the expression or not.
    """

    expression: exp.Expr
    inputs: tuple[tuple[str, "Term"], ...]


Cell = Leaf | Trailing | Shifted | Converted
Term = Cell | Formula


def mentioned(term: Term) -> Iterator[tuple[Term, int]]:
    """The terms that a term is made of, with how often each is mentioned."""
    match term:
        case Leaf(keys=keys, filters=filters):
            operands = [operand for _, operand in keys] + [each for given in filters for each in given.operands]
            yield from ((operand.term, 1) for operand in operands if isinstance(operand, PerEntity))
        case Trailing(leaf):
            yield leaf, 1
        case Shifted(inner):
            yield inner, 1
        case Converted(base, conversion):
            yield from ((base, 1), (conversion, 1))
        case Formula(expression, inputs):
            named = Counter(node.name for node in expression.find_all(exp.Column))
            yield from ((inner, max(1, named[handle])) for handle, inner in inputs)


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    term: Term


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a query with metrics comes down to. `totals` are the outputs over all groups, where they are asked for."""

    keys: tuple[Key, ...]
    outputs: tuple[Output, ...]
    totals: tuple[Output, ...] = ()
    having: tuple[exp.Expr, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter of a query without metrics: what each reference stands for, in order."""

    template: Template
    operands: tuple[tuple[Key, Attribute | None] | PerEntity, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """What a query without metrics comes down to: the different values of dimensions, seen from model `home`.

    A key without an attribute is metric_time, which is any moment of the time spine. With no `home`, that is all.
    """

    home: SemanticModel | None
    keys: tuple[tuple[Key, Attribute | None], ...]
    filters: tuple[Condition, ...]
    span: Span | None = None
    min_max_only: bool = False
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None


Resolved = Metrics | Values
