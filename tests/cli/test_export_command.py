"""`gemel export` and `gemel import`, from the shell."""

import io
import json
import zipfile

import yaml

from worlds.sales import DEFINITIONS

TRAILING = {
    "name": "revenue_7d",
    "type": "cumulative",
    "type_params": {"measure": {"name": "amount"}, "cumulative_type_params": {"window": "7 days"}},
}


def with_trailing(files):
    files.manifest.write_text(json.dumps({**DEFINITIONS, "metrics": [*DEFINITIONS["metrics"], TRAILING]}))


def test_an_export_is_printed(gemel):
    ran = gemel("export", "cube")
    assert (ran.code, ran.err) == (0, "")
    [cube] = yaml.safe_load(ran.out)["cubes"]
    assert cube["sql_table"] == "warehouse.main.sales"
    [region] = [each for each in cube["dimensions"] if each["name"] == "region"]
    assert region == {"name": "region", "title": "Region", "sql": "{CUBE}.region", "type": "string"}
    assert [each["type"] for each in cube["dimensions"] if each["name"] == "sale"] == ["number"]


def test_a_metric_that_the_format_cannot_say_refuses_the_whole(gemel, files, tmp_path):
    with_trailing(files)
    ran = gemel("export", "lookml", "--out", str(tmp_path / "shop.lkml"))
    assert (ran.code, ran.out, (tmp_path / "shop.lkml").exists()) == (1, "", False)
    assert ran.err == (
        "G720 metric 'revenue_7d' cannot be exported to LookML: it accumulates over 7 days, "
        "and a group has only its own rows\n  hint: --skip exports the other metrics\n"
    )


def test_skip_leaves_it_out_and_tells(gemel, files, tmp_path):
    with_trailing(files)
    ran = gemel("export", "snowflake", "--skip", "--out", str(tmp_path / "shop.sql"))
    reason = "revenue_7d: it accumulates over 7 days, and a group has only its own rows"
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f"left out {reason}\n3 metrics in {tmp_path / 'shop.sql'}\n"
    text = (tmp_path / "shop.sql").read_text()
    assert f"--   {reason}\n" in text and "revenue_7d" not in text.partition("CREATE")[2]


def test_only_the_metrics_that_are_named(gemel, files):
    with_trailing(files)
    ran = gemel("export", "databricks", "--metrics", "revenue,orders")
    assert (ran.code, "per_order" in ran.out, "name: orders" in ran.out) == (0, False, True)
    assert "G201 no metric named 'revnue'" in gemel("export", "databricks", "--metrics", "revnue").err


def test_superset_gets_a_zip_file_with_the_warehouse_in_it(gemel, files, tmp_path):
    ran = gemel("export", "superset", "--out", str(tmp_path / "shop.zip"))
    assert ran.code == 0, ran.err
    with zipfile.ZipFile(tmp_path / "shop.zip") as archive:
        [name] = [each for each in archive.namelist() if "/databases/" in each]
        database = yaml.safe_load(archive.read(name))
        [name] = [each for each in archive.namelist() if "/datasets/" in each]
        dataset = yaml.safe_load(archive.read(name))
    assert database["sqlalchemy_uri"] == f"duckdb:///{files.database.resolve()}"
    types = {each["column_name"]: each["type"] for each in dataset["columns"]}
    assert (types["sale__region"], types["sale__sold_at"], dataset["main_dttm_col"]) == (
        "VARCHAR",
        "TIMESTAMP",
        "sale__sold_at",
    )
    again = gemel("export", "superset", "--out", str(tmp_path / "again.zip"), "--uri", "duckdb:///elsewhere.duckdb")
    assert again.code == 0
    assert b"elsewhere" in zipfile.ZipFile(io.BytesIO((tmp_path / "again.zip").read_bytes())).read(
        "gemel_project/databases/project.yaml"
    )
    assert gemel("export", "superset", "--out", str(tmp_path / "third.zip")).code == 0
    assert (tmp_path / "third.zip").read_bytes() == (tmp_path / "shop.zip").read_bytes()


def test_the_way_there_and_back(gemel, files, tmp_path):
    with_trailing(files)
    osi, back = tmp_path / "osi.yaml", tmp_path / "back.yml"
    assert gemel("export", "osi", "--skip", "--out", str(osi)).code == 0
    ran = gemel("import", "osi", str(osi), "--out", str(back), shop=False)
    assert (ran.code, ran.err, ran.out) == (0, "", "")
    content = yaml.safe_load(back.read_text())
    assert [each["name"] for each in content["semantic_models"]] == ["sales"]
    assert sorted(each["name"] for each in content["metrics"]) == ["orders", "per_order", "revenue", "revenue_7d"]


def test_what_dbt_cannot_mean_of_a_foreign_file_is_refused_or_left_out(gemel, tmp_path):
    file = tmp_path / "osi.yaml"
    file.write_text(
        "semantic_model:\n- name: a\n  datasets:\n  - {name: t, source: t, fields: []}\n  metrics:\n"
        "  - {name: m, expression: {dialects: [{dialect: ANSI_SQL, expression: COUNT(*)}]}}\n"
    )
    ran = gemel("import", "osi", str(file), shop=False)
    reason = "m: dataset t has no time dimension, which a dbt measure needs"
    assert (ran.code, ran.out, ran.err) == (1, "", f"{file}: G724 {reason}\n  hint: --skip imports the rest\n")
    ran = gemel("import", "osi", str(file), "--skip", shop=False)
    assert (ran.code, ran.err) == (0, f"left out {reason}\n")
    assert yaml.safe_load(ran.out)["semantic_models"][0]["model"] == "ref('t')"


def test_a_file_that_cannot_be_written_is_reported(gemel, tmp_path):
    ran = gemel("export", "osi", "--out", str(tmp_path / "no" / "such.yaml"))
    assert (ran.code, "Traceback" in ran.err, "cannot write" in ran.err) == (1, False, True)
