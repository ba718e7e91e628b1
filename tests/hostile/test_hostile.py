"""Bad input: whatever is asked, defined or stored, an answer or a refusal with a code, and nothing is changed."""

import math
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given

from gemel.errors import GemelError
from hostile import many
from hostile.attacks import STATEMENTS, TEMPLATES, filtered, questions
from hostile.fortress import Fortress, changed
from trials import examples


@pytest.fixture(scope="module")
def fortress(tmp_path_factory):
    made = Fortress(tmp_path_factory.mktemp("fortress"))
    yield made
    assert made.unharmed()


REFUSED = {"G201", "G202", "G303", "G304", "G307", "G308", "G309", "G311", "G312", "G314", "G316", "G340"} | {
    "G405",
    "G406",
}


@examples(200)
@given(question=questions)
def test_any_question_is_answered_or_refused(fortress, question):
    fortress.attack(question)


@examples(200)
@given(question=filtered)
def test_any_filter_is_answered_or_refused(fortress, question):
    fortress.attack(question)


@pytest.mark.parametrize("text", [*STATEMENTS, *TEMPLATES], ids=ascii)
def test_no_hostile_text_is_a_filter(fortress, text):
    region = "{{ Dimension('sale__region') }}"
    for where in (text, f"{region} = 'north' {text}", f"{region} {text}", f"{region} = {text}", f"{text} = {region}"):
        assert fortress.attack({"metrics": ["revenue"], "where": [where]}) in REFUSED, where
    for having in (text, f"revenue = 2 {text}", f"revenue {text}", f"revenue = {text}", f"{text} = revenue"):
        assert fortress.attack({"metrics": ["revenue"], "having": [having]}) in REFUSED, having
    assert fortress.unharmed()


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_that_leaves_the_calendar_in_utc_is_refused(fortress, time):
    assert fortress.attack({"metrics": ["revenue"], "end_time": time}) == "G302"


def test_a_result_filter_with_a_reference_says_that_columns_are_named_plainly(fortress):
    with pytest.raises(GemelError, match="plain names of the result's columns: revenue"):
        fortress.ask("revenue", having="{{ Dimension('sale__region') }} = 'north'")


def test_a_limit_beyond_64_bits_is_refused(fortress):
    assert fortress.attack({"metrics": ["revenue"], "limit": 2**63}) == "G301"
    assert fortress.attack({"metrics": ["revenue"], "limit": 2**63 - 1}) == "answer"


# What is defined.


def derived(expr, *names):
    return {"name": "bad", "type": "derived", "type_params": {"expr": expr, "metrics": [{"name": n} for n in names]}}


def ratio(over, under):
    parts = {"numerator": {"name": over}, "denominator": {"name": under}}
    return {"name": "bad", "type": "ratio", "type_params": parts}


def simple(name="bad", *filters, measure="amount", **more):
    texts = [{"where_sql_template": text} for text in filters]
    parts = {"measure": {"name": measure}}
    return {"name": name, "type": "simple", "type_params": parts, "filter": {"where_filters": texts}, **more}


def trailing(count, grain):
    parts = {
        "measure": {"name": "amount"},
        "cumulative_type_params": {"window": {"count": count, "granularity": grain}},
    }
    return {"name": "bad", "type": "cumulative", "type_params": parts}


@pytest.mark.parametrize(
    ("metric", "code"),
    [
        (derived("bad + 1", "bad"), "G102"),
        (ratio("bad", "orders"), "G102"),
        (ratio("orders", "bad"), "G102"),
        (simple("bad", "{{ Metric('bad', ['customer']) }} > 1"), "G102"),
        (derived("no_such_function(revenue)", "revenue"), "G406"),
        (derived("drop table canary", "revenue"), "G105"),
        (derived("revenue; drop table canary", "revenue"), "G105"),
        (derived("(select count(*) from canary)", "revenue"), "G105"),
        (derived("revenue) from sales; drop table canary --", "revenue"), "G105"),
        (derived("(" * 10_000, "revenue"), "G105"),
        (derived("", "revenue"), "G121"),
        (derived("revenue + canary", "revenue"), "G106"),
        (simple("bad", "1 = 1; drop table canary"), "G308"),
        (simple("bad", "{{ ''.__class__ }}"), "G303"),
        (trailing(0, "day"), "G123"),
        (trailing(-1, "day"), "G123"),
        (trailing(10**30, "year"), "G407"),
        (trailing(7, "day'; drop table canary --"), "G123"),
    ],
    ids=lambda value: ascii(value)[:90],
)
def test_a_bad_definition_is_refused(tmp_path, metric, code):
    with pytest.raises(GemelError) as refused:
        Fortress(tmp_path, changed(metric)).ask("bad", group_by=["metric_time__day"])
    assert refused.value.code == code


@pytest.mark.parametrize("fraction", [-1, 90, 1.5, math.nan, math.inf, "x", None])
def test_a_percentile_that_is_no_fraction_is_refused(tmp_path, fraction):
    definitions = changed(simple("p", measure="p"))
    definitions["semantic_models"][0]["measures"].append(
        {"name": "p", "expr": "amount", "agg": "percentile", "agg_params": {"percentile": fraction}}
    )
    with pytest.raises(GemelError):
        Fortress(tmp_path, definitions).ask("p")


def test_a_window_of_a_million_years_is_all_time_or_refused(tmp_path):
    fortress = Fortress(tmp_path, changed(trailing(999_999_999, "day")))
    fortress.attack({"metrics": ["bad"], "group_by": ["metric_time__day"]})


@pytest.mark.parametrize("name", ["größe", "売上", "Ümsatz", "a b", "a.b", 'a"b', "a'b", "select", "x" * 300, "1st"])
def test_a_metric_of_any_name_is_answered_or_refused(tmp_path, name):
    twice = {"expr": "2 * v", "metrics": [{"name": name, "alias": "v"}]}
    fortress = Fortress(tmp_path, changed(simple(name), {"name": "twice", "type": "derived", "type_params": twice}))
    for question in (
        {"metrics": [name]},
        {"metrics": ["twice", name], "group_by": ["metric_time__month"], "order_by": [f"-{name}"], "totals": True},
        {"metrics": [f"{name}[7 days]"], "group_by": ["metric_time__day"]},
        {"metrics": ["orders"], "where": [f"{{{{ Metric('{name}', ['customer']) }}}} > 1"]},
    ):
        outcome = fortress.attack(question)
        assert outcome == "answer" or not name.isidentifier(), (question, outcome)


@pytest.mark.parametrize("name", ["größe", "売上", "Ümsatz"])
def test_a_name_in_any_alphabet_works_from_end_to_end(tmp_path, name):
    definitions = changed(simple(name))
    definitions["semantic_models"][0]["dimensions"].append({"name": name, "type": "categorical", "expr": "region"})
    rows = Fortress(tmp_path, definitions).ask(
        name,
        group_by=[f"sale__{name}"],
        where=f"{{{{ Dimension('sale__{name}') }}}} = 'north'",
        having=f'"{name}" > 1 and {name} < 100',
        order_by=[f"-{name}"],
    )
    assert [(key, float(value)) for key, value in rows] == [("north", 12.25)]


# What is stored.


def test_an_empty_table_has_no_sum_and_no_groups(tmp_path):
    fortress = Fortress(tmp_path, sales="")
    assert fortress.ask("revenue", "per_order") == [(None, None)]
    assert fortress.ask("revenue", group_by=["sale__region"]) == []


def test_a_column_of_nulls_has_no_sum(tmp_path):
    fortress = Fortress(tmp_path, sales="(1, 'a', 'x', NULL, DATE '2024-01-01')")
    assert fortress.ask("revenue", "orders", "per_order") == [(None, 1, None)]


def test_zero_over_zero_has_no_value(tmp_path):
    rows = "(1, 'a', 'x', 0, DATE '2024-01-01')"
    assert Fortress(tmp_path, changed(ratio("revenue", "revenue")), rows).ask("bad") == [(None,)]


@pytest.mark.parametrize("value", ["infinity", "-infinity", "nan"])
def test_an_infinity_stays_one_in_a_sum(tmp_path, value):
    rows = f"(1, 'a', 'x', '{value}', DATE '2024-01-01'), (2, 'a', 'x', 1, DATE '2024-01-01')"
    assert str(Fortress(tmp_path, sales=rows, amount="double").ask("revenue")[0][0]) == str(float(value))


@pytest.mark.parametrize(("amount", "value"), [("bigint", 2**63 - 1), ("hugeint", 2**127 - 1)])
def test_a_sum_beyond_64_bits_is_refused_and_never_another_number(tmp_path, amount, value):
    rows = ", ".join(f"({n}, 'a', 'x', {value}, DATE '2024-01-01')" for n in range(3))
    assert Fortress(tmp_path, sales=rows, amount=amount).attack({"metrics": ["revenue"]}) == "G407"


def test_a_sum_of_decimals_beyond_64_bits_has_all_digits(tmp_path):
    rows = ", ".join(f"({n}, 'a', 'x', {2**63 - 1}, DATE '2024-01-01')" for n in range(3))
    assert Fortress(tmp_path, sales=rows, amount="decimal(38, 0)").ask("revenue") == [(3 * (2**63 - 1),)]


def test_a_sum_of_texts_is_refused(tmp_path):
    fortress = Fortress(tmp_path, sales="(1, 'a', 'x', 'ten', DATE '2024-01-01')", amount="text")
    assert fortress.attack({"metrics": ["revenue"]}) in ("G406", "G407")


def test_moments_at_infinity_are_answered_or_refused(tmp_path):
    rows = "(1, 'a', 'x', 1, 'infinity'), (2, 'a', 'x', 2, '-infinity'), (3, 'a', 'x', 4, '2024-01-01')"
    fortress = Fortress(tmp_path, sales=rows, at="timestamp")
    fortress.attack({"metrics": ["revenue"], "group_by": ["metric_time__month"]})
    fortress.attack({"metrics": ["revenue[7 days]"], "group_by": ["metric_time__day"]})
    fortress.attack({"metrics": ["revenue[all]"], "group_by": ["metric_time__day"]})
    assert fortress.ask("revenue", start_time="2024-01-01", end_time="2024-01-31") == [(4,)]


# What is typed.


def command(fortress, *arguments):
    words = [sys.executable, "-m", "gemel", *arguments]
    words += ["--manifest", str(fortress.manifest), "--database", str(fortress.database)]
    return subprocess.run(words, capture_output=True, timeout=60, cwd=fortress.directory)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--metrics", "revenue; drop table canary"],
        ["--metrics", "revenue", "--where", "1 = 1; drop table canary"],
        ["--metrics", "revenue", "--having", "getvariable('x') = 1"],
        ["--metrics", "revenue", "--group-by", b"\xff\xfe"],
        ["--metrics", "\x1b[31mred", "--where", "\u202e"],
        ["--metrics", "revenue", "--start-time", "\x1b]0;title\x07"],
        ["--metrics", "revenue", "--where", "{{ ''.\x1b[31m }}"],
        ["--metrics", "x" * 10_000],
    ],
    ids=lambda arguments: ascii(arguments)[:60],
)
def test_the_command_line_refuses_with_one_code_and_no_traceback(fortress, arguments):
    done = command(fortress, "query", *arguments)
    stderr = done.stderr.decode()
    assert done.returncode == 1, stderr
    assert [line[:1] for line in stderr.splitlines()].count("G") == 1, stderr
    assert "Traceback" not in stderr and "bug in gemel" not in stderr
    assert not any(mark in stderr for mark in ("\x1b", "\x07", "\u202e")), ascii(stderr)
    assert done.stdout == b""


MARKS = ("\x1b", "\x07", "\r", "\u202e", "\x9b")


@pytest.mark.parametrize(
    "arguments", ["list metrics", "list metrics --format markdown", "query -m revenue -g sale__region"]
)
def test_control_characters_do_not_reach_the_terminal(tmp_path, arguments):
    label, description = "\x1b[31mred\x1b[0m", "one\x07two\r\x1b]0;title\x07\u202eeerht\x9b31m"
    definitions = changed(simple("revenue", label=label, description=description))
    fortress = Fortress(tmp_path, definitions, sales="(1, 'a', '\x1b[2Jwiped', 1, DATE '2024-01-01')")
    shown = command(fortress, *arguments.split()).stdout.decode()
    assert "red" in shown or "wiped" in shown
    assert not any(mark in shown for mark in MARKS), ascii(shown)


def test_a_name_of_10000_characters_is_not_repeated_at_length(fortress):
    fortress.attack({"metrics": ["revenue"], "having": ["a" * 10_000 + " > 1"]})
    fortress.attack({"metrics": ["a" * 10_000], "group_by": ["a" * 10_000], "order_by": ["a" * 10_000]})
    fortress.attack({"metrics": ["revenue"], "where": [f"{{{{ Dimension('{'a' * 10_000}') }}}} = 1"]})
    fortress.attack({"metrics": ["revenue"], "where": [f"{'a' * 10_000} = 1"]})


# The language of filters.


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_a_filter_of_the_grammar_is_one_select_or_refused(tmp_path, engine, request):
    """tests/hostile/many.py does the same a hundred thousand times."""
    if engine == "duckdb":
        opened = many.duckdb_project(tmp_path)
    else:
        opened = many.postgres_project(tmp_path, request.getfixturevalue("needs_postgres"))
    with opened as (project, names, unharmed):
        allowed = many.allowed_names(engine)
        outcomes = Counter(
            many.outcome(project, each, engine, allowed) for each in many.questions(seed=5, count=250, names=names)
        )
        assert unharmed()
    assert outcomes["answer"] > 50 and outcomes["G340"] > 10


def test_both_engines_have_the_same_rows_for_a_filter_of_the_grammar(tmp_path, needs_postgres):
    for name in ("duckdb", "postgres"):
        (tmp_path / name).mkdir()
    with (
        many.duckdb_project(tmp_path / "duckdb") as (one, _, _),
        many.postgres_project(tmp_path / "postgres", needs_postgres) as (other, _, _),
    ):
        outcomes = Counter(many.comparison(one, other, each) for each in many.questions(seed=6, count=200, names=()))
    assert outcomes["same rows"] > 50
