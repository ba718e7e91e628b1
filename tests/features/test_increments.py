"""Feature tables that are built bit by bit: whatever the bits, the rows are those of one whole build."""

import datetime as dt
from itertools import pairwise
from types import SimpleNamespace

import duckdb
import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trials import examples
from worlds.feature_shop import Shop, model_of

VIEW = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        lookback: 2 days
        features:
          - {metric: orders, windows: [1 day, 3 days]}
          - {metric: regions, windows: [3 days]}
          - {metric: median_amount, windows: [2 days]}
"""
VIEWS = {
    "windows": VIEW,
    "delayed": VIEW.replace("lookback", "delay: 5 hours\n        lookback"),
    "all time": VIEW
    + "          - {metric: revenue, windows: [all]}\n          - {metric: regions, windows: [all], name: r}\n",
    "to date": VIEW + "          - {metric: revenue_this_month}\n",
    "every step": VIEW.replace("lookback", "ttl: 2 days\n        lookback"),
    "conversions": VIEW + "          - {metric: sold_again, windows: [2 days, 3 days]}\n",
    "a history": VIEW + "          - {dimension: customer__rank}\n",
}
DAYS = [dt.datetime(2024, 1, 28) + dt.timedelta(days=n) for n in range(9)]
CLOCKS = [dt.timedelta(), dt.timedelta(hours=10)]


class Table:
    """The feature table of one view, built as dbt builds it: hook, then rows, in one transaction."""

    def __init__(self, text):
        self.shop = Shop()
        self.view, self.model = model_of(text)
        self.there = False
        self.add_columns = []  # by dbt, of `on_schema_change`

    def build(self, until, **variables):
        hooks = {}
        sql = jinja2.Template(self.model).render(
            config=lambda **given: hooks.update(given) or "",
            ref=lambda name: name,
            var=lambda name, default: variables.get(name, until if name == "gemel_until" else default),
            run_started_at=dt.datetime(2024, 3, 2, 12),
            is_incremental=lambda: self.there,
            this="buying",
        )
        con = self.shop.con
        hook = jinja2.Template(hooks["pre_hook"]).render(
            is_incremental=lambda: self.there,
            this="buying",
            var=lambda name, default: variables.get(name, default),
            adapter=SimpleNamespace(
                get_columns_in_relation=lambda name: [
                    SimpleNamespace(name=column) for column, *_ in con.execute(f"describe {name}").fetchall()
                ]
            ),
            exceptions=SimpleNamespace(raise_compiler_error=_refuse),
        )
        con.begin()
        try:
            if hook:
                con.execute(hook)
            for column in self.add_columns:
                con.execute(f"alter table buying add column {column}")
            con.execute(f"insert into buying by name {sql}" if self.there else f"create table buying as {sql}")
        except duckdb.Error:
            con.rollback()
            raise
        con.commit()
        self.there = True

    def rows(self):
        """Without when they were made."""
        names = ", ".join(("customer", "event_timestamp", *self.view.feature_names))
        return self.shop.con.execute(f"select {names} from buying order by all").fetchall()


def _refuse(message):
    raise CompilationError(message)


class CompilationError(Exception):
    """As dbt's, of `exceptions.raise_compiler_error`."""


def whole(text, sales, ranks, until):
    table = Table(text)
    fill(table, sales, ranks)
    table.build(until)
    return table.rows()


def fill(table, sales, ranks):
    for customer, day, clock, amount, region in sales:
        table.shop.sell(customer, str(day + clock), amount, region=region)
    for customer, start, end, rank in ranks:
        table.shop.con.execute("insert into ranks values (?, ?, ?, ?)", [customer, rank, start, end])


sales = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from(DAYS),
        st.sampled_from(CLOCKS),
        st.integers(1, 3),
        st.sampled_from(["north", "s", None]),
    ),
    max_size=8,
)
RANKS = [("a", DAYS[0], DAYS[3], "tin"), ("a", DAYS[5], None, "gold")]
ends = st.lists(st.sampled_from([str(day + clock) for day in DAYS for clock in CLOCKS]), min_size=1, max_size=3)


@pytest.mark.parametrize("name", VIEWS)
@examples(8)
@given(sold=sales, untils=ends)
def test_builds_one_after_the_other_make_the_rows_of_one(name, sold, untils):
    table = Table(VIEWS[name])
    fill(table, sold, RANKS)
    for until in sorted(untils):
        table.build(until)
    assert table.rows() == whole(VIEWS[name], sold, RANKS, max(untils))


@pytest.mark.parametrize("name", VIEWS)
@examples(8)
@given(sold=sales, cuts=st.lists(st.sampled_from(DAYS), unique=True, max_size=3), chance=st.randoms())
def test_an_empty_table_filled_month_by_month_is_one_whole_build(name, sold, cuts, chance):
    table = Table(VIEWS[name])
    fill(table, sold, RANKS)
    bounds = ["2000-01-01", *map(str, sorted(cuts)), "2100-01-01"]
    parts = list(pairwise(bounds))
    chance.shuffle(parts)
    until = "2024-02-20"
    for start, end in [*parts, parts[0]]:  # one of them twice
        table.build(until, gemel_from=start, gemel_to=end)
    assert table.rows() == whole(VIEWS[name], sold, RANKS, until)


@examples(8)
@given(sales, st.sampled_from(DAYS), st.integers(0, 2))
def test_facts_that_come_late_are_found_within_the_lookback(sold, day, late):
    table = Table(VIEW)
    fill(table, [*sold, ("a", day, CLOCKS[1], 1, "n")], [])
    table.build(str(day + dt.timedelta(days=1)))
    more = [("a", day - dt.timedelta(days=late), CLOCKS[1], 2, "s")]
    fill(table, more, [])
    table.build("2024-02-20")
    if late < 2:
        assert table.rows() == whole(VIEW, [*sold, ("a", day, CLOCKS[1], 1, "n"), *more], [], "2024-02-20")


def test_a_later_fact_is_found_by_a_backfill():
    table = Table(VIEW)
    fill(table, [("a", DAYS[0], CLOCKS[1], 1, "n"), ("a", DAYS[8], CLOCKS[1], 1, "n")], [])
    table.build("2024-02-20")
    fill(table, [("a", DAYS[1], CLOCKS[1], 5, "s")], [])
    table.build("2024-02-20")
    expected = whole(
        VIEW, [("a", DAYS[n], CLOCKS[1], m, r) for n, m, r in [(0, 1, "n"), (8, 1, "n"), (1, 5, "s")]], [], "2024-02-20"
    )
    assert table.rows() != expected
    table.build("2024-02-20", gemel_from="2024-01-29", gemel_to="2024-02-03")
    assert table.rows() == expected


def test_a_changed_definition_makes_every_row_again_and_no_part_alone():
    table = Table(VIEW)
    fill(table, [("a", DAYS[0], CLOCKS[1], 1, "n"), ("a", DAYS[8], CLOCKS[1], 1, "n")], [])
    table.build("2024-02-20")
    table.shop.con.execute("update buying set definition = 'older', orders_3d = 77")
    with pytest.raises(duckdb.InvalidInputException, match="buying was built from another definition"):
        table.build("2024-02-20", gemel_from="2024-02-01")
    table.build("2024-02-20")
    assert {row[3] for row in table.rows()} == {1, None}


def test_a_table_that_was_built_before_it_had_a_lookback_is_made_again_and_no_part_alone():
    table = Table(VIEW)
    fill(table, [("a", DAYS[0], CLOCKS[1], 1, "n"), ("a", DAYS[8], CLOCKS[1], 1, "n")], [])
    table.build("2024-02-20")
    rows = table.rows()
    table.shop.con.execute("alter table buying drop column definition")
    table.shop.con.execute("update buying set orders_3d = 77")
    with pytest.raises(CompilationError, match="buying was built from another definition"):
        table.build("2024-02-20", gemel_from="2024-02-01")
    table.add_columns = ["definition varchar"]
    table.build("2024-02-20")
    assert table.rows() == rows


@pytest.mark.parametrize(("name", "bounded"), [("windows", True), ("all time", False), ("a history", False)])
def test_a_build_bit_by_bit_looks_only_at_the_facts_that_it_needs(name, bounded):
    text = Table(VIEWS[name]).model
    assert ("sales.sold_at >= (" in text) == bounded
    assert "features.event_timestamp >= (" in text
