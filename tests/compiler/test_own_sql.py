"""The SQL of definitions reaches the project's own warehouse as it was written, and has the numbers of the SQL that a
person would write."""

import datetime as dt
from decimal import Decimal

import duckdb
import pytest
from sqlglot import exp

from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.expressions import Refused, Texts, qualify
from gemel.compiler.question.own import read_own
from gemel.compiler.question.query import Item, Query, QueryMetric
from gemel.compiler.question.verbatim import Verbatim
from gemel.compiler.sql.translation import translate
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import QueryError
from worlds.postgres import own_name, own_schema

ROWS = """
    SELECT * FROM (VALUES
        (1, 7.25, 'Abc-dEf-abc', TIMESTAMP '2024-01-31 23:10:05', DATE '2023-12-31', TRUE, 10),
        (2, -0.5, 'x', TIMESTAMP '2024-02-29 00:00:00', DATE '2024-02-28', FALSE, 3),
        (3, NULL, NULL, NULL, NULL, NULL, NULL),
        (4, 1000.125, '  Łódź 12 ', TIMESTAMP '1999-12-31 12:30:00', DATE '2000-01-01', TRUE, 0)
    ) AS v (id, amount, word, ts, day, flag, n)
"""

BOTH = """
    ts::date | timestamp '2024-01-01 10:00'::date | date '2024-01-31' - 7
    extract(year from day) * 100 + extract(month from day)
    case when Amount > 1 then 'a' when flag then 'b' else 'c' end | coalesce(n, 0) + 1 | nullif(n, 0)
    amount / nullif(n, 0) | n / 4 | n % 4 | -n | - -n | n - -1 | amount::int | upper(word) || '-' || lower(word)
    word like 'A%' or n > 2 | not flag and n = 3 | n in (3, 10) | n between 2 and 5 | flag is not true
    n is distinct from 3 | greatest(n, 5, null) | least(n, 5) | round(amount, 1) | round(amount) | floor(amount)
    ceil(amount) | abs(amount) | sign(amount) | power(n, 2) | sqrt(abs(amount)) | ln(abs(amount)) | log10(id)
    length(word) | trim(word) | trim(both 'A' from word) | substring(word from 2 for 3) | substring(word, 2)
    left(word, 2) | right(word, 2) | replace(word, 'b', 'B') | reverse(word) | repeat(word, 2) | lpad(word, 5, '*')
    position('-' in word) | split_part(word, '-', 2) | starts_with(word, 'A') | concat(word, n, null)
    concat_ws('/', word, n) | md5(word) | regexp_replace(word, 'B', '_', 'gi') | date_trunc('month', ts)
    date_trunc('week', day) | date_part('dow', ts) | extract(isodow from ts) | extract(epoch from ts)
    ts + interval '1 day' | ts - interval '1' hour | age(ts, ts - interval '1 day') | make_date(2024, n + 1, 1)
    cast(amount as decimal(10, 1)) | cast(n as varchar) | cast(day as timestamp) | translate(word, 'abc', 'xyz')
    ascii(word) | chr(65 + n) | to_hex(n) | bit_length(word) | strpos(word, 'a') | (n + 1) * 2
    /* a note */ n + 1 -- and another | 'it''s' || word | "n" + 1 | N + "id"
"""
DUCKDB = """
    strftime(ts, '%Y/%m') | date_diff('week', day, ts::date) | n // 4 | date_sub('month', day, ts::date)
    datediff('day', day, ts::date) | dayofweek(ts) | isodow(ts) | weekofyear(ts)
    list_filter([n, 2, 3], lambda x: x > 2) | [v * 2 for v in [n, 1]] | len(string_split(word, '-'))
    try_cast(word as int) | sha256(word) | levenshtein(word, 'abc') | jaro_winkler_similarity(word, 'abc')
    regexp_extract(word, '([a-z]+)-', 1) | {'a': n, 'b': word} | struct_pack(a := n) | list_value(n, id)[1]
    word[1:3] | word ilike 'a%' | word similar to 'A.*' | epoch_ms(ts) | time_bucket(interval '7 days', ts)
    format('{}-{}', word, n) | printf('%d', n) | hash(n) is not null | json_extract('{"a": 1}', '$.a')
    '{"a": [1, 2]}'::json -> '$.a[0]' | ifnull(n, 7) | if(flag, 1, 2) | n::varchar::int | bar(n, 0, 10) | 1e3 + n
    .5 * n | 1_000 + n | n ** 2 | n ^ 2 | @n | n << 1 | xor(n, 1) | encode(word) | array_to_string([word, 'b'], ',')
    row(n, id) | ts at time zone 'Europe/Paris' | current_date > day | date_add(day, interval 1 month) | last_day(day)
    monthname(day) | strftime('%d', ts) | unicode(word) | nfc_normalize(word)
"""
POSTGRES = """
    to_char(ts, 'YYYY-MM') = '2024-01' | n # 1 | to_char(amount, '9990.00') | to_number('12,454.8', '99G999D9') + n
    to_date('2024-01', 'YYYY-MM') | to_timestamp(n) is null | regexp_match(word, 'b') is null
    regexp_count(word, 'b', 1, 'i') | regexp_substr(word, '[a-z]+', 1, 2) | word ~* 'ABC' | word !~ 'x'
    overlay(word placing 'Z' from 2 for 1) | sha256(word::bytea) | encode(word::bytea, 'hex') | num_nulls(n, word)
    xmlexists('//a' passing by ref x) | extract(week from day) | date_bin('15 minutes', ts, timestamp '2001-01-01')
    width_bucket(n, 0, 10, 5) | word collate "C" < 'b' | ts at time zone 'UTC' at time zone 'Asia/Tokyo'
    array[n, id] | (array[n, id])[1] | n = any (array[3, 10]) | jsonb_build_object('a', n) ->> 'a'
    '{"a": {"b": 2}}'::jsonb #>> '{a,b}' | '{"a": 1}'::jsonb ? 'a' | n ^ 2 | |/ 4 | isfinite(day)
    justify_hours(interval '27 hours') | make_interval(days => n) | quote_literal(word) | format('%s-%L', n, word)
    $$dollar$$ || word | E'tab\\t' || word | U&'d\\0061t' || word | row(n, id) | (day, day) overlaps (day, day)
    trunc(amount, 1) | div(n, 3) | mod(n, 3) | cbrt(n) | log(2, n + 1) | log(n + 1) | random() < 2 | initcap(word)
    normalize(word, nfc) | string_to_array(word, '-')
"""


def texts(listed):
    """The texts of a list, each between bars."""
    return [text for line in listed.strip().splitlines() for text in line.strip().split(" | ")]


def placed(text, dialect):
    """`text` over a table `t`, as it is placed in SQL."""
    return exp.select(exp.alias_(Texts(dialect).over("t", text).copy(), "value"), exp.column("id", "t")).sql(dialect)


def compact(text):
    """Without comments, blanks and the names of the table."""
    return "".join(text.replace("/* a note */", "").split(" -- ")[0].replace("t.", "").split())


@pytest.fixture(scope="module")
def duck():
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE facts AS {ROWS}")
        yield lambda sql: connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def postgres(needs_postgres):
    with own_schema(needs_postgres, own_name("own_sql")) as schema:
        schema.connection.execute(f"SET search_path = {schema.name}; SET timezone = 'UTC'")
        schema.connection.execute(f"CREATE TABLE facts AS {ROWS}; ALTER TABLE facts ADD x xml")
        schema.connection.execute("UPDATE facts SET x = '<a/>' WHERE id < 3")
        yield lambda sql: schema.connection.execute(sql).fetchall()


def is_same(text, dialect, run):
    """Whether a text has the same value by itself and placed by us, and stands in our SQL as it was written."""
    select = placed(text, dialect)
    assert compact(text) in compact(select), select
    alone = run(f"SELECT {text}\n, id FROM facts ORDER BY id")
    assert str(run(f"SELECT * FROM ({select} FROM facts AS t) AS s ORDER BY id")) == str(alone)


@pytest.mark.parametrize("text", texts(BOTH) + texts(DUCKDB))
def test_on_duckdb_text_is_placed_as_it_was_written(text, duck):
    is_same(text, "duckdb", duck)


@pytest.mark.parametrize("text", texts(BOTH) + texts(POSTGRES))
def test_on_postgresql_text_is_placed_as_it_was_written(text, postgres):
    is_same(text, "postgres", postgres)


def asked_by(text, dialect, run):
    """The number of rows by a dimension, from our SQL and from a person's; both None where nothing can be grouped."""
    model = {
        "name": "facts",
        "defaults": {"agg_time_dimension": "day"},
        "node_relation": {"alias": "facts", "schema_name": None, "database": None, "relation_name": ""},
        "primary_entity": "fact",
        "entities": [],
        "dimensions": [
            {"name": "day", "type": "time", "type_params": {"time_granularity": "day"}},
            {"name": "value", "type": "categorical", "expr": text},
        ],
        "measures": [
            {"name": "rows_there", "agg": "sum", "expr": "1"},
            {"name": "values_there", "agg": "count", "expr": text},
        ],
    }
    names = ("rows_there", "values_there")
    metrics = [{"name": name, "type": "simple", "type_params": {"measure": {"name": name}}} for name in names]
    graph = bind(read_manifest({"semantic_models": [model], "metrics": metrics}), dialect)
    query = Query(metrics=tuple(map(QueryMetric, names)), group_by=(Item(("fact", "value")),))
    ours = compile_query(graph, query, Context.naming(dialect)).sql
    by_hand = f"SELECT {text}\n, COUNT(*), COUNT({text}\n) FROM facts GROUP BY 1"
    try:
        expected = sorted(map(str, run(by_hand)))
    except Exception:  # an XML has no equality
        return None, None
    return sorted(map(str, run(ours))), expected


@pytest.mark.parametrize("text", [text for text in texts(BOTH) + texts(DUCKDB) if "random" not in text])
def test_groups_and_counts_on_duckdb_are_those_of_the_sql_by_hand(text, duck):
    ours, by_hand = asked_by(text, "duckdb", duck)
    if by_hand is None:
        pytest.skip("values without equality")
    assert ours == by_hand


@pytest.mark.parametrize("text", [text for text in texts(BOTH) + texts(POSTGRES) if "random" not in text])
def test_groups_and_counts_on_postgresql_are_those_of_the_sql_by_hand(text, postgres):
    ours, by_hand = asked_by(text, "postgres", postgres)
    if by_hand is None:
        pytest.skip("values without equality")
    assert ours == by_hand


def plain(value):
    """A value as both engines have it."""
    match value:
        case bool() | None:
            return value
        case int() | float() | Decimal():
            return round(float(value), 6)
        case dt.datetime():
            return value.replace(tzinfo=None)
        case dt.date():
            return dt.datetime.combine(value, dt.time.min)
        case _:
            return value


@pytest.mark.parametrize(
    ("own", "other", "listed", "least"),
    [
        ("duckdb", "postgres", [*texts(BOTH), *texts(DUCKDB)], 60),
        ("postgres", "duckdb", [*texts(BOTH), *texts(POSTGRES)], 50),
    ],
)
def test_what_is_translated_has_the_same_values_on_the_other_engine(own, other, listed, least, duck, postgres):
    runs = {"duckdb": duck, "postgres": postgres}
    wrong, count = {}, 0
    for text in listed:
        value = exp.select(exp.alias_(Texts(own).over("t", text).copy(), "value"), exp.column("id", "t"))
        try:
            there = translate(value, other).sql(other)
        except QueryError:
            continue
        count += 1
        here = runs[own](f"SELECT * FROM (SELECT {text}\n, id FROM facts) AS s ORDER BY id")
        answers = runs[other](f"SELECT * FROM ({there} FROM facts AS t) AS s ORDER BY id")
        if [plain(row[0]) for row in here] != [plain(row[0]) for row in answers]:
            wrong[text] = there
    assert wrong == {}
    assert count > least


def written(text, dialect="duckdb"):
    return Texts(dialect).over("t", text).sql(dialect)


@pytest.mark.parametrize(
    ("text", "placed"),
    [
        ("Amount", "t.Amount"),
        ('"Amount"', 't."Amount"'),
        ("1", "1"),
        ("true", "TRUE"),
        ("amount -- net", "t.amount"),
        ("/* net */ amount + /* gross */ tax -- both", "t.amount + t.tax"),
        ("amount -- net\n+ tax", "t.amount + t.tax"),
        ("upper( Word )", "upper( t.Word )"),
        ("u.amount + amount", "u.amount + t.amount"),
        ("info['a'] || info.b", "t.info['a'] || info.b"),
        ("list_filter(xs, lambda x: x > y)", "list_filter(t.xs, lambda x: x > t.y)"),
        ("[v * n for v in xs if v > 1]", "[v * t.n for v in t.xs if v > 1]"),
        ("struct_pack(n := n)", "struct_pack(n := t.n)"),
        ("DATETIME(x)", "DATETIME(t.x)"),
        ("MATCH_AGAINST(1, 'x')", "MATCH_AGAINST(1, 'x')"),
        ("json_extract(x, '[1,2]')", "json_extract(t.x, '[1,2]')"),
    ],
)
def test_only_references_change_and_comments_go(text, placed):
    assert written(text) == placed


def test_a_column_that_sqlglot_repeats_stands_where_it_was_written():
    assert written("decode(n, 1, 'a', n)", "snowflake") == "decode(t.n, 1, 'a', t.n)"
    assert written("nvl2(n, n, 0)", "snowflake") == "nvl2(t.n, t.n, 0)"


def test_lines_are_kept_where_the_statement_has_lines_and_a_value_keeps_its_own():
    value = Texts().over("t", "case when a = 'x\n  y' -- odd\n  then 1\nend")
    assert value.sql("duckdb") == "case when t.a = 'x\n  y'   then 1 end"
    select = exp.select(exp.alias_(value.copy(), "b")).sql("duckdb", pretty=True)
    assert select == "SELECT\n  case when t.a = 'x\n  y'\n    then 1\n  end AS b"


@pytest.mark.parametrize(
    ("text", "condition", "negated", "summand"),
    [
        ("f(a)", "f(a)", "NOT f(a)", "f(a) + 1"),
        ("(a + b)", "(a + b)", "NOT (a + b)", "(a + b) + 1"),
        (
            "case when a then b end",
            "case when a then b end",
            "NOT case when a then b end",
            "case when a then b end + 1",
        ),
        ("a = 1", "a = 1", "NOT (a = 1)", "(a = 1) + 1"),
        ("a not in (1, 2)", "a not in (1, 2)", "NOT (a not in (1, 2))", "(a not in (1, 2)) + 1"),
        ("a = 1 and b", "a = 1 and b", "NOT (a = 1 and b)", "(a = 1 and b) + 1"),
        ("a or b", "(a or b)", "NOT (a or b)", "(a or b) + 1"),
        ("a::date", "(a::date)", "NOT (a::date)", "(a::date) + 1"),
        ("f(a) + f(b)", "(f(a) + f(b))", "NOT (f(a) + f(b))", "(f(a) + f(b)) + 1"),
    ],
)
def test_brackets_stand_where_something_around_could_bind_to_a_part(text, condition, negated, summand):
    value = read_own(text, "duckdb").node
    assert exp.and_(exp.column("x"), value.copy()).sql() == f"x AND {condition}"
    assert exp.Not(this=value.copy()).sql() == negated
    assert exp.Add(this=value.copy(), expression=exp.Literal.number(1)).sql() == summand
    assert exp.Sum(this=value.copy()).sql() == f"SUM({text})"


def test_texts_are_equal_by_their_words_and_references():
    one, same, other = (read_own(text, "duckdb").node for text in ("f(a) + 1", "f(a) + 1", "f(b) + 1"))
    assert one == same != other
    assert one != read_own("F(a) + 1", "duckdb").node  # in a definition hash they are equal: see `respell`
    assert qualify(one, "t") == qualify(same, "t") != qualify(one, "u")


def test_what_sqlglot_cannot_read_has_the_references_that_are_no_keywords():
    assert written("xmlexists('//a' passing by ref x)", "postgres") == "xmlexists('//a' passing by ref t.x)"
    assert [each.name for each in read_own("xmlexists('//a' passing x)", "postgres").tree.find_all(exp.Column)] == ["x"]


def test_a_keyword_that_is_also_a_column_is_refused_where_sqlglot_cannot_read_the_text():
    with pytest.raises(Refused, match="'ref' is a column or a keyword"):
        read_own("xmlexists('//a' passing by ref x)", "postgres", columns={"ref"})
    assert isinstance(read_own("xmlexists('//a' passing by ref x)", "postgres").node, Verbatim)


@pytest.mark.parametrize(
    "text",
    [
        "amount >",
        "a b",
        "case when",
        "f(a",
        "f(a))",
        "drop table orders",
        "a, b",
        "f(a b)",
        "select 1",
        "?",
    ],
)
def test_a_typing_error_is_refused_and_no_unknown_syntax(text):
    with pytest.raises(Refused):
        read_own(text, "postgres")


FILTERED = [
    ("to_char({{ TimeDimension('metric_time', 'day') }}, 'YYYY-MM') = '2024-01'", [(3,)]),
    ("{{ TimeDimension('metric_time', 'day') }} >= timestamp '2024-01-31 10:00'::date", [(4,)]),
    ("strpos({{ Dimension('sale__word') }},'b')>1 -- not at the start", [(1,)]),
    ("regexp_replace({{ Dimension('sale__word') }}, 'A', '', 'gi') = 'b'", [(2,)]),
    ("xmlexists('//a' passing by ref {{ Dimension('sale__note') }})", [(1,)]),
    ("{{ Dimension('sale__hex') }} = 'ff' or {{ Dimension('sale__decade') }} = 2", [(3,)]),
]


@pytest.mark.parametrize(("text", "rows"), FILTERED)
def test_a_filter_in_yaml_has_the_rows_of_the_sql_that_a_person_writes(text, rows, needs_postgres):
    dimensions = [
        {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
        {"name": "word", "type": "categorical"},
        {"name": "note", "type": "categorical"},
        {"name": "hex", "type": "categorical", "expr": "to_hex(n)"},
        {"name": "decade", "type": "categorical", "expr": "log10(n)"},
    ]
    model = {
        "name": "sales",
        "defaults": {"agg_time_dimension": "sold_at"},
        "node_relation": {"alias": "sales", "schema_name": None, "database": None, "relation_name": ""},
        "primary_entity": "sale",
        "entities": [],
        "dimensions": dimensions,
        "measures": [{"name": "sales", "agg": "sum", "expr": "1"}],
    }
    metric = {"name": "sales", "type": "simple", "type_params": {"measure": {"name": "sales"}}}
    metric["filter"] = {"where_filters": [{"where_sql_template": text}]}
    graph = bind(read_manifest({"semantic_models": [model], "metrics": [metric]}), "postgres")
    query = Query(metrics=(QueryMetric("sales"),))
    with own_schema(needs_postgres, own_name("own_filters")) as schema:
        schema.connection.execute(
            f"SET search_path = {schema.name}; CREATE TABLE sales (sold_at timestamp, word text, note xml, n int);"
            "INSERT INTO sales VALUES ('2024-01-01', 'ab', '<a/>', 255), ('2024-01-31 09:00', 'b', '<b/>', 100),"
            "('2024-01-31 23:00', 'x', NULL, 7), ('2024-02-01', NULL, '<b/>', 255), ('2024-03-01', '', NULL, 1)"
        )
        rows_here = schema.connection.execute(compile_query(graph, query, Context.naming("postgres")).sql).fetchall()
    assert rows_here == rows
