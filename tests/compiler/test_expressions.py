"""SQL that people write, let in only as expressions that were looked at."""

import duckdb
import pytest
from sqlglot import exp, parse_one

from gemel.compiler.question.expressions import (
    Refused,
    bound,
    column,
    copied,
    divide,
    identifier,
    parse_expression,
    parse_filter,
    qualify,
)
from gemel.compiler.question.formulas import guarded
from gemel.compiler.question.query import Item, MetricItem
from gemel.errors import QueryError


def spelled(tree):
    return tree.sql("duckdb")


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "drop table orders",
        "1; drop table orders",
        "1) or (1 = 1",
        "exists (select 1)",
        "amount > (select max(amount) from orders)",
        "amount in (select 1)",
        "(values (1))",
        "*",
        "count(*)",
        "amount as total",
        "?",
        "$1",
        "",
        "   ",
        "amount >",
        "case when",
        "(" * 3000 + "1" + ")" * 3000,
        "a" * 100_001,
    ],
    ids=lambda text: text[:30],
)
def test_only_one_plain_expression_gets_through(text):
    with pytest.raises(Refused) as refused:
        parse_expression(text)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", ["amount -- and more", "amount /* x */ ", "/* x */ amount"])
def test_a_comment_is_dropped_and_cannot_swallow_what_follows(text):
    assert spelled(parse_expression(text)) == "amount"


@pytest.mark.parametrize(
    "text",
    [
        "case when amount > 10 then 1 else 0 end",
        "extract(hour from ordered_at)",
        "ordered_at::date",
        "coalesce(amount, 0) * 1.0",
        "status in ('done', 'open')",
        "amount between 1 and 2",
        "status like 'd%'",
        "interval '1 day' + ordered_at",
    ],
)
def test_ordinary_expressions_get_through(text):
    assert parse_expression(text)


def test_bare_columns_get_the_table_and_others_keep_theirs():
    assert spelled(qualify(parse_expression("amount + other.amount"), "orders")) == "orders.amount + other.amount"


@pytest.mark.parametrize(
    ("written", "guard"),
    [
        ("a / b", "a / NULLIF(b, 0)"),
        ("a / 2", "a / 2"),
        ("a / 0", "a / NULLIF(0, 0)"),
        ("a / nullif(b, 0)", "a / NULLIF(b, 0)"),
        ("a / (b + c)", "a / NULLIF(b + c, 0)"),
        ("a / b / c", "a / NULLIF(b, 0) / NULLIF(c, 0)"),
        ("a / (b / c)", "a / NULLIF(b / NULLIF(c, 0), 0)"),
        ("1 + coalesce(a / b, 0)", "1 + COALESCE(a / NULLIF(b, 0), 0)"),
        ("a * b", "a * b"),
    ],
)
def test_nothing_is_divided_by_zero(written, guard):
    assert spelled(guarded(parse_expression(written))) == guard


def test_a_sum_is_put_in_brackets_before_it_is_divided():
    assert spelled(divide(parse_expression("a + b"), column("c"))) == "(a + b) / NULLIF(c, 0)"


@pytest.mark.parametrize("name", ["order", "From", "two words", "1st", 'with"quote'])
def test_a_name_that_sql_could_misread_is_quoted(name):
    assert identifier(name).quoted
    assert not identifier("amount_2").quoted


def test_a_filter_is_taken_apart_into_a_tree_and_its_references():
    template = parse_filter("{{ Dimension('order__status') }} = 'done' or {{ Metric('orders', ['customer']) }} > 2")
    assert spelled(template.tree) == "__ref_0 = 'done' or __ref_1 > 2"
    assert template.references == (
        Item(("order", "status"), kind="dimension"),
        MetricItem("orders", (Item(("customer",)),)),
    )


@pytest.mark.parametrize(
    "text",
    [
        "a.b",
        "SUM(a.b) FILTER (WHERE a.x IN ('done', 'gone'))",
        "CASE WHEN a THEN CAST(b AS DECIMAL(10, 2)) END",
        "DATE_TRUNC('day', a.t) + INTERVAL '1' DAY",
        " OR ".join(f"a = {number}" for number in range(3000)),
    ],
)
def test_a_copied_tree_is_equal_and_has_nothing_in_common(text):
    tree = parse_one(text, dialect="duckdb")
    first = copied(tree)
    assert first == tree and first.sql("duckdb") == tree.sql("duckdb")
    assert not {*map(id, tree.walk())} & {*map(id, first.walk())}
    for ours, theirs in zip(first.walk(), tree.copy().walk(), strict=True):
        assert (ours.arg_key, ours.index, ours.comments) == (theirs.arg_key, theirs.index, theirs.comments)
        assert ours.parent is None or any(ours is each for each in ours.parent.iter_expressions())
    before = tree.sql("duckdb")
    for each in list(first.find_all(exp.Column)):
        each.set("this", exp.to_identifier("other"))
    assert tree.sql("duckdb") == before
    assert first != tree and first == parse_one(first.sql("duckdb"), dialect="duckdb")


def test_a_value_is_bracketed_where_its_surroundings_could_pull_it_apart():
    template = parse_filter("not {{ Dimension('order__is_large') }}")
    assert spelled(bound(template, [parse_expression("amount > 10")])) == "not (amount > 10)"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{% if true %} 1 {% endif %}", "G307"),
        ("{# nothing #} {{ Entity('customer') }} = 1", "G307"),
        ("{{ Entity('customer') = 1", "G307"),
        ("__ref_0 = 1", "G307"),
        ("{{ Entity('customer') }} = 1 and __ref_0 = 2", "G307"),
        ("{{ 7 * 7 }}", "G303"),
        ("{{ self.__init__.__globals__ }}", "G303"),
        ("{{ Entity('customer') }} = 1; select 2", "G308"),
        ("{{ Entity('customer') }} in (select 1)", "G308"),
        ("{{ Entity('customer') }} =", "G308"),
        ("", "G308"),
        ("'{{ Dimension('order__status') }}' = 'done'", "G309"),
        ("status = 'done'", "G309"),
        ("orders > 2", "G309"),
        ("{{ Dimension('order__status') }} = \"done\"", "G309"),
        ("{{ Entity('customer') }} = 1 . {{ Entity('customer') }}", "G309"),
    ],
)
def test_a_filter_that_says_anything_else_is_refused(text, code):
    with pytest.raises(QueryError) as error:
        parse_filter(text)
    assert error.value.code == code


def test_a_refused_filter_is_told_by_what_was_written_not_by_our_handles():
    with pytest.raises(QueryError) as error:
        parse_filter("{{ Dimension('order__status') }} in (select 1)")
    assert "__ref" not in str(error.value)


def test_a_bare_column_is_refused_with_the_way_to_filter_results():
    with pytest.raises(QueryError, match="having"):
        parse_filter("orders > 2")


def test_every_word_that_the_engine_keeps_for_itself_can_be_a_name():
    with duckdb.connect() as connection:
        words = [word for (word,) in connection.sql("select distinct keyword_name from duckdb_keywords()").fetchall()]
        for word in words:
            name = identifier(word).sql("duckdb")
            connection.sql(f"with {name} as (select 1 as {name}) select max({name}) from {name}").fetchall()


@pytest.mark.parametrize("beside", ["{0}1 = 'x'", "x{0} = 'x'", "{0}(1) = 'x'", "{0}{0} = 'x'", "; {0}1", "{0}0 = {1}"])
def test_a_reference_is_not_made_into_another_by_what_stands_beside_it(beside):
    many = ["{{ Entity('customer') }}"] * 11
    text = beside.format(*many) + "".join(f" and {each} = 'x'" for each in many)
    with pytest.raises(QueryError) as refused:
        parse_filter(text)
    assert refused.value.code in ("G308", "G309")
