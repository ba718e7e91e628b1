"""What was built from another definition than today's: refused where its numbers would pass for today's, and said
elsewhere. A project that `gemel build` built, then a changed measure and `gemel generate`, without `dbt build`."""

import json
import re
import shutil

import duckdb
import pyarrow.parquet
import pytest

import gemel as library
from gemel.cli import main
from worlds.projects import run_dbt

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

REQUEST = ("features", "online", "buying", "customer=a")
TRAIN = ("training-set", "buying.revenue_7d", "--spine", "labels.csv", "--out", "out.parquet")
OTHER = r"of 'buying' was built from another definition \([0-9a-f]{12}, and today's is [0-9a-f]{12}\), on "
WHEN = r"20\d\d-\d\d-\d\d \d\d:\d\d UTC, by dbt's invocation [0-9a-f-]{36}"


@pytest.fixture(scope="module")
def changed(built_sales, tmp_path_factory):
    """Revenue is doubled in the definitions and in the generated files, and in no table."""
    root = shutil.copytree(built_sales / "as_built", tmp_path_factory.mktemp("changed") / "shop")
    (root / "labels.csv").write_text("customer,event_timestamp\na,2024-01-05\n")
    models = root / "models/models.yml"
    models.write_text(models.read_text().replace("{name: revenue, agg: sum, expr: amount}", DOUBLED))
    with library.load(root) as shop:
        assert [each.path for each in shop.generate()] == [
            *("feature_views/definitions.py", "models/features/_feature_views.yml", "models/features/buying.sql")
        ]
    return root


@pytest.fixture
def gemel(changed, monkeypatch, capsys):
    """`gemel` in the project: exit code, stdout, stderr."""
    monkeypatch.chdir(changed)

    def run(*arguments):
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


DOUBLED = "{name: revenue, agg: sum, expr: amount * 2}"


def test_a_training_set_of_served_values_is_refused(changed, gemel):
    code, out, err = gemel(*TRAIN, "--accuracy", "served")
    assert (code, out, (changed / "out.parquet").exists()) == (1, "", False)
    place = "feature_views/shop.yml:2:11: "
    assert re.search(
        rf"{place}G538 the table {OTHER}{WHEN}\n  hint: run `gemel build`; .*dbt build --select buying`", err
    )
    # Exact values are computed from the facts, by today's definition.
    assert gemel(*TRAIN, "--accuracy", "exact")[0] == 0


def test_materializing_is_refused_and_what_is_online_stays_with_a_word_about_it(changed, gemel):
    before = gemel(*REQUEST, "--format", "json")[1]
    code, _, err = gemel("features", "materialize")
    assert (code, bool(re.match(rf".*G538 the Parquet copy {OTHER}{WHEN}\n", err))) == (1, True), err
    code, out, err = gemel(*REQUEST, "--format", "json")
    assert (code, out) == (0, before)
    assert re.fullmatch(rf"the online rows {OTHER}{WHEN}: `gemel build` replaces them\n", err)
    assert "definition" not in gemel("features", "online", "visiting", "customer=a", "shop=10")[2]
    with library.load(changed) as shop:
        [row] = shop.online("churn_v1", [{"customer": "a", "shop": 10}])
        assert row.outdated == [name for name in row.values if name != "orders_24h"]
        [row] = shop.online("buying.nick", [{"customer": "a"}])
        assert row.outdated == ["nick"]


def test_applying_and_verifying_say_it(changed, gemel):
    code, out, err = gemel("features", "apply")
    assert code == 0, out + err
    assert re.search(rf"the table {OTHER}{WHEN}: it has today's definition in Feast, and the old values until `g", err)
    code, out, err = gemel("verify")
    assert (code, bool(re.search(f"the table {OTHER}{WHEN}", out + err))) == (1, True), out + err


def test_plain_dbt_build_and_materialize_make_all_of_it_todays(changed, gemel):
    run_dbt(changed, "build", "--select", "buying")
    assert gemel(*TRAIN, "--accuracy", "served") == (0, "", "1 row with 1 feature, as served, written to out.parquet\n")
    assert gemel("features", "materialize")[2].startswith("online up to")
    code, out, err = gemel(*REQUEST, "--format", "json")
    assert (code, json.loads(out)["revenue_7d"], err) == (0, 4.5, "")

    manifest = json.loads((changed / "out.parquet.manifest.json").read_text())["definitions"]["buying"]
    [row] = (
        duckdb.connect(str(changed / "shop.duckdb"), read_only=True)
        .execute(
            "select definition, invocation_id, built_at from gemel_builds "
            "where relation = 'buying' order by built_at desc limit 1"
        )
        .fetchall()
    )
    assert manifest["table"] == row[0]
    assert manifest["built"] == {"invocation_id": row[1], "built_at": row[2].isoformat(" ")}
    metadata = pyarrow.parquet.read_schema(changed / "out.parquet").metadata
    assert json.loads(metadata[b"gemel_builds"])["buying"]["invocation_id"] == row[1]


def test_what_is_not_recorded_is_used_and_said(changed, gemel):
    """As of a table that an older version of gemel built, or a tool that runs no hooks."""
    with duckdb.connect(str(changed / "shop.duckdb")) as con:
        con.execute("drop table gemel_builds")
        metadata = 'FORMAT parquet, KV_METADATA {gemel_target: \'dev\', gemel_relation: \'"shop"."main"."buying"\'}'
        con.execute(f"copy buying to '{changed / 'feature_views/data/buying.parquet'}' ({metadata})")
    unrecorded = (
        "no record says what built buying, which may be of another definition: `dbt build --select buying` records it"
    )
    code, _, err = gemel(*TRAIN, "--accuracy", "served")
    assert (code, err.splitlines()[0]) == (0, unrecorded)
    assert json.loads((changed / "out.parquet.manifest.json").read_text())["definitions"]["buying"]["table"] is None
    code, _, err = gemel("features", "materialize")
    assert (code, err.splitlines()[0]) == (0, unrecorded)
    assert "definition" not in gemel(*REQUEST)[2]
