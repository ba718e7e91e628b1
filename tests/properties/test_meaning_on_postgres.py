"""PostgreSQL gives what the reference evaluator says, too: any question, any feature, any rows."""

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from compiler.test_moments import assert_newest, views
from properties.asking import KINDS, asked, assert_same, questions
from worlds import drawn
from worlds.postgres import Place, own_name, own_schema


@pytest.fixture(scope="module")
def postgres(needs_postgres):
    with own_schema(needs_postgres, own_name("meaning")) as schema:
        yield Place(schema)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), tables=drawn.worlds)
def test_the_sql_gives_what_the_definition_says(kind, postgres, seed, tables):
    question = asked(seed, kind)
    note(str(question))
    assert_same(question, tables, postgres)


@given(question=questions(), tables=drawn.worlds)
def test_metrics_of_every_kind_meet_in_one_query(postgres, question, tables):
    note(str(question))
    assert_same(question, tables, postgres)


@pytest.mark.parametrize("ranges", [True, False], ids=["by frames", "by joins"])
@given(words=views(), tables=drawn.worlds)
def test_the_newest_row_at_any_moment_is_the_metric_over_the_window_before_it(ranges, postgres, words, tables):
    assert_newest(words, tables, ranges=ranges, graph=postgres.graph, warehouse=postgres.warehouse, dialect="postgres")
