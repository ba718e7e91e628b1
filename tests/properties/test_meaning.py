"""The compiled SQL, run by DuckDB, gives what the reference evaluator says: any question, any rows."""

from typing import get_args

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from gemel.spec.metrics import Aggregation
from properties.asking import KINDS, asked, asked_of, assert_same, questions
from worlds import drawn

DISTINCT = (
    *("buyers_7d", "buyers_ever", "buyers_1m", "buyers_mtd", "done_buyers_2d", "buyers_yesterday"),
    *("callers_6h", "callers_1d", "callers_dtd"),
)


def test_the_world_that_properties_ask_has_every_type_of_metric_and_every_aggregate():
    missing = {*KINDS} - {metric.type for metric in drawn.METRICS}
    measures = [metric.definition.measure for metric in drawn.METRICS]
    missing |= {*get_args(Aggregation)} - {measure.agg for measure in measures if measure is not None}
    assert not missing, "give tests/worlds/drawn.py a metric of each"


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), tables=drawn.worlds)
def test_the_sql_gives_what_the_definition_says(kind, seed, tables):
    question = asked(seed, kind)
    note(str(question))
    assert_same(question, tables)


@given(question=questions(), tables=drawn.worlds)
def test_metrics_of_every_kind_meet_in_one_query(question, tables):
    note(str(question))
    assert_same(question, tables)


@pytest.mark.parametrize("metric", DISTINCT)
@given(seed=st.integers(0, 2**32), tables=drawn.worlds)
def test_distinct_values_come_into_sight_and_go_as_the_definition_says(metric, seed, tables):
    question = asked_of(seed, metric)
    note(str(question))
    assert_same(question, tables)
