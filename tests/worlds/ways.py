"""A second world, of ways: one table in several roles, paths that come back to it, a key of two columns.

An order has two addresses and a seller; sellers, managers and heads of departments are employees; a region has a
keeper, who is an employee too. A line of an order is identified by the order and a number, and shipments point to it.
"""

import datetime as dt
from typing import Any

from hypothesis import strategies as st

from gemel.spec.manifest import Dimension, Entity, Manifest, Relation, SemanticModel
from gemel.spec.metrics import Conversion, Cumulative, Derived, Measure, Metric, NonAdditive, Ratio
from gemel.spec.time import Window
from worlds.drawn import SPINES, Tables, days, simple, time, used, word

COLUMNS = {
    "orders": "order_id int, billing_id int, shipping_id int, seller_id int, ordered_at date, amount int",
    "addresses": "address_id int, region_id int, city text",
    "regions": "region_id int, keeper_id int, zone text",
    "employees": "employee_id int, department_id int, manager_id int, hired_at date, title text",
    "departments": "department_id int, head_id int, department_name text",
    "order_lines": "order_id int, line_no int, added_at date, product text, quantity int",
    "shipments": "shipment_id int, of_order int, of_line int, shipped_at date, carrier text",
    "spine_day": "day date, fiscal_month date, sprint int",
    "spine_hour": "hour timestamp",
    "spine_month": "month date",
}


def model(name: str, entities: dict[str, str], *dimensions: Dimension, table: str | None = None) -> SemanticModel:
    """`entities` are `{"seller": "foreign seller_id"}`: the type and the column."""
    made = tuple(Entity(entity, *definition.split(" ", 1)) for entity, definition in entities.items())
    clock = next((dimension.name for dimension in dimensions if dimension.is_time), None)
    return SemanticModel(name, Relation(table or name, schema="main"), None, made, dimensions, clock)


MODELS = (
    model(
        "orders",
        {
            "order": "primary order_id",
            "billing_address": "foreign billing_id",
            "shipping_address": "foreign shipping_id",
            "seller": "foreign seller_id",
        },
        time("ordered_at"),
        word("is_large", "amount > 10"),
    ),
    model(
        "addresses",
        {
            "address": "primary address_id",
            "billing_address": "unique address_id",
            "shipping_address": "unique address_id",
            "region": "foreign region_id",
        },
        word("city"),
    ),
    model("regions", {"region": "primary region_id", "keeper": "foreign keeper_id"}, word("zone")),
    model(
        "employees",
        {
            "employee": "primary employee_id",
            "seller": "unique employee_id",
            "head": "unique employee_id",
            "keeper": "unique employee_id",
            "department": "foreign department_id",
            "manager": "foreign manager_id",
        },
        time("hired_at"),
        word("title"),
    ),
    model(
        "managers",
        {"manager": "primary employee_id", "department": "foreign department_id", "director": "foreign manager_id"},
        word("title"),
        table="employees",
    ),
    model("directors", {"director": "primary employee_id"}, word("title"), table="employees"),
    model("departments", {"department": "primary department_id", "head": "foreign head_id"}, word("department_name")),
    model(
        "order_lines",
        {"line": "primary (order_id, line_no)", "order": "foreign order_id"},
        time("added_at"),
        word("product"),
    ),
    model(
        "shipments",
        {"shipment": "primary shipment_id", "line": "foreign (of_order, of_line)"},
        time("shipped_at"),
        word("carrier"),
    ),
)

ORDERS = Measure("orders", "orders", "count", "1", "ordered_at")
HIRES = Measure("hires", "employees", "count", "1", "hired_at")
LINES = Measure("lines", "order_lines", "count", "1", "added_at")
SHIPMENTS = Measure("shipments", "shipments", "count", "1", "shipped_at")
QUANTITY = Measure("quantity", "order_lines", "sum", "quantity", "added_at")
LAST_QUANTITY = Measure(
    "last_quantity",
    "order_lines",
    "sum",
    "quantity",
    "added_at",
    non_additive=NonAdditive("added_at", "max", ("line",)),
)
SHIPPED_LINES = Measure("shipped_lines", "shipments", "count_distinct", "(of_order, of_line)", "shipped_at")
HOME = "{{ Dimension('address__city', entity_path=['billing_address']) }} = {{ Dimension('shipping_address__city') }}"

METRICS = (
    simple(ORDERS),
    simple(Measure("amount", "orders", "sum", "amount", "ordered_at")),
    simple(HIRES),
    simple(LINES),
    simple(QUANTITY),
    simple(LAST_QUANTITY),
    simple(SHIPMENTS),
    simple(SHIPPED_LINES),
    simple(ORDERS, "orders_sent_home", HOME),
    simple(ORDERS, "orders_both", fill_nulls_with=0, join_to_timespine=True),
    simple(QUANTITY, "quantity_shipped", "{{ Metric('shipments', ['line']) }} >= 1"),
    simple(SHIPMENTS, "shipments_of_two", "{{ Metric('quantity', ['line']) }} > 1"),
    simple(ORDERS, "orders_shipped", "{{ Metric('shipments', ['line__order']) }} >= 1"),
    simple(ORDERS, "orders_of_two_lines", "{{ Metric('lines', ['line__order']) }} > 1"),
    simple(HIRES, "sellers_shipped", "{{ Metric('shipments', ['line__order__seller']) }} >= 1"),
    Metric("home_share", Ratio(used("orders", "sent_home", HOME), used("orders"))),
    Metric("lines_per_order", Ratio(used("lines"), used("orders"))),
    Metric(
        "change", Derived("orders - before", (used("orders"), used("orders", "before", offset_window=Window(1, "day"))))
    ),
    Metric("shipped_before", Derived("before", (used("shipments", "before", offset_window=Window(1, "week")),))),
    Metric("orders_7d", Cumulative(used("orders"), Window(7, "day"))),
    Metric("shipped_lines_mtd", Cumulative(used("shipped_lines"), grain_to_date="month", period_agg="last")),
    Metric("hire_to_order", Conversion(used("hires"), used("orders"), "seller", "conversions")),
    Metric("line_to_shipment", Conversion(used("lines"), used("shipments"), "line", window=Window(7, "day"))),
)

MANIFEST = Manifest(MODELS, METRICS, time_spines=SPINES)

# What a column may hold; questions take their values from here too.
VALUES: dict[str, list[Any]] = {
    "order_id": [1, 2, 3, None],
    "line_no": [1, 2, None],
    "of_order": [1, 2, 3, None],
    "of_line": [1, 2, 3, None],
    "billing_id": [1, 2, 3, 9, None],
    "shipping_id": [1, 2, 3, 9, None],
    "region_id": [1, 2, 9, None],
    "seller_id": [1, 2, 3, 9, None],
    "keeper_id": [1, 2, 3, None],
    "manager_id": [1, 2, 3, 9, None],
    "head_id": [1, 2, 3, None],
    "department_id": [1, 2, 9, None],
    "city": ["Rome", "Oslo", None],
    "zone": ["north", "south", None],
    "title": ["chief", "clerk", None],
    "department_name": ["sales", "stock"],
    "product": ["pen", "ink", None],
    "carrier": ["post", "van", None],
    "quantity": [1, 2, 5, None],
    "amount": [5, 10, 20, None],
}
KEYS = {
    "orders": ("order_id",),
    "addresses": ("address_id",),
    "regions": ("region_id",),
    "employees": ("employee_id",),
    "departments": ("department_id",),
    "order_lines": ("order_id", "line_no"),
    "shipments": ("shipment_id",),
}


@st.composite
def table(draw: st.DrawFn, name: str, most: int) -> list[dict[str, Any]]:
    """Rows of random values, no key twice; a key of two columns may lack one of them."""
    columns = dict(column.split() for column in COLUMNS[name].split(", "))
    key = KEYS[name]
    keys = range(1, most + 1) if len(key) == 1 else [(o, n) for o in (1, 2, None) for n in (1, 2, None)]
    rows = []
    for value in draw(st.lists(st.sampled_from(keys), unique=True, max_size=most)):
        row = dict(zip(key, value if isinstance(value, tuple) else (value,), strict=True))
        for column, kind in columns.items():
            if column not in row:
                row[column] = draw(days | st.none() if kind == "date" else st.sampled_from(VALUES[column]))
        rows.append({column: row[column] for column in columns})
    return rows


worlds: st.SearchStrategy[Tables] = st.fixed_dictionaries(
    {
        "orders": table("orders", 5),
        "addresses": table("addresses", 3),
        "regions": table("regions", 2),
        "employees": table("employees", 4),
        "departments": table("departments", 2),
        "order_lines": table("order_lines", 6),
        "shipments": table("shipments", 6),
    }
)


def row(name: str, *values: Any) -> dict[str, Any]:
    """`row("departments", 1, None, "sales")`; a day may be a text."""
    columns = [column.split() for column in COLUMNS[name].split(", ")]
    return {
        column: dt.date.fromisoformat(value) if kind == "date" and isinstance(value, str) else value
        for (column, kind), value in zip(columns, values, strict=True)
    }
