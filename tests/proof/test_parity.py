"""`verify`: what it calls equal, and that one wrong value is reported as exactly that one."""

import copy
import dataclasses
import datetime as dt
from contextlib import nullcontext

import pytest

from gemel.cli.verify import write_report
from gemel.compiler.compiled import compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import make_query
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.connections.scratch import Scratch
from gemel.features.selection import choose
from gemel.features.tables import DATA, Tables
from gemel.online.store import StoredRow
from gemel.proof import parity
from gemel.proof.places import Places
from gemel.proof.report import Report
from gemel.proof.sameness import same
from gemel.run import ScratchRunner
from gemel.spec.project import DbtProject
from gemel.training import training_set
from gemel.training.source import Source
from worlds.feature_shop import MANIFEST, render, simple, where

VIEW = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        delay: 2 hours
        known_at: sale__settled_at
        features:
          - {metric: orders, windows: [1 day, 3 days, all]}
          - {metric: return_rate, windows: [3 days]}
          - {metric: northern_share, windows: [3 days]}
          - {metric: returns_or_none, windows: [1 day]}
          - {metric: average_amount, windows: [3 days]}
          - {metric: median_amount, windows: [3 days]}
          - {metric: regions, windows: [3 days, all]}
          - {metric: revenue_ever}
          - {metric: largest_ever}
          - {metric: revenue_this_month}
          - {dimension: customer__nick, as_of: current}
          - {dimension: customer__rank}
"""


class Answer:
    def __init__(self, cursor):
        self.columns = tuple(column[0] for column in cursor.description)
        self._rows = cursor.fetchall()

    def rows(self):
        return self._rows


class Online:
    """The dict of `Built.online`, as an online store."""

    def __init__(self, built):
        self.built, self.why_unlisted = built, built.why_unlisted
        self.seen = set()

    def find(self, entities):
        self.skip(entities)
        return [self.built.served(each["customer"]) for each in entities]

    def skip(self, entities):
        self.seen |= {each["customer"] for each in entities}

    def others(self):
        return (({"customer": key}, self.built.served(key)) for key in self.built.online if key not in self.seen)


class Built:
    """One feature view as `gemel build` leaves it, with an online store that is a dict."""

    def __init__(self, shop, root, text=VIEW):
        self.shop, self.root = shop, root
        self.bound = shop.bound(text)
        [self.view] = self.bound.views
        self.types = shop.types(self.bound)
        self.spoilt = {"served": lambda table: table, "exact": lambda table: table}
        sql = render(Tables(shop.graph).model(self.view, self.types["buying"], dbt=DbtProject()), "2024-03-01 00:00:00")
        shop.con.execute(f"create table buying as {sql}")
        (root / DATA).mkdir(parents=True)
        shop.con.execute(f"copy buying to '{root / DATA / 'buying.parquet'}'")
        newest = "from buying qualify row_number() over (partition by customer order by event_timestamp desc) = 1"
        answer = Answer(shop.con.execute(newest))
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows()]
        self.online = {row["customer"]: row for row in rows}
        self.pushed = {}
        self.why_unlisted = None
        self.until = {"buying": dt.datetime(2024, 3, 1, tzinfo=dt.UTC)}

    def verify(self, **more):
        def ask_graph(graph):
            return lambda metrics, group_by, where: self.run(
                compile_query(graph, make_query(metrics, group_by, where=where))
            )

        places = Places(
            ask=ask_graph(self.shop.graph),
            ask_graph=ask_graph,
            train=self.train,
            run=self.run,
            stream=lambda compiled: iter([self.run(compiled).rows()]),
            run_with_files=lambda compiled: self.run(compiled).rows(),
            relations={"buying": "memory.main.buying"},
            root=self.root,
            online=lambda view: nullcontext(Online(self)),
            until=self.until,
            facts_until=dt.datetime(2024, 3, 1),
        )
        return parity.verify(self.shop.graph, [self.view], self.types, places, **more)

    def served(self, customer):
        row = self.online.get(customer)
        return StoredRow(self.pushed.get(customer, row["event_timestamp"]), row) if row else None

    def train(self, names, spine, accuracy):
        relations = {"buying": "memory.main.buying"}
        source = Source(self.shop.graph, self.types, relations, frozenset({"memory"}), DbtProject())
        chosen = choose(self.bound, names)
        result = training_set.make(
            source, chosen, spine, lambda temp: ScratchRunner(Scratch(self.shop.con.cursor())), accuracy=accuracy
        )
        return self.spoilt[accuracy](result.arrow())

    def run(self, compiled):
        return Answer(self.shop.con.execute(compiled.sql))

    def rows(self, text):
        return self.shop.con.execute(text).fetchall()


@pytest.fixture
def built(shop, tmp_path):
    shop.sell("a", "2024-01-02 10:00", 2, region="north", returned=True)
    shop.sell("a", "2024-01-03 00:00", 3, region="south")
    shop.sell("a", "2024-01-03 10:00", 4, settled="2024-01-08 10:00")
    shop.sell("b", "2024-01-05 10:00", 5)
    shop.sell(None, "2024-01-05 10:00", 6)
    shop.con.execute("insert into customers values ('a', 'Ada', 1815), ('c', 'Cy', 1900)")
    shop.con.execute(
        "insert into ranks values ('a', 'tin', '2024-01-01', '2024-01-06'), ('a', 'gold', '2024-01-09', null)"
    )
    return Built(shop, tmp_path)


def differences(report):
    return [str(difference) for difference in report.differences]


def test_a_right_table_is_equal_in_every_feature_at_every_moment(built):
    report = built.verify(moments=12)
    assert differences(report) == []
    assert not report.failed()
    assert all(count.compared == count.equal > 0 for count in report.counts.values())
    assert len(report.moments["buying"]) > 5
    assert report.verdict().endswith("all equal")


def test_a_metric_over_a_history_is_equal_however_late_its_facts_become_known(shop, tmp_path):
    manifest = copy.deepcopy(MANIFEST)
    tin = where("{{ Dimension('customer__rank') }} = 'tin'")
    manifest["metrics"] += [
        simple("tin_orders", "sale_count", filter=tin),
        simple("tin_returns", "returned", filter=tin, input={"fill_nulls_with": 0}),
    ]
    shop.graph = bind(read_manifest(manifest))
    shop.sell("a", "2024-01-02 10:00", settled="2024-01-08 10:00", returned=True)  # sold to a tin customer
    shop.sell("a", "2024-01-09 10:00", settled="2024-01-10 10:00")
    shop.sell("b", "2024-01-03 10:00")
    versions = "('a', 'tin', '2024-01-01', '2024-01-05'), ('a', 'gold', '2024-01-05', null)"
    shop.con.execute(f"insert into ranks values {versions}, ('b', 'gold', '2024-01-01', null)")
    view = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        known_at: sale__settled_at
        features:
          - {metric: tin_orders, windows: [3 days, all]}
          - {metric: tin_returns, windows: [3 days]}
          - {metric: orders, windows: [all]}
    """
    built = Built(shop, tmp_path, view)
    report = built.verify(moments=12)
    assert differences(report) == [] and not report.failed()
    rows = built.rows(
        "select tin_orders_3d, tin_returns_3d, orders_all from buying where event_timestamp = '2024-01-09'"
    )
    assert rows == [(1, 1, 1)]


def test_a_conversion_is_compared_with_what_bi_knew_at_the_moment(shop, tmp_path):
    view = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        features: [{metric: sold_again, windows: [3 days, all]}, {metric: orders, windows: [1 day]}]
    """
    shop.sell("a", "2024-01-02 10:00", region="north")
    shop.sell("a", "2024-01-03 10:00", region="south")
    shop.sell("b", "2024-01-03 10:00", region="north")
    built = Built(shop, tmp_path, view)
    report = built.verify(at=[dt.datetime(2024, 1, day) for day in (3, 4, 5, 6)])
    assert differences(report) == [] and not report.failed()
    rows = built.rows("select customer, event_timestamp, sold_again_3d, sold_again_all from buying order by all")
    assert [(key, at.day, *values) for key, at, *values in rows if key == "a"] == [
        *(("a", 3, 1, 1), ("a", 4, 2, 2), ("a", 5, 2, 2), ("a", 6, None, 2), ("a", 7, None, 2)),
    ]


def test_a_moment_can_be_named_and_one_after_the_last_row_is_the_last(built):
    report = built.verify(at=[dt.datetime(2024, 1, 4, 1), dt.datetime(2030, 1, 1)])
    assert report.moments["buying"] == [dt.datetime(2024, 1, 4, 1), dt.datetime(2024, 2, 2, 2)]
    assert not report.failed()


@pytest.mark.parametrize("moments", [1, 12])
def test_a_value_changed_in_the_table_is_reported_once(built, moments):
    # Two rows further the same row is still the newest of customer b: still one wrong value.
    where = "customer = 'b' and event_timestamp = '2024-01-09 02:00'"
    assert built.rows(f"select count(*) from buying where {where}") == [(1,)]
    built.shop.con.execute(f"update buying set orders_all = 7 where {where}")
    report = built.verify(moments=moments)
    assert report.wrong == 1
    assert differences(report)[0].startswith("different buying.orders_all  customer=b  2024-01-09 02:00")
    assert "table=7" in differences(report)[0]
    assert report.failed() and not report.failed(threshold=1)


def test_a_value_changed_in_the_copy_that_feast_reads_is_reported_once(built):
    copy = built.root / DATA / "buying.parquet"
    built.shop.con.execute(f"create table changed as from '{copy}'")
    built.shop.con.execute(
        "update changed set nick = 'Eve' where customer = 'a' and event_timestamp = '2024-01-04 02:00'"
    )
    built.shop.con.execute(f"copy changed to '{copy}'")
    assert differences(built.verify()) == ["different buying.nick  customer=a  2024-01-04 02:00  table=Ada  copy=Eve"]


def test_a_value_changed_online_is_reported_once(built):
    built.online["a"] = built.online["a"] | {"orders_all": 4}
    assert differences(built.verify()) == [
        "different buying.orders_all  customer=a  2024-02-02 02:00  table=3  online=4"
    ]


def spoil(table, name, value):
    """A training set whose first value of a feature is another one."""
    values = table.column(name).to_pylist()
    place = table.column_names.index(name)
    return table.set_column(place, name, [[value, *values[1:]]])


@pytest.mark.parametrize(("accuracy", "right"), [("served", "table=1"), ("exact", "BI=1")])
def test_a_value_changed_in_a_training_set_is_reported_once(built, accuracy, right):
    built.spoilt[accuracy] = lambda table: spoil(table, "orders_all", 9)
    assert differences(built.verify(at=[dt.datetime(2024, 1, 3, 5)])) == [
        f"different buying.orders_all  customer=a  2024-01-03 02:00  {right}  {accuracy}=9"
    ]


def test_what_is_older_than_the_ttl_is_in_no_training_set_as_served(shop, tmp_path):
    shop.sell("a", "2024-01-02 10:00")
    shop.sell("b", "2024-01-02 10:00")
    built = Built(shop, tmp_path, VIEW.replace("delay: 2 hours", "delay: 2 hours\n        ttl: 3 days"))
    built.shop.con.execute("delete from buying where customer = 'a' and event_timestamp > '2024-01-10'")
    report = built.verify(at=[dt.datetime(2024, 1, 13, 2), dt.datetime(2024, 1, 13, 3)])
    assert not any("served" in each.values for each in report.differences)
    # Said to be without a ttl, it should have been in there still.
    built.view = dataclasses.replace(built.bound.views[0], ttl=None)
    report = built.verify(at=[dt.datetime(2024, 1, 13, 2), dt.datetime(2024, 1, 13, 3)])
    assert {each.entity["customer"] for each in report.differences if "served" in each.values} == {"a"}


def test_an_entity_that_is_not_online_is_missing_in_each_feature_that_has_a_value(built):
    del built.online["a"]
    assert [(each.kind, each.feature) for each in built.verify().differences] == [
        ("missing", "orders_all"),
        ("missing", "returns_or_none_1d"),
        ("missing", "regions_all"),
        ("missing", "revenue_ever"),
        ("missing", "largest_ever"),
        ("missing", "nick"),
        ("missing", "rank"),
    ]


def test_rows_deleted_from_the_table_are_missing(built):
    built.shop.con.execute("delete from buying where customer = 'a' and event_timestamp < '2024-01-06'")
    report = built.verify(at=[dt.datetime(2024, 1, 4, 2)])
    assert {
        (each.kind, each.values.get("BI"), each.values["table"]) for each in report.differences if "BI" in each.values
    } >= {
        ("missing", 2, None),
    }


def test_a_row_left_out_lets_an_old_value_stand_which_is_extra(built):
    built.shop.con.execute("delete from buying where customer = 'b' and event_timestamp = '2024-01-07 02:00'")
    report = built.verify(at=[dt.datetime(2024, 1, 7, 2)])
    assert "extra     buying.orders_1d  customer=b  2024-01-06 02:00  BI=nothing  table=1" in differences(report)


def test_a_row_that_is_there_twice_fails_even_with_the_right_values(built):
    built.shop.con.execute("insert into buying from buying where customer = 'a' limit 1")
    report = built.verify()
    assert report.failed()
    assert any("the table of buying has 2 rows for customer=a " in reason for reason in report.reasons)


def test_nothing_to_compare_is_no_proof(built):
    report = built.verify(at=[dt.datetime(2023, 1, 1)])
    assert report.failed(threshold=1000)
    assert report.reasons == ["nothing of buying was compared with BI: no entity has facts or rows at these moments"]
    assert report.verdict().endswith("not enough to say that they agree")
    assert Report().failed()


def test_a_view_that_was_never_materialized_is_no_proof(built):
    built.until = {"buying": None}
    report = built.verify()
    assert report.failed() and report.wrong == 0
    assert report.reasons == ["buying was never materialized, so nothing of it is online"]


def test_fractions_may_differ_in_their_last_digits_only(built):
    built.online["b"] = built.online["b"] | {"average_amount_3d": None, "orders_all": 1}
    assert same(0.1 + 0.2, 0.3, "float64")
    assert not same(0.3000001, 0.3, "float64")
    assert not same(3, 3.4, "int64")
    assert same(float("nan"), float("nan"), "float64")
    assert not same(None, 0, "int64")
    assert same(dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "timestamp")


def test_a_row_that_was_pushed_since_is_counted_and_not_wrong(built, capsys):
    built.online["a"] = built.online["a"] | {"orders_all": 99}
    built.pushed["a"] = dt.datetime(2024, 2, 3)
    assert built.verify().wrong == 1  # nobody may push to this view
    built.view = dataclasses.replace(built.view, push="buying_push")
    report = built.verify()
    assert (report.wrong, report.json()["pushed"], report.failed()) == (0, {"buying": 1}, False)
    write_report(report, format="table")
    assert "buying: 1 entities have pushed rows online that are newer than the table" in capsys.readouterr().err


def row_of_nobody(built, customer, at, **values):
    built.online[customer] = dict.fromkeys(built.view.feature_names) | values | {"event_timestamp": at}
    built.pushed[customer] = at


@pytest.mark.parametrize("push", [None, "buying_push"])
def test_an_entity_that_only_the_online_store_has_is_extra(built, push, capsys):
    built.view = dataclasses.replace(built.view, push=push)
    row_of_nobody(built, "z", dt.datetime(2024, 1, 8, tzinfo=dt.UTC), orders_all=7, nick="Zoe")
    row_of_nobody(built, "nulls", dt.datetime(2024, 1, 9, tzinfo=dt.UTC))
    report = built.verify()
    assert differences(report) == [
        "extra     buying.orders_all  customer=z  2024-01-08 00:00  table=nothing  online=7",
        "extra     buying.nick  customer=z  2024-01-08 00:00  table=nothing  online=Zoe",
        "extra     buying.event_timestamp  customer=nulls  2024-01-09 00:00  table=nothing  "
        "online=2024-01-09 00:00:00+00:00",
    ]
    assert (report.json()["others"], report.json()["extra"], report.wrong) == ({"buying": 2}, 3, 3)
    assert report.failed(2) and not report.failed(3)
    write_report(report, format="table")
    assert "buying: 2 entities online that its table does not have" in capsys.readouterr().err


@pytest.mark.parametrize("push", [None, "buying_push"])
def test_a_row_of_the_future_is_extra(built, push):
    built.view = dataclasses.replace(built.view, push=push)
    row_of_nobody(built, "b", dt.datetime(2126, 1, 1), orders_all=1)
    assert differences(built.verify()) == [
        "extra     buying.orders_all  customer=b  2126-01-01 00:00  table=nothing  online=1"
    ]


def test_a_row_with_the_right_values_and_another_time_is_different(built):
    at = built.online["a"]["event_timestamp"]
    built.pushed["a"] = at + dt.timedelta(hours=9)
    assert differences(built.verify()) == [
        f"different buying.event_timestamp  customer=a  {at:%Y-%m-%d %H:%M}  table={at}  "
        f"online={at + dt.timedelta(hours=9)}"
    ]


def test_an_entity_whose_rows_all_come_later_is_extra_unless_rows_can_be_pushed(built):
    early = dt.datetime(2024, 1, 5, tzinfo=dt.UTC)  # before all rows of b
    built.until = {"buying": early}
    kinds = {(each.kind, each.entity["customer"]) for each in built.verify().differences}
    assert ("extra", "b") in kinds
    built.view = dataclasses.replace(built.view, push="buying_push")
    assert not built.verify().differences


def test_more_extra_entities_than_are_listed_are_counted(built, monkeypatch, capsys):
    monkeypatch.setattr("gemel.proof.online.LISTED", 2)
    for number in range(5):
        row_of_nobody(built, f"z{number}", dt.datetime(2024, 1, 8), orders_all=number)
    report = built.verify()
    assert (len(report.differences), report.wrong, report.json()["others"]) == (2, 5, {"buying": 5})
    monkeypatch.setattr("gemel.cli.verify.EXAMPLES", 1)
    write_report(report, format="table")
    assert "... and 4 more; --format json has the first 2" in capsys.readouterr().out


def test_a_table_without_rows_has_nothing_online(shop, tmp_path):
    shop.sell("a", "2024-03-05 10:00")  # after the day up to which the table is built
    built = Built(shop, tmp_path)
    row_of_nobody(built, "z", dt.datetime(2024, 1, 8), orders_all=7)
    assert [str(each) for each in built.verify().differences] == [
        "extra     buying.orders_all  customer=z  2024-01-08 00:00  table=nothing  online=7"
    ]


def test_a_store_that_cannot_list_its_entities_is_told_and_no_failure(built, capsys):
    built.why_unlisted = "the online store is 'postgres'"
    row_of_nobody(built, "z", dt.datetime(2024, 1, 8), orders_all=7)
    report = built.verify()
    assert (report.wrong, report.failed()) == (0, False)
    write_report(report, format="table")
    assert "others cannot be listed: the online store is 'postgres'" in capsys.readouterr().err


def test_keys_that_are_no_text_in_the_facts_are_texts_in_a_table(shop, tmp_path):
    shop.con.execute("alter table sales alter customer type uuid using null")
    customer = "5f0c1f4e-0000-4000-8000-000000000001"
    shop.sell(customer, "2024-01-02 10:00", region="north")
    shop.con.execute("create or replace table customers (customer uuid, nick varchar, born smallint)")
    shop.con.execute("insert into customers values (?, 'Ada', 1815)", [customer])
    view = VIEW.replace("          - {dimension: customer__rank}\n", "")
    built = Built(shop, tmp_path, view)
    assert built.types["buying"]["customer"] == "string"
    report = built.verify()
    assert differences(report) == [] and not report.failed()


def test_what_is_online_past_its_ttl_is_counted(shop, tmp_path, capsys):
    shop.sell("a", "2024-01-02 10:00")
    built = Built(shop, tmp_path, VIEW.replace("delay: 2 hours", "delay: 2 hours\n        ttl: 1 week"))
    report = built.verify(moments=1)
    assert report.json()["stale"] == {"buying": {"entities": 1, "online": 1, "ttl": "1 week"}}
    assert not report.failed()
    write_report(report, format="table")
    assert "buying: 1 of 1 entities online are older than its ttl of 1 week" in capsys.readouterr().err


def test_the_report_is_json_too(built):
    built.online["a"] = built.online["a"] | {"orders_all": 4}
    report = built.verify(moments=2).json()
    assert (report["different"], report["missing"], report["extra"]) == (1, 0, 0)
    assert report["differences"][0]["values"] == {"table": 3, "online": 4}
    assert report["compared"] == report["equal"] + 1


def test_a_table_without_rows_is_right_where_bi_has_no_facts(shop, tmp_path, capsys):
    shop.sell("a", "2024-03-05 10:00")  # after the day up to which the table is built
    built = Built(shop, tmp_path)
    assert built.rows("select count(*) from buying") == [(0,)]
    report = built.verify()
    assert (report.reasons, report.failed(), report.compared) == ([], False, 0)
    assert report.json()["without_facts"] == {"buying": "2024-02-29T00:00:00"}
    write_report(report, format="table")
    message = "buying: its table has no rows, and BI no facts before 2024-02-29 00:00: nothing to compare"
    assert message in capsys.readouterr().err
    assert report.verdict() == "19 features, 0 comparisons: 1 view without facts"


@pytest.mark.parametrize("day", ["2020-01-01", "2024-02-28"])
def test_a_table_without_rows_is_wrong_where_bi_has_numbers_of_whatever_age(shop, tmp_path, day):
    shop.sell("a", f"{day} 10:00", settled=f"{day} 11:00")
    built = Built(shop, tmp_path)
    built.shop.con.execute("delete from buying")
    report = built.verify(moments=1)
    assert report.failed(threshold=1000) and not report.without_facts
    assert report.reasons == [
        "the table of buying has no rows, and BI has numbers for it: up to 2024-02-29 00:00 the metric of orders_1d "
        "is 1 for customer=a"
    ]


def test_rows_in_the_copy_of_a_table_without_rows_are_reported(built):
    built.shop.con.execute("delete from sales")
    built.shop.con.execute("delete from buying")
    report = built.verify()
    assert report.without_facts and report.failed()
    assert {(each.kind, each.values["table"]) for each in report.differences} == {("extra", None)}
