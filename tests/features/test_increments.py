"""Feature tables that are built bit by bit: whatever the bits, the rows are those of one whole build."""

import datetime as dt
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import duckdb
import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from trials import examples
from worlds.feature_shop import MANIFEST, Shop, model, simple, time, where

PLAIN = (
    "{metric: orders, windows: [1 day, 3 days]}",
    "{metric: regions, windows: [3 days]}",
    "{metric: median_amount, windows: [2 days]}",
)


def view_of(*features, schedule="day", lookback="2 days", **more):
    settings = {"name": "buying", "entity": "customer", "schedule": schedule, "lookback": lookback, **more}
    return yaml.safe_dump({"feature_views": [{**settings, "features": [yaml.safe_load(each) for each in features]}]})


VIEW = view_of(*PLAIN)
BLIND = view_of(*PLAIN, detect=False)
VIEWS = {
    "windows": VIEW,
    "delayed": view_of(*PLAIN, delay="5 hours"),
    "hours": view_of(
        "{metric: revenue, windows: [1 hour, 30 hours]}",
        "{metric: average_amount, windows: [20 hours]}",
        schedule="hour",
        lookback="1 day",
    ),
    "weeks": view_of("{metric: revenue, windows: [1 week, 3 weeks]}", schedule="week", lookback="1 week"),
    "all time": view_of(*PLAIN, "{metric: revenue, windows: [all]}", "{metric: regions, windows: [all], name: r}"),
    "to date": view_of(*PLAIN, "{metric: revenue_this_month}"),
    "every step": view_of(*PLAIN, ttl="2 days"),
    "conversions": view_of(*PLAIN, "{metric: sold_again, windows: [2 days, 3 days]}"),
    "late conversions": view_of(
        "{metric: sold_later, windows: [1 day]}", "{metric: northern, windows: [1 day]}", lookback="1 day"
    ),
    "a history": view_of(*PLAIN, "{dimension: customer__rank}"),
    "a filter and a history": view_of(
        "{metric: golden, windows: [1 day]}", "{metric: northern, windows: [3 days]}", "{dimension: customer__rank}"
    ),
    "a dimension": view_of(*PLAIN, "{dimension: customer__nick, as_of: current}"),
    "joined": view_of("{metric: of_ada, windows: [2 days]}", "{metric: golden, windows: [2 days]}"),
    "two models": view_of(*PLAIN, "{metric: visits, windows: [2 days]}"),
}
DAYS = [dt.datetime(2024, 1, 28) + dt.timedelta(days=n) for n in range(9)]
CLOCKS = [dt.timedelta(), dt.timedelta(hours=10)]


MORE = {
    "semantic_models": [
        *MANIFEST["semantic_models"],
        model(
            "visits",
            [{"name": "visit", "type": "primary"}, {"name": "customer", "type": "foreign"}],
            [time("visited_at")],
            [{"name": "visit_count", "agg": "count", "expr": "1"}],
            time="visited_at",
        ),
    ],
    "metrics": [
        *MANIFEST["metrics"],
        simple("visits", "visit_count"),
        simple("of_ada", "amount", filter=where("{{ Dimension('customer__nick') }} = 'ada'")),
        {
            "name": "sold_later",
            "type": "conversion",
            "type_params": {
                "conversion_type_params": {
                    "entity": "customer",
                    "calculation": "conversions",
                    "base_measure": {
                        "name": "sale_count",
                        "filter": where("{{ Dimension('sale__region') }} = 'north'"),
                    },
                    "conversion_measure": {
                        "name": "sale_count",
                        "filter": where("{{ Dimension('sale__region') }} = 's'"),
                    },
                    "window": "7 days",
                }
            },
        },
        simple("golden", "sale_count", filter=where("{{ Dimension('customer__rank') }} = 'gold'")),
    ],
}
GRAPH = bind(read_manifest(MORE))


class Market(Shop):
    """The shop, which people also visit."""

    def __init__(self):
        super().__init__()
        self.graph = GRAPH
        self.con.execute("create table visits (visit integer, customer varchar, visited_at timestamp)")


@cache
def model_of(text):
    return Market().model(text)


class Table:
    """The feature table of one view, built as dbt builds it: hook, then rows, in one transaction."""

    def __init__(self, text):
        self.shop = Market()
        self.view, self.model = model_of(text)
        self.there = False
        self.add_columns = []  # by dbt, of `on_schema_change`

    def render(self, text, until, *, hooks=None, there=False, **variables):
        return template(text).render(
            config=lambda **given: hooks.update(given) or "",
            ref=lambda name: name,
            var=lambda name, default: variables.get(name, until if name == "gemel_until" else default),
            run_started_at=dt.datetime(2024, 3, 2, 12),
            is_incremental=lambda: there,
            this=This(),
            adapter=SimpleNamespace(get_columns_in_relation=self.columns),
            exceptions=SimpleNamespace(raise_compiler_error=_refuse),
        )

    def columns(self, name):
        return [SimpleNamespace(name=column) for column, *_ in self.shop.con.execute(f"describe {name}").fetchall()]

    def build(self, until, **variables):
        con, hooks, variables = self.shop.con, {}, variables | {"there": self.there}
        sql = self.render(self.model, until, hooks=hooks, **variables)
        con.begin()
        try:
            con.execute(self.render(hooks["pre_hook"][-1], until, **variables))
            for column in self.add_columns:
                con.execute(f"alter table buying add column {column}")
            con.execute(f"insert into buying by name {sql}" if self.there else f"create table buying as {sql}")
        except (duckdb.Error, CompilationError):
            con.rollback()
            raise
        con.commit()
        self.there = True

    def whole_rows(self, until):
        """The rows that a whole build would make, which is not made."""
        sql = self.render(self.model, until, hooks={})
        names = ", ".join(("customer", "event_timestamp", *self.view.feature_names))
        return self.shop.con.execute(f"select {names} from ({sql}) order by all").fetchall()

    def rows(self):
        """Without when they were made."""
        names = ", ".join(("customer", "event_timestamp", *self.view.feature_names))
        return self.shop.con.execute(f"select {names} from buying order by all").fetchall()


template = cache(jinja2.Template)


class This:
    """dbt's relation of the table."""

    identifier = "buying"

    def incorporate(self, path):
        return path["identifier"]

    def __str__(self):
        return self.identifier


def _refuse(message):
    raise CompilationError(message)


class CompilationError(Exception):
    """As dbt's, of `exceptions.raise_compiler_error`."""


def whole(text, sales, ranks, until):
    table = Table(text)
    fill(table, sales, ranks)
    return table.whole_rows(until)


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
UNTILS = [str(day + clock) for day in DAYS for clock in CLOCKS]
ends = st.lists(st.sampled_from(UNTILS), min_size=1, max_size=3)


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


moments = st.one_of(
    st.none(), st.builds(lambda day, clock: day + clock, st.sampled_from(DAYS), st.sampled_from(CLOCKS))
)
NAMES = st.sampled_from(["a", "b", "c", None])
VALUES = {
    "customer": NAMES,
    "region": st.sampled_from(["north", "s", None]),
    "amount": st.sampled_from([1, 2.5, None]),
    "sold_at": moments,
}
CHANGES = st.one_of(
    st.tuples(st.just("sold"), NAMES, moments, VALUES["region"]),
    st.tuples(st.just("went"), st.integers(0, 9)),
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda name: st.tuples(st.just("corrected"), st.integers(0, 9), st.just(name), VALUES[name])
    ),
    st.tuples(st.just("visited"), NAMES, moments),
    st.tuples(st.just("left"), NAMES),
    st.tuples(st.just("nicked"), NAMES, st.sampled_from(["ada", "bob", None])),
    st.tuples(st.just("ranked"), NAMES, st.sampled_from(DAYS), st.sampled_from(["tin", "gold"])),
    st.tuples(st.just("unranked"), NAMES),
)
"""What can happen to the tables that a feature table is made of, at any time in the past."""


def change(shop, kind, *values):
    """Change the shop's tables. Facts are numbered, and a number beyond the last begins again at the first."""
    con = shop.con

    def number(place):
        ids = [row[0] for row in con.execute("select sale_id from sales order by 1").fetchall()]
        return ids[place % len(ids)] if ids else None

    match kind, values:
        case "sold", (customer, at, region):
            shop.sell(customer, at and str(at), 2, region=region)
        case "went", (place,):
            con.execute("delete from sales where sale_id = ?", [number(place)])
        case "corrected", (place, column, value):
            con.execute(f"update sales set {column} = ? where sale_id = ?", [value, number(place)])
        case "visited", (customer, at):
            con.execute("insert into visits values (1, ?, ?)", [customer, at])
        case "left", (customer,):
            con.execute("delete from sales where customer is not distinct from ?", [customer])
        case "nicked", (customer, nick):
            con.execute("delete from customers where customer is not distinct from ?", [customer])
            con.execute("insert into customers values (?, ?, 1990)", [customer, nick])
        case "ranked", (customer, day, rank):
            ended = "update ranks set ranked_to = ? where customer is not distinct from ? and ranked_to is null"
            con.execute("delete from ranks where customer is not distinct from ? and ranked_from >= ?", [customer, day])
            con.execute(ended, [day, customer])
            con.execute("insert into ranks values (?, ?, ?, null)", [customer, rank, day])
        case "unranked", (customer,):
            con.execute("delete from ranks where customer is not distinct from ?", [customer])


parts = st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map(sorted).map(lambda days: [*map(str, days)])
rounds = st.lists(st.tuples(st.lists(CHANGES, max_size=3), st.none() | parts), min_size=1, max_size=4)


@pytest.mark.parametrize("name", VIEWS)
@examples(6)
@given(sold=sales, rounds=rounds, untils=st.lists(st.sampled_from(UNTILS), min_size=5, max_size=5))
def test_whatever_changes_at_whatever_age_a_build_makes_the_rows_of_a_whole_one(name, sold, rounds, untils):
    table = Table(VIEWS[name])
    fill(table, sold, RANKS)
    table.build(untils[0])
    for (changes, part), until in zip(rounds, untils[1:], strict=False):
        for each in changes:
            change(table.shop, *each)
        if part is not None:
            table.build(until, gemel_from=part[0], gemel_to=part[1])
        else:
            table.build(until)
            assert table.rows() == table.whole_rows(until)
    table.build(untils[0])
    assert table.rows() == table.whole_rows(untils[0])


@examples(8)
@given(sales, st.sampled_from(DAYS), st.integers(0, 2))
def test_without_detection_facts_that_come_late_are_found_within_the_lookback(sold, day, late):
    table = Table(BLIND)
    fill(table, [*sold, ("a", day, CLOCKS[1], 1, "n")], [])
    table.build(str(day + dt.timedelta(days=1)))
    more = [("a", day - dt.timedelta(days=late), CLOCKS[1], 2, "s")]
    fill(table, more, [])
    table.build("2024-02-20")
    if late < 2:
        assert table.rows() == whole(BLIND, [*sold, ("a", day, CLOCKS[1], 1, "n"), *more], [], "2024-02-20")


def test_without_detection_a_later_fact_is_found_by_a_backfill():
    table = Table(BLIND)
    fill(table, [("a", DAYS[0], CLOCKS[1], 1, "n"), ("a", DAYS[8], CLOCKS[1], 1, "n")], [])
    table.build("2024-02-20")
    fill(table, [("a", DAYS[1], CLOCKS[1], 5, "s")], [])
    table.build("2024-02-20")
    expected = table.whole_rows("2024-02-20")
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
