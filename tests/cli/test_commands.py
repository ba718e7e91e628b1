"""The command line: commands, their output, and where it goes."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

import gemel.cli
from gemel.cli.options import split_items
from gemel.cli.output import write_rows


def test_a_question_is_answered_with_a_table_on_stdout_and_nothing_on_stderr(gemel):
    ran = gemel(
        "query", "--metrics", "revenue,orders", "--group-by", "metric_time__month", "--order", "metric_time__month"
    )
    assert ran.out == (
        "metric_time__month  revenue  orders\n"
        "------------------  -------  ------\n"
        "2024-01-01            15.50       2\n"
        "2024-02-01             3.25       2\n"
    )
    assert (ran.code, ran.err) == (0, "")


def test_a_column_with_a_minus_is_ordered_downwards(gemel):
    ran = gemel("query", "--metrics", "revenue", "--group-by", "sale__region", "--order", "-revenue", "--format", "csv")
    assert ran.out == "sale__region,revenue\nnorth,12.25\nsouth,5.50\n,1.00\n"


@pytest.mark.parametrize(
    "group_by",
    [
        ["--group-by", "TimeDimension('metric_time', 'month'),sale__region"],
        ["--group-by", "metric_time__month", "--group-by", "sale__region"],
        ["-g", "metric_time__month , sale__region"],
    ],
)
def test_items_have_commas_between_or_are_repeated(gemel, group_by):
    ran = gemel("query", "--metrics", "orders", *group_by, "--format", "csv")
    assert ran.out.splitlines()[0] == "metric_time__month,sale__region,orders"


def test_rows_and_results_are_filtered(gemel):
    where = ["--where", "{{ Dimension('sale__region') }} is not null", "--where", "{{ Entity('customer') }} = 'a'"]
    ran = gemel("query", "-m", "revenue", "-g", "sale__region", *where, "--having", "revenue > 6", "--format", "csv")
    assert ran.out == "sale__region,revenue\nnorth,10.00\n"


def test_start_and_end_are_inclusive(gemel):
    ran = gemel("query", "-m", "orders", "--start-time", "2024-01-20", "--end-time", "2024-02-01", "--format", "csv")
    assert ran.out == "orders\n2\n"


def test_a_saved_query_takes_a_limit_on_top(gemel):
    ran = gemel("query", "--saved-query", "by_region", "--limit", "1", "--format", "json")
    assert json.loads(ran.out) == [{"sale__region": "north", "revenue": 12.25}]


def test_a_saved_query_takes_no_metrics(gemel):
    ran = gemel("query", "--saved-query", "by_region", "--metrics", "orders")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("G331 saved query 'by_region' has its own")


@pytest.mark.parametrize("flag", ["--explain", "--compile"])
def test_explain_prints_sql_and_asks_no_database(gemel, files, flag):
    files.database.unlink()
    ran = gemel("query", "--metrics", "revenue", flag)
    assert ran.code == 0
    assert ran.out.startswith("SELECT") and "SUM(" in ran.out


def test_another_dialect_is_printed_with_the_database_that_dbt_named(gemel):
    ran = gemel("query", "--metrics", "revenue", "-g", "metric_time__month", "--dialect", "bigquery")
    assert "warehouse" in ran.out and "TRUNC(" in ran.out


def test_csv_goes_into_a_file_and_stdout_stays_empty(gemel, tmp_path):
    ran = gemel("query", "--metrics", "revenue", "--csv", str(tmp_path / "out.csv"))
    assert (ran.out, ran.err) == ("", f"1 row written to {tmp_path / 'out.csv'}\n")
    assert (tmp_path / "out.csv").read_text() == "revenue\n18.75\n"


def test_a_file_that_cannot_be_written_is_refused(gemel, tmp_path):
    ran = gemel("query", "--metrics", "revenue", "--csv", str(tmp_path / "none" / "out.csv"))
    assert (ran.code, ran.err.split()[0]) == (1, "G606")


def test_a_file_in_the_place_of_a_folder_has_a_code_too(gemel, tmp_path):
    (tmp_path / "site").write_text("a file")
    for arguments in (["export", "osi", "--out", "site/shop.yml"], ["docs", "--no-data", "--output", "site/docs"]):
        ran = gemel(*arguments)
        assert (ran.code, ran.err.splitlines()[-2].split(" ", 1)[0]) == (1, "G606")
        assert "Not a directory" in ran.err and "Errno" not in ran.err


def test_arrow_and_parquet_are_binary_on_stdout(files):
    import pyarrow
    import pyarrow.parquet

    shop = ["--manifest", str(files.manifest), "--database", str(files.database)]
    for format, read in (
        ("arrow", lambda out: pyarrow.ipc.open_stream(out).read_all()),
        ("parquet", lambda out: pyarrow.parquet.read_table(pyarrow.BufferReader(out))),
    ):
        out = subprocess.run(
            [sys.executable, "-m", "gemel", "query", "-m", "orders", "--format", format, *shop],
            capture_output=True,
            check=True,
        ).stdout
        assert read(out).to_pydict() == {"orders": [4]}


def test_decimals_round_in_every_format(gemel):
    for format, expected in (("csv", "4.7"), ("json", "4.7"), ("table", "4.7"), ("markdown", "4.7")):
        ran = gemel("query", "-m", "per_order", "--decimals", "1", "--format", format)
        assert expected in ran.out and "4.6875" not in ran.out


def test_csv_tells_nothing_from_an_empty_text(capsys):
    write_rows(["a", "b"], [("", None), ('say "x", y', 1.5)], format="csv")
    write_rows(["a"], [(None,)], format="csv")
    assert capsys.readouterr().out == 'a,b\n"",\n"say ""x"", y",1.5\na\n""\n'


def test_no_rows_is_said_beside_the_empty_table(gemel):
    ran = gemel("query", "-m", "revenue", "-g", "sale__region", "--start-time", "2030-01-01")
    assert (ran.code, ran.out, ran.err) == (0, "sale__region  revenue\n------------  -------\n", "no rows\n")


# --- list and validate ----------------------------------------------------------------------------------------


def test_metrics_are_listed_by_name_and_found_by_any_word(gemel):
    assert [line.split()[0] for line in gemel("list", "metrics").out.splitlines()[2:]] == [
        "orders",
        "per_order",
        "revenue",
    ]
    assert [line.split()[0] for line in gemel("list", "metrics", "--search", "WHAT WAS").out.splitlines()[2:]] == [
        "revenue"
    ]


def test_dimensions_and_entities_are_those_that_metrics_share(gemel):
    everyone = '"orders, per_order, revenue"'
    ran = gemel("list", "dimensions", "--metrics", "revenue,orders", "--format", "csv")
    assert ran.out == (
        "dimension,type,grain,metrics,label,description\n"
        f"metric_time,time,day,{everyone},,each metric's own time\n"
        f"sale__region,categorical,,{everyone},Region,\n"
        f"sale__sold_at,time,day,{everyone},,\n"
    )
    ran = gemel("list", "entities", "--metrics", "revenue", "--format", "json")
    assert [row["entity"] for row in json.loads(ran.out)] == ["customer", "sale"]


def test_dimension_values_are_distinct_and_within_the_time(gemel):
    ran = gemel("list", "dimension-values", "--dimension", "sale__region", "--format", "json")
    assert sorted(str(row["sale__region"]) for row in json.loads(ran.out)) == ["None", "north", "south"]
    within = ["--metrics", "revenue", "--end-time", "2024-01-05"]
    ran = gemel("list", "dimension-values", "--dimension", "sale__region", *within, "--format", "csv")
    assert ran.out == "sale__region\nnorth\n"


def test_saved_queries_are_listed_with_what_they_ask(gemel):
    ran = gemel("list", "saved-queries", "--format", "json")
    (row,) = json.loads(ran.out)
    assert (row["saved query"], row["metrics"], row["group by"]) == ("by_region", "revenue", "sale__region")


def test_validate_finds_no_fault_in_a_good_shop(gemel):
    ran = gemel("validate")
    summary = "3 metrics, 1 saved query, 0 feature views: no problem, 1 note (--notes shows them)\n"
    assert (ran.code, ran.out, ran.err) == (0, "", summary)
    assert "note G152 entity 'customer' of semantic model 'sales' is the key of no" in gemel("validate", "--notes").err


def test_validate_writes_json_for_programs(gemel, files):
    ran = gemel("validate", "--format", "json")
    (note,) = json.loads(ran.out)
    assert (ran.code, ran.err, note["severity"], note["code"], note["element"]) == (0, "", "note", "G152", "customer")
    files.manifest.write_text(files.manifest.read_text().replace('"measure": {"name": "amount"}', '"measure": 7'))
    ran = gemel("validate", "--format", "json")
    assert ran.code == 1
    assert [(each["severity"], each["code"], each["name"]) for each in json.loads(ran.out)] == [
        ("error", "G121", "revenue"),
        ("note", "G152", "sales"),
    ]


def test_a_project_that_cannot_be_opened_is_json_too(gemel, files):
    files.manifest.write_text("{")
    ran = gemel("validate", "--format", "json")
    (error,) = json.loads(ran.out)
    assert (ran.code, ran.err, error["severity"], error["code"]) == (1, "", "error", "G602")
    assert gemel("validate").out == ""


def test_a_warning_fails_only_with_strict(gemel, files):
    manifest = json.loads(files.manifest.read_text())
    manifest["metrics"].append({**manifest["metrics"][0], "name": "sale"})
    files.manifest.write_text(json.dumps(manifest))
    ran = gemel("validate")
    assert (ran.code, "warning G150 metric 'sale' has the name of entity 'sale'" in ran.err) == (0, True)
    assert gemel("validate", "--strict").code == 1


def test_rows_are_read_only_from_a_database_that_is_asked(gemel):
    assert gemel("validate", "--data").code == 0
    assert gemel("validate", "--data", "--skip-dw").code == 2


def test_validate_tells_what_the_database_does_not_have(gemel, files):
    files.manifest.write_text(
        files.manifest.read_text().replace('"region"', '"regoin"').replace("sale__region", "sale__regoin")
    )
    ran = gemel("validate")
    assert ran.code == 1
    assert "regoin" in ran.err and "did you mean" in ran.err
    assert gemel("validate", "--skip-dw").code == 0


def test_validate_tells_a_missing_database_once(gemel, files):
    files.database.unlink()
    ran = gemel("validate")
    assert (ran.code, ran.err.count("G401")) == (1, 1)


# --- what goes wrong ------------------------------------------------------------------------------------------


def test_a_refusal_is_its_text_on_stderr_and_exit_code_1(gemel):
    ran = gemel("query", "--metrics", "revenu")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "G201 no metric named 'revenu'\n  hint: did you mean revenue?\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["query", "--metric", "revenue"], "--metrics"),
        (["quer"], "Did you mean query?"),
        (["query", "--limit", "many"], "is not a valid integer"),
        (["query", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_a_call_that_cannot_be_read_is_exit_code_2(gemel, arguments, says):
    ran = gemel(*arguments, shop=False)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_outside_a_project_the_way_in_is_reported(gemel):
    ran = gemel("query", "--metrics", "revenue", shop=False)
    assert (ran.code, ran.err.split()[0]) == (1, "G601")
    assert "--project-dir" in ran.err


def test_the_unexpected_is_one_line_and_a_traceback_only_with_debug(gemel, monkeypatch):
    monkeypatch.setattr("gemel.project.Project.query", lambda *_, **__: 1 / 0)
    ran = gemel("query", "--metrics", "revenue")
    assert ran.code == 1
    assert ran.err.startswith("ZeroDivisionError: division by zero\n") and gemel_is_blamed(ran.err)
    assert "Traceback" not in ran.err
    assert "Traceback" in gemel("query", "--metrics", "revenue", "--debug").err


def gemel_is_blamed(text):
    return gemel.cli.OUR_FAULT in text


def test_ctrl_c_ends_with_130(gemel, files):
    import duckdb

    with duckdb.connect(str(files.database)) as connection:
        connection.execute(
            "CREATE OR REPLACE VIEW slow AS SELECT a.range AS x FROM range(1000000000) a, range(1000000000) b"
        )
    files.manifest.write_text(
        files.manifest.read_text()
        .replace('"alias": "sales"', '"alias": "slow"')
        .replace('"name": "amount", "agg": "sum"', '"name": "amount", "agg": "sum", "expr": "x"')
    )
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    ran = gemel("query", "--metrics", "revenue")
    assert (ran.code, ran.out, ran.err) == (130, "", "\nstopped\n")


def test_a_reader_that_has_seen_enough_is_no_error(files):
    rows = "python -m gemel list metrics"
    shop = f"--manifest {files.manifest} --database {files.database}"
    command = f"{rows.replace('python', sys.executable)} {shop} | true"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ran.stderr == ""


# --- how it starts --------------------------------------------------------------------------------------------


def test_only_commands_whose_module_is_there_are_listed(gemel):
    ran = gemel("--help", shop=False)
    assert ran.code == 0
    for name in ("query", "list", "validate"):
        assert f"  {name} " in ran.out


def test_the_heavy_stay_out_of_a_query(files):
    code = (
        "import sys; from gemel.cli import main;"
        f"main(['query', '-m', 'revenue', '--manifest', {str(files.manifest)!r},"
        f"'--database', {str(files.database)!r}]);"
        "print(sorted({'pyarrow', 'dbt', 'feast', 'pandas', 'polars'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a,b", ["a", "b"]),
        (" a , b ,", ["a", "b"]),
        ("TimeDimension('metric_time','month'),b", ["TimeDimension('metric_time','month')", "b"]),
        (
            "Dimension(\"a__b\").grain('day'), Metric('m', ['x', 'y'])",
            ["Dimension(\"a__b\").grain('day')", "Metric('m', ['x', 'y'])"],
        ),
        ("'a,b',c", ["'a,b'", "c"]),
        ("a),b", ["a)", "b"]),
        ("", []),
    ],
)
def test_commas_inside_brackets_and_quotes_do_not_split(text, items):
    assert split_items(text) == items


def test_texts_that_a_spreadsheet_would_run_are_marked_when_asked(gemel, files):
    with duckdb.connect(str(files.database)) as con:
        con.execute("UPDATE sales SET region = '=cmd|x!A1' WHERE sale_id = 1")
        con.execute("UPDATE sales SET region = '-5', amount = -7 WHERE sale_id = 2")
    query = ("query", "-m", "revenue", "-g", "sale__region", "-o", "revenue")
    marked = gemel(*query, "--format", "csv", "--csv-safe")
    assert "'=cmd|x!A1," in marked.out and "\n'-5,-7" in marked.out
    assert "\n=cmd|x!A1," in gemel(*query, "--format", "csv").out
    assert gemel(*query, "--csv", "rows.csv", "--csv-safe").code == 0
    assert Path("rows.csv").read_text() == marked.out
    refused = gemel(*query, "--csv-safe")
    assert refused.code == 2 and "--csv-safe is for CSV" in refused.err


def test_csv_goes_to_a_file_as_a_whole_or_to_a_pipe(gemel):
    query = ("query", "-m", "revenue", "-g", "sale__region")
    before = sorted(Path().iterdir())
    Path("link").symlink_to("linked.csv")
    assert gemel(*query, "--csv", "link").code == 0
    assert Path("link").is_symlink() and Path("linked.csv").read_text().startswith("sale__region,revenue\n")
    Path("link").unlink()
    Path("linked.csv").unlink()
    os.mkfifo("pipe")
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_text()))
    read = []
    reader.start()
    assert gemel(*query, "--csv", "pipe").code == 0
    reader.join()
    assert read[0].startswith("sale__region,revenue\n")
    Path("pipe").unlink()
    Path("rows.csv").write_text("old")
    assert gemel(*query, "--csv", "rows.csv").code == 0
    assert Path("rows.csv").read_text().startswith("sale__region,revenue\n")
    assert sorted(Path().iterdir()) == sorted([*before, Path("rows.csv")])


def test_a_query_is_stopped_after_its_time(gemel):
    assert gemel("query", "-m", "revenue", "--timeout", "5m").code == 0
    refused = gemel("query", "-m", "revenue", "--timeout", "soon")
    assert refused.code == 1 and "G343 timeout must be a duration" in refused.err
    assert gemel("query", "-m", "revenue", "--wait", "soon").code == 2


def test_a_query_says_that_it_waits_for_a_writer_and_how_long(gemel, files):
    holding = f"import duckdb; c = duckdb.connect({str(files.database)!r}); print('held', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", holding], **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        waited = gemel("query", "-m", "revenue", "--wait", "500ms")
        holder.communicate("\n")
    assert waited.code == 1
    assert waited.err.splitlines()[0] == f"process {holder.pid} is writing to {files.database}; waiting for it to end"
    assert f"G403 process {holder.pid} is writing to the database" in waited.err


def test_a_name_of_something_else_is_told_as_that(gemel):
    asked = {
        ("-m", "amount"): "amount is a measure of semantic model sales; ask for revenue, computed from it",
        ("-m", "tax"): "tax is a measure of semantic model sales, and no metric is made of it",
        ("-m", "sale__region"): "sale__region is a dimension: --group-by sale__region",
        ("-m", "region"): "region is a dimension: --group-by sale__region",
        ("-m", "customer"): "customer is an entity: --group-by customer",
        ("-m", "by_region"): "by_region is a saved query: --saved-query by_region",
        ("-m", "revenue", "-g", "orders"): "orders is a metric: --metrics orders for its values",
        ("-g", "orders"): "orders is a metric: --metrics orders for its values",
        (
            "-m",
            "revenue",
            "-g",
            "amount",
        ): "amount is a measure of semantic model sales; ask for revenue, computed from it",
        ("-g", "tax"): "tax is a measure of semantic model sales, and no metric is made of it",
        ("-m", "revenue", "-g", "region"): "did you mean sale__region?",
    }
    for words, told in asked.items():
        result = gemel("query", *words)
        assert result.code == 1 and told in result.err, result.err


def test_a_listed_item_says_which_metrics_have_it(gemel):
    (region,) = json.loads(gemel("list", "dimensions", "--search", "region", "--format", "json").out)
    assert region["metrics"] == "orders, per_order, revenue"
    assert "orders, per_order, revenue" in gemel("list", "entities").out
    assert gemel("list", "dimension-values", "sale__region").out.split()[2:] == ["north", "south", "NULL"]
    both = gemel("list", "dimension-values", "sale__region", "-d", "sale__region")
    assert both.code == 2 and "name one dimension" in both.err
