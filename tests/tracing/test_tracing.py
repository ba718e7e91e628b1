"""What a column of a SELECT is computed from: SQL that says the same, and SQL that does not."""

import duckdb
import pytest
from sqlglot import exp, parse_one

from gemel.dbt.templates import UNKNOWN, Opaque, render
from gemel.tracing.derivations import Digests
from gemel.tracing.queries import trace
from gemel.tracing.relations import of_table

TABLES = """
    create table t as from (values (1, 'a', 10, [1, 2]), (2, 'b', 20, [3]), (2, null, 5, [])) as t (id, name, n, list);
    create table u as from (values (1, 'x', 7), (2, 'y', 8)) as u (id, label, m);
"""
COLUMNS = {"t": ("id", "name", "n", "list"), "u": ("id", "label", "m")}


class Traced:
    """Digests of what a SELECT makes of t and u, in which some columns of theirs mean something else."""

    def __init__(self, relation, changed):
        self.relation = relation
        self.digests = Digests(lambda id: f"{id} changed" if set(id.split()[1:]) & set(changed.split()) else id)
        self.rows, self.whole = self.digests(relation.rows), self.digests(relation.whole)
        self.names = relation.names

    def column(self, name):
        found = self.relation.get(name)
        return None if found is None else self.digests(found)


def trace_query(sql, changed="", *, declared=True):
    def opened(table: exp.Table):
        if table.name not in COLUMNS:
            return None
        names = COLUMNS[table.name] if declared else ()
        id = f"{table.name} {' '.join(COLUMNS[table.name])}"
        return of_table(id, f"rows_of_{table.name}", lambda name: f"{table.name} {name}", names, closed=declared)

    return Traced(trace(parse_one(sql, dialect="duckdb"), opened), changed)


SAME = [
    ("select id, n from t", "SELECT\n  t.id, -- the key\n  t.n\nFROM t"),
    ("select id from t", "select id from t as anything"),
    ("select a.id from t as a join u as b on a.id = b.id", "select x.id from t as x join u as y on x.id = y.id"),
    ("with a as (select * from t) select id, n from a", "with other as (select * from t) select id, n from other"),
    ("select id, n from (select * from t)", "select id, n from t"),
    ("with a as (select id as k, n from t) select k, n + 1 as m from a", "select id as k, n + 1 as m from t"),
    ("select id, (n) as n from t", "select id, n from t"),
    ("select id, sum(n) as s from t group by id", "select t.id, sum(t.n) as s from t group by t.id"),
    ("select id from t union all select id from u", "select a.id from t a union all select b.id from u b"),
    ("select sum(n) over w as s from t window w as (order by id)", "select sum(n) over (order by id) as s from t"),
    (
        "select sum(n) over b as s from t window a as (partition by id), b as (a order by n)",
        "select sum(n) over (partition by id order by n) as s from t",
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_of_aliases_blanks_and_comments_mean_nothing(one, other):
    assert trace_query(one).rows == trace_query(other).rows
    assert [trace_query(one).column(name) for name in trace_query(one).names] == [
        trace_query(other).column(name) for name in trace_query(other).names
    ]
    with duckdb.connect() as connection:  # the witness: they do say the same
        connection.execute(TABLES)
        assert sorted(connection.sql(one).fetchall()) == sorted(connection.sql(other).fetchall())


OTHERS = [
    # SQL, SQL, the columns that differ; "rows" is which rows there are
    ("select id, n > 15 as late from t", "select id, n > 30 as late from t", "late"),
    ("select id, n as late, name from t", "select id, m as late, name from t join u using (id)", "rows late"),
    ("select id from t where n > 1", "select id from t where n > 2", "rows"),
    ("select id, n from t left join u using (id)", "select id, n from t join u using (id)", "rows"),
    ("select t.id from t join u on t.id = u.id", "select t.id from t join u on t.id = u.m", "rows"),
    ("select distinct id from t", "select id from t", "rows"),
    ("select distinct id, n from t", "select distinct id, n + 1 as n from t", "rows n"),
    ("select id, sum(n) as s from t group by 1", "select id + 1 as id, sum(n) as s from t group by 1", "rows id"),
    ("select id, sum(n) as s from t group by all", "select name as id, sum(n) as s from t group by all", "rows id"),
    ("select sum(n) as s from t", "select n as s from t", "rows s"),
    ("select unnest(list) as e, id from t", "select unnest(list[1:1]) as e, id from t", "rows e"),
    ("select id from t union all select id from u", "select id from t union select id from u", "rows"),
    ("select id, n from t union all select id, m from u", "select id, n from t union all select m, m from u", "id"),
    ("select * from t", "select * exclude (n) from t", "n"),
    ("select * from t", "select * replace (n + 1 as n) from t", "n"),
    ("select * from t", "select *, n + 1 as p from t", "p"),
    ("select id, (select max(m) from u) as x from t", "select id, (select min(m) from u) as x from t", "x"),
    ("select id from t order by n limit 1", "select id from t order by n limit 2", "rows"),
    ("select id from t order by n limit 1", "select id from t order by n desc limit 1", "rows"),
    ("select row_number() over (order by n) as r from t", "select row_number() over (order by id) as r from t", "r"),
    ("select id, e from t, unnest(t.list) as x (e)", "select id, e from t, unnest(t.list[1:1]) as x (e)", "rows e"),
    ("select id from t where n in (from u where u.id = t.id)", "select id from t where n in (from u)", "rows"),
    ("select id from t qualify row_number() over (partition by id order by n) = 1", "select id from t", "rows"),
    ("with a as (select n as v from t) select v from a", "with a as (select id as v from t) select v from a", "v"),
    ("select a.n as v from t a join t b on a.id = b.id", "select b.n as v from t b join t a on a.id = b.n", "rows"),
    ("select id from read_csv('a.csv')", "select id from read_csv('b.csv')", "rows id"),
    ("select sum(n) over w as s from t window w as (order by id)",
     "select sum(n) over w as s from t window w as (order by name)", "s"),
    ("select distinct on (id) id, n from t order by id, n", "select distinct on (id) id, n from t order by id, name",
     "rows"),
    ("select id from t order by n offset 1", "select id from t order by name offset 1", "rows"),
    ("select \"N\" as x from t", "select 'N' as x from t", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "differing"), OTHERS)
def test_what_differs_is_reported_by_column_and_by_rows(one, other, differing):
    before, after = trace_query(one), trace_query(other)
    names = dict.fromkeys((*before.names, *after.names))
    found = ["rows"] if before.rows != after.rows else []
    found += [name for name in names if before.column(name) != after.column(name)]
    if "read_csv" in one:
        assert (before.rows, before.column("id")) != (after.rows, after.column("id"))
    else:
        assert found == [each for each in ["rows", *names] if each in differing.split()]


def test_a_column_of_a_table_is_followed_to_whatever_uses_it():
    sql = "with a as (select id, n * 2 as twice, name from t) select id, twice + 1 as more, name from a where id > 0"
    before, after = trace_query(sql), trace_query(sql, changed="n")
    assert [name for name in before.names if before.column(name) != after.column(name)] == ["more"]
    assert before.rows == after.rows


@pytest.mark.parametrize(
    "sql",
    [
        "select id from t where n > 0",
        "select id from t order by n limit 1",
        "select id from t join u on t.n = u.m",
        "select count(*) as c from t having sum(n) > 1",
        "select id from t where id in (select n from t)",
        "pivot t on name using sum(n)",
        "with recursive r as (select n from t union all select n + 1 from r where n < 3) select * from r",
        "select id from t, lateral (select t.n + 1 as k) where k > 0",
        "select id from (select id, n as v from t) where v > 1",
        "select id from t qualify rank() over (order by n) < 2",
        "select distinct n from t",
        "select n from t union select m from u",
        "(select n from t) union all (select m from u) order by 1 limit 1",
        "select t.id from t semi join u on t.n = u.m",
        "select id from t anti join (select n as id from t) using (id)",
        "select distinct on (id) id from t order by id, n",
        "select id from t order by n offset 1",
    ],
)
def test_rows_that_depend_on_a_column_change_with_it(sql):
    assert trace_query(sql).rows != trace_query(sql, changed="n").rows


def test_a_natural_join_is_by_the_columns_that_both_have():
    sql = "select t.id from t natural join u"
    assert trace_query(sql).rows == trace_query(sql, changed="n").rows
    assert trace_query(sql).rows != trace_query(sql, changed="id").rows
    assert trace_query(sql, declared=False).rows != trace_query(sql, changed="n", declared=False).rows


def test_a_union_that_drops_duplicates_is_another_whole_than_one_that_keeps_them():
    one, other = (
        trace_query("select id from t union all select id from u"),
        trace_query("select id from t union select id from u"),
    )
    assert one.whole != other.whole


def test_a_column_that_a_pattern_may_choose_changes_with_any_of_the_table():
    sql = "select columns('id|n') from t"
    assert trace_query(sql).names == ()
    assert trace_query(sql).column("n") != trace_query(sql, changed="n").column("n")


def rendered(text, **more):
    return render(text, ref=lambda *names, **_: names[-1], source=lambda *names: names[-1], variables={}, **more)


def test_what_dbt_alone_knows_stands_for_its_text():
    one = rendered("select {{ dbt_utils.star(ref('t')) }}, {{ target.name }} as x from {{ ref('t') }}")
    assert one.count(UNKNOWN) == 2 and one.endswith("from t")
    assert one == rendered("select {{dbt_utils.star( ref('t') )}}, {{ target.name }} as x from {{ ref('t') }}")
    assert one != rendered("select {{ dbt_utils.star(ref('u')) }}, {{ target.name }} as x from {{ ref('t') }}")
    assert one != rendered(
        "select {{ dbt_utils.star(ref('t')) }}, {{ target.name }} as x from {{ ref('t') }}", salt="m"
    )


def test_the_project_s_macros_and_conditions_are_rendered():
    macro = "{% macro cents(name) %}{{ name }} / 100{% endmacro %}"
    assert rendered("select {{ cents('n') }} as n from t", macros=[macro]) == "select n / 100 as n from t"
    told = "{{ config(materialized='table') }}select 1{% if is_incremental() %} where x{% endif %}{# no #}"
    assert rendered(told) == "select 1"
    with pytest.raises(Opaque):
        rendered("select 1 {% if target.name == 'prod' %} where x {% endif %}")
