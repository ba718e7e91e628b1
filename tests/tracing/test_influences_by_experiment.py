"""What bears on a SELECT, found by experiment: a column whose values move its answer is among its lineage, and a change
of that column is one of the SELECT."""

import duckdb
import pytest
from sqlglot import exp, parse_one

from gemel.tracing.columns import Relation, Unresolved, resolve_select
from gemel.tracing.digests import trace

COLUMNS = {
    "visits": ("id", "who", "room", "came", "fee", "way"),
    "paid": ("no", "id", "paid_on", "amount"),
    "rooms": ("room", "n"),
}
TABLES = """
    create table all_visits as select i as id, 'p' || (i * 7 % 13) as who, i * 5 % 6 as room,
        timestamp '2024-01-01' + to_hours((i * 37 % 211)::int) as came,
        i * 31 % 97 as fee, ['web', 'desk'][i % 2 + 1] as way
        from range(60) as t (i);
    create table all_paid as select i as no, i * 11 % 60 as id, timestamp '2024-01-02' + to_hours(i::int) as paid_on,
        i * 17 % 89 as amount from range(40) as t (i);
    create table all_rooms as select i as room, i * 3 % 5 as n from range(5) as t (i);
"""
QUERIES = [
    "select id, sum(fee) over w as x from visits window w as (partition by who order by came)",
    "select id, rank() over (w order by fee) as x from visits window w as (partition by room)",
    "select distinct on (who) who, fee from visits order by who, came, id",
    "with l as (select distinct on (room) room, fee from visits order by room, came desc) select sum(fee) as x from l",
    "select * from visits natural join rooms",
    "select id, n from visits natural left join rooms",
    "select fee from visits semi join paid using (id)",
    "select fee from visits v anti join paid p on p.id = v.id and p.amount > 20",
    "select id, fee, amount from visits full join paid using (id)",
    "select v.id, p.amount from visits v asof join paid p on p.id = v.id and p.paid_on >= v.came",
    "select columns('id|fee') from visits",
    "select v as x from visits v where id < 5",
    "select fee from visits order by came offset 3",
    "(select id, fee as v from visits) union all (select id, amount from paid) order by v, 1 limit 5",
    "select id from visits union select id from paid",
    "select id from visits except select id from paid where amount > 30",
    "select room, way, sum(fee) as x from visits group by grouping sets ((room), (way))",
    "select room, count(*) as c from visits group by all having max(fee) > 90",
    "select v.id, (select max(amount) from paid p where p.id = v.id and p.paid_on > v.came) as x from visits v",
    "select id from visits v where exists (select 1 from paid p where p.id = v.id and p.amount > v.fee)",
    "select l.amount from visits v left join lateral "
    "(select amount from paid p where p.id = v.id order by paid_on limit 1) l on true",
    "select fee * 2 as twice, twice + room as x from visits where twice > 10",
    "select max_by(fee, came) filter (where room > 2) as x from visits",
    "select u.i, v.id from visits v, generate_series(1, v.room) u (i)",
    "with recursive r as (select id, fee from visits where id < 3 union all "
    "select r.id + 1, r.fee + p.amount from r join paid p on p.no = r.id + 1 where r.id < 9) select fee from r",
    "pivot (select id, way, fee from visits) on way in ('web', 'desk') using sum(fee)",
    "select v.* exclude (came) from visits v join paid p on p.id = v.id where p.amount > v.fee",
]  # fmt: skip


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        yield connection


def answers(connection, sql, *, table=None, column=None):
    """The rows of a SELECT, with one column of one table as it is or with the values of other rows."""
    for name in COLUMNS:
        moved = f"replace (lag({column}, 7) over (order by rowid) as {column})" if name == table else ""
        connection.execute(f"create or replace view {name} as select * {moved} from all_{name}")
    return sorted(map(repr, connection.execute(sql).fetchall()))


class Told:
    """A table, of which one column changed; its columns are known or not."""

    def __init__(self, name, changed, *, known):
        self.name, self.changed = name, changed
        self.names = COLUMNS[name] if known else ()
        self.rows, self.whole = f"rows of {name}", f"{name} {changed}"

    def column(self, name):
        return f"{self.name}.{name} {name == self.changed}" if not self.names or name in self.names else None


def digest(sql, *, known, table=None, column=None):
    def opened(node: exp.Table):
        return Told(node.name, column if node.name == table else None, known=known) if node.name in COLUMNS else None

    return trace(parse_one(sql, dialect="duckdb"), opened).whole


def lineage(sql, *, known):
    """The columns that a SELECT comes of, `visits.fee`; None where it cannot be followed, and all its tables count."""

    def relation(node: exp.Table):
        if node.name not in COLUMNS:
            return None

        def rest(name):
            return {(f"{node.name}.{name}", "identity"): None}

        every = {(f"{node.name}.{name}", "table"): None for name in COLUMNS[node.name]}
        return Relation(
            {name: rest(name) for name in COLUMNS[node.name]} if known else {}, {}, None if known else rest, every
        )

    try:
        made = resolve_select(parse_one(sql, dialect="duckdb"), relation)
    except Unresolved:
        return None
    handed_on = {f"{table}.{name}" for table in COLUMNS for name in COLUMNS[table]} if made.rest else set()
    return {id for deps in (made.rows, *made.columns.values()) for id, _ in deps} | handed_on


@pytest.mark.parametrize("sql", QUERIES)
def test_whatever_moves_an_answer_is_in_its_lineage_and_a_change_of_it(connection, sql):
    before, moving = answers(connection, sql), 0
    for table in (name for name in COLUMNS if name in sql):
        for column in COLUMNS[table]:
            if answers(connection, sql, table=table, column=column) == before:
                continue
            moving += 1
            for known in (True, False):
                assert digest(sql, known=known) != digest(sql, known=known, table=table, column=column), column
                told = lineage(sql, known=known)
                assert told is None or f"{table}.{column}" in told, f"{column}, known={known}"
    assert moving  # or the experiment shows nothing
