"""What a metric is: an aggregate over the rows of one semantic model, or made of other metrics in one of several ways.

Each type of metric answers for itself what others ask of it; `Definition` lists the questions.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from gemel.spec.time import Window

Aggregation = Literal["sum", "min", "max", "count", "count_distinct", "average", "percentile"]
PeriodAgg = Literal["first", "last", "average"]


@dataclass(frozen=True, slots=True)
class Percentile:
    fraction: float
    discrete: bool = False
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class NonAdditive:
    """A measure that does not add up over `dimension`: only the rows at its boundary count."""

    dimension: str
    choice: Literal["min", "max"]
    groupings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate over the rows of one semantic model.

    `sum_boolean` is read as the sum of true flags and `median` as the continuous percentile at 0.5, as
    MetricFlow does, so seven aggregates are left. A count of no rows at all is no value (NULL), as for a sum:
    dbt's `count` is MetricFlow's sum of not-null flags. A sum of the constant 1 is read as a count of 1.
    """

    name: str
    model: str
    agg: Aggregation
    expr: str
    time_dimension: str
    percentile: Percentile | None = None
    non_additive: NonAdditive | None = None
    label: str | None = None
    description: str | None = None

    @property
    def aggregate(self) -> "Sql":
        """`sum of price`, `percentile 0.9 of delay`"""
        words = self.agg.replace("_", " ")
        if self.percentile:
            words = f"{'discrete ' if self.percentile.discrete else ''}percentile {self.percentile.fraction:g}"
        return Sql(f"{words} of {self.expr}")


@dataclass(frozen=True, slots=True)
class MetricInput:
    """A metric as another metric uses it: under an alias, filtered, or moved in time."""

    name: str
    alias: str | None = None
    filters: tuple[str, ...] = ()
    offset_window: Window | None = None
    offset_to_grain: str | None = None

    @property
    def handle(self) -> str:
        """The name by which the outer metric's expression calls it."""
        return self.alias or self.name

    @property
    def moved(self) -> str | None:
        """To which other time it is moved: `7 days` before, or `the start of the month`."""
        if self.offset_window is not None:
            return str(self.offset_window)
        return f"the start of the {self.offset_to_grain}" if self.offset_to_grain else None


class Sql(str):
    """A text that is SQL."""

    __slots__ = ()


Fact = tuple[str, "str | Sql | Measure | MetricInput | tuple[MetricInput, ...]"]
"""What a metric is, for people: a heading, and what stands under it."""


class Definition:
    """What is asked of a metric, whatever its type. A type answers what is otherwise for it.

    Types have fields of these names: such a field says `= field()`, or the answer here would be its default.
    """

    __slots__ = ()

    @property
    def inputs(self) -> tuple[MetricInput, ...]:
        """The metrics that it is made of."""
        return ()

    @property
    def sides(self) -> dict[str, MetricInput]:
        """The inputs that can stand beside its value, each by what it is of it: `{"numerator": ...}`."""
        return {}

    @property
    def is_formula(self) -> bool:
        """Whether the values of its inputs in a group are enough. Otherwise it reads their rows."""
        return True

    @property
    def expr(self) -> str | None:
        """A formula over the handles of its inputs that somebody wrote."""
        return None

    @property
    def measure(self) -> Measure | None:
        """The aggregate that it is, where it is one and no more."""
        return None

    @property
    def fill_nulls_with(self) -> int | None:
        """What stands in a group without a value."""
        return None

    @property
    def accumulated(self) -> MetricInput | None:
        """The input whose facts before each moment it adds up, as far as `back`."""
        return None

    @property
    def back(self) -> Window | str | None:
        """How far it looks before a moment: a window, the grain to date, or (None) over all time."""
        return None

    @property
    def matched(self) -> tuple[tuple[MetricInput, tuple[str, ...]], ...]:
        """The inputs whose events are matched with each other's, each with the elements that must be equal."""
        return ()

    @property
    def dtype(self) -> str | None:
        """`float64` or `int64`, where it is that whatever the columns are; None where they or the inputs decide."""
        return None

    @property
    def on_spine(self) -> str | None:
        """Why it is put on a time spine when it is asked by time, as `looks at another time`."""
        return "looks at another time" if any(used.moved for used in self.inputs) else None

    @property
    def beyond_rows(self) -> str | None:
        """Why it is no aggregate of the rows of a group, as far as its inputs do not decide that."""
        for used in self.inputs:
            if used.moved:
                return f"looks at {used.name} at another time ({used.moved})"
        return None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All that it says, for people."""
        return ()

    def filtered_later(self, _: str) -> Self:
        """Itself, where no fact is counted under the time of another one; `filtered_later(condition)` takes those facts
        only where the condition holds."""
        return self


@dataclass(frozen=True, slots=True)
class Simple(Definition):
    measure: Measure = field()
    fill_nulls_with: int | None = None
    join_to_timespine: bool = False

    @property
    def dtype(self) -> str | None:
        return {"average": "float64", "count": "int64", "count_distinct": "int64"}.get(self.measure.agg)

    @property
    def on_spine(self) -> str | None:
        return "has a row for every time (join_to_timespine)" if self.join_to_timespine else None

    @property
    def beyond_rows(self) -> str | None:
        if self.measure.non_additive is not None:
            return f"counts only the rows at one end of {self.measure.non_additive.dimension}"
        return "is shown for times without rows, too" if self.join_to_timespine else None

    @property
    def facts(self) -> tuple[Fact, ...]:
        filled: tuple[Fact, ...] = (
            () if self.fill_nulls_with is None else (("No facts are", str(self.fill_nulls_with)),)
        )
        return (("Measure", self.measure), ("Is", self.measure.aggregate), *filled)


@dataclass(frozen=True, slots=True)
class Ratio(Definition):
    numerator: MetricInput
    denominator: MetricInput

    @property
    def inputs(self) -> tuple[MetricInput, ...]:
        return (self.numerator, self.denominator)

    @property
    def sides(self) -> dict[str, MetricInput]:
        return {"numerator": self.numerator, "denominator": self.denominator}

    @property
    def dtype(self) -> str:
        return "float64"

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (("Numerator", self.numerator), ("Denominator", self.denominator))


@dataclass(frozen=True, slots=True)
class Derived(Definition):
    expr: str = field()
    inputs: tuple[MetricInput, ...] = field()

    @property
    def dtype(self) -> str:
        return "float64"

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (("Expression", Sql(self.expr)), ("Of", self.inputs))


@dataclass(frozen=True, slots=True)
class Cumulative(Definition):
    """A metric accumulated over `window`, since the start of `grain_to_date`, or (neither) over all time."""

    input: MetricInput
    window: Window | None = None
    grain_to_date: str | None = None
    period_agg: PeriodAgg = "first"

    @property
    def inputs(self) -> tuple[MetricInput, ...]:
        return (self.input,)

    @property
    def is_formula(self) -> bool:
        return False

    @property
    def accumulated(self) -> MetricInput:
        return self.input

    @property
    def back(self) -> Window | str | None:
        return self.window or self.grain_to_date

    @property
    def on_spine(self) -> str:
        return "is accumulated"

    @property
    def beyond_rows(self) -> str:
        return f"accumulates over {self._over('all time before', '')}, and a group has only its own rows"

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (("Of", self.input), ("Over", self._over("all time up to then", "the last ")))

    def _over(self, forever: str, last: str) -> str:
        return f"{last}{self.window}" if self.window else f"the {self.back} to date" if self.back else forever


@dataclass(frozen=True, slots=True)
class Conversion(Definition):
    """How many base events of an entity led to a conversion event within `window` (None: ever after)."""

    base: MetricInput
    conversion: MetricInput
    entity: str
    calculation: Literal["conversions", "conversion_rate"] = "conversion_rate"
    window: Window | None = None
    constant_properties: tuple[tuple[str, str], ...] = ()

    @property
    def inputs(self) -> tuple[MetricInput, ...]:
        return (self.base, self.conversion)

    @property
    def is_formula(self) -> bool:
        return False

    @property
    def matched(self) -> tuple[tuple[MetricInput, tuple[str, ...]], ...]:
        base, conversion = zip((self.entity, self.entity), *self.constant_properties, strict=True)
        return ((self.base, base), (self.conversion, conversion))

    @property
    def dtype(self) -> str:
        return "float64" if self.calculation == "conversion_rate" else "int64"

    @property
    def beyond_rows(self) -> str:
        return "matches events with later ones, which are in other rows"

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (
            ("From", self.base),
            ("To", self.conversion),
            ("By", self.entity),
            ("Within", str(self.window) if self.window else "any time"),
            ("Tells", self.calculation.replace("_", " ")),
        )

    def filtered_later(self, condition: str) -> Self:
        """A conversion is counted at the time of its base event."""
        later = replace(self.conversion, filters=(*self.conversion.filters, condition))
        return replace(self, conversion=later)


MetricDefinition = Simple | Ratio | Derived | Cumulative | Conversion


@dataclass(frozen=True, slots=True)
class Metric:
    """A name, what it means, and the filters that hold for every row that it counts.

    `private` marks what was made while reading (a cumulative metric's bare measure, say): never listed,
    never asked for by name.
    """

    name: str
    definition: MetricDefinition
    filters: tuple[str, ...] = ()
    time_granularity: str | None = None
    private: bool = False
    label: str | None = None
    description: str | None = None
    meta: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def type(self) -> str:
        """The word dbt uses for it: `simple`, `ratio`, `derived`, `cumulative` or `conversion`."""
        return type(self.definition).__name__.lower()

    @property
    def bare_measure(self) -> Measure | None:
        """The measure that it stands for as an input of another metric: reading made it, and nobody wrote it."""
        return self.definition.measure if self.private and self.name.startswith("_") else None
