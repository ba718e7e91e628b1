"""What bears on a SELECT, found by experiment: the values of one column are changed, and whatever that moves in an
answer, its columns or its number of rows, must come of that column. What comes of a column must move with it, too."""

from collections import Counter

import duckdb
import pytest
from sqlglot import exp, parse_one

from gemel.tracing.derivations import Digests
from gemel.tracing.queries import trace
from gemel.tracing.relations import of_table

COLUMNS = {
    "visits": ("id", "who", "room", "came", "fee", "way", "tags", "jan", "feb"),
    "paid": ("no", "id", "paid_on", "amount"),
    "rooms": ("room", "n"),
}
TABLES = """
    create table visits as select i as id, 'p' || (i * 7 % 13) as who, i * 5 % 6 as room,
        timestamp '2024-01-01' + to_hours((i * 37 % 19)::int) as came,
        i * 31 % 97 as fee, ['web', 'desk'][i % 2 + 1] as way, range(i * 3 % 4) as tags,
        case when i % 3 > 0 then i * 13 % 41 end as jan, case when i % 4 > 0 then i * 11 % 43 end as feb
        from range(60) as t (i);
    create table paid as select i as no, i * 11 % 30 as id, timestamp '2024-01-02' + to_hours(i::int) as paid_on,
        i * 17 % 89 as amount from range(40) as t (i);
    create table rooms as select i as room, i * 3 % 5 as n from range(5) as t (i);
"""
CHANGES = {
    "other rows'": "lag({0}, 7) over (order by rowid)",
    "reversed": "(select list({0} order by rowid desc) from main.{1})[rowid + 1]",
    "missing": "case when rowid % 3 > 0 then {0} end",
    "one": "(select any_value({0} order by rowid desc) from main.{1})",
    "few": "(select list({0} order by rowid) from main.{1})[rowid % 3 + 8]",
}
"""What a column's values are in place of its own, each in a schema of its own."""

QUERIES = [
    "select id, fee * 2 as twice, way from visits",
    "select way, count(*) as c from visits group by way",
    "select way, count(*) filter (where fee > 20) as c from visits group by way",
    "select id, unnest(tags) as tag from visits",
    "select id from visits, unnest(tags) as u (tag)",
    "select id, tag from visits cross join lateral (select unnest(tags) as tag)",
    "select id from visits, lateral (select room + 1 as k) as l where k > 3",
    "select id, tag from visits left join unnest(tags) as u (tag) on true",
    "select u.i, v.id from visits v, generate_series(1, v.room) u (i)",
    "select room from visits except select room from rooms",
    "select room from visits except all select n from rooms",
    "select room from visits intersect select n from rooms",
    "select id, fee from visits union all select id, amount from paid",
    "select room from visits union select n from rooms",
    "select id as a, fee as b from visits union all by name select amount as b, no as a from paid",
    "(select id, fee as v from visits) union all (select id, amount from paid) order by v, 1 limit 5",
    "select id, sum(fee) over w as x from visits window w as (partition by who order by came)",
    "select id, rank() over (w order by fee) as x from visits window w as (partition by room)",
    "select id from visits qualify row_number() over (partition by who order by came) = 1",
    "select distinct way, room from visits",
    "select distinct on (who) who, fee from visits order by who, way, id",
    "with l as (select distinct on (room) room, fee from visits order by room, came desc) select sum(fee) as x from l",
    "select * exclude (tags, jan, feb) from visits natural join rooms",
    "select id, n from visits natural left join rooms",
    "select room, id from visits left join rooms using (room)",
    "select room, n, id from visits right join rooms using (room)",
    "select id, fee, amount from visits full join paid using (id)",
    "select fee from visits semi join paid using (id)",
    "select fee from visits v anti join paid p on p.id = v.id and p.amount > 20",
    "select v.id, p.amount from visits v asof join paid p on p.id = v.id and p.paid_on >= v.came",
    "select * exclude (fee) replace (room + 1 as room) rename (who as person) from visits",
    "select v.* exclude (came) from visits v join paid p on p.id = v.id where p.amount > v.fee",
    "select v as x from visits v where id < 5",
    "select id, [m * 2 for m in [jan, feb] if m > 3] as l from visits",
    "select id, list_transform(tags, lambda t: t + room) as l from visits",
    "with s as (select id, {'money': fee, 'by': way} as info from visits) select id, info.money from s",
    "with s as (select struct_pack(a := {'b': fee}, c := way) as info from visits) select s.info.a.b as x from s",
    "with s as (select {'money': fee, 'by': way} as info from visits) select info['by'] as x from s",
    "unpivot (select id, jan, feb from visits) on jan, feb into name month value v",
    "select id, month, v from visits unpivot include nulls (v for month in (jan, feb))",
    "from (select id, way, fee from visits) pivot (sum(fee) for way in ('web', 'desk'))",
    "pivot (select id, way, fee from visits) on way in ('web', 'desk') using sum(fee)",
    "pivot visits on way in ('web', 'desk') using sum(fee) group by room",
    "select fee * 2 as twice, twice + room as x from visits where twice > 10",
    "select fee from visits order by came offset 3",
    "select room, way, sum(fee) as x from visits group by grouping sets ((room), (way))",
    "select room, count(*) as c from visits group by all having max(fee) > 90",
    "select room % 2 as half, max(fee) as x from visits group by 1",
    "select max_by(fee, came) filter (where room > 2) as x from visits",
    "select case when room > 2 then fee else jan end as x from visits",
    "select v.id, (select max(amount) from paid p where p.id = v.id and p.paid_on > v.came) as x from visits v",
    "select id, (select count(*) from paid where amount > 40) as x from visits",
    "select id from visits v where exists (select no from paid p where p.id = v.id and p.amount > v.fee)",
    "select id from visits where room in (select n from rooms)",
    "select l.amount from visits v left join lateral "
    "(select amount from paid p where p.id = v.id order by paid_on limit 1) l on true",
    "select x.fee from (visits join rooms using (room)) as x",
    "select t.a from (select id, fee from visits) as t (b, a)",
    "with recursive r as (select id, fee from visits where id < 3 union all "
    "select r.id + 1, r.fee + p.amount from r join paid p on p.no = r.id + 1 where r.id < 9) select fee from r",
    "with recursive r (i, a, b, c) as (select 1, fee, jan, feb from visits where id < 40 union all "
    "select i + 1, b, c, c from r where i < 3) select a from r",
    "select sum(fee) as x from visits",
    "select a.fee from visits a, (select max(room) as top from visits) b where a.room = b.top",
]  # fmt: skip
OF_KNOWN_COLUMNS = ["select fee as room, room + 1 as x from visits"]
"""Whether the table has a column of the alias's name says what it means."""
NOT_FOLLOWED = [
    "select columns('id|fee') from visits",
    "pivot (select id, way, fee from visits) on way using sum(fee)",
]
"""What is not followed by columns comes of all the tables that it reads."""


@pytest.fixture(scope="module")
def moved():
    """Of a query, the columns of tables that decide how many rows there are, and those that decide on the values of
    each column. Asked once."""
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        for changed, columns in COLUMNS.items():
            for column in columns:
                for change, text in CHANGES.items():
                    schema = f'"{changed}.{column} {change}"'.replace("'", "")
                    connection.execute(f"create schema {schema}")
                    for table in COLUMNS:
                        own = f"replace ({text.format(column, table)} as {column})" if table == changed else ""
                        connection.execute(f"create table {schema}.{table} as select * {own} from main.{table}")
        kept = {}
        yield lambda sql: kept.get(sql) or kept.setdefault(sql, experiment(connection, sql))


def answer(connection, sql, schema="main"):
    """How many rows there are, and for each column its values, in no order."""
    connection.execute(f'use "{schema}"')
    rows = connection.execute(sql).fetchall()
    return len(rows), [Counter(map(repr, values)) for values in zip(*rows, strict=True)]


def experiment(connection, sql):
    names = [name for name, *_ in connection.execute(sql).description]
    count, columns = answer(connection, sql)
    assert columns, "there is no row"
    by_rows, by_column = set(), {name: set() for name in names}
    for table in (table for table in COLUMNS if table in sql):
        for column in COLUMNS[table]:
            for change in CHANGES:
                other, others = answer(connection, sql, f"{table}.{column} {change}".replace("'", ""))
                if other != count:
                    by_rows.add(f"{table}.{column}")
                for place, (name, before) in enumerate(zip(names, columns, strict=True)):
                    if others[place : place + 1] != [before]:
                        by_column[name].add(f"{table}.{column}")
    return by_rows, by_column


def trace_query(sql, *, declared):
    def relation(node: exp.Table):
        if node.name not in COLUMNS:
            return None
        names = COLUMNS[node.name] if declared else ()
        return of_table(node.name, f"rows:{node.name}", lambda name: f"{node.name}.{name}", names, closed=declared)

    return trace(parse_one(sql, dialect="duckdb"), relation)


def claimed(derivation):
    """The columns of tables that something comes of."""
    found = set()
    for id, _ in derivation.uses:
        found |= {f"{id}.{name}" for name in COLUMNS.get(id, ())} or {id}
    return {id for id in found if not id.startswith("rows:")}


def meaning(derivation, changed):
    """A digest where one column means something else."""
    return Digests(lambda id: f"{id} changed" if id in (changed, changed.partition(".")[0]) else id)(derivation)


@pytest.mark.parametrize(
    ("sql", "declared"),
    [
        *((sql, declared) for sql in QUERIES + NOT_FOLLOWED for declared in (True, False)),
        *((s, True) for s in OF_KNOWN_COLUMNS),
    ],
)
def test_whatever_moves_an_answer_is_in_its_lineage(moved, sql, declared):
    by_rows, by_column = moved(sql)
    assert by_rows | set().union(*by_column.values()), "the experiment shows nothing"
    relation = trace_query(sql, declared=declared)
    rows = claimed(relation.rows)
    assert by_rows <= rows
    for place, (name, found) in enumerate(by_column.items()):
        is_open = relation.rest is not None
        column = relation.get(name.lower()) if is_open else list(relation.columns.values())[place]
        assert found <= claimed(column) | rows, name


@pytest.mark.parametrize("sql", QUERIES + OF_KNOWN_COLUMNS)
def test_whatever_is_in_the_lineage_of_an_answer_moves_it(moved, sql):
    by_rows, by_column = moved(sql)
    relation = trace_query(sql, declared=True)
    for name, column, found in zip(by_column, relation.columns.values(), by_column.values(), strict=True):
        assert claimed(column) <= found, name
    assert claimed(relation.rows) <= by_rows.union(*by_column.values())


@pytest.mark.parametrize("sql", QUERIES)
def test_a_change_of_what_it_comes_of_and_of_nothing_else_is_a_change_of_it(sql):
    relation = trace_query(sql, declared=True)
    for derivation in (relation.rows, *relation.columns.values()):
        changes = {
            f"{table}.{column}"
            for table, columns in COLUMNS.items()
            for column in columns
            if meaning(derivation, f"{table}.{column}") != meaning(derivation, "")
        }
        assert changes == claimed(derivation)
