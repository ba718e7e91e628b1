"""PostgreSQL gives what the reference evaluator says, too: any question, any feature, any rows."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from compiler.test_moments import assert_newest, views
from properties.asking import KINDS, asked, assert_same, by_sql, questions
from worlds import drawn
from worlds.postgres import Place, own_name, own_schema
from worlds.questions import Question


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


def test_the_average_of_the_days_of_a_period_has_all_digits_whatever_else_it_is_grouped_by(postgres):
    days = ("2024-03-01", "2024-03-05", "2024-03-06")
    row = {"sale_id": 0, "customer_id": 1, "shop_id": None, "paid_at": None, "status": "done"}
    sold = [
        row | {"sold_at": dt.datetime.fromisoformat(day), "amount": 10**7 + number} for number, day in enumerate(days)
    ]
    tables = {name: [] for name in drawn.COLUMNS} | drawn.SPINE_ROWS | {"sales": sold}
    by_month, by_customer = (
        by_sql(Question(("amount_7d_average",), ("metric_time__month", *others)), tables, postgres)[1]
        for others in ((), ("customer",))
    )
    assert [row[-1] for row in by_month] == [row[-1] for row in by_customer] == [Decimal("17500001.750000000000")]
    assert isinstance(by_customer[0][-1], Decimal)


@pytest.mark.parametrize("ranges", [True, False], ids=["by frames", "by joins"])
@given(words=views(), tables=drawn.worlds)
def test_the_newest_row_at_any_moment_is_the_metric_over_the_window_before_it(ranges, postgres, words, tables):
    assert_newest(words, tables, ranges=ranges, graph=postgres.graph, warehouse=postgres.warehouse, dialect="postgres")
