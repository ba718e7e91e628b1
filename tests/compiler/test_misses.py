"""Errors for names that cannot be reached."""

import pytest

from gemel.compiler.names.graph import bind
from gemel.compiler.names.resolution import resolve
from gemel.compiler.question.parsing import make_query
from gemel.errors import GemelError
from worlds import ways

GRAPH = bind(ways.MANIFEST)


def miss(metric: str, item: str) -> GemelError:
    with pytest.raises(GemelError) as caught:
        resolve(GRAPH, make_query([metric], [item]))
    return caught.value


def test_what_there_are_many_of_is_refused_with_a_metric_that_has_one_value_for_each():
    error = miss("hires", "order__is_large")
    assert error.code == "G333"
    assert error.message.endswith("semantic model 'orders' has many rows for one 'seller'")
    assert error.hint == (
        "ask for a metric of orders, or group or filter by one for each seller: Metric('orders', ['seller'])"
    )


def test_many_are_seen_over_any_number_of_hops_and_for_a_key_of_two_columns():
    assert miss("hires", "line__product").message.endswith("'order_lines' has many rows for one 'seller'")
    assert miss("lines", "shipment__carrier").message.endswith("'shipments' has many rows for one 'line'")


def test_a_model_that_is_reached_in_roles_is_told_by_them():
    error = miss("orders", "address__city")
    assert (error.code, error.hint) == ("G305", "here it is billing_address__city or shipping_address__city")


def test_what_nothing_is_called_is_told_apart():
    assert miss("shipments", "shipment__nothing").code == "G202"


def test_a_tie_elsewhere_is_no_trouble_here():
    """`region__zone` is two things to an order, and one to a region."""
    [key] = resolve(GRAPH, make_query([], ["region__zone"])).keys
    assert key[1].home == "regions"
