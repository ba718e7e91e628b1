"""The whole way, with dbt, DuckDB, Feast and SQLite as they come: one small project, built once for the module."""

import datetime as dt
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from urllib.parse import urlsplit

import duckdb
import pytest
import yaml

from gemel.cli import main
from gemel.dbt.running import run_dbt
from gemel.online.feast import messages
from worlds.projects import write_project
from worlds.sales_project import FILES

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def built(built_sales):
    """The project's directory, which is this module's alone, and exit code, stdout and stderr of its build."""
    return built_sales / "project", json.loads((built_sales / "build.json").read_text())


@pytest.fixture(scope="module")
def project(built):
    """The built project's directory. What a test changes in it, it changes back."""
    root, (code, out, err) = built
    assert code == 0, out + err
    return root


@pytest.fixture
def gemel(project, monkeypatch, capsys):
    """`gemel` in the project: exit code, stdout, stderr."""
    monkeypatch.chdir(project)

    def run(*arguments):
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def copy(project, gemel, tmp_path, monkeypatch):
    """A copy of the built project, for `gemel` to run in and the test to spoil."""
    folder = shutil.copytree(project, tmp_path / "shop")
    monkeypatch.chdir(folder)
    return folder


def test_a_project_that_was_never_generated_nor_built_is_built_in_one_go(built):
    project, (code, out, err) = built
    assert code == 0, out + err
    steps = [line.split(":")[0] for line in err.splitlines() if " s" in line and ": " in line and line[0] != " "]
    assert [step for step in steps if step in STEPS] == STEPS
    assert "all equal" in err.splitlines()[-1]
    assert {path.name for path in (project / "models/features").iterdir()} == {
        *("_feature_services.yml", "_feature_views.yml", "buying.sql", "visiting.sql")
    }


STEPS = ["generate", "dbt build", "check types", "feast apply", "materialize", "verify"]


def test_what_was_generated_is_up_to_date(gemel):
    assert gemel("generate", "--check")[0] == 0


def test_generating_imports_neither_feast_nor_dbt(gemel, project):
    code = (
        "import sys; from gemel.cli import main; code = main(['generate', '--check']);"
        "print(code, sorted({'feast', 'dbt', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    completed = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert completed.stdout.splitlines() == ["0 []"]


def test_the_online_store_answers_with_the_newest_row(gemel):
    code, out, _ = gemel("features", "online", "buying", "customer=a", "--format", "json")
    assert (code, json.loads(out)) == (
        0,
        {
            "orders_1d": None,
            "orders_7d": 1,
            "return_rate_all": 0.5,
            "return_rate_all__numerator": 1,
            "return_rate_all__denominator": 2,
            "revenue_7d": 2.25,
            "nick": "Ada",
        },
    )
    code, out, _ = gemel("features", "online", "churn_v1", "customer=b", "shop=10", "--format", "json")
    assert (code, json.loads(out)["orders_24h"]) == (0, 1)


def test_an_entity_that_is_not_there_or_not_given_is_said(gemel):
    code, _, err = gemel("features", "online", "buying", "customer=z")
    assert (code, err) == (1, "nothing is online for customer=z\n")
    code, _, err = gemel("features", "online", "visiting", "customer=a", "shop=x")
    assert (code, err) == (1, "G535 entity 'shop' must be an integer, not 'x'\n  hint: write only digits\n")
    for number in ("7.0", "1_0"):  # the second of which Python would read
        assert (
            f"must be an integer, not '{number}'"
            in gemel("features", "online", "visiting", "customer=a", f"shop={number}")[2]
        )
    code, _, err = gemel("features", "online", "visiting", "customer=a", f"shop={2**63}")
    assert (code, "of 64 bits, and 9223372036854775808 is out of its range" in err) == (1, True)
    assert "G204" in gemel("features", "online", "buyin", "customer=a")[2]


def test_a_null_key_in_a_batch_is_a_row_of_nothing(project, gemel):
    import gemel as library

    shop = library.load(project)
    batch = [{"customer": "a", "shop": 10}, {"customer": None, "shop": 10}, {"customer": "b", "shop": None}]
    first, unknown, half = shop.online("churn_v1", batch)
    assert (first.values["orders_7d"], "orders_24h" in first.moments) == (1, True)
    assert unknown is None
    # What is stored for the customer is answered, and nothing for the pair.
    assert (half.values["nick"], half.values["orders_7d"], half.values["orders_24h"]) == (None, 1, None)
    assert set(half.moments) == set(shop.online("buying", [{"customer": "b"}])[0].values)
    assert shop.online("visiting", batch[1:]) == [None, None]
    offer = {"price": 4.5, "pieces": 12, "coupon": "new", "asked_at": None, "gift": None}
    computed = shop.online("offering", [{"customer": key} | offer for key in ("b", None)])
    assert [row.values["pieces_and_orders"] for row in computed] == [13, 12]
    assert gemel("features", "online", "visiting", "customer=a", "shop=")[::2] == (
        *(1, "nothing is online for customer=a shop=\n"),
    )


def test_stock_feast_has_nothing_to_plan_after_the_build_and_applying_again_changes_nothing(project, gemel):
    feast = [sys.executable, "-c", "from feast.cli.cli import cli; cli()", "-c", "feature_views"]
    completed = subprocess.run([*feast, "plan"], cwd=project, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    # Feast compares the intervals too, and then finds its own times in the sources.
    assert messages(completed.stdout) == [] and "No changes to infrastructure" in completed.stdout
    assert gemel("features", "apply") == (0, "", "applied\n")


def test_python_gets_errors_for_wrong_rows_and_names(project, gemel):
    import gemel as library

    shop = library.load(project)
    for rows in ({"customer": "a"}, ["a"], None, "a"):
        with pytest.raises(library.GemelError) as caught:
            shop.online("buying", rows)
        assert (caught.value.code, caught.value.hint) == ("G535", '[{"customer": ...}]')
    for names in (None, 7, [7]):
        with pytest.raises(library.GemelError) as caught:
            shop.training_set(names, "select 'a' as customer", accuracy="served")
        assert caught.value.code == "G343"


def test_a_feature_table_that_is_not_there_is_to_be_built(project, gemel):
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute("alter table buying rename to buyin")
    try:
        spine = ["--spine", "select 'a' as customer, now() as event_timestamp"]
        outcomes = [gemel("training-set", "buying", *spine, "--accuracy", "served", "--out", "none.parquet")]
        outcomes.append(gemel("verify"))
    finally:
        with duckdb.connect(str(project / "shop.duckdb")) as connection:
            connection.execute("alter table buyin rename to buying")
    for code, _, err in outcomes:
        assert (code, "G405" in err, "`dbt build --select buying`" in err) == (1, True, True), err


def test_what_a_backfill_did_is_reported(gemel):
    code, _, err = gemel("features", "backfill", "--start", "2024-01-01", "visiting")
    assert (code, err) == (0, "rebuilt whole, for lack of `lookback:`: visiting\n")
    code, _, err = gemel("features", "backfill", "--start", "2024-01-01", "xyz")
    assert (code, err) == (1, "G204 no feature view named 'xyz'\n  hint: there are buying, visiting\n")


def test_without_a_feature_view_there_is_nothing_to_backfill(tmp_path, gemel):
    write_project(tmp_path, {name: text for name, text in FILES.items() if not name.startswith("feature_views/")})
    code, _, err = gemel("features", "backfill", "--start", "2024-01-01", "--project-dir", str(tmp_path))
    assert (code, "G204 the project has no feature view" in err) == (1, True), err


def test_a_view_that_was_not_generated_again_is_not_rebuilt(project, gemel):
    definitions = project / "feature_views/shop.yml"
    before = definitions.read_text()
    try:
        definitions.write_text(before.replace("- name: visiting\n", "- name: visiting\n    lookback: 3 days\n"))
        assert definitions.read_text() != before
        code, _, err = gemel("features", "backfill", "--start", "2024-01-01", "visiting")
        assert (code, err.split(": ", 1)[1]) == (
            1,
            "G534 the dbt model of feature view 'visiting' is not up to date\n  hint: run `gemel generate`\n",
        )
    finally:
        definitions.write_text(before)


def test_stock_feast_makes_a_training_set_of_what_was_known_at_each_moment(project, gemel):
    import pandas
    from feast import FeatureStore

    moments = ["2024-01-02 23:59:59", "2024-01-03 00:00:00", "2024-01-04 00:00:00", "2024-01-09 00:00:00"]
    labels = pandas.DataFrame(
        {"customer": "a", "event_timestamp": pandas.to_datetime(moments, utc=True), "left": range(4)}
    )
    store = FeatureStore(repo_path=str(project / "feature_views"))
    result = store.get_historical_features(labels, features=["buying:orders_7d", "buying:nick"]).to_df()
    result = result.sort_values("left")
    assert result["orders_7d"].fillna(0).tolist() == [0, 1, 2, 2]  # the sale at midnight of Jan 3 is known on Jan 4
    assert result["nick"].fillna("").tolist() == ["", "Ada", "Ada", "Ada"]


def test_a_training_set_is_made_by_command_and_in_python_of_a_file_or_a_select(project, gemel):
    import gemel as library

    select = "select customer, shop, sold_at + interval 1 day as event_timestamp from sales order by sale_id"
    for accuracy, orders in (("served", [1, 2, 1]), ("exact", [2, 2, 1])):
        out = f"{accuracy}.parquet"
        arguments = ["churn_v1", "--spine", select, "--accuracy", accuracy, "--out", out]
        code, _, err = gemel("training-set", *arguments)
        assert (code, err) == (0, f"3 rows with 8 features, as {accuracy}, written to {out}\n")
        result = duckdb.sql(f"select orders_7d from '{project / out}'").fetchall()
        assert result == [(count,) for count in orders]
    manifest = json.loads((project / "exact.parquet.manifest.json").read_text())
    training = library.load(project).training_set("buying.orders_7d", select, accuracy="exact")
    assert training.arrow()["orders_7d"].to_pylist() == [2, 2, 1]
    assert training.manifest["definitions"]["buying"]["table"] == manifest["definitions"]["buying"]["table"]


OFFERS = {
    "customer": ["a", "a", "b", "z", None],
    "price": [9.0, float("nan"), 2.5, 1.0, 1.0],
    "pieces": [2**62 + 1, None, 11, 2**63 - 1, 1],
    "coupon": [" spring ", "ß", None, "", "x"],
    "asked_at": [dt.datetime(2024, 1, 9, hour, 30, 5, 250_000) for hour in (0, 5, 17, 23, 1)],
    "gift": [True, True, True, None, False],
}
COMPUTED = ("price_against_usual", "pieces_and_orders", "label", "hour_asked", "big_gift")


def test_what_is_computed_on_demand_is_the_same_in_a_training_set_of_ours_and_of_feasts(project, gemel):
    import pandas
    import pyarrow
    from feast import FeatureStore

    import gemel as library

    moments = pyarrow.array([dt.datetime(2024, 1, 9)] * 5, pyarrow.timestamp("us"))
    spine = pyarrow.table({**OFFERS, "event_timestamp": moments})
    training = library.load(project).training_set("offer_v1", spine, accuracy="served")
    ours = training.arrow().select(["orders_7d", *COMPUTED])
    assert ours.to_pydict() == {
        "orders_7d": [2, 2, None, None, None],
        "price_against_usual": [2.4, None, None, None, None],
        "pieces_and_orders": [2**62 + 3, None, 11, 2**63 - 1, 1],
        "label": ["SPRING-Ada", "ẞ-Ada", None, None, None],
        "hour_asked": [0, 5, 17, 23, 1],
        "big_gift": [True, None, True, None, None],
    }
    assert training.manifest["features"] == ["buying.orders_7d", *(f"offering.{name}" for name in COMPUTED)]
    assert training.manifest["inputs"]["asked_at"] == "timestamp"
    assert training.manifest["definitions"]["offering"]["features"].keys() == {*COMPUTED}
    exact = library.load(project).training_set(["offering.pieces_and_orders"], spine, accuracy="exact").arrow()
    assert exact.column_names == [*spine.column_names, "pieces_and_orders"]
    assert exact["pieces_and_orders"].to_pylist() == [2**62 + 3, None, 11, 2**63 - 1, 1]

    frame = pandas.DataFrame({**OFFERS, "event_timestamp": pandas.to_datetime(["2024-01-09"] * 5, utc=True)})
    frame["pieces"] = pandas.array(OFFERS["pieces"], dtype="Int64")
    store = FeatureStore(repo_path=str(project / "feature_views"))
    service = store.get_feature_service("offer_v1")
    theirs = store.get_historical_features(frame, features=service).to_arrow()
    assert theirs.select(ours.column_names).to_pydict() == ours.to_pydict()
    assert [theirs.schema.field(name).type for name in COMPUTED] == [ours.schema.field(name).type for name in COMPUTED]


def test_what_is_computed_on_demand_is_the_same_online_by_us_and_by_feast(project, gemel):
    from feast import FeatureStore

    import gemel as library

    rows = [dict(zip(OFFERS, values, strict=True)) for values in zip(*OFFERS.values(), strict=True)][:4]
    ours = [row.values for row in library.load(project).online("offer_v1", rows)]
    store = FeatureStore(repo_path=str(project / "feature_views"))
    answer = store.get_online_features(features=store.get_feature_service("offer_v1"), entity_rows=rows).to_dict()
    assert ours == [{name: answer[name][place] for name in ("orders_7d", *COMPUTED)} for place in range(4)]
    assert [row["pieces_and_orders"] for row in ours] == [2**62 + 2, None, 12, 2**63 - 1]
    [first, unknown] = library.load(project).online("offering.label", rows[2:])
    assert (first.values, first.moments["label"].day, unknown.moments) == ({"label": None}, 10, {})


def test_types_are_decided_once_for_many_reads_and_again_after_a_build_or_another_declaration(project, monkeypatch):
    import gemel as library
    from gemel.features import columns

    decided = []
    decide = columns.decide_types
    monkeypatch.setattr(columns, "decide_types", lambda *given: decided.append(1) or decide(*given))
    shop = library.load(project)
    answers = [shop.online("buying", [{"customer": "b"}])[0].values for _ in range(3)]
    assert answers[0] == answers[1] == answers[2] and len(decided) == 1
    for number, written in enumerate(("target/manifest.json", "feature_views/shop.yml"), 2):
        later = (project / written).stat().st_mtime_ns + 1_000
        os.utime(project / written, ns=(later, later))
        assert shop.online("buying", [{"customer": "b"}])[0].values == answers[0]
        assert len(decided) == number


def test_inputs_of_a_request_are_given_by_command_and_reported_if_they_are_not_as_declared(gemel):
    given = ["price=4.5", "pieces=12", "coupon= new", "asked_at=2024-01-09T17:30", "gift="]
    code, out, err = gemel("features", "online", "offering", "customer=b", *given, "--format", "json")
    assert (code, json.loads(out)) == (
        0,
        {
            "price_against_usual": 1.125,
            "pieces_and_orders": 13,
            "label": None,
            "hour_asked": 17,
            "big_gift": None,
        },
    ), err
    for wrong, message in (
        ("pieces=1.5", "input 'pieces' must be an integer, not '1.5'"),
        ("asked_at=soon", "input 'asked_at' must be a time such as 2024-01-31 12:00:00, not 'soon'"),
        ("gift=yes", "input 'gift' must be true or false, not 'yes'"),
        ("colour=red", "'offering' must be looked up by customer, price, pieces, coupon, asked_at, gift, not by"),
    ):
        others = [each for each in given if each.split("=")[0] != wrong.split("=")[0]]
        code, _, err = gemel("features", "online", "offering", "customer=b", *others, wrong)
        assert (code, message in err) == (1, True), err


def test_on_demand_views_are_listed_and_validated_with_the_others(project, gemel):
    def listed(what):
        return {
            row[what]: row for row in json.loads(gemel("list", f"{what.replace(' ', '-')}s", "--format", "json")[1])
        }

    offering = listed("feature view")["offering"]
    assert (offering["entity"], offering["schedule"], offering["features"]) == (
        "customer",
        "on demand",
        ", ".join(COMPUTED),
    )
    assert listed("feature service")["offer_v1"]["features"] == "buying.orders_7d, offering"
    assert "2 feature views, 1 on-demand view: no problem" in "".join(gemel("validate")[1:])
    views = project / "feature_views/shop.yml"
    text = views.read_text()
    views.write_text(
        text.replace("pieces + coalesce(", "coupon + coalesce(").replace("gift and pieces", "gift and pieces")
    )
    code, out, err = gemel("validate")
    views.write_text(text)
    assert code == 1
    assert (
        "G592 feature 'pieces_and_orders': coupon + COALESCE(buying.orders_7d, 0) needs numbers, not string"
        in out + err
    )


def test_one_value_changed_online_is_reported_as_that_one(project, gemel):
    from feast.protos.feast.types.Value_pb2 import Value

    where = "feature_name = 'orders_7d' and hex(entity_key) like '%62'"
    with sqlite3.connect(project / "feature_views/data/online_store.db") as store:
        [(before,)] = store.execute(f"select value from shop_buying where {where}").fetchall()
        store.execute(f"update shop_buying set value = ? where {where}", [Value(int64_val=5).SerializeToString()])
    code, out, err = gemel("verify", "--format", "json", "-q")
    report = json.loads(out)
    assert (code, err) == (1, "")
    [wrong] = report["differences"]
    assert (wrong["kind"], wrong["view"], wrong["feature"], wrong["entity"]) == (
        *("different", "buying", "orders_7d"),
        {"customer": "b"},
    )
    assert wrong["values"] == {"table": 1, "online": 5}
    assert gemel("verify", "--threshold", "1")[0] == 0
    with sqlite3.connect(project / "feature_views/data/online_store.db") as store:
        store.execute(f"update shop_buying set value = ? where {where}", [before])
    store.close()


def test_one_value_changed_in_the_table_is_reported_as_that_one(project, gemel):
    change = "update buying set revenue_7d = revenue_7d + {} where customer = 'a' and event_timestamp = '2024-01-04'"
    with duckdb.connect(str(project / "shop.duckdb")) as con:
        con.execute(change.format(1))
    code, out, err = gemel("verify")
    assert (code, err.splitlines()[-1].split(": ")[1]) == (1, "1 wrong")
    assert [line for line in out.splitlines() if line.startswith("different")] == [
        "different buying.revenue_7d  customer=a  2024-01-04 00:00  BI=3.75  table=4.75  copy=3.75"
    ]
    with duckdb.connect(str(project / "shop.duckdb")) as con:
        con.execute(change.format(-1))
    assert gemel("verify", "-q")[0] == 0


def test_moments_at_which_nothing_is_known_prove_nothing(gemel):
    code, _, err = gemel("verify", "--at", "2020-01-01")
    assert code == 1
    assert "nothing of buying was compared with BI" in err


def test_a_stale_generated_file_fails_the_check_and_is_named(project, gemel):
    views = project / "feature_views/shop.yml"
    text = views.read_text()
    views.write_text(text.replace("[1 day, 7 days]", "[7 days]"))
    code, out, _ = gemel("generate", "--check")
    views.write_text(text)
    assert code == 1
    assert [line.split() for line in out.splitlines()] == [
        ["stale", "feature_views/definitions.py"],
        ["stale", "models/features/_feature_services.yml"],
        ["stale", "models/features/_feature_views.yml"],
        ["stale", "models/features/buying.sql"],
    ]


def test_a_mistake_in_a_feature_view_stops_before_anything_is_done(project, gemel):
    views = project / "feature_views/shop.yml"
    text = views.read_text()
    views.write_text(text.replace("metric: revenue", "metric: revenu"))
    for command in (["build"], ["generate"], ["verify"]):
        code, out, err = gemel(*command)
        assert (code, out) == (1, "")
        assert err == "feature_views/shop.yml:10:18: G201 no metric named 'revenu'\n  hint: did you mean revenue?\n"
    views.write_text(text)


def test_what_is_pushed_through_feast_is_served_until_the_table_has_a_newer_row(copy, gemel):
    import pandas
    from feast import FeatureStore
    from feast.data_source import PushMode

    def served(customer):
        return json.loads(gemel("features", "online", "buying", f"customer={customer}", "--format", "json")[1])

    ours = served("b")
    values = {"orders_1d": 70, "orders_7d": 71, "revenue_7d": 7.5, "nick": "pushed", "return_rate_all": 0.25}
    parts = {"return_rate_all__numerator": 1, "return_rate_all__denominator": 4}
    moments = pandas.to_datetime(["2024-01-20 00:00:00", "2024-01-02 00:00:00"], utc=True)
    rows = pandas.DataFrame({"customer": ["a", "b"], "event_timestamp": moments, **values, **parts})
    store = FeatureStore(repo_path=str(copy / "feature_views"))
    store.push("buying_push", rows.assign(created_timestamp=moments), to=PushMode.ONLINE)
    assert served("a") == served("b") == values | parts
    assert gemel("features", "materialize")[0] == 0
    assert served("a") == values | parts
    assert served("b") == ours


def redis_for(copy, url):
    """Let the project's online store be Redis, and yield nothing of it afterwards."""
    import redis

    address = urlsplit(url)
    options = {"host": address.hostname, "port": address.port, "db": int(address.path[1:] or 0)}
    file = copy / "feature_views/feature_store.yaml"
    content = yaml.safe_load(file.read_text())
    content["project"] = project = f"gemel_test_{os.getpid()}"
    connection = f"{address.hostname}:{address.port},db={options['db']}"
    content["online_store"] = {"type": "redis", "connection_string": connection}
    file.write_text(yaml.safe_dump(content))
    client = redis.Redis(**options)
    yield
    for key in [*client.scan_iter(f"*{project}"), f"gemel:{project}:materialized"]:
        client.delete(key)
    client.close()


@pytest.fixture(params=["sqlite", "redis"])
def copy_online(request, copy):
    """The copy, with one of the two online stores."""
    yield from redis_for(copy, request.getfixturevalue("needs_redis")) if request.param == "redis" else iter([None])


def test_what_only_the_online_store_has_is_reported_as_extra(copy, copy_online, gemel):
    import pandas
    from feast import FeatureStore
    from feast.data_source import PushMode

    for command in ("apply", "materialize"):
        assert gemel("features", command)[0] == 0
    select = ["verify", "--moments", "1", "--select", "buying", "--select", "visiting.orders_24h"]
    code, out, err = gemel(*select)
    assert (code, {line.split()[0] for line in out.splitlines()[2:]}) == (0, {"buying", "visiting"}), err
    values = {"orders_1d": 70, "orders_7d": 71, "revenue_7d": 7.5, "nick": "pushed", "return_rate_all": 0.25}
    parts = {"return_rate_all__numerator": 1, "return_rate_all__denominator": 4}
    moments = pandas.to_datetime(["2024-01-20 00:00:00", "2126-01-02 00:00:00", "2024-01-20 00:00:00"], utc=True)
    rows = pandas.DataFrame({"customer": ["a", "b", "z"], "event_timestamp": moments, **values, **parts})
    store = FeatureStore(repo_path=str(copy / "feature_views"))
    store.push("buying_push", rows.assign(created_timestamp=moments), to=PushMode.ONLINE)
    code, out, err = gemel(*select, "--format", "json")
    report = json.loads(out)
    assert (code, report["extra"], report["others"], report["pushed"]) == (1, 14, {"buying": 1}, {"buying": 1}), out
    extra = {(each["entity"]["customer"], each["moment"][:4], each["kind"]) for each in report["differences"]}
    assert extra == {("b", "2126", "extra"), ("z", "2024", "extra")}
    assert gemel(*select, "--threshold", "14")[0] == 0
    one = json.loads(gemel("verify", "--moments", "1", "--select", "buying.nick", "--format", "json", "-q")[1])
    assert [(each["feature"], each["extra"]) for each in one["features"]] == [("nick", 2)]
    code, out, err = gemel("verify", "--select", "buyin")
    assert (code, out) == (1, "")
    assert err.startswith("G204 no feature view, service or feature named 'buyin'\n  hint: did you mean buying")


def test_rows_of_another_target_are_not_taken_for_ones_own(copy, gemel):
    outputs = {name: {"type": "duckdb", "path": "shop.duckdb"} for name in ("dev", "prod", "ci")}
    outputs["prod"]["schema"] = "prod"
    (copy / "profiles.yml").write_text(json.dumps({"shop": {"target": "dev", "outputs": outputs}}))
    run_dbt(["build", "--select", "+buying", "--target", "prod", "--target-path", "target/gemel/prod"], copy)
    message = 'G536 the Parquet copy of \'buying\' was written for target \'prod\' ("shop"."prod"."buying"), not for'
    for command in (["features", "materialize"], ["verify"]):
        code, _, err = gemel(*command)
        assert (code, message in err) == (1, True), err
    request = ["features", "online", "buying.orders_7d", "customer=a"]
    assert gemel(*request)[0] == 0
    assert gemel("features", "materialize", "buying", "--target", "prod")[0] == 0
    code, _, err = gemel(*request)
    assert (code, "G565 the online rows of 'buying' were written for target 'prod'" in err) == (1, True), err
    assert gemel(*request, "--target", "prod")[0] == 0
    assert gemel("features", "online", "visiting", "customer=a", "shop=10", "--target", "ci")[0] == 0  # dev's place


def test_a_build_that_was_cut_short_can_be_run_again_and_forgets_a_view_that_is_gone(copy, gemel):
    from feast import FeatureStore

    views = copy / "feature_views/shop.yml"
    text = views.read_text()
    start, end = text.index("  - name: visiting"), text.index("on_demand_views")
    views.write_text((text[:start] + text[end:]).replace("[buying, visiting]", "[buying]"))
    (copy / "feature_views/data/online_store.db").unlink()
    (copy / "feature_views/data/buying.parquet").write_bytes(b"half")
    code, out, err = gemel("build")
    assert code == 0, out + err
    assert not (copy / "models/features/visiting.sql").exists()
    store = FeatureStore(repo_path=str(copy / "feature_views"))
    assert [view.name for view in store.list_feature_views()] == ["buying"]
    assert store.get_feature_view("buying").tags["dbt"] == "model.shop.buying"
    assert dt.timedelta(0) == store.get_feature_view("buying").ttl
