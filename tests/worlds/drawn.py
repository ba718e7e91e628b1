"""Small worlds to ask questions of: one fixed manifest, tables drawn by hypothesis, a DuckDB that holds them.

Sales (two clocks), calls (an hourly clock) and stock (a level, not to be added over days) lead to customers, on to
regions and to shops with history. Values are few, so that everything collides: ties, repeated rows, orphans,
missing keys, midnights, a leap day, empty tables.
"""

import datetime as dt
from typing import Any

import duckdb
from hypothesis import strategies as st

from gemel.spec.manifest import Dimension, Entity, Manifest, Relation, SemanticModel, TimeSpine
from gemel.spec.metrics import (
    Conversion,
    Cumulative,
    Derived,
    Measure,
    Metric,
    MetricInput,
    NonAdditive,
    Percentile,
    Ratio,
    Simple,
)
from gemel.spec.time import Window

Tables = dict[str, list[dict[str, Any]]]

COLUMNS = {
    "sales": "sale_id int, customer_id int, shop_id int, sold_at timestamp, paid_at timestamp, status text, amount int",
    "calls": "call_id int, customer_id int, called_at timestamp, channel text, minutes double",
    "stock": "stock_id int, shop_id int, on_day date, color text, level int",
    "customers": "customer_id int, region_id int, joined_at date, segment text",
    "tastes": "customer_id int, taste text",
    "regions": "region_id int, zone text",
    "shops": "shop_id int, valid_from date, valid_to date, manager text",
    "spine_day": "day date, fiscal_month date, sprint int",
    "spine_hour": "hour timestamp",
    "spine_month": "month date",
}

# --- The manifest -------------------------------------------------------------------------------------------


def model(name: str, clock: str | None, entities: dict[str, str], *dimensions: Dimension) -> SemanticModel:
    """`entities` are `{"customer": "foreign"}`, each in the column customer_id."""
    made = tuple(Entity(entity, type_, f"{entity}_id") for entity, type_ in entities.items())
    key = None if "primary" in entities.values() else f"{name}_row"
    return SemanticModel(name, Relation(name, schema="main"), key, made, dimensions, clock)


def time(name: str, grain: str = "day", **more: Any) -> Dimension:
    return Dimension(name, name, grain=grain, **more)


def word(name: str, expr: str | None = None) -> Dimension:
    return Dimension(name, expr or name)


def amount(name: str, agg: str = "sum", expr: str = "amount", **more: Any) -> Measure:
    return Measure(name, "sales", agg, expr, more.pop("time_dimension", "sold_at"), **more)


def simple(measure: Measure, name: str | None = None, *filters: str, **more: Any) -> Metric:
    return Metric(name or measure.name, Simple(measure, **more), filters)


def used(name: str, alias: str | None = None, *filters: str, **more: Any) -> MetricInput:
    return MetricInput(name, alias, filters, **more)


MODELS = (
    model(
        "sales",
        "sold_at",
        {"sale": "primary", "customer": "foreign", "shop": "foreign"},
        time("sold_at"),
        time("paid_at"),
        word("status"),
        word("is_large", "amount > 10"),
    ),
    model(
        "calls",
        "called_at",
        {"call": "primary", "customer": "foreign"},
        time("called_at", "hour"),
        word("channel"),
    ),
    model("stock", "on_day", {"stock": "primary", "shop": "foreign"}, time("on_day"), word("color")),
    model(
        "customers",
        "joined_at",
        {"customer": "primary", "region": "foreign"},
        time("joined_at"),
        word("segment"),
    ),
    model("tastes", None, {"customer": "unique"}, word("taste")),
    model("regions", None, {"region": "primary"}, word("zone")),
    model(
        "shops",
        None,
        {"shop": "natural"},
        time("valid_from", validity="start"),
        time("valid_to", validity="end"),
        word("manager"),
    ),
)

SALES = amount("sales", "count", "1")
CALLS = Measure("calls", "calls", "count", "1", "called_at")
LEVEL = Measure("level", "stock", "sum", "level", "on_day", non_additive=NonAdditive("on_day", "max"))
FIRST_LEVEL = Measure(
    "first_level", "stock", "sum", "level", "on_day", non_additive=NonAdditive("on_day", "min", ("shop",))
)
DONE = "{{ Dimension('sale__status') }} = 'done'"

METRICS = (
    # Every aggregate
    simple(SALES),
    simple(amount("amount")),
    simple(amount("amount_max", "max")),
    simple(amount("amount_min", "min")),
    simple(amount("amount_average", "average")),
    simple(amount("amounts_known", "count")),
    simple(amount("buyers", "count_distinct", "customer_id")),
    simple(amount("large_sales", "sum", "case when amount > 10 then 1 else 0 end")),
    simple(amount("amount_median", "percentile", percentile=Percentile(0.5))),
    simple(amount("amount_p80", "percentile", percentile=Percentile(0.8, discrete=True))),
    simple(amount("amount_paid", time_dimension="paid_at")),
    simple(CALLS),
    simple(Measure("minutes", "calls", "sum", "minutes", "called_at")),
    simple(Measure("callers", "calls", "count_distinct", "customer_id", "called_at")),
    simple(LEVEL),
    simple(FIRST_LEVEL),
    simple(Measure("joined", "customers", "count", "1", "joined_at")),
    # With filters, a filled value, the time spine
    simple(SALES, "done_sales", DONE),
    simple(SALES, "managed_sales", "{{ Dimension('shop__manager') }} = 'ann'"),
    simple(amount("amount"), "gold_amount", "{{ Dimension('customer__segment') }} = 'gold' or " + DONE),
    simple(SALES, "march_sales", "{{ TimeDimension('metric_time', 'day') }} >= '2024-03-01'"),
    simple(SALES, "called_sales", "{{ Metric('calls', ['customer']) }} >= 2"),
    simple(SALES, "cheap_sales", "{{ Metric('amount_per_sale', ['customer']) }} < 15"),
    simple(SALES, "sales_filled", fill_nulls_with=0),
    simple(SALES, "sales_on_spine", join_to_timespine=True),
    simple(SALES, "sales_both", fill_nulls_with=0, join_to_timespine=True),
    simple(SALES, "done_both", DONE, fill_nulls_with=7, join_to_timespine=True),
    simple(CALLS, "calls_both", fill_nulls_with=0, join_to_timespine=True),
    Metric(
        "minutes_by_hour", Simple(Measure("minutes", "calls", "sum", "minutes", "called_at")), time_granularity="hour"
    ),
    # Ratios and derived metrics
    Metric("amount_per_sale", Ratio(used("amount"), used("sales"))),
    Metric("sales_per_call", Ratio(used("sales"), used("calls"))),
    Metric("done_share", Ratio(used("sales", "done", DONE), used("sales", "everything"))),
    Metric("sales_and_calls", Derived("sales + calls", (used("sales"), used("calls")))),
    Metric(
        "filled_difference",
        Derived("sales_filled - calls_both", (used("sales_filled"), used("calls_both"))),
    ),
    Metric("nested", Derived("amount_per_sale - 2 * done_share", (used("amount_per_sale"), used("done_share")))),
    Metric("known_or_zero", Derived("coalesce(amount, 0) + 1", (used("amount"),)), (DONE,)),
    # Offsets
    Metric(
        "week_change",
        Derived("sales - before", (used("sales"), used("sales", "before", offset_window=Window(7, "day")))),
    ),
    Metric("last_month", Derived("before", (used("sales", "before", offset_window=Window(1, "month")),))),
    simple(
        SALES,
        "march_both",
        "{{ TimeDimension('metric_time', 'day') }} >= '2024-03-01'",
        fill_nulls_with=0,
        join_to_timespine=True,
    ),
    Metric("march_both_before", Derived("before", (used("march_both", "before", offset_window=Window(3, "day")),))),
    Metric("buyers_last_month", Derived("before", (used("buyers", "before", offset_window=Window(1, "month")),))),
    Metric(
        "median_last_month", Derived("before", (used("amount_median", "before", offset_window=Window(1, "month")),))
    ),
    Metric(
        "ratio_last_month", Derived("before", (used("amount_per_sale", "before", offset_window=Window(1, "month")),))
    ),
    Metric("at_month_start", Derived("start", (used("sales", "start", offset_to_grain="month"),))),
    Metric("done_yesterday", Derived("before", (used("sales", "before", DONE, offset_window=Window(1, "day")),))),
    Metric("filled_yesterday", Derived("before", (used("sales_filled", "before", offset_window=Window(1, "day")),))),
    Metric("both_yesterday", Derived("before", (used("sales_both", "before", offset_window=Window(1, "day")),))),
    Metric("change_before", Derived("before * 2", (used("week_change", "before", offset_window=Window(2, "day")),))),
    Metric("ratio_before", Derived("before", (used("amount_per_sale", "before", offset_window=Window(1, "week")),))),
    Metric("sprint_before", Derived("before", (used("sales", "before", offset_window=Window(1, "sprint")),))),
    Metric("calls_sprint_before", Derived("before", (used("calls", "before", offset_window=Window(1, "sprint")),))),
    Metric(
        "late_both",
        Simple(CALLS, fill_nulls_with=0, join_to_timespine=True),
        ("{{ Dimension('metric_time').date_part('day') }} > 25",),
    ),
    Metric("both_sprint_before", Derived("before", (used("sales_both", "before", offset_window=Window(1, "sprint")),))),
    Metric("calls_before", Derived("before", (used("calls", "before", offset_window=Window(5, "hour")),))),
    Metric("level_yesterday", Derived("before", (used("level", "before", offset_window=Window(1, "day")),))),
    Metric("level_at_month_start", Derived("start", (used("level", "start", offset_to_grain="month"),))),
    # Cumulative
    Metric("sales_ever", Cumulative(used("sales"))),
    Metric("sales_7d", Cumulative(used("sales"), Window(7, "day"))),
    Metric("sales_1m", Cumulative(used("sales"), Window(1, "month"))),
    Metric("sales_mtd", Cumulative(used("sales"), grain_to_date="month")),
    Metric("sales_wtd_last", Cumulative(used("sales"), grain_to_date="week", period_agg="last")),
    Metric("amount_7d_average", Cumulative(used("amount"), Window(7, "day"), period_agg="average")),
    Metric("sales_wtd_average", Cumulative(used("sales"), grain_to_date="week", period_agg="average")),
    Metric("amount_ever_average", Cumulative(used("amount"), period_agg="average")),
    Metric("buyers_7d", Cumulative(used("buyers"), Window(7, "day"), period_agg="last")),
    Metric("buyers_ever", Cumulative(used("buyers"))),
    Metric("buyers_1m", Cumulative(used("buyers"), Window(1, "month"))),
    Metric("buyers_mtd", Cumulative(used("buyers"), grain_to_date="month", period_agg="average")),
    Metric("done_buyers_2d", Cumulative(used("buyers"), Window(2, "day")), (DONE,)),
    Metric("buyers_yesterday", Derived("before", (used("buyers_7d", "before", offset_window=Window(1, "day")),))),
    Metric("callers_6h", Cumulative(used("callers"), Window(6, "hour"))),
    Metric("callers_1d", Cumulative(used("callers"), Window(1, "day"))),
    Metric("callers_dtd", Cumulative(used("callers"), grain_to_date="day", period_agg="last")),
    Metric("both_3d", Cumulative(used("sales_both"), Window(3, "day"))),
    Metric("calls_6h", Cumulative(used("calls"), Window(6, "hour"))),
    Metric("done_7d", Cumulative(used("sales"), Window(7, "day")), (DONE,)),
    Metric("done_mtd", Cumulative(used("sales", None, DONE), grain_to_date="month")),
    Metric("level_7d", Cumulative(used("level"), Window(7, "day"))),
    Metric("sales_7d_per_call", Ratio(used("sales_7d"), used("calls"))),
    Metric("sales_7d_yesterday", Derived("before", (used("sales_7d", "before", offset_window=Window(1, "day")),))),
    Metric("sales_7d_last_month", Derived("before", (used("sales_7d", "before", offset_window=Window(1, "month")),))),
    # Conversion
    Metric("call_to_sale_rate", Conversion(used("calls"), used("sales"), "customer", window=Window(7, "day"))),
    Metric("call_to_sale", Conversion(used("calls"), used("sales"), "customer", "conversions")),
    Metric(
        "call_to_sale_filled",
        Conversion(used("calls"), used("sales_filled"), "customer", "conversions", Window(2, "day")),
    ),
    Metric(
        "sold_and_sales",
        Derived("call_to_sale_filled + sales_filled", (used("call_to_sale_filled"), used("sales_filled"))),
    ),
    Metric(
        "call_to_sale_on_spine",
        Conversion(used("calls_both"), used("sales_both"), "customer", "conversions", Window(7, "day")),
    ),
    Metric(
        "call_to_sale_before", Derived("before", (used("call_to_sale", "before", offset_window=Window(1, "week")),))
    ),
    Metric(
        "call_to_done",
        Conversion(used("calls"), used("sales", None, DONE), "customer", "conversions"),
    ),
    Metric(
        "web_call_to_sale_on_spine",
        Conversion(
            used("calls_both", None, "{{ Dimension('call__channel') }} = 'web'"),
            used("sales"),
            "customer",
            "conversions",
        ),
    ),
    Metric(
        "march_both_3d",
        Cumulative(used("sales_both"), Window(3, "day")),
        ("{{ TimeDimension('metric_time', 'day') }} >= '2024-03-01'",),
    ),
    Metric("joined_to_sale", Conversion(used("joined"), used("sales"), "customer", "conversions", Window(1, "month"))),
)

SPINES = (
    TimeSpine(
        Relation("spine_day", schema="main"),
        "day",
        "day",
        (("fiscal_month", "fiscal_month"), ("sprint", "sprint")),
    ),
    TimeSpine(Relation("spine_hour", schema="main"), "hour", "hour"),
    TimeSpine(Relation("spine_month", schema="main"), "month", "month"),
)

MANIFEST = Manifest(MODELS, METRICS, time_spines=SPINES)

# --- The tables ---------------------------------------------------------------------------------------------

FIRST, LAST = dt.date(2024, 2, 20), dt.date(2024, 4, 10)
DAYS = [FIRST + dt.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
# A Monday, the leap day and its neighbours, a Sunday and the Monday after, and days that lack in February.
BUSY = [dt.date(2024, 2, day) for day in (26, 28, 29)] + [dt.date(2024, 3, day) for day in (1, 3, 4, 29, 31)]

days = st.sampled_from(BUSY)
moments = st.builds(
    lambda day, clock: dt.datetime.combine(day, dt.time.fromisoformat(clock)),
    days,
    st.sampled_from(["00:00", "00:00", "09:00", "09:30", "23:00"]),
)


def table(name: str, *columns: st.SearchStrategy[Any], most: int = 8) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows without their first column, which counts them."""
    names = [column.split()[0] for column in COLUMNS[name].split(", ")]
    rows = st.lists(st.tuples(*columns), max_size=most)
    return rows.map(lambda drawn: [dict(zip(names, (n, *row), strict=True)) for n, row in enumerate(drawn)])


def keyed(name: str, keys: list[int], *columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """One row a key, of some of the keys."""
    names = [column.split()[0] for column in COLUMNS[name].split(", ")]
    rows = st.lists(st.tuples(st.sampled_from(keys), *columns), unique_by=lambda row: row[0], max_size=len(keys))
    return rows.map(lambda drawn: [dict(zip(names, row, strict=True)) for row in drawn])


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Validity windows that do not overlap, with gaps, the last of a shop perhaps open."""
    rows = []
    for shop in (1, 2):
        bounds = sorted(draw(st.lists(st.sampled_from([*DAYS[:1], *BUSY]), unique=True, max_size=4)))
        for start, end in zip(bounds, [*bounds, None][1:], strict=True):
            if draw(st.booleans()):
                manager = draw(one_of("manager"))
                rows.append({"shop_id": shop, "valid_from": start, "valid_to": end, "manager": manager})
    return rows


def fiscal_month(day: dt.date) -> dt.date:
    """Fiscal months begin on the fifth."""
    start = day if day.day >= 5 else day.replace(day=1) - dt.timedelta(days=1)
    return start.replace(day=5)


SPINE_ROWS: Tables = {
    "spine_day": [{"day": day, "fiscal_month": fiscal_month(day), "sprint": (day - FIRST).days // 10} for day in DAYS],
    "spine_hour": [{"hour": dt.datetime.combine(day, dt.time(hour))} for day in DAYS for hour in range(24)],
    "spine_month": [{"month": dt.date(2024, month, 1)} for month in range(1, 7)],
}

# What a column may hold; questions take their values from here too.
VALUES: dict[str, list[Any]] = {
    "status": ["done", "done", "open", None],
    "amount": [-5, 0, 10, 10, 20, 45, None],
    "channel": ["web", "app", None],
    "minutes": [1.5, -2.0, None],
    "color": ["red", "blue", None],
    "level": [-3, 5, 100, None],
    "region_id": [1, 2, 9, None],
    "segment": ["gold", "tin", None],
    "taste": ["sweet", "sour"],
    "zone": ["north", "south", None],
    "customer_id": [1, 1, 2, 3, 99, None],
    "shop_id": [1, 1, 2, 99, None],
    "manager": ["ann", "bob", None],
}


def one_of(column: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(VALUES[column])


# Without the spines, which are always the same and long to print.
worlds: st.SearchStrategy[Tables] = st.fixed_dictionaries(
    {
        "sales": table(
            "sales",
            one_of("customer_id"),
            one_of("shop_id"),
            moments,
            st.none() | moments,
            one_of("status"),
            one_of("amount"),
        ),
        "calls": table("calls", one_of("customer_id"), moments, one_of("channel"), one_of("minutes")),
        "stock": table("stock", one_of("shop_id"), days | st.none(), one_of("color"), one_of("level")),
        "customers": keyed("customers", [1, 2, 3], one_of("region_id"), st.none() | days, one_of("segment")),
        "tastes": keyed("tastes", [1, 2, 7], one_of("taste")),
        "regions": keyed("regions", [1, 2], one_of("zone")),
        "shops": histories(),
    }
)


class Warehouse:
    """One DuckDB in memory that takes one world's tables after another; the spines stay."""

    def __init__(self, tables: dict[str, str] = COLUMNS) -> None:
        self.connection = duckdb.connect(config={"threads": 1})  # rows are few, and the other cores have tests too
        for name, columns in tables.items():
            self.connection.execute(f"create table {name} ({columns})")
        self.held = filled(SPINE_ROWS)
        self.connection.execute(self.held)

    def holding(self, tables: Tables) -> duckdb.DuckDBPyConnection:
        script = filled({name: rows for name, rows in tables.items() if name not in SPINE_ROWS})
        if script != self.held:
            self.connection.execute(script)
            self.held = script
        return self.connection


def filled(tables: Tables) -> str:
    """The SQL after which the tables have these rows, and no others."""
    statements = [f"delete from {name}" for name in tables]
    for name, rows in tables.items():
        if rows:
            values = ", ".join("(" + ", ".join(map(literal, row.values())) + ")" for row in rows)
            statements.append(f"insert into {name} ({', '.join(rows[0])}) values {values}")
    return ";\n".join(["begin", *statements, "commit"])


def literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case dt.date() | str():
            return f"'{value}'"
        case _:
            return repr(value)
