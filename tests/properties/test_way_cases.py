"""Roles, paths that come back and keys of two columns, each with its data."""

import pytest

from gemel.compiler.compiled import compile_query
from gemel.errors import QueryError
from properties.asking import assert_same, by_sql, plain
from properties.test_ways import WAYS
from worlds import ways
from worlds.questions import Question
from worlds.shop import flat
from worlds.ways import row


def rows(question: Question, **tables: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """As the SQL gives them, once the reference evaluator has agreed, in order."""
    world = {name: tables.get(name, []) for name in ways.KEYS}
    assert_same(question, world, WAYS)
    return sorted((tuple(map(plain, each)) for each in by_sql(question, world, WAYS)[1]), key=str)


def by(metric: str, *items: str, where: tuple[str, ...] = ()) -> Question:
    return Question((metric,), items, where)


def order(key: int, billing: int | None = None, shipping: int | None = None, seller: int | None = None):
    return row("orders", key, billing, shipping, seller, "2024-03-01", 10)


ROME, OSLO = row("addresses", 1, 1, "Rome"), row("addresses", 2, 2, "Oslo")


def test_an_order_is_counted_at_both_of_its_addresses_at_once():
    orders = [order(1, 1, 2), order(2, 1, 1), order(3, 2, 9), order(4, None, 1)]
    question = by("orders", "billing_address__city", "shipping_address__city")
    assert rows(question, orders=orders, addresses=[ROME, OSLO]) == [
        ("Oslo", None, 1),
        ("Rome", "Oslo", 1),
        ("Rome", "Rome", 1),
        (None, "Rome", 1),
    ]


def test_two_roles_may_be_compared_in_a_filter():
    orders = [order(1, 1, 2), order(2, 1, 1), order(3, 9, 9)]
    assert rows(by("orders_sent_home"), orders=orders, addresses=[ROME, OSLO]) == [(1,)]
    assert rows(by("home_share"), orders=orders, addresses=[ROME, OSLO]) == [(plain(1 / 3),)]


def test_two_ways_to_one_model_go_on_from_different_rows():
    regions = [row("regions", 1, None, "south"), row("regions", 2, None, "north")]
    question = by("orders", "billing_address__region__zone", "shipping_address__region__zone")
    found = rows(question, orders=[order(1, 1, 2)], addresses=[ROME, OSLO], regions=regions)
    assert found == [("south", "north", 1)]


def employee(key: int, manager: int | None, title: str, department: int | None = 1):
    return row("employees", key, department, manager, "2024-03-01", title)


def test_a_manager_is_an_employee_and_so_is_the_managers_manager():
    staff = [employee(1, None, "chief"), employee(2, 1, "boss"), employee(3, 2, "clerk"), employee(4, 9, "guest")]
    question = by("hires", "employee__title", "manager__title", "manager__director__title")
    assert rows(question, employees=staff) == [
        ("boss", "chief", None, 1),
        ("chief", None, None, 1),
        ("clerk", "boss", "chief", 1),
        ("guest", None, None, 1),
    ]


def test_the_head_of_an_employees_department_is_an_employee():
    staff = [employee(1, None, "chief"), employee(2, 1, "clerk"), employee(3, 1, "guest", department=2)]
    departments = [row("departments", 1, 1, "sales"), row("departments", 2, 9, "stock")]
    question = by("hires", "employee__title", "department__head__title")
    assert rows(question, employees=staff, departments=departments) == [
        ("chief", "chief", 1),
        ("clerk", "chief", 1),
        ("guest", None, 1),
    ]


def line(order: int | None, number: int | None, product: str = "pen", quantity: int = 1):
    return row("order_lines", order, number, "2024-03-01", product, quantity)


def shipment(key: int, order: int | None, number: int | None, day: str = "2024-03-02"):
    return row("shipments", key, order, number, day, "post")


LINES = [line(1, 1), line(1, 2, "ink"), line(2, 1, "ink", 5)]


def test_a_key_of_two_columns_joins_by_both_and_a_missing_one_by_none():
    shipments = [shipment(1, 1, 1), shipment(2, 1, 2), shipment(3, 2, 2), shipment(4, 1, None), shipment(5, None, None)]
    lines = [*LINES, line(1, None, "cap"), line(None, None, "cap")]
    found = rows(by("shipments", "line__product"), order_lines=lines, shipments=shipments)
    assert found == [("ink", 1), ("pen", 1), (None, 3)]


def test_grouped_by_a_key_of_two_columns_there_are_two_and_no_join():
    shipments = [shipment(1, 1, 1), shipment(2, 1, 1), shipment(3, 7, None)]
    question = by("shipments", "line")
    assert rows(question, shipments=shipments) == [(1, 1, 2), (7, None, 1)]
    assert by_sql(question, {}, WAYS)[0] == ["line__order_id", "line__line_no", "shipments"]
    assert "JOIN" not in compile_query(WAYS.graph, question.for_gemel()).sql


def test_a_column_of_a_key_can_be_grouped_filtered_and_ordered_by():
    shipments = [shipment(1, 1, 1), shipment(2, 1, 2), shipment(3, 2, 2)]
    where = ("{{ Dimension('line__line_no') }} = 2",)
    assert rows(by("shipments", "line__order_id", where=where), shipments=shipments) == [(1, 1), (2, 1)]
    question = Question(("shipments",), ("line",), order_by=("-line",))
    world = {name: [] for name in ways.KEYS} | {"shipments": shipments}
    assert [each[:2] for each in by_sql(question, world, WAYS)[1]] == [(2, 2), (1, 2), (1, 1)]


def test_one_value_of_a_key_of_two_columns_is_refused():
    with pytest.raises(QueryError, match="G332 'line' is a key of 2 columns") as refused:
        by_sql(by("shipments", where=("{{ Entity('line') }} = 1",)), {}, WAYS)
    assert refused.value.hint == "write line__order_id or line__line_no"


def test_a_metric_is_computed_for_each_key_of_two_columns():
    shipments = [shipment(1, 1, 1), shipment(2, 1, 1), shipment(3, 2, 1), shipment(4, None, 1), shipment(5, 1, None)]
    lines = [*LINES, line(None, 1), line(1, None)]
    assert rows(by("quantity_shipped"), order_lines=lines, shipments=shipments) == [(6,)]
    assert rows(by("shipments_of_two"), order_lines=lines, shipments=shipments) == [(1,)]
    for_each = Question(("lines",), ("Metric('shipments', ['line'])",))
    world = {name: [] for name in ways.KEYS} | {"order_lines": lines, "shipments": shipments}
    assert sorted(by_sql(for_each, world, WAYS)[1], key=str) == [(1, 1), (2, 1), (None, 3)]


def test_a_metric_is_computed_for_an_entity_with_its_models_prefix():
    lines = [line(1, 1), line(1, 2), line(2, 1)]
    tables = {"orders": [order(1), order(2), order(3)], "order_lines": lines}
    assert rows(by("orders_of_two_lines"), **tables) == [(1,)]
    asked = by("orders", "order", where=("{{ Metric('lines', ['line__order']) }} = 1",))
    assert rows(asked, **tables) == [(2, 1)]
    grouped = by("orders", "Metric('lines', ['line__order'])")
    world = {name: tables.get(name, []) for name in ways.KEYS}
    assert sorted(by_sql(grouped, world, WAYS)[1], key=str) == [(1, 1), (2, 1), (None, 1)]


def test_a_metric_is_computed_for_an_entity_that_its_facts_reach_over_two_hops():
    staff = [employee(1, None, "chief"), employee(2, 1, "clerk")]
    tables = {"employees": staff, "orders": [order(1, seller=2), order(2, seller=1)], "order_lines": [line(1, 1)]}
    shipped = [shipment(1, 1, 1)]
    assert rows(by("sellers_shipped", "employee__title"), shipments=shipped, **tables) == [("clerk", 1)]
    often = ("{{ Metric('shipments', ['line__order__seller']) }} >= 1",)
    world = {name: tables.get(name, []) for name in ways.KEYS} | {"shipments": shipped}
    assert by_sql(Question((), ("seller__title",), often), world, WAYS)[1] == [("clerk",)]


def test_the_rows_that_are_filtered_are_matched_by_their_own_entity_before_the_path():
    """The second employee is in the department of the first, and no seller has its department's orders."""
    staff = [employee(1, None, "chief"), employee(2, 1, "clerk")]
    lines = [line(1, 1), line(2, 1)]
    tables = {
        "employees": staff,
        "departments": [row("departments", 1, 1, "sales")],
        "orders": [order(1, 1, 2, seller=2), order(2, 2, 2, seller=2)],
        "order_lines": lines,
    }
    hired = by("hires", "employee__title", where=("{{ Metric('lines', ['order__seller']) }} = 2",))
    assert rows(hired, **tables) == [("clerk", 1)]
    billed = by("orders", "order", where=("{{ Metric('lines', ['line__order__billing_address']) }} = 1",))
    assert rows(billed, **tables) == [(1, 1), (2, 1)]


def test_a_metric_of_an_entity_that_the_facts_do_not_have_is_refused_by_its_whole_name():
    with pytest.raises(QueryError, match=r"G3.. .*'line__order__seller'"):
        by_sql(by("shipments", where=("{{ Metric('hires', ['line__order__seller']) }} = 1",)), {}, WAYS)


def test_the_sql_of_a_metric_of_an_entity_over_two_hops_is_what_one_would_write():
    assert flat(compile_query(WAYS.graph, by("sellers_shipped").for_gemel()).sql) == flat("""
        WITH per__line__order__seller AS (
          SELECT
            line__order.seller_id AS line__order__seller,
            COUNT(*) AS shipments
          FROM main.shipments
          LEFT JOIN main.order_lines AS line
            ON shipments.of_order = line.order_id AND shipments.of_line = line.line_no
          LEFT JOIN main.orders AS line__order
            ON line.order_id = line__order.order_id
          GROUP BY 1
        )
        SELECT
          NULLIF(COUNT(*), 0) AS sellers_shipped
        FROM main.employees
        LEFT JOIN per__line__order__seller
          ON employees.employee_id = per__line__order__seller.line__order__seller
        WHERE per__line__order__seller.shipments >= 1
    """)


def test_a_conversion_follows_an_entity_of_two_columns():
    shipments = [shipment(1, 1, 1), shipment(2, 2, 1, "2024-03-29"), shipment(3, 1, None), shipment(4, 3, 1)]
    lines = [*LINES, line(1, None)]
    assert rows(by("line_to_shipment", "line__product"), order_lines=lines, shipments=shipments) == [
        ("ink", None),
        ("pen", 0.5),
    ]


def test_distinct_keys_are_counted_and_a_level_is_taken_by_each():
    shipments = [shipment(1, 1, 1), shipment(2, 1, 1), shipment(3, 1, 2)]
    assert rows(by("shipped_lines"), shipments=shipments) == [(2,)]
    assert rows(by("last_quantity"), order_lines=[*LINES, line(3, None, quantity=9)]) == [(7,)]


def test_a_day_of_the_week_does_not_move_with_a_whole_week():
    question = by("shipped_before", "metric_time__week", "metric_time__extract_dow")
    [shown] = rows(question, shipments=[shipment(1, 1, 1, "2024-02-28")])
    assert shown[1:] == (3, 1)


def test_a_week_in_two_months_does_not_move_whole_where_months_are_asked():
    question = by("shipped_before", "metric_time__week", "metric_time__month")
    found = rows(question, shipments=[shipment(1, 1, 1, "2024-02-22"), shipment(2, 1, 1, "2024-02-23")])
    assert [(str(week.date()), str(month.date()), count) for week, month, count in found] == [
        ("2024-02-26", "2024-02-01", 1),
        ("2024-02-26", "2024-03-01", 1),
    ]


def test_a_period_in_which_nothing_happened_is_no_value():
    question = Question((), ("seller__title", "seller__hired_at__fiscal_month"))
    [(title, month)] = rows(question, employees=[employee(1, None, "chief")])
    assert (title, str(month.date())) == ("chief", "2024-02-05")


def test_the_sql_of_a_role_and_of_a_key_of_two_columns_is_what_one_would_write():
    question = by("shipments", "line__order", "line__order__billing_address__city")
    assert flat(compile_query(WAYS.graph, question.for_gemel()).sql) == flat("""
        SELECT
          line.order_id AS line__order,
          line__order__billing_address.city AS line__order__billing_address__city,
          COUNT(*) AS shipments
        FROM main.shipments
        LEFT JOIN main.order_lines AS line
          ON shipments.of_order = line.order_id AND shipments.of_line = line.line_no
        LEFT JOIN main.orders AS line__order
          ON line.order_id = line__order.order_id
        LEFT JOIN main.addresses AS line__order__billing_address
          ON line__order.billing_id = line__order__billing_address.address_id
        GROUP BY 1, 2
    """)


def test_the_values_of_a_key_of_two_columns_are_both():
    world = {name: [] for name in ways.KEYS} | {"order_lines": LINES, "shipments": []}
    columns, found = by_sql(Question((), ("line",)), world, WAYS)
    assert (columns, sorted(found)) == (["line__order_id", "line__line_no"], [(1, 1), (1, 2), (2, 1)])
