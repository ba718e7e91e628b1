"""Metrics: an aggregate over the rows of one semantic model, or computed from other metrics in one of several ways.

Each type of metric describes itself; `Definition` lists the properties that other modules use.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, assert_never

from gemel.spec.time import Window

Aggregation = Literal["sum", "min", "max", "count", "count_distinct", "average", "percentile"]
PeriodAgg = Literal["first", "last", "average"]


BIG, ALL_DIGITS = "BIGINT", "DECIMAL(38,0)"
"""The types, in DuckDB's words, of a metric's whole numbers: of most metrics, and of those that are decimals."""


@dataclass(frozen=True, slots=True)
class Percentile:
    fraction: float
    discrete: bool = False
    approximate: bool = False

    def __str__(self) -> str:
        marks = ["discrete"] * self.discrete + ["approximate"] * self.approximate
        return " ".join(["percentile", repr(self.fraction), *marks])


@dataclass(frozen=True, slots=True)
class NonAdditive:
    """The reason why a measure does not add up over `dimension`: only the rows at its boundary count."""

    dimension: str
    choice: Literal["min", "max"]
    groupings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate over the rows of one semantic model.

    `sum_boolean` is read as the sum of true flags (`expr` is the flag, and `is_flag` is set) and `median` as the
    continuous percentile at 0.5, as MetricFlow does, which leaves seven aggregates. The count of no rows is NULL, like
    the sum of no rows: dbt's `count` is MetricFlow's sum of not-null flags. A sum of the constant 1 is read as a count
    of 1. `is_decimal` keeps all digits of whole numbers.
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
    is_flag: bool = False
    is_decimal: bool = False

    @property
    def dtype(self) -> str | None:
        """`float64` or `int64` if the aggregate always has that type; None if its column determines it."""
        match self.agg:
            case "average":
                return "float64"
            case "count" | "count_distinct":
                return "int64"
            case "sum" | "min" | "max" | "percentile":
                return None
            case _:
                assert_never(self.agg)

    @property
    def aggregate(self) -> "Sql":
        """`sum of price`, `percentile 0.9 of delay`"""
        words = self.agg.replace("_", " ")
        if self.percentile:
            words = f"{'discrete ' if self.percentile.discrete else ''}percentile {self.percentile.fraction:g}"
        return Sql(f"{words} of {f'CASE WHEN {self.expr} THEN 1 ELSE 0 END' if self.is_flag else self.expr}")


@dataclass(frozen=True, slots=True)
class MetricInput:
    """A metric as an input of another metric: under an alias, filtered, or offset in time."""

    name: str
    alias: str | None = None
    filters: tuple[str, ...] = ()
    offset_window: Window | None = None
    offset_to_grain: str | None = None

    @property
    def handle(self) -> str:
        """Its name in the outer metric's expression."""
        return self.alias or self.name

    @property
    def moved(self) -> str | None:
        """The time to which it is offset: `7 days` earlier, or `the start of the month`."""
        if self.offset_window is not None:
            return str(self.offset_window)
        return f"the start of the {self.offset_to_grain}" if self.offset_to_grain else None


class Sql(str):
    """A text that is SQL."""

    __slots__ = ()


Fact = tuple[str, "str | Sql | Measure | MetricInput | tuple[MetricInput, ...]"]
"""One fact about a metric, for people: a heading and its content."""


class Definition:
    """The properties of all types of metrics, with defaults. A type overrides those that differ.

    Some types have fields of these names. Such a field needs `= field()`: otherwise the property would be its default.
    """

    __slots__ = ()

    @property
    def inputs(self) -> tuple[MetricInput, ...]:
        """The metrics from which it is computed."""
        return ()

    @property
    def sides(self) -> dict[str, MetricInput]:
        """The inputs that can be shown beside its value, by their role: `{"numerator": ...}`."""
        return {}

    @property
    def is_formula(self) -> bool:
        """Whether it is computed from its inputs' values in a group. Otherwise it reads their rows."""
        return True

    @property
    def expr(self) -> str | None:
        """The user's formula over the handles of its inputs."""
        return None

    @property
    def settings(self) -> dict[str, object]:
        """What else its value depends on, beside its measure, inputs and `expr`. The names are part of hashes."""
        return {}

    @property
    def measure(self) -> Measure | None:
        """The measure of a simple metric."""
        return None

    @property
    def fill_nulls_with(self) -> int | None:
        """The value of a group that would have none."""
        return None

    @property
    def accumulated(self) -> MetricInput | None:
        """The input whose facts it accumulates before each moment, as far as `back`."""
        return None

    @property
    def back(self) -> Window | str | None:
        """How far it looks before a moment: a window, the grain to date, or (None) over all time."""
        return None

    @property
    def matched(self) -> tuple[tuple[MetricInput, tuple[str, ...]], ...]:
        """The inputs whose events are matched with each other, each with the elements that must be equal."""
        return ()

    @property
    def dtype(self) -> str | None:
        """`float64` or `int64` if its type is always that; None if the columns or the inputs determine it."""
        return None

    @property
    def on_spine(self) -> str | None:
        """Why it needs a time spine when it is queried by time, such as `looks at another time`."""
        return "looks at another time" if any(used.moved for used in self.inputs) else None

    @property
    def beyond_rows(self) -> str | None:
        """Why it is not an aggregate of the rows of a group; None if that depends on its inputs."""
        for used in self.inputs:
            if used.moved:
                return f"looks at {used.name} at another time ({used.moved})"
        return None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """A description for people."""
        return ()

    def filtered_later(self, _: str) -> Self:
        """The definition with a condition on the facts that are counted at the time of another fact, if it has any."""
        return self


@dataclass(frozen=True, slots=True)
class Simple(Definition):
    measure: Measure = field()
    fill_nulls_with: int | None = None
    join_to_timespine: bool = False

    @property
    def dtype(self) -> str | None:
        return self.measure.dtype

    @property
    def settings(self) -> dict[str, object]:
        return {"fill_nulls_with": self.fill_nulls_with, "join_to_timespine": self.join_to_timespine}

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
    def settings(self) -> dict[str, object]:
        return {"window": self.window, "grain_to_date": self.grain_to_date, "period_agg": self.period_agg}

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
    def settings(self) -> dict[str, object]:
        return {
            "entity": self.entity,
            "calculation": self.calculation,
            "window": self.window,
            "constant_properties": self.constant_properties,
        }

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
    """A metric: its name, its definition, and filters on all rows that it counts.

    `private` marks a metric that was created while reading, such as a cumulative metric's bare measure. It is not
    listed and cannot be queried. `is_decimal` keeps all digits of whole numbers.
    """

    name: str
    definition: MetricDefinition
    filters: tuple[str, ...] = ()
    time_granularity: str | None = None
    private: bool = False
    label: str | None = None
    description: str | None = None
    meta: dict[str, Any] = field(default_factory=dict, compare=False)
    is_decimal: bool = False

    @property
    def type(self) -> str:
        """dbt's word for its type: `simple`, `ratio`, `derived`, `cumulative` or `conversion`."""
        return type(self.definition).__name__.lower()

    @property
    def bare_measure(self) -> Measure | None:
        """The measure that it stands for as an input, if it was created while reading."""
        return self.definition.measure if self.private and self.name.startswith("_") else None
