"""Metrics taken apart: which filters reach which leaves, and what cannot be asked."""

import pytest

from gemel.compiler.names.resolution import resolve
from gemel.compiler.names.terms import Formula, Leaf, Shifted, Trailing
from gemel.compiler.plan.planning import cells_of
from gemel.engines.duckdb import DIALECT
from gemel.errors import GemelError, UnknownNameError
from gemel.spec.metrics import Conversion, Cumulative, Derived, Metric, Ratio
from gemel.spec.time import Window
from worlds.shop import DONE, GRAPH, of, question, with_metrics

GOLD = "{{ Dimension('customer__segment') }} = 'gold'"
LARGE = "{{ Dimension('order__is_large') }}"


def resolved(metrics, group_by="", *, graph=GRAPH, **more):
    return resolve(graph, question(metrics, group_by, **more))


def leaves(metric, *, graph=GRAPH, group_by="", **more):
    """Each leaf's measure with the texts of its filters."""
    [output] = resolved(metric, group_by, graph=graph, **more).outputs
    found = [cell.leaf if isinstance(cell, Trailing) else cell for cell in cells_of(output.term)]
    found = [cell.term if isinstance(cell, Shifted) else cell for cell in found]
    return [(leaf.measure.name, [p.template.text for p in leaf.filters]) for leaf in found]


def test_a_simple_metric_is_one_leaf_under_its_own_filter_and_the_querys():
    assert leaves("done_orders", where=[LARGE]) == [("orders", [DONE, LARGE])]


def test_the_querys_filter_reaches_every_leaf():
    assert leaves("revenue_per_order", where=[LARGE]) == [("revenue", [LARGE]), ("orders", [LARGE])]


def test_an_inputs_filter_reaches_only_that_input():
    assert leaves("done_share") == [("orders", [DONE]), ("orders", [])]


def test_filters_of_every_level_meet_at_the_leaf():
    metric = Metric("deep", Ratio(of("done_orders", "top", LARGE), of("orders")), (GOLD,))
    top, bottom = leaves("deep", graph=with_metrics(metric), where=["{{ Entity('order') }} > 7"])
    assert top == ("orders", [DONE, LARGE, GOLD, "{{ Entity('order') }} > 7"])
    assert bottom == ("orders", [GOLD, "{{ Entity('order') }} > 7"])


def test_the_same_filter_said_at_two_levels_holds_once():
    metric = Metric("twice", Ratio(of("done_orders", "a", DONE), of("orders")), (GOLD,))
    [(_, filters), _] = leaves("twice", graph=with_metrics(metric), where=[GOLD])
    assert filters.count(GOLD) == 1


def test_a_derived_metric_is_a_formula_over_its_inputs_handles():
    [output] = resolved("nested").outputs
    assert isinstance(output.term, Formula)
    assert output.term.expression.sql(DIALECT) == "revenue_per_order / NULLIF(doubled, 0)"
    assert [handle for handle, _ in output.term.inputs] == ["revenue_per_order", "doubled"]


def test_metric_time_is_each_leafs_own_time():
    [output] = resolved("revenue_per_visit", "metric_time").outputs
    assert [leaf.keys[0][1].element.name for leaf in cells_of(output.term)] == ["ordered_at", "visited_at"]


def test_a_cumulative_metric_of_all_time_without_a_time_is_a_plain_total():
    ever = with_metrics(Metric("ever", Cumulative(of("orders"))))
    [output] = resolved("ever", graph=ever).outputs
    assert isinstance(output.term, Leaf)


def test_an_offset_looks_up_what_knows_neither_the_span_nor_the_querys_filter_on_time():
    time = "{{ TimeDimension('metric_time', 'day') }} >= '2024-01-03'"
    [output] = resolved("growth", "metric_time", where=[time, LARGE], start="2024-01-02").outputs
    now, before = cells_of(output.term)
    assert now.span == before.span
    assert now.span is not None
    assert before.term.span is None
    assert [p.template.text for p in now.filters] == [time, LARGE]
    assert [p.template.text for p in before.term.filters] == [LARGE]
    assert [p.template.text for p in before.bounds] == [time]


def test_a_query_without_metrics_is_read_from_the_nearest_model():
    assert resolved("", "customer__segment").home.name == "customers"
    assert resolved("", "customer").home.name == "customers"
    assert resolved("", "order__status customer__segment").home.name == "orders"
    assert resolved("", "metric_time").home is None


@pytest.mark.parametrize(
    ("code", "metrics", "group_by", "more"),
    [
        ("G201", "revenu", "", {}),
        ("G202", "orders", "customer__segmnt", {}),
        ("G305", "orders", "visit__visited_at", {}),
        ("G304", "orders", "TimeDimension('metric_time','fortnight')", {}),
        ("G312", "orders", "Dimension('order__status').grain('day')", {}),
        ("G312", "orders", "customer__month", {}),
        ("G313", "orders", "metric_time__hour", {}),
        ("G314", "orders orders", "", {}),
        ("G315", "orders", "", {"order_by": ["revenue"]}),
        ("G316", "orders", "", {"having": ["revenue > 1"]}),
        ("G316", "", "customer__segment", {"having": ["customer__segment > 1"]}),
        ("G317", "", "", {}),
        ("G311", "orders", "", {"where": ["{{ Metric('visits') }} > 1"]}),
        ("G311", "", "customer__segment", {"where": ["{{ Metric('visits', ['metric_time']) }} > 1"]}),
        ("G322", "orders", "customer__segment", {"min_max_only": True}),
        ("G322", "", "customer__segment", {"min_max_only": True, "limit": 1}),
        ("G319", "orders_7d", "", {}),
        ("G319", "growth", "customer", {}),
        ("G322", "", "customer__segment customer", {"min_max_only": True}),
        ("G323", "", "customer__segment", {"start": "2024-01-01"}),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(code, metrics, group_by, more):
    with pytest.raises(GemelError) as error:
        resolved(metrics, group_by, **more)
    assert error.value.code == code
    assert error.value.hint or code in ("G312", "G323", "G322", "G311")


@pytest.mark.parametrize(
    ("code", "metric"),
    [
        ("G105", Metric("m", Derived("select 1", (of("orders"),)))),
        ("G106", Metric("m", Derived("orders + revenue", (of("orders"),)))),
        ("G107", Metric("m", Cumulative(of("done_share")))),
        ("G107", Metric("m", Conversion(of("visits"), of("done_share"), "customer"))),
        ("G108", Metric("m", Conversion(of("visits"), of("orders"), "custmer"))),
        ("G319", Metric("m", Cumulative(of("orders"), grain_to_date="month"))),
        ("G319", Metric("m", Derived("b", (of("orders", "b", offset_window=Window(1, "day")),)))),
    ],
)
def test_a_definition_without_a_meaning_is_refused_and_says_whose_it_is(code, metric):
    with pytest.raises(GemelError) as error:
        resolved("m", graph=with_metrics(metric))
    assert error.value.code == code
    assert error.value.about.name == "m"


def test_a_dimension_without_its_entity_is_spelled_out_in_the_hint():
    with pytest.raises(UnknownNameError, match="G202") as error:
        resolved("orders", "segment")
    assert error.value.hint == "did you mean customer__segment?"


def test_a_filter_on_time_and_more_above_an_offset_needs_what_it_speaks_of_among_the_groups():
    mixed = "{{ TimeDimension('metric_time', 'day') }} > '2024-01-03' or {{ Dimension('order__is_large') }}"
    with pytest.raises(GemelError) as error:
        resolved("growth", "metric_time", where=[mixed])
    assert error.value.code == "G320"
    assert "order__is_large" in error.value.hint
    assert resolved("growth", "metric_time order__is_large", where=[mixed])
