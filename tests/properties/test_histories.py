"""Histories whose versions may overlap: refused before anything is counted twice, whatever the question."""

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gemel.compiler.compiled import Context, compile_query, compile_select
from properties.asking import SHOP, assert_same
from reference_world import overlapping
from trials import examples
from worlds import drawn, postgres
from worlds.questions import Question

QUESTIONS = (
    Question(("sales",), ("shop__manager",)),
    Question(("amount",), ("metric_time__month",), ("{{ Dimension('shop__manager') }} = 'ann'",)),
    Question(("managed_sales",)),
    Question(("sales_7d", "level"), ("metric_time", "shop__manager")),
    Question(("sales", "calls"), ("metric_time__week",)),
)
bounds = st.none() | st.sampled_from(drawn.BUSY[:4])
versions = st.lists(
    st.tuples(st.sampled_from([1, 1, 2, None]), bounds, bounds, drawn.one_of("manager")).map(
        lambda row: dict(zip(("shop_id", "valid_from", "valid_to", "manager"), row, strict=True))
    ),
    max_size=3,
)


def assert_refused_or_right(question, tables, place):
    compiled = compile_query(place.graph, question.for_gemel(), Context.naming(place.dialect))
    connection = place.warehouse.holding(tables)
    refused = any(
        connection.execute(compile_select(each.overlaps, place.dialect).sql).fetchall() for each in compiled.histories
    )
    shops = [(row["shop_id"], row["valid_from"], row["valid_to"]) for row in tables["shops"]]
    joined = "manager" in str(question) or "managed" in str(question)
    event("refused" if refused else "answered")
    assert refused == (joined and overlapping(shops))
    if not refused:
        assert_same(question, tables, place)


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
@given(tables=drawn.worlds, shops=versions)
def test_no_fact_is_counted_with_two_versions(question, tables, shops):
    assert_refused_or_right(question, tables | {"shops": shops}, SHOP)


@pytest.fixture(scope="module")
def server(needs_postgres):
    with postgres.own_schema(needs_postgres, postgres.own_name("histories")) as schema:
        yield postgres.Place(schema)


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
@examples(10)
@given(tables=drawn.worlds, shops=versions)
def test_no_fact_is_counted_with_two_versions_on_postgres(server, question, tables, shops):
    assert_refused_or_right(question, tables | {"shops": shops}, server)
