"""Training sets: each row of a spine with its features, in order, for every kind of spine."""

import datetime as dt
import hashlib
import json

import duckdb
import pandas
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.builds.records import Build
from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.connections.duckdb import Warehouse
from gemel.engines.connections.files import Profile
from gemel.engines.connections.scratch import Scratch
from gemel.errors import GemelError
from gemel.features.selection import choose
from gemel.features.tables import Tables
from gemel.run import Runner, ScratchRunner
from gemel.spec.project import DbtProject
from gemel.training.source import Source
from gemel.training.training_set import make, manifest_path
from worlds.feature_shop import MANIFEST, Shop, render

VIEWS = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        features:
          - {metric: orders, windows: [1 day, all]}
          - {metric: revenue, windows: [7 days]}
          - {dimension: customer__nick, as_of: current}
      - name: visiting
        entity: [customer, shop]
        schedule: day
        ttl: 2 days
        features: [{metric: orders, windows: [3 days], name: visits}]
    feature_services:
      - {name: churn, owner: ada, features: [buying.orders_all, buying.nick, visiting]}
"""


class Place:
    """A shop's feature tables in its database, and training sets of them."""

    def __init__(self):
        self.shop = Shop()
        for customer, at, amount in [
            ("a", "2024-01-02 10:00", 1),
            ("a", "2024-01-03 00:00", 2),
            ("b", "2024-01-09", 4),
        ]:
            self.shop.sell(customer, at, amount)
        self.shop.con.execute("insert into customers values ('a', 'Ada', 1815)")
        self.build()

    def build(self, views=VIEWS):
        self.bound = self.shop.bound(views)
        types = self.shop.types(self.bound)
        for view in self.bound.views:
            sql = render(Tables(self.shop.graph).model(view, types[view.name], dbt=DbtProject()), "2024-02-01")
            self.shop.con.execute(f"create or replace table {view.name} as {sql}")
        dbt = DbtProject()
        relations = {view.name: f"memory.main.{view.name}" for view in self.bound.views}
        tables = Tables(self.shop.graph)
        builds = {view.name: Build(tables.digest(view), "i1", "2024-02-01 00:00:00") for view in self.bound.views}
        self.source = Source(self.shop.graph, types, relations, frozenset({"memory"}), dbt, builds)

    def make(self, names, spine, *, accuracy="served", **more):
        chosen = choose(self.bound, names.split())
        open_scratch = lambda temp: ScratchRunner(Scratch(self.shop.con.cursor()))  # noqa: E731
        return make(self.source, chosen, spine, open_scratch, accuracy=accuracy, **more)

    def rows(self, names, *requests, **more):
        """The features of each (customer, moment) as tuples."""
        spine = pa.table(
            {
                "customer": pa.array([customer for customer, _ in requests], pa.string()),
                "shop": pa.array([1] * len(requests), pa.int64()),
                "event_timestamp": pa.array([dt.datetime.fromisoformat(at) for _, at in requests], pa.timestamp("us")),
            }
        )
        result = self.make(names, spine, **more).arrow()
        return list(zip(*(result[name].to_pylist() for name in result.column_names[3:]), strict=True))


@pytest.fixture(scope="module")
def shared():
    place = Place()
    yield place
    place.shop.con.close()


@pytest.fixture
def place():
    place = Place()
    yield place
    place.shop.con.close()


MOMENTS = [("a", f"2024-01-{at}") for at in ("02 23:59:59", "03 00:00", "03 12:00", "04 00:00", "09 00:00")]


def test_served_is_the_newest_row_at_or_before_the_moment(shared):
    # The sale at midnight of Jan 3 is in the row of Jan 4.
    assert shared.rows("buying.orders_1d buying.orders_all", *MOMENTS) == [
        *((None, None), (1, 1), (1, 1), (1, 2), (None, 2))
    ]


def test_dimensions_alone_need_no_facts(shared):
    requests = [("a", "2024-01-05"), ("c", "2024-01-05"), (None, "2024-01-05")]
    assert shared.rows("buying.nick", *requests, accuracy="exact") == [("Ada",), (None,), (None,)]


def test_what_cannot_be_exact_is_reported_with_the_features_that_can(place):
    view = VIEWS.replace("{metric: revenue, windows: [7 days]}", "{metric: regions, windows: [7 days]}")
    place.build(view.replace("metric: orders, windows: [3 days]", "metric: median_amount, windows: [3 days]"))
    with pytest.raises(GemelError) as refusal:
        place.rows("churn buying.regions_7d", ("a", "2024-01-05"), accuracy="exact")
    assert refusal.value.code == "G556"
    assert (
        "buying.regions_7d, visiting.visits can be computed only at the moments of the table" in refusal.value.message
    )
    assert refusal.value.hint == "use --accuracy served, or ask for the others: buying.orders_all,buying.nick"


def test_exact_is_the_window_that_ends_at_the_moment(shared):
    assert shared.rows("buying.orders_1d buying.orders_all", *MOMENTS, accuracy="exact") == [
        *((1, 1), (1, 1), (1, 2), (1, 2), (None, 2))
    ]


def test_a_value_older_than_its_ttl_is_not_served(shared):
    requests = [("b", "2024-01-10 00:00"), ("b", "2024-01-12 23:00"), ("b", "2024-01-13 00:00")]
    assert shared.rows("visiting", *requests) == [(1,), (1,), (None,)]


def test_a_row_within_its_ttl_to_the_last_instant_is_served(place):
    place.shop.con.execute("delete from visiting where event_timestamp > '2024-01-10'")
    requests = [("b", "2024-01-12 00:00:00"), ("b", "2024-01-12 00:00:01")]
    assert place.rows("visiting", *requests) == [(1,), (None,)]


def test_of_two_rows_for_one_moment_the_one_made_last_counts(place):
    place.shop.con.execute(
        "insert into buying "
        "select buying.* replace (made as orders_all, created_timestamp + later as created_timestamp) "
        "from buying, (values (7, interval 1 hour), (9, -interval 1 hour)) as runs (made, later) where customer = 'b'"
    )
    assert place.rows("buying.orders_all", ("b", "2024-01-10"), ("a", "2024-01-05")) == [(7,), (2,)]


FILLED = """
    feature_views:
      - name: giving_back
        entity: customer
        schedule: day
        features:
          - {metric: returns_or_none, windows: [1 day], name: returns}
          - {metric: orders, windows: [all], name: orders}
"""


@pytest.mark.parametrize("accuracy", ["served", "exact"])
@pytest.mark.parametrize("names", ["giving_back", "giving_back.returns"])
def test_rows_without_a_key_or_of_an_unknown_one_are_there_without_features(place, accuracy, names):
    """Also where the metric has `fill_nulls_with: 0`: a key is known from its first fact on."""
    place.build(FILLED)
    moments = [
        (None, "2024-01-05"),
        ("a", "2024-01-05"),
        ("zz", "2024-01-05"),
        ("b", "2024-01-05"),
        ("b", "2024-01-12"),
    ]
    rows = place.rows(names, *moments, accuracy=accuracy)
    assert [row[0] for row in rows] == [None, 0, None, None, 0]
    assert names == "giving_back.returns" or [row[1] for row in rows] == [None, 2, None, None, 1]


@pytest.mark.parametrize("accuracy", ["served", "exact"])
def test_an_empty_spine_gives_an_empty_set_with_all_columns(shared, accuracy):
    assert shared.rows("churn", accuracy=accuracy) == []


def test_other_columns_come_out_as_they_went_in_types_too(shared):
    n = 300_000  # more than two batches
    spine = pa.table(
        {
            "label": pa.array([n - i for i in range(n)], pa.uint32()),
            "day": pa.array([dt.datetime(2024, 1, 4)] * n, pa.timestamp("ns", tz="America/New_York")),
            "customer": pa.array(["a", "b", None] * (n // 3)).dictionary_encode(),
            "tags": pa.array([["x"], None, []] * (n // 3), pa.list_(pa.large_string())),
            "half": pa.array([1.5, None, 2.5] * (n // 3), pa.float32()),
        }
    )
    result = shared.make("buying.orders_all", spine, time_column="day").arrow()
    assert result.select(spine.column_names).equals(spine)
    assert result.column_names == [*spine.column_names, "orders_all"]
    assert result["orders_all"].to_pylist()[:3] == [2, None, None]


def test_a_zoned_time_is_that_instant_and_a_plain_one_is_utc(shared):
    plain = pa.array([dt.datetime(2024, 1, 4)], pa.timestamp("us"))
    for zone, expected in (("UTC", 2), ("America/New_York", 2), ("Asia/Tokyo", 1)):
        # Midnight by the clocks of that zone: in Tokyo it is still Jan 3 in UTC.
        zoned = pa.compute.assume_timezone(plain, zone)
        spine = pa.table({"customer": ["a"], "event_timestamp": zoned})
        assert shared.make("buying.orders_all", spine).arrow()["orders_all"].to_pylist() == [expected]
    for time in (plain, pa.array([dt.date(2024, 1, 4)])):
        spine = pa.table({"customer": ["a"], "event_timestamp": time})
        assert shared.make("buying.orders_all", spine).arrow()["orders_all"].to_pylist() == [2]


SELECT = "select customer, sold_at + interval 1 day as event_timestamp, amount from sales order by amount desc"


def test_a_spine_may_be_a_file_a_select_a_frame_or_a_table(shared, tmp_path):
    table = shared.shop.con.cursor().sql(SELECT).to_arrow_table()
    pq.write_table(table, tmp_path / "s.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "s.arrow", compression="uncompressed")
    shared.shop.con.cursor().execute(f"copy ({SELECT}) to '{tmp_path / 's.csv'}'")
    frame = table.to_pandas()
    files = [tmp_path / "s.parquet", str(tmp_path / "s.arrow"), str(tmp_path / "s.csv")]
    for spine in (*files, SELECT, f"{SELECT};", frame, table):
        result = shared.make("buying.orders_all", spine).arrow()
        assert result["customer"].to_pylist() == ["b", "a", "a"]
        assert result["orders_all"].to_pylist() == [1, 2, 1]


def test_the_index_of_a_frame_comes_back(shared):
    frame = pandas.DataFrame(
        {"customer": ["a", "b"], "event_timestamp": pandas.to_datetime(["2024-01-04", "2024-01-04"])}, index=[7, 3]
    )
    orders = shared.make("buying.orders_all", frame).df()["orders_all"]
    assert str(orders.dtype) == "Int64"
    result = orders.fillna(-1)
    assert result.to_dict() == {7: 2, 3: -1}


def test_a_key_of_digits_in_a_csv_is_a_text_where_the_feature_has_texts(place, tmp_path):
    place.shop.sell("007", "2024-01-02")
    place.build()
    (tmp_path / "s.csv").write_text("customer,event_timestamp\n007,2024-01-05\n")
    result = place.make("buying.orders_all", tmp_path / "s.csv").arrow()
    assert (result["customer"].to_pylist(), result["orders_all"].to_pylist()) == (["007"], [1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("customer,event_timestamp\na,2024-01-05\na\n", "G550 s.csv cannot be read as csv: its first line must have"),
        (
            "customer,event_timestamp\na,2024-01-05\na,2024-01-05,7\n",
            "G550 s.csv cannot be read as csv: its first line",
        ),
        ("customer,event_timestamp\n" + "a,2024-01-05\n" * 30_000 + "a\n", "G550 s.csv cannot be read as csv: .*30002"),
        ("", "G550 s.csv cannot be read as csv: its first line"),
        ("customer,event_timestamp\na,01/02/2024\n", "G554 the spine's 'event_timestamp' must be a timestamp"),
        ("customer,event_timestamp\na,01-02-03\n", "G554 the spine's 'event_timestamp' must be a timestamp"),
        ("customer,event_timestamp\na,01/02/2024 10:00:00\n", "G554 the spine's 'event_timestamp' must be a timestamp"),
    ],
)
def test_a_csv_in_which_rows_or_dates_would_be_guessed_is_refused(shared, tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(GemelError, match=message):
        shared.make("buying.orders_all", tmp_path / "s.csv")


def test_dates_of_other_columns_in_a_csv_come_out_as_they_are_written(shared, tmp_path):
    (tmp_path / "s.csv").write_text("# May\nleft_on,customer,event_timestamp\n01/02/2024,a,2024-01-05\n,b,2024/01/06\n")
    result = shared.make("buying.orders_all", tmp_path / "s.csv").arrow()
    assert result["left_on"].to_pylist() == ["01/02/2024", None]
    assert [moment.day for moment in result["event_timestamp"].to_pylist()] == [5, 6]


@pytest.mark.parametrize("accuracy", ["served", "exact"])
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_made_again_it_is_the_same_file_and_its_manifest_says_of_what(shared, tmp_path, accuracy, ending):
    out = tmp_path / f"train.{ending}"
    runs = []
    for _ in range(2):
        result = shared.make("churn", SELECT.replace("customer,", "customer, shop,"), accuracy=accuracy, out=out)
        runs.append((out.read_bytes(), manifest_path(out).read_text()))
    assert runs[0] == runs[1]
    manifest = json.loads(runs[0][1])
    assert manifest["sha256"] == hashlib.sha256(runs[0][0]).hexdigest()
    assert (manifest["accuracy"], manifest["rows"], manifest["format"]) == (accuracy, 3, ending)
    assert manifest["features"] == ["buying.orders_all", "buying.nick", "visiting.visits"]
    view = shared.bound.views[0]
    assert manifest["definitions"]["buying"]["table"] == Tables(shared.shop.graph).digest(view)
    built = {"invocation_id": "i1", "built_at": "2024-02-01 00:00:00"}
    assert manifest["definitions"]["buying"].get("built") == (built if accuracy == "served" else None)
    assert manifest["columns"]["nick"] == "string"
    # A day after the sale of Jan 2, 10:00: the row of that day does not have the sale of its midnight yet.
    assert result.arrow()["orders_all"].to_pylist() == [1, 2, 1 if accuracy == "served" else 2]
    assert {path.name for path in tmp_path.iterdir()} == {out.name, f"{out.name}.manifest.json"}


def test_what_fails_leaves_the_old_file(shared, tmp_path):
    out = tmp_path / "train.parquet"
    out.write_bytes(b"old")
    with pytest.raises(GemelError):
        shared.make("buying", "select 'a' as customer, 1 as event_timestamp", out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_fails_while_it_is_written_is_reported_and_leaves_the_old_file(shared, tmp_path, monkeypatch, at):
    out = tmp_path / "train.parquet"
    out.write_bytes(b"old")
    write, done = pq.ParquetWriter.write_batch, []

    def full(writer, batch):
        if len(done) == at:
            raise OSError("no space left on device")
        done.append(batch.num_rows)
        write(writer, batch)

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", full)
    n = 300_000  # three batches
    days = pa.array([dt.datetime(2024, 1, 4)] * n, pa.timestamp("us"))
    with pytest.raises(OSError, match="no space left"):
        shared.make("buying.orders_all", pa.table({"customer": ["a"] * n, "event_timestamp": days}), out=out)
    assert (len(done), [path.name for path in tmp_path.iterdir()]) == (at, ["train.parquet"])
    assert out.read_bytes() == b"old"


def test_only_values_that_repeat_have_a_dictionary_in_the_file(shared, tmp_path):
    n, out = 200_000, tmp_path / "train.parquet"
    start = dt.datetime(2024, 1, 4)
    spine = pa.table(
        {
            "id": pa.array(range(n)),
            "note": [f"note {i}" for i in range(n)],
            "kind": pa.array(["x", "y"] * (n // 2)).dictionary_encode(),
            "nothing": pa.nulls(n),
            "customer": pa.array(["a", "b"] * (n // 2), pa.string_view()),
            "event_timestamp": pa.array([start + dt.timedelta(seconds=i) for i in range(n)], pa.timestamp("ns")),
        }
    )
    result = shared.make("buying.orders_all", spine, out=out).arrow()
    assert result.select(spine.column_names).equals(spine)
    for group in range(2):
        columns = pq.read_metadata(out).row_group(group)
        having = {columns.column(i).path_in_schema: columns.column(i).has_dictionary_page for i in range(7)}
        assert [name for name, has in having.items() if not has] == ["id", "note", "event_timestamp"]


NOW = "timestamp '2024-01-05' as event_timestamp"


@pytest.mark.parametrize(
    ("code", "names", "spine", "message"),
    [
        ("G204", "buyin", f"select 'a' as customer, {NOW}", "did you mean buying"),
        ("G204", "buying.orders_al", f"select 'a' as customer, {NOW}", "did you mean buying.orders_all"),
        ("G550", "buying", "labels.parquet", "there is no spine"),
        ("G550", "buying", "selec 1", "'selec 1' is neither an existing file nor a SELECT"),
        ("G550", "buying", "select * from {{ ref('visits') }}", "write the table's name: visits"),
        ("G204", "xyz", f"select 'a' as customer, {NOW}", "there are "),
        ("G550", "buying", 7, "a int cannot be read"),
        ("G550", "buying", "select 1; select 2", "one SELECT"),
        ("G550", "buying", "select from where", "not valid SQL"),
        ("G405", "buying", "select * from nothing", "nothing"),
        ("G406", "buying", "select date '2024-01-01' + date '2024-01-02'", "it is the spine's SELECT"),
        ("G551", "buying", f"select 'a' as custmer, {NOW}", "did you mean custmer"),
        ("G551", "buying", "select 'a' as customer, now() as at", "--time-column"),
        ("G552", "buying", f"select 'a' as customer, 3 as orders_all, {NOW}", "buying.orders_all has the name"),
        ("G552", "buying", f"select 'a' as customer, 3 as Nick, {NOW}", "'Nick'"),
        ("G552", "buying", pa.table([["a"], ["b"]], ["customer", "Customer"]), "cannot tell apart"),
        ("G553", "buying", f"select 7 as customer, {NOW}", "VARCHAR"),
        ("G553", "visiting", f"select 'a' as customer, '1' as shop, {NOW}", "BIGINT"),
        ("G553", "visiting", f"select 'a' as customer, 1.0::double as shop, {NOW}", "Int64"),
        ("G554", "buying", "select 'a' as customer, '2024-01-05' as event_timestamp", "must be a timestamp"),
        ("G554", "buying", "select 'a' as customer, null::timestamp as event_timestamp", "1 row"),
    ],
)
def test_a_wrong_spine_is_refused(shared, tmp_path, monkeypatch, code, names, spine, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GemelError) as error:
        shared.make(names, spine)
    assert (error.value.code, message in str(error.value)) == (code, True), str(error.value)


def test_an_accuracy_a_format_or_a_place_that_there_is_not_is_refused(shared, tmp_path):
    spine = f"select 'a' as customer, {NOW}"
    for more in ({"accuracy": "roughly"}, {"out": tmp_path / "train.xlsx"}, {"out": tmp_path}):
        with pytest.raises(GemelError) as error:
            shared.make("buying", spine, **more)
        assert error.value.code == "G558"
    with pytest.raises(GemelError) as error:
        shared.make("buying", spine, out=tmp_path / "none" / "train.parquet")
    assert error.value.code == "G606"


def test_a_dimension_with_two_rows_for_a_key_is_refused_rather_than_a_row_doubled(place):
    place.shop.con.execute("insert into customers values ('a', 'Adam', 1900)")
    with pytest.raises(GemelError) as error:
        place.rows("buying", ("a", "2024-01-05"), accuracy="exact")
    assert error.value.code == "G557"


def test_a_history_whose_versions_overlap_is_refused_rather_than_a_fact_doubled(place):
    place.build(VIEWS.replace("{dimension: customer__nick, as_of: current}", "{dimension: customer__rank, name: nick}"))
    place.shop.con.execute("insert into ranks values ('a', 'tin', '2024-01-01', '2024-01-03')")
    assert place.rows("buying.nick", ("a", "2024-01-03"), accuracy="exact") == [("tin",)]
    place.shop.con.execute("insert into ranks values ('a', 'gold', '2024-01-02', null)")
    with pytest.raises(GemelError) as error:
        place.rows("buying.nick", ("a", "2024-01-03"), accuracy="exact")
    assert (error.value.code, "but a has two rows" in error.value.message) == ("G166", True)


def test_two_features_of_one_name_are_refused(place):
    place.build(VIEWS.replace("name: visits", "name: orders_1d").split("feature_services")[0])
    with pytest.raises(GemelError) as error:
        place.rows("buying visiting", ("a", "2024-01-05"))
    assert error.value.code == "G555"
    assert place.rows("buying.nick visiting", ("a", "2024-01-05")) == [("Ada", 2)]


def test_a_damaged_parquet_file_is_said_to_be_one(shared, tmp_path):
    (tmp_path / "s.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(GemelError) as error:
        shared.make("buying", tmp_path / "s.parquet")
    assert error.value.code == "G550"


# --- against brute force ----------------------------------------------------------------------------------------

DAYS = st.integers(0, 40).map(lambda hours: dt.datetime(2024, 1, 1) + dt.timedelta(hours=9 * hours))
KEYS = st.sampled_from(["a", "b", "c", None])


@given(
    table=st.lists(
        st.tuples(KEYS, DAYS, st.integers(0, 2), st.integers(0, 99)), max_size=12, unique_by=lambda row: row[:3]
    ),
    spine=st.lists(st.tuples(KEYS, DAYS), max_size=10),
    ttl=st.booleans(),
)
def test_served_is_what_looking_up_row_by_row_gives(shared, table, spine, ttl):
    con = duckdb.connect()
    columns = "customer text, event_timestamp timestamp, orders_all bigint, created_timestamp timestamp"
    con.execute(f"create table buying ({columns})")
    for key, at, made, value in table:
        con.execute("insert into buying values (?, ?, ?, ?)", [key, at, value, dt.datetime(2024, 3, 1 + made)])
    text = "feature_views:\n  - name: buying\n    entity: customer\n    schedule: day\n"
    text += "    ttl: 3 days\n" if ttl else ""
    bound = shared.shop.bound(text + "    features: [{metric: orders, windows: [all]}]\n")
    types = {"buying": {"customer": "string", "orders_all": "int64"}}
    source = Source(shared.shop.graph, types, {"buying": "memory.main.buying"}, frozenset({"memory"}), DbtProject())
    given_rows = pa.table(
        {
            "customer": pa.array([key for key, _ in spine], pa.string()),
            "event_timestamp": pa.array([at for _, at in spine], pa.timestamp("us")),
        }
    )
    result = make(
        source,
        choose(bound, ["buying"]),
        given_rows,
        lambda temp: ScratchRunner(Scratch(con.cursor())),
        accuracy="served",
    ).arrow()
    con.close()
    assert result.select(["customer", "event_timestamp"]).equals(given_rows)
    good_for = dt.timedelta(days=3) if ttl else None
    assert result["orders_all"].to_pylist() == [newest(table, key, at, good_for) for key, at in spine]


def newest(table, key, at, ttl):
    rows = [(time, made, value) for k, time, made, value in table if k is not None and k == key and time <= at]
    if not rows or (ttl and max(rows)[0] < at - ttl):
        return None
    return max(rows)[2]


MANY = 300_000


def many(place, folder):
    """A shop of many facts in a file, as `shop`, and as many requests with a label each."""
    at = "timestamp '2024-01-01' + interval (i * {} % 2500000) second"
    place.shop.con.execute(
        f"insert into sales select 10 + i, 'c' || i % 50000, 1, 'n', 1.5, false, {at.format(7919)}, null, null "
        f"from range({MANY}) t(i)"
    )
    place.build()
    spine = folder / "spine.parquet"
    place.shop.con.execute(
        f"copy (select i as id, 'c' || i * 31 % 50000 as customer, {at.format(104729)} as event_timestamp, "
        f"'what somebody wrote of it ' || i as note from range({MANY}) t(i)) to '{spine}'"
    )
    place.shop.con.execute(f"attach '{folder / 'shop.duckdb'}' as shop; copy from database memory to shop; detach shop")
    graph = bind(read_manifest(json.loads(json.dumps(MANIFEST).replace('"memory"', '"shop"'))))
    relations = {"buying": "shop.main.buying"}
    source = Source(graph, place.source.types, relations, frozenset({"shop"}), DbtProject())
    return source, spine


def test_a_training_set_larger_than_memory_goes_through_the_disk(place, tmp_path):
    source, spine = many(place, tmp_path)
    chosen = choose(place.bound, ["buying.orders_1d", "buying.orders_all"])

    def write(accuracy, **limits):
        warehouse = Runner(
            Warehouse(Profile("", "", path=str(tmp_path / "shop.duckdb"), database="shop", settings=limits))
        )
        out = tmp_path / f"{accuracy}.parquet"
        make(source, chosen, spine, warehouse.scratch, accuracy=accuracy, out=out)

    little = {"memory_limit": "60MB", "threads": "1"}
    for accuracy, limits in (
        ("served", little | {"max_temp_directory_size": "0KB"}),
        ("exact", {"memory_limit": "9MB"}),
    ):
        with pytest.raises(GemelError) as refusal:  # without the disk it is too little
            write(accuracy, **limits)
        assert (refusal.value.code, "out of memory" in refusal.value.message) == ("G407", True)
        assert "memory_limit" in refusal.value.hint and not (tmp_path / f"{accuracy}.parquet").exists()
    same = "count(*), count(*) filter (id = place - 1), count(note), sum(orders_1d), sum(orders_all)"
    numbered = f"select {same} from (select *, row_number() over () as place from '{tmp_path / 'served.parquet'}')"
    write("served", **little)
    [totals] = duckdb.sql(numbered).fetchall()
    assert totals[:3] == (MANY, MANY, MANY)
    write("served")  # with all memory there is
    assert duckdb.sql(numbered).fetchall() == [totals]
