"""What `gemel generate` writes, what it leaves alone, and what it says is stale."""

import ast
import copy
import re
import subprocess
import sys

import jinja2
import pytest
import yaml

from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.duckdb import DUCKDB
from gemel.engines.stores import TargetSettings
from gemel.errors import Problems
from gemel.features import generation
from gemel.features.columns import TypeSources
from gemel.features.repository import store_yaml
from gemel.files import escape_description
from gemel.spec.project import DbtProject
from worlds.feature_shop import MANIFEST, render

VIEWS = """
    feature_views:
      - name: buying
        description: What a customer's "last week" was like.
        entity: customer
        schedule: day
        known_at: sale__settled_at
        delay: 2 hours
        ttl: 3 days
        owner: ada@example.com
        tags: {team: ops}
        features:
          - {metric: orders, windows: [7 days, all time]}
          - {metric: return_rate, windows: [28 days]}
          - {dimension: customer__nick, as_of: current}
      - name: selling
        entity: shop
        schedule: hour
        online: false
        features: [{metric: revenue, windows: [2 hours], description: "It's {{ money }}."}]
    on_demand_views:
      - name: offering
        description: What an offer is to a customer.
        inputs: {pieces: int64, coupon: string, asked_at: timestamp}
        features:
          - {name: more, expr: "pieces / nullif(buying.orders_7d, 0)", description: "It's more."}
          - name: spring
            expr: |
              case
                when lower(coupon) in ('spring', 'it''s "spring"', 'ß🦆')
                  and asked_at between timestamp '2024-03-01' and timestamp '2024-05-31 23:59:59' then
                    greatest(pieces, 10) * 2.5
                else round(buying.return_rate_28d * pieces, 2)
              end
        tags: {team: ops}
        owner: ada@example.com
    feature_services:
      - name: churn_v1
        description: Who leaves next?
        features: [buying.orders_7d, buying.return_rate_28d, buying.nick, selling, offering.more]
        owner: ada@example.com
      - name: tiny_v1
        features: [selling.revenue_2h]
        owner: Ada
"""


def files(shop, root, text=VIEWS):
    (root / "dbt_project.yml").write_text("model-paths: [models]\n")
    known = TypeSources(shop.describe, recorded=generation.recorded_types(root))
    return generation.generate(shop.graph, shop.bound(text), known, root=root, project="shop", dbt=DbtProject())


def write(shop, root, text=VIEWS):
    return [(change.kind, change.path) for change in generation.write(root, files(shop, root, text), store=store)]


def store():
    return store_yaml("shop", DUCKDB, TargetSettings(None, "duckdb"))


def test_what_is_written_once_is_up_to_date(shop, tmp_path):
    assert write(shop, tmp_path) == [
        ("missing", "feature_views/data/.gitignore"),
        ("missing", "feature_views/definitions.py"),
        ("missing", "feature_views/feature_store.yaml"),
        ("missing", "models/features/_feature_services.yml"),
        ("missing", "models/features/_feature_views.yml"),
        ("missing", "models/features/buying.sql"),
        ("missing", "models/features/selling.sql"),
    ]
    assert generation.compare(tmp_path, files(shop, tmp_path)) == []
    assert write(shop, tmp_path) == []


def test_a_check_names_what_is_stale_missing_or_left_over(shop, tmp_path):
    write(shop, tmp_path)
    (tmp_path / "models/features/buying.sql").unlink()
    fewer = VIEWS.replace("hour\n        online: false", "day\n").replace("2 hours]", "1 day]").replace("_2h", "_1d")
    changes = [str(change) for change in generation.compare(tmp_path, files(shop, tmp_path, fewer))]
    assert changes == [
        "stale   feature_views/definitions.py",
        "stale   models/features/_feature_services.yml",
        "stale   models/features/_feature_views.yml",
        "missing models/features/buying.sql",
        "stale   models/features/selling.sql",
    ]


def test_files_of_a_view_that_is_gone_go_too_and_nothing_else(shop, tmp_path):
    write(shop, tmp_path)
    mine = tmp_path / "models/features/by_hand.sql"
    mine.write_text("select 1 as one\n")
    only = VIEWS[: VIEWS.index("      - name: selling")]
    assert ("extra", "models/features/selling.sql") in write(shop, tmp_path, only)
    assert not (tmp_path / "models/features/selling.sql").exists()
    assert not (tmp_path / "models/features/_feature_services.yml").exists()
    assert mine.exists()


def test_a_file_that_is_not_ours_is_never_overwritten(shop, tmp_path):
    mine = tmp_path / "models/features/buying.sql"
    mine.parent.mkdir(parents=True)
    mine.write_text("select 1 as one\n")
    with pytest.raises(Problems) as caught:
        write(shop, tmp_path)
    assert "models/features/buying.sql: G525" in str(caught.value)
    assert mine.read_text() == "select 1 as one\n"
    assert not (tmp_path / "feature_views").exists()


def test_the_store_is_written_once_and_then_the_users(shop, tmp_path):
    write(shop, tmp_path)
    store = tmp_path / "feature_views/feature_store.yaml"
    content = yaml.safe_load(store.read_text())
    stores = (content["offline_store"]["type"], content["online_store"]["type"])
    assert stores == ("gemel.feast.DuckDBOfflineStore", "sqlite")
    store.write_text("project: mine\n")
    assert write(shop, tmp_path) == []


def test_without_a_database_the_same_files_are_written(shop, tmp_path):
    first = files(shop, tmp_path)
    generation.write(tmp_path, first, store=store)
    known = TypeSources(recorded=generation.recorded_types(tmp_path))
    assert (
        generation.generate(shop.graph, shop.bound(VIEWS), known, root=tmp_path, project="shop", dbt=DbtProject())
        == first
    )


def test_the_feast_repository_is_python_as_ruff_would_write_it(shop, tmp_path):
    text = files(shop, tmp_path)["feature_views/definitions.py"]
    assigned = [node.targets[0] for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    names = {target.id for target in assigned if isinstance(target, ast.Name)}
    assert names == {
        *("TABLES", "customer_entity", "shop_entity", "buying_source", "buying_view"),
        *("selling_source", "selling_view", "churn_v1_service", "tiny_v1_service", "offering_request"),
    }
    for width in ("88", "120"):
        ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", "--line-length", width, "-"]
        assert subprocess.run(ruff, input=text, capture_output=True, text=True).stdout == ""
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,I,B,UP,SIM,RUF", "-"]
    ran = subprocess.run(ruff, input=text, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_the_feast_repository_is_formatted_whatever_is_in_it(shop, tmp_path):
    short = VIEWS[: VIEWS.index("    on_demand_views")] + VIEWS[VIEWS.index("    feature_services") :]
    for text in (short, short.replace("        ttl: 3 days", "        push: true")):
        text = files(shop, tmp_path, text.replace(", offering.more", ""))["feature_views/definitions.py"]
        for width in ("88", "120"):
            ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", "--line-length", width, "-"]
            assert subprocess.run(ruff, input=text, capture_output=True, text=True).stdout == ""


def test_a_feast_view_says_where_it_comes_from_and_what_it_means(shop, tmp_path):
    text = files(shop, tmp_path)["feature_views/definitions.py"]
    assert "ttl=timedelta(days=3)" in text
    assert '"dbt": "model.shop.buying"' in text
    assert '"known_at": "sale__settled_at"' in text
    assert '"metric": "return_rate",\n                "window": "28 days",\n                "part": "numerator"' in text
    assert "value_type=ValueType.INT64" in text  # of a shop
    assert "online=False" in text


def test_a_view_that_is_pushed_to_has_a_push_source_over_its_table(shop, tmp_path):
    pushed = VIEWS.replace("        ttl: 3 days\n", "        ttl: 3 days\n        push: rows_of_today\n")
    text = files(shop, tmp_path, pushed)["feature_views/definitions.py"]
    assert 'buying_push_source = PushSource(\n    name="rows_of_today",\n    batch_source=buying_source,' in text
    assert "source=buying_push_source,\n" in text
    assert "source=selling_source,\n" in text
    assert "    FileSource,\n    PushSource,\n    RequestSource,\n    ValueType,\n" in text


def test_the_definitions_hash_changes_with_the_meaning_and_not_with_the_words(shop, tmp_path):
    def hashes(text):
        made = files(shop, tmp_path, text)["models/features/_feature_views.yml"]
        return [model["config"]["meta"]["gemel"]["definition"] for model in yaml.safe_load(made)["models"]]

    before = hashes(VIEWS)
    assert hashes(VIEWS.replace("It's {{ money }}", "Money")) == before
    [buying, selling] = hashes(VIEWS.replace("known_at: sale__settled_at", "known_at: sale__sold_at"))
    assert buying != before[0] and selling == before[1]


@pytest.mark.parametrize(
    "text",
    [
        "It's {{ money }}",
        "{% endraw %} {{ a }}",
        "{{{%{{{ endraw",
        "{%- endraw -%} {# kept #}",
        "endraw",
        "\\ {{ '\\' }}",
    ],
)
def test_dbt_renders_a_description_to_what_is_written(text):
    assert jinja2.Template(escape_description(text)).render() == text


def test_texts_that_dbt_would_take_for_templates_reach_the_engine_and_the_exposure_as_they_are(shop, tmp_path):
    odd = "{{ x }} {% if {#"
    manifest = copy.deepcopy(MANIFEST)
    [measure] = [each for each in manifest["semantic_models"][0]["measures"] if each["name"] == "amount"]
    measure["expr"] = f"case when region = '{odd}' then amount end"
    shop.graph = bind(read_manifest(manifest))
    written = files(shop, tmp_path, VIEWS.replace("owner: Ada", f"owner: '{odd}'"))
    assert f"when sales.region = '{odd}' then" in render(written["models/features/selling.sql"], "2024-03-01").lower()
    tiny = yaml.safe_load(written["models/features/_feature_services.yml"])["exposures"][1]
    assert jinja2.Template(tiny["owner"]["name"]).render() == odd


def test_dbt_tests_guard_every_table_and_an_exposure_ends_its_lineage(shop, tmp_path):
    made = files(shop, tmp_path)
    [buying, selling] = yaml.safe_load(made["models/features/_feature_views.yml"])["models"]
    assert buying["data_tests"][0]["unique"]["arguments"] == {"column_name": "(customer, event_timestamp)"}
    tested = [column["name"] for column in buying["columns"] if "data_tests" in column]
    assert tested == ["customer", "event_timestamp", "created_timestamp"]
    assert [column["data_type"] for column in selling["columns"]] == ["BIGINT", "TIMESTAMP", "DOUBLE", "TIMESTAMP"]
    # dbt renders descriptions; what a user wrote there is no template of ours.
    assert selling["columns"][2]["description"] == "{% raw %}It's {{ money }}.{% endraw %}"
    [churn, tiny] = yaml.safe_load(made["models/features/_feature_services.yml"])["exposures"]
    assert (churn["type"], churn["owner"], tiny["owner"]) == ("ml", {"email": "ada@example.com"}, {"name": "Ada"})
    assert churn["depends_on"] == ["ref('buying')", "ref('selling')"]


def test_a_generated_model_reads_as_written_by_hand(shop, tmp_path):
    text = files(shop, tmp_path)["models/features/selling.sql"]
    digest = re.search(r"gemel_record_build\(this, '([0-9a-f]{12})'", text)[1]
    assert text.splitlines()[:10] == [
        "-- Generated by gemel from feature_views/shop.yml: change that and run `gemel generate`.",
        "{{ config(",
        '    materialized="table",',
        '    pre_hook=[{"sql": "{{ gemel_create_builds(this) }}", "transaction": false}],',
        "    post_hook=[",
        f"        \"{{{{ gemel_record_build(this, '{digest}', newest='MAX(event_timestamp)') }}}}\",",
        '        "COPY (FROM {{ this }} ORDER BY shop, event_timestamp) '
        "TO 'feature_views/data/selling.parquet' (FORMAT parquet, "
        "KV_METADATA {gemel_target: '{{ target.name }}', gemel_relation: '{{ this }}', "
        f"gemel_definition: '{{{{ gemel_definition('{digest}') }}}}', gemel_invocation: '{{{{ invocation_id }}}}', "
        "gemel_built_at: '{{ gemel_now() }}'})\"",
        "    ]",
        ") }}",
        "",
    ]
    assert "FROM {{ ref('sales') }} AS sales" in text
    assert "AS revenue_2h" in text
