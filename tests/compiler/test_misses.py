"""Errors for names that cannot be reached."""

from dataclasses import replace

import pytest

from gemel.compiler.names.entities import entity_item
from gemel.compiler.names.graph import Graph, bind
from gemel.compiler.names.resolution import resolve
from gemel.compiler.question.parsing import make_query
from gemel.errors import BridgeError, GemelError, QueryError
from gemel.spec.manifest import Dimension, Entity, Manifest, Relation, SemanticModel
from gemel.spec.metrics import Measure, Metric, Simple
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


def chain(hops: int) -> Graph:
    """Facts that lead over e1, e2, ... to a model with a color."""
    day = Dimension("day", "day", grain="day")
    models = [SemanticModel("facts", Relation("facts"), None, entities("fact", "e1"), (day,), "day")]
    for place in range(1, hops + 1):
        following = (f"e{place + 1}",) if place < hops else ()
        color = (Dimension("color", "color"),) if place == hops else ()
        models.append(SemanticModel(f"m{place}", Relation(f"m{place}"), None, entities(f"e{place}", *following), color))
    count = Measure("facts", "facts", "count", "1", "day")
    return bind(Manifest(tuple(models), (Metric("facts", Simple(count)),)))


def entities(key: str, *foreign: str) -> tuple[Entity, ...]:
    return (Entity(key, "primary", f"{key}_id"), *(Entity(name, "foreign", f"{name}_id") for name in foreign))


def test_a_shortened_path_of_eight_hops_is_found_and_one_of_nine_is_refused_as_that():
    assert resolve(chain(8), make_query(["facts"], ["e8__color"]))
    with pytest.raises(QueryError) as caught:
        resolve(chain(9), make_query(["facts"], ["e9__color"]))
    assert str(caught.value).splitlines() == [
        "G334 'e9__color' is 9 joins away from semantic model 'facts', and a shortened path is searched over 8 at most",
        "  hint: write the whole path: e1__e2__e3__e4__e5__e6__e7__e8__e9__color",
    ]
    assert resolve(chain(9), make_query(["facts"], ["e1__e2__e3__e4__e5__e6__e7__e8__e9__color"]))


def test_a_filter_and_values_that_are_too_far_away_are_refused_as_that():
    graph = chain(12)
    for query in (
        make_query(["facts"], where=["{{ Dimension('e12__color') }} = 'red'"]),
        make_query([], ["fact__day", "e12__color"]),
    ):
        with pytest.raises(QueryError, match="G334 'e12__color' is 12 joins away from semantic model 'facts'"):
            resolve(graph, query)


def test_what_there_are_many_of_is_refused_as_that_over_more_than_eight_hops_too():
    graph = chain(10)
    day = replace(graph.models["m10"], dimensions=(Dimension("color", "color", grain="day"),))
    models = {**graph.models, "m10": day}
    ends = Metric("ends", Simple(Measure("ends", "m10", "count", "1", "color")))
    with pytest.raises(QueryError, match=r"G333 .* semantic model 'facts' has many rows for one 'e10'"):
        resolve(bind(Manifest(tuple(models.values()), (ends,))), make_query(["ends"], ["fact__day"]))


def test_an_entity_of_a_feature_that_is_too_far_away_is_refused_as_that():
    graph = chain(10)
    with pytest.raises(BridgeError, match=r"G572 .* lead to entity 'e10' over 9 joins, and features go over 8 at most"):
        entity_item(graph, "e10", graph.metric("facts"))
    assert "__".join(entity_item(graph, "e9", graph.metric("facts")).segments) == "e1__e2__e3__e4__e5__e6__e7__e8__e9"
