"""A query after its names are looked up: terms over the facts of single models.

Each kind of term has these properties, which the later stages use without naming the kind:

    times     the keys that are the own time of all its facts
    operands  the attributes that it names, and the metrics that it filters or groups by
    inner     the terms that it directly uses, also those of operands, each with how often
    title     a column name for it
    fill      the value that replaces its NULL, or None
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.compiler.names.graph import METRIC_TIME, Attribute
from gemel.compiler.question.expressions import Template
from gemel.compiler.question.query import MetricItem
from gemel.spec.manifest import SemanticModel
from gemel.spec.metrics import Measure, PeriodAgg
from gemel.spec.time import Window

TOTAL = "is_total"
"""The column that distinguishes a total from a group whose keys are NULL."""


@dataclass(frozen=True, slots=True)
class Key:
    """A group-by column: its name in the result, and what it stands for. Each leaf decides which model has it.

    A composite entity has one key for each of its components.
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
    """The times `start <= t < end`; None means no bound."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class PerEntity:
    """A metric to filter or group by: its value for the entity that a fact belongs to."""

    name: str
    term: "Term"
    keys: tuple[Key, ...]
    attributes: tuple[Attribute, ...]


Operand = Attribute | PerEntity


@dataclass(frozen=True, slots=True)
class Predicate:
    """A filter whose references, in order, are bound to the facts of one model.

    `outer` marks a filter from outside the metric's own definition: from the query, or from a metric that has this
    one as an input. `keys` are those references that are dimensions, as group-by keys.
    """

    template: Template
    operands: tuple[Operand, ...]
    keys: tuple[Key, ...] = ()
    outer: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """One aggregate over one model's facts. `keys` pairs each group-by column with the attribute that has its value.

    `time` is the time dimension of the facts, at which histories are read. `known_at` is when the facts of a feature
    can be seen, if that is another time. `fill` replaces a missing value. `spine` asks for a row in every period of
    time, even in one without facts.
    """

    measure: Measure
    time: Attribute
    keys: tuple[tuple[Key, Operand], ...]
    filters: tuple[Predicate, ...]
    span: Span | None = None
    fill: int | None = None
    spine: bool = False
    known_at: Attribute | None = None

    @property
    def seen_at(self) -> Attribute:
        return self.known_at or self.time

    @property
    def times(self) -> tuple[Key, ...]:
        """The keys that are the facts' own time, at some grain."""
        return tuple(key for key, attribute in self.keys if self.is_time(attribute))

    @property
    def operands(self) -> tuple[Operand, ...]:
        of_filters = (operand for predicate in self.filters for operand in predicate.operands)
        return (*(operand for _, operand in self.keys), *of_filters)

    @property
    def inner(self) -> "Inner":
        return tuple((operand.term, 1) for operand in self.operands if isinstance(operand, PerEntity))

    @property
    def title(self) -> str:
        return self.measure.name

    def is_time(self, attribute: Operand) -> bool:
        return isinstance(attribute, Attribute) and not attribute.hops and attribute.element == self.time.element

    def is_only_time(self, predicate: Predicate) -> bool:
        """Whether a filter refers to nothing but the facts' own time."""
        return bool(predicate.operands) and all(self.is_time(operand) for operand in predicate.operands)

    def touches_time(self, predicate: Predicate) -> bool:
        return any(self.is_time(operand) for operand in predicate.operands)


@dataclass(frozen=True, slots=True)
class Trailing:
    """A leaf accumulated over the `window` before each moment, from the start of a period, or over all time."""

    leaf: Leaf
    window: Window | None = None
    grain_to_date: str | None = None
    period_agg: PeriodAgg = "first"

    @property
    def times(self) -> tuple[Key, ...]:
        return self.leaf.times

    @property
    def operands(self) -> tuple[Operand, ...]:
        return ()

    @property
    def inner(self) -> "Inner":
        return ((self.leaf, 1),)

    @property
    def title(self) -> str:
        return f"{self.leaf.title}_to_date"

    @property
    def fill(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Shifted:
    """A term as it was a `window` earlier, or at the start of the period `to_grain`, shown at the time asked for.

    `times` are the keys that move. `term` itself has no span and no filter on time from outside: `span` and `bounds`
    apply to the time shown, `after` to the rows shown. `metric` uses the term as its input `used`.
    """

    term: "Term"
    keys: tuple[Key, ...]
    times: tuple[Key, ...]
    window: Window | None = None
    to_grain: str | None = None
    bounds: tuple[Predicate, ...] = ()
    after: tuple[Predicate, ...] = ()
    span: Span | None = None
    metric: str = field(default="", compare=False)
    used: str = field(default="", compare=False)

    @property
    def operands(self) -> tuple[Operand, ...]:
        return tuple(operand for predicate in (*self.bounds, *self.after) for operand in predicate.operands)

    @property
    def inner(self) -> "Inner":
        return ((self.term, 1),)

    @property
    def title(self) -> str:
        return f"{self.term.title}_before"

    @property
    def fill(self) -> int | None:
        return self.term.fill

    @property
    def unit(self) -> str:
        return self.window.unit if self.window else self.to_grain or ""


@dataclass(frozen=True, slots=True)
class Converted:
    """Conversion events, each counted at the latest base event of its entity at or before it, within `window`.

    `base` and `conversion` are the leaves of the two events; the keys, filters and span are those of `base`. `same`
    pairs the attributes that must be equal, of the base event and of the conversion.
    """

    base: Leaf
    conversion: Leaf
    same: tuple[tuple[Attribute, Attribute], ...]
    grain: str
    window: Window | None = None

    @property
    def times(self) -> tuple[Key, ...]:
        return self.base.times

    @property
    def operands(self) -> tuple[Operand, ...]:
        return tuple(attribute for pair in self.same for attribute in pair)

    @property
    def inner(self) -> "Inner":
        return ((self.base, 1), (self.conversion, 1))

    @property
    def title(self) -> str:
        return f"{self.conversion.title}_after"

    @property
    def fill(self) -> int | None:
        return self.conversion.fill


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression over other terms by their handles: `a / NULLIF(b, 0)`.

    It has a row for every group in which one of `inputs` has a row, even an input that the expression does not use.
    """

    expression: exp.Expr
    inputs: tuple[tuple[str, "Term"], ...]

    @property
    def times(self) -> tuple[Key, ...]:
        first, *others = (term.times for _, term in self.inputs)
        return tuple(key for key in first if all(key in times for times in others))

    @property
    def operands(self) -> tuple[Operand, ...]:
        return ()

    @property
    def inner(self) -> "Inner":
        named = Counter(node.name for node in self.expression.find_all(exp.Column))
        return tuple((term, max(1, named[handle])) for handle, term in self.inputs)

    @property
    def title(self) -> str:
        return self.inputs[0][1].title if self.inputs else "value"

    @property
    def fill(self) -> None:
        return None


Cell = Leaf | Trailing | Shifted | Converted
Term = Cell | Formula
Inner = tuple[tuple[Term, int], ...]


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    term: Term


@dataclass(frozen=True, slots=True)
class Metrics:
    """A resolved query with metrics. `totals` are the outputs over all groups, if totals are asked for."""

    keys: tuple[Key, ...]
    outputs: tuple[Output, ...]
    totals: tuple[Output, ...] = ()
    having: tuple[exp.Expr, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter of a query without metrics. `operands` are what its references stand for, in order."""

    template: Template
    operands: tuple[tuple[Key, Attribute | None] | PerEntity, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """A resolved query without metrics: the distinct values of dimensions, as model `home` reaches them.

    A key without an attribute is metric_time: every moment of the time spine. Without a `home`, all keys are such.
    """

    home: SemanticModel | None
    keys: tuple[tuple[Key, Attribute | None], ...]
    filters: tuple[Condition, ...]
    span: Span | None = None
    min_max_only: bool = False
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None


Resolved = Metrics | Values


def attributes_of(resolved: Resolved) -> Iterator[Attribute]:
    """The attributes of keys, filters and constant properties, also those of metrics that rows are filtered by."""
    match resolved:
        case Metrics(outputs=outputs, totals=totals):
            for output in (*outputs, *totals):
                yield from _attributes(output.term)
        case Values(keys=keys, filters=filters):
            pairs = [*keys, *(operand for each in filters for operand in each.operands)]
            operands = [each if isinstance(each, PerEntity) else each[1] for each in pairs]
            yield from _own_attributes(operands)
            for operand in operands:
                if isinstance(operand, PerEntity):
                    yield from _attributes(operand.term)


def _attributes(term: Term) -> Iterator[Attribute]:
    yield from _own_attributes(term.operands)
    for inner, _ in term.inner:
        yield from _attributes(inner)


def _own_attributes(operands: Iterable[Operand | None]) -> Iterator[Attribute]:
    for operand in operands:
        match operand:
            case Attribute():
                yield operand
            case PerEntity(attributes=attributes):
                yield from attributes
