"""Metrics made of metrics, many levels high: answered or refused, and never thought about for long."""

import time

import pytest

from gemel.compiler.compiled import compile_query
from gemel.compiler.question.parsing import make_query
from gemel.errors import GemelError
from gemel.spec.metrics import Derived, Measure, Metric, Ratio
from gemel.spec.time import Window
from worlds.shop import DONE, GRAPH, Shop, of, over, question, with_metrics

ORDERS = Measure("orders", "orders", "count", "1", "ordered_at")


def tower(levels, shape):
    """Metrics level_1, level_2 … each made of the one below, and level_0 is orders."""
    metrics = [over(ORDERS, "level_0", fill_nulls_with=0)]
    for level in range(1, levels + 1):
        metrics.append(shape(f"level_{level}", f"level_{level - 1}"))
    return with_metrics(*metrics)


def twice(name, below):
    return Metric(name, Derived("a + b", (of(below, "a"), of(below, "b"))))


def squared(name, below):
    return Metric(name, Derived("a * a", (of(below, "a"),)))


def ratio(name, below):
    return Metric(name, Ratio(of(below, "a"), of(below, "b", DONE)))


def grown(name, below):
    return Metric(name, Derived("a - b", (of(below, "a"), of(below, "b", offset_window=Window(1, "day")))))


def filtered(name, below):
    a, b = (f"{{{{ Metric('{below}', ['customer']) }}}} > {bound}" for bound in (1, 2))
    return over(ORDERS, name, a, b)


def single(name, below):
    return Metric(name, Derived("a + 1", (of(below, "a"),)))


@pytest.mark.parametrize("shape", [twice, squared, ratio, grown, filtered, single])
@pytest.mark.parametrize("levels", [5, 8, 12, 20, 40, 1_500])
def test_a_tower_of_metrics_is_answered_or_refused_within_a_second(shape, levels):
    graph = tower(levels, shape)
    asked = make_query([f"level_{levels}"], ["metric_time__day"])
    begun = time.process_time()
    try:
        compile_query(graph, asked)
        answered = True
    except GemelError as refused:
        assert refused.code == "G341"
        answered = False
    assert time.process_time() - begun < 1
    assert answered or levels > 5


def test_a_tower_of_a_few_levels_counts_right():
    shop = Shop()
    shop.order(1, "2024-01-01")
    graph = tower(5, twice)
    assert shop.run(compile_query(graph, make_query(["level_5"])).sql) == [(32,)]


def test_what_a_tower_of_1500_metrics_is_asked_by_is_refused_too():
    graph = tower(1_500, single)
    with pytest.raises(GemelError) as refused:
        graph.measures(graph.metric("level_1500"))
    assert refused.value.code == "G341"


def test_a_metric_that_is_filtered_by_itself_is_refused():
    graph = with_metrics(over(ORDERS, "own", "{{ Metric('own', ['customer']) }} > 1"))
    with pytest.raises(GemelError) as refused:
        compile_query(graph, make_query(["own"]))
    assert refused.value.code == "G102"


@pytest.mark.parametrize(
    "having", ["not " * 3_000 + "orders > 1", " and ".join(["orders > 1"] * 3_000), "1+" * 900 + "orders > 1"]
)
def test_a_long_filter_is_answered_or_refused(having):
    try:
        compile_query(GRAPH, question("orders", having=[having]))
    except GemelError as refused:
        assert refused.code in ("G308", "G341")


def test_many_metrics_of_different_facts_are_combined_in_groups():
    """Forty windows, and so forty results: the day of the order and the days after it show it."""
    shop = Shop()
    shop.order(1, "2024-01-01")
    shop.order(1, "2024-01-09")
    graph = with_metrics(over(ORDERS, "orders"))
    windows = [f"orders[{days} days]" for days in range(1, 41)]
    rows = shop.run(compile_query(graph, make_query(windows, ["metric_time__day"])).sql)
    by_day = {int(day[8:10]): values for day, *values in rows if day.startswith("2024-01")}
    assert by_day[1] == [1] * 40
    assert by_day[3] == [None, None, *[1] * 38]
    assert by_day[9] == [*[1] * 8, *[2] * 32]


def test_the_sql_of_many_metrics_does_not_grow_with_their_square():
    graph = with_metrics(over(ORDERS, "orders"))

    def length(count):
        windows = [f"orders[{days} days]" for days in range(1, count + 1)]
        return len(compile_query(graph, make_query(windows, ["metric_time__day"])).sql)

    assert length(160) < 2.8 * length(80)


def test_thousands_of_filters_are_one_condition():
    shop = Shop()
    shop.order(1, "2024-01-01")
    filters = [f"{{{{ Entity('customer') }}}} <> {number}" for number in range(2, 2_002)]
    graph = with_metrics(over(ORDERS, "orders"))
    assert shop.run(compile_query(graph, make_query(["orders"], where=filters)).sql) == [(1,)]
    assert shop.run(compile_query(graph, make_query(["orders"], where=[*filters, "1 = 2"])).sql) == [(None,)]
