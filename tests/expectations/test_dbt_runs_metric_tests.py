"""Metric tests in a dbt project of a few sales: generated, built by dbt, and run by `gemel test`, on two engines."""

import json
import shutil
import xml.etree.ElementTree as xml
from textwrap import dedent

import jinja2
import pytest

from gemel.cli import main
from gemel.dbt.running import run_dbt_into
from gemel.errors import ProjectError
from worlds.postgres import own_name, own_schema
from worlds.projects import write_project
from worlds.sales_project import BASE, PROJECT, profiles

# Warnings of foreign libraries, also from the collection of their objects, are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore")

SALES = """
    select * from (values
        (1, 'north', 10, timestamp '2024-01-02 10:00'),
        (2, 'north', 20, timestamp '2024-01-03 00:00'),
        (3, 'south', 5, timestamp '2024-02-09 00:30')
    ) as sales (sale_id, region, amount, sold_at)
"""
DEFINITIONS = """
    semantic_models:
      - name: sales
        model: ref('sales')
        defaults: {agg_time_dimension: sold_at}
        entities: [{name: sale, type: primary, expr: sale_id}]
        dimensions:
          - {name: sold_at, type: time, type_params: {time_granularity: second}}
          - {name: region, type: categorical}
        measures:
          - {name: revenue, agg: sum, expr: amount}
          - {name: orders, agg: count, expr: sale_id}
    metrics:
      - {name: orders, label: Orders, type: simple, type_params: {measure: orders}}
      - name: revenue
        label: Revenue
        type: simple
        type_params: {measure: revenue}
        config:
          meta:
            gemel:
              tests:
                - name: known
                  description: As the books say.
                  expect:
                    rows:
                      - {sale__region: north, metric_time__month: 2024-01, revenue: 30}
                      - {sale__region: south, metric_time__month: 2024-02, revenue: 5}
                - {at_least: 5 * orders, grain: day, group_by: sale__region}
                - name: regions_add_up
                  equals: regions
                  metrics: [{name: revenue, alias: regions, sum_over: sale__region}]
                - name: north_is_no_more_than_half
                  severity: warn
                  filter: |
                    {{ Dimension('sale__region') }} = 'north'
                  at_most: 0.5 * everything
                  metrics: [{name: revenue, alias: everything, filter: []}]
"""
FILES = BASE | {"models/sales.sql": SALES, "models/models.yml": DEFINITIONS}


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request, tmp_path, monkeypatch):
    """The project's directory, which is the working directory."""
    write_project(tmp_path, FILES)
    if request.param == "postgres":
        schema = request.getfixturevalue("schema")
        monkeypatch.setenv("SHOP_PASSWORD", schema.output()["password"])
        output = schema.output(password="{{ env_var('SHOP_PASSWORD') }}")
        write_project(tmp_path, {"profiles.yml": profiles(output)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def schema(needs_postgres):
    with own_schema(needs_postgres, own_name("metric_tests")) as schema:
        yield schema


def dbt_results(root):
    results = json.loads((root / "target/run_results.json").read_text())["results"]
    return {each["unique_id"].split(".")[2]: (each["status"], each["failures"]) for each in results}


def test_dbt_build_and_gemel_test_say_the_same(shop, capsys):
    folder = shop / "tests/metrics"
    assert main(["generate"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "revenue__at_least.sql",
        "revenue__known.sql",
        "revenue__north_is_no_more_than_half.sql",
        "revenue__regions_add_up.sql",
    ]
    assert not (shop / "feature_views").exists(), "no feature, so nothing for Feast"
    assert main(["generate", "--check"]) == 0
    assert "{{ ref('sales') }}" in (folder / "revenue__known.sql").read_text()

    write_project(shop, {"models/sales.sql": SALES.replace("'south', 5", "'south', 4")})
    with pytest.raises(ProjectError) as caught:
        run_dbt_into(shop / "target", ["build"], shop, target=None, profiles_dir=None)
    assert "revenue__known" in str(caught.value)
    capsys.readouterr()
    assert main(["test", "--format", "json"]) == 1
    statuses = {each["name"]: (each["status"], len(each["failures"])) for each in json.loads(capsys.readouterr().out)}
    assert statuses == {
        "revenue__known": ("fail", 1),
        "revenue__at_least": ("fail", 1),
        "revenue__regions_add_up": ("pass", 0),
        "revenue__north_is_no_more_than_half": ("warn", 1),
    }
    assert {name: result for name, result in dbt_results(shop).items() if name in statuses} == statuses
    assert main(["test", "--select", "*half"]) == 0
    assert main(["test", "--select", "*half", "--strict"]) == 1
    assert main(["validate"]) == 0

    capsys.readouterr()
    assert main(["test"]) == 1
    assert (
        dedent("""
        fail  revenue__known
              As the books say.
              1 of 2 groups
              sale__region  metric_time__month  revenue  expected
              ------------  ------------------  -------  --------  -------
              south         2024-02-01                4         5  differs
        """).lstrip()
        in capsys.readouterr().out
    )
    capsys.readouterr()
    assert main(["test", "--format", "junit", "--select", "*__known"]) == 1
    suite = xml.fromstring(capsys.readouterr().out.encode())
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "2024-02-01" in suite.find("testcase/failure").text


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """The project as dbt has parsed it, and not built."""
    root = write_project(tmp_path_factory.mktemp("parsed"), FILES)
    run_dbt_into(root / "target", ["parse"], root, target=None, profiles_dir=None)
    return root


@pytest.fixture
def copy(parsed, tmp_path, monkeypatch):
    """A copy of it, which is the working directory."""
    shutil.copytree(parsed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_test_that_is_gone_takes_its_file_with_it(copy, capsys):
    assert main(["generate"]) == 0
    write_project(copy, {"models/models.yml": DEFINITIONS.replace("name: known", "name: as_booked")})
    capsys.readouterr()
    assert main(["generate", "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "missing tests/metrics/revenue__as_booked.sql",
        "extra   tests/metrics/revenue__known.sql",
    ]
    assert main(["generate"]) == 0
    assert main(["generate", "--check"]) == 0


def test_a_project_without_a_folder_for_tests_gets_a_warning(copy, capsys):
    write_project(copy, {"dbt_project.yml": PROJECT + "    test-paths: []\n"})
    assert main(["generate"]) == 0
    assert "dbt_project.yml: warning G775 dbt_project.yml names no test-paths" in capsys.readouterr().err
    assert not (copy / "tests").exists()


def test_validate_reports_metric_tests_with_their_lines(copy, capsys):
    text = DEFINITIONS.replace("severity: warn", "severty: warn").replace("5 * orders", "5 * ordrs")
    write_project(copy, {"models/models.yml": text})
    assert main(["validate", "--skip-dw"]) == 1
    lines = [line.strip() for line in dedent(text).lstrip().splitlines()]
    unread = lines.index("severty: warn") + 1
    invalid = next(number for number, line in enumerate(lines, 1) if "ordrs" in line)
    assert capsys.readouterr().err.splitlines()[1:-1] == [
        f"models/models.yml:{invalid}:15: G773 'ordrs' in the expression is not a metric",
        "  hint: did you mean orders?",
        f"models/models.yml:{unread}:15: G770 a metric test has no key 'severty'",
        "  hint: did you mean severity?",
    ]


def test_tests_that_dbt_would_lose_are_refused(copy, capsys):
    """dbt keeps a metric's own `meta` out of its semantic manifest."""
    orders = "{name: orders, label: Orders, type: simple"
    text = DEFINITIONS.replace(orders, f"{orders}, meta: {{gemel: {{tests: [{{at_least: 0}}]}}}}")
    write_project(copy, {"models/models.yml": text})
    for command in (["test"], ["generate"], ["validate", "--skip-dw"]):
        assert main(command) == 1
        assert "models/models.yml:13:64: G777 the tests of metric 'orders' are under meta" in capsys.readouterr().err


def test_a_text_that_dbt_would_take_for_a_template_is_compared_as_it_is(copy):
    odd = "{{ x }} {% if {#"
    text = DEFINITIONS.replace("sale__region: south", f'sale__region: "{{% raw %}}{odd}{{% endraw %}}"')
    write_project(copy, {"models/models.yml": text})
    assert main(["generate"]) == 0
    written = (copy / "tests/metrics/revenue__known.sql").read_text()
    assert f"'{odd}'" in jinja2.Template(written).render(ref=str, config=lambda **_: "")


def test_tests_are_chosen_by_metric_and_by_name(copy, capsys):
    assert main(["test", "--explain", "--metrics", "revenue", "--select", "*at_least"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("-- revenue__at_least\nWITH tested AS (") and out.count("-- ") == 1
    assert main(["test", "--select", "revenue__knwn"]) == 1
    assert "G776 no metric test named 'revenue__knwn'\n  hint: did you mean revenue__known" in capsys.readouterr().err
    assert main(["test", "--metrics", "revenu"]) == 1
    assert "did you mean revenue?" in capsys.readouterr().err
    assert main(["test", "--metrics", "orders"]) == 0
    assert capsys.readouterr().err.startswith("orders: no metric test; ")
    assert main(["test"]) == 1
    assert capsys.readouterr().err.count("G401") == 1
