"""The SQL of definitions on another engine than the project's: translated by a table, or refused with its place."""

from dataclasses import replace

import pytest

from gemel.bi.exports.texts import ANSI, qualified, write_expression
from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import saved_question
from gemel.compiler.question.query import Item, Query, QueryMetric
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import About, GemelError, QueryError
from gemel.spec.manifest import SavedQuery
from gemel.spec.metrics import Cumulative, Derived, Measure, Metric, MetricInput, Ratio
from worlds.drawn import simple

ENGINES = ("postgres", "snowflake", "bigquery", "spark", "trino", "redshift", "clickhouse")


def graph_of(text, dialect="duckdb", formula="sales", filter=None):
    """A dimension, a derived metric and a filtered one with these texts."""
    model = {
        "name": "sales",
        "defaults": {"agg_time_dimension": "sold_at"},
        "node_relation": {"alias": "sales", "schema_name": None, "database": None, "relation_name": ""},
        "primary_entity": "sale",
        "entities": [],
        "dimensions": [
            {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
            {"name": "kind", "type": "categorical", "expr": text},
        ],
        "measures": [{"name": "sales", "agg": "sum", "expr": "1"}],
    }
    metrics = [
        {"name": "sales", "type": "simple", "type_params": {"measure": {"name": "sales"}}},
        {"name": "scaled", "type": "derived", "type_params": {"expr": formula, "metrics": [{"name": "sales"}]}},
        {
            "name": "some",
            "type": "simple",
            "type_params": {"measure": {"name": "sales"}},
            "filter": {"where_filters": [{"where_sql_template": filter or "{{ Dimension('sale__kind') }} = 1"}]},
        },
    ]
    return bind(read_manifest({"semantic_models": [model], "metrics": metrics}), dialect)


def on(dialect, graph, metric="sales", by=("sale", "kind")):
    query = Query(metrics=(QueryMetric(metric),), group_by=(Item(by),) if by else ())
    return " ".join(compile_query(graph, query, Context.naming(dialect)).sql.split())


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize(
    "text",
    [
        "case when n < 5 then 'few' when n is null then 'none' else 'many' end",
        "upper(word) || '-' || trim(lower(word))",
        "coalesce(nullif(n, 0), -1) * 2 + n % 3",
        "extract(hour from sold_at) + extract(year from sold_at)",
        "word like 'a%' and n in (1, 2) and n between 1 and 5 and not flag",
        "substring(word, 2, 3) || left(word, 2) || replace(word, 'a', 'b')",
        "cast(sold_at as date) >= date '2024-01-01'",
        "abs(floor(amount)) + ceil(amount)",
        "date_trunc('month', sold_at)",
        "sold_at + interval '1 day'",
    ],
)
def test_what_has_one_meaning_everywhere_is_translated(text, dialect):
    assert "GROUP BY" in on(dialect, graph_of(text))


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize(
    "text",
    [
        "dayofweek(sold_at)",
        "date_diff('week', sold_at, today())",
        "len(string_split(word, '-'))",
        "try_cast(word as int)",
        "strptime(word, '%Y')",
        "list_filter([n], lambda x: x > 1)",
        "regexp_replace(word, 'a', 'b', 'g')",
        "my_function(n)",
        "substring(word, n)",
        "word like pattern",
        "n // 2",
        "info['a']",
        "DATETIME(word)",
        "MATCH_AGAINST(1, 'x')",
        "json_extract(word, '[1,2]')",
        "VAR_MAP('x')",
    ],
)
def test_anything_else_is_refused_with_the_definition(text, dialect):
    with pytest.raises(QueryError) as refused:
        on(dialect, graph_of(text))
    assert (refused.value.code, refused.value.about) == ("G327", About("semantic_model", "sales", "kind"))


def test_a_function_is_refused_where_it_differs_and_translated_where_it_does_not():
    def translated(text, own="duckdb"):
        good = []
        for dialect in ("duckdb", *ENGINES):
            try:
                on(dialect, graph_of(text, own))
            except QueryError:
                continue
            good.append(dialect)
        return good

    assert translated("greatest(n, 5)") == ["duckdb", "postgres", "spark"]  # elsewhere NULL if one is NULL
    assert translated("round(amount, 1)") == ["duckdb", "snowflake", "bigquery", "spark", "trino"]
    assert translated("round(amount, 1)", "postgres") == ["postgres"]  # 2.5 is 2 there
    assert translated("lpad(word, 5, '*')") == ["duckdb", "postgres"]  # by the functions of filters
    assert translated("strftime(sold_at, '%Y-%m') = '2024-01'") == ["duckdb", "postgres"]
    assert translated("md5(word)", "postgres") == ["duckdb", "postgres"]
    assert translated("sqrt(n)") == ["duckdb"]  # of a negative number it is NaN, NULL or an error
    assert translated("replace(word, '', 'x')") == ["duckdb", "postgres"]
    assert translated("amount::int") == ["duckdb", "postgres"]
    assert translated("n / 2", "postgres") == ["postgres", "trino", "redshift"]  # elsewhere with a fraction
    assert translated("n / 2.0", "postgres") == ["duckdb", *ENGINES]


def test_formulas_and_filters_are_refused_with_their_metric():
    graph = graph_of("n", formula="log10(sales)", filter="dayofweek({{ Dimension('sale__sold_at') }}) = 1")
    for metric in ("scaled", "some"):
        assert on("duckdb", graph, metric, ())
        with pytest.raises(QueryError) as refused:
            on("bigquery", graph, metric, ())
        assert (refused.value.code, refused.value.about) == ("G327", About("metric", metric))


def test_filters_of_whatever_uses_a_metric_are_refused_with_their_definition():
    text = "dayofweek({{ Dimension('sale__sold_at') }}) = 1"
    sales = simple(Measure("sales", "sales", "sum", "1", "sold_at"))
    plain, filtered = MetricInput("sales"), MetricInput("sales", "some", filters=(text,))
    outer = (
        Metric("outer_ratio", Ratio(plain, plain), filters=(text,)),
        Metric("input_of_ratio", Ratio(filtered, plain)),
        Metric("outer_derived", Derived("sales", (plain,)), filters=(text,)),
        Metric("input_of_derived", Derived("some", (filtered,))),
        Metric("cumulative", Cumulative(plain), filters=(text,)),
    )
    saved = SavedQuery("monday", ("sales",), where=(text,))
    graph = bind(
        replace(graph_of("n").manifest, metrics=(sales, *outer), saved_queries=(saved,)),
    )
    for metric in outer:
        with pytest.raises(QueryError, match=r"G327 'dayofweek\(\?\) = 1' .*: DAYOFWEEK\(\?\) is not") as refused:
            on("bigquery", graph, metric.name, ())
        assert refused.value.about == About("metric", metric.name)
    with pytest.raises(QueryError, match="G327") as refused:
        compile_query(graph, saved_question(saved), Context.naming("bigquery"))
    assert refused.value.about == About("saved_query", "monday")


@pytest.mark.parametrize("text", ["{{ Dimension('sale__nope') }} = 1", "a b", "nope = 1", "{{ x }} = 1"])
def test_a_filter_of_a_definition_that_cannot_be_used_is_refused_with_the_definition(text):
    graph = graph_of("n", filter=text)
    with pytest.raises(GemelError) as refused:
        on("duckdb", graph, "some", ())
    assert refused.value.about == About("metric", "some")


def test_a_translation_keeps_the_brackets_that_its_place_needs():
    graph = graph_of("flag or n > 1", filter="{{ Dimension('sale__kind') }} and {{ Dimension('sale__kind') }} = true")
    assert "WHERE ( sales.flag OR sales.n > 1 ) AND ( sales.flag OR sales.n > 1 ) = TRUE" in on(
        "trino", graph, "some", ()
    )
    assert "WHERE (sales.flag or sales.n > 1) and (sales.flag or sales.n > 1) = true" in on("duckdb", graph, "some", ())


def test_standard_sql_has_no_words_of_the_projects_engine():
    graph = graph_of("sold_at::date", "postgres")
    value = graph.texts.over("sales", "sold_at::date")
    assert write_expression(value, "postgres", qualified("postgres")) == "sales.sold_at::date"
    assert write_expression(value, ANSI, qualified(ANSI)) == "CAST(sales.sold_at AS DATE)"
    with pytest.raises(QueryError, match="G327"):
        write_expression(graph.texts.over("sales", "to_char(sold_at, 'YYYY')"), ANSI, qualified(ANSI))
