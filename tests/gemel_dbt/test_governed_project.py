"""What gemel generates over private models, versions and histories, as dbt itself parses and builds it."""

import shutil

import duckdb
import pytest

from gemel.cli import main
from worlds.projects import make_once, run_dbt, write_project
from worlds.sales_project import PROJECT, profiles

SALES = """
    select * from (values
        (1, 'a', 'n', 12, date '2024-01-05'), (2, 'a', 'n', 12, date '2024-02-05'), (3, 'b', 'n', 12, date '2024-03-05')
    ) as sales (sale_id, customer, area, amount, sold_on)
"""
FILES = {
    "dbt_project.yml": PROJECT + "    vars: {gemel_until: '2024-04-01 00:00:00', bob_from: '2024-02-01'}\n",
    "profiles.yml": profiles({"type": "duckdb", "path": "shop.duckdb"}),
    "models/days.sql": "select unnest(generate_series(date '2024-01-01', date '2024-03-31', interval 1 day)) as day",
    "models/sales.sql": SALES,
    "models/parcels_v1.sql": "select 1 as parcel, 'a' as customer, 27 as weight, date '2024-01-05' as sent_on",
    "models/parcels_v2.sql": "select 1 as parcel, 'a' as customer, 27000 as weight, date '2024-01-05' as sent_on",
    "models/managers.sql": """
        select 'n' as area, 'ann' as manager, date '2024-01-01' as since, date '2024-02-01' as until
        union all select 'n', 'bob', cast('{{ var("bob_from") }}' as date), null
    """,
    "models/people.sql": "select 'a' as customer, 'Ada' as nick",
    "models/models.yml": """
        groups:
          - {name: finance, owner: {name: Ada}}
          - {name: staff, owner: {name: Bob}}
        models:
          - name: days
            time_spine: {standard_granularity_column: day}
            columns: [{name: day, granularity: day}]
          - {name: sales, access: private, config: {group: finance}}
          - {name: managers, access: private, config: {group: finance}}
          - {name: people, access: private, config: {group: staff}}
          - {name: parcels, latest_version: 1, versions: [{v: 1}, {v: 2}]}
        semantic_models:
          - name: sales
            model: ref('sales')
            config: {group: finance, meta: {gemel: {wide_view: {hops: 0}}}}
            defaults: {agg_time_dimension: sold_on}
            entities:
              - {name: sale, type: primary, expr: sale_id}
              - {name: customer, type: foreign}
              - {name: area, type: foreign}
            dimensions: [{name: sold_on, type: time, type_params: {time_granularity: day}}]
            measures: [{name: revenue, agg: sum, expr: amount}]
          - name: managers
            model: ref('managers')
            config: {group: finance}
            primary_entity: version
            entities: [{name: area, type: natural}]
            dimensions:
              - {name: manager, type: categorical}
              - {name: since, type: time, type_params: {time_granularity: day, validity_params: {is_start: true}}}
              - {name: until, type: time, type_params: {time_granularity: day, validity_params: {is_end: true}}}
          - name: people
            model: ref('people')
            config: {group: staff}
            entities: [{name: customer, type: primary}]
            dimensions: [{name: nick, type: categorical}]
          - name: parcels
            model: ref('parcels')
            defaults: {agg_time_dimension: sent_on}
            entities: [{name: parcel, type: primary}, {name: customer, type: foreign}]
            dimensions: [{name: sent_on, type: time, type_params: {time_granularity: day}}]
            measures: [{name: weight, agg: sum}]
        metrics:
          - name: revenue
            label: Revenue
            type: simple
            type_params: {measure: revenue}
            config: {meta: {gemel: {tests: [{name: known, expect: {rows: [{revenue: 36}]}}]}}}
          - {name: weight, label: Weight, type: simple, type_params: {measure: weight}}
        saved_queries:
          - name: by_manager
            query_params: {metrics: [revenue], group_by: ["Dimension('area__manager')"]}
            exports: [{name: by_manager, config: {export_as: table}}]
          - name: weights
            query_params: {metrics: [weight], group_by: ["Dimension('parcel__sent_on')"]}
            config: {meta: {gemel: {consumers: [{name: post, owner: ada@example.com}]}}}
            exports: [{name: weights, config: {export_as: table}}]
    """,
    "feature_views/shop.yml": """
        feature_views:
          - name: buying
            entity: customer
            schedule: day
            features: [{metric: revenue, windows: [7 days]}]
    """,
}


def generate(root):
    run_dbt(root, "build")
    assert main(["generate", "--project-dir", str(root)]) == 0
    run_dbt(root, "parse")


@pytest.fixture(scope="module")
def governed(tmp_path_factory):
    return make_once(tmp_path_factory, "governed", lambda root: generate(write_project(root, FILES)))


@pytest.fixture
def project(governed, tmp_path):
    return shutil.copytree(governed, tmp_path / "shop")


def test_what_reads_private_models_has_their_group(governed):
    def text(name):
        return (governed / name).read_text()

    assert 'group="finance"' in text("models/bi/by_manager.sql")
    assert 'group="finance"' in text("models/bi/sales_wide.sql")
    assert 'group="finance"' in text("models/features/buying.sql")
    assert "group='finance'" in text("tests/metrics/managers__one_version_of_area.sql")
    assert "group" not in text("models/bi/weights.sql").split("SELECT")[0]


def test_private_models_of_two_groups_are_refused_at_their_line(project, capsys):
    models = project / "models/models.yml"
    models.write_text(models.read_text().replace("wide_view: {hops: 0}", "wide_view: true"))
    assert main(["generate", "--project-dir", str(project)]) == 1
    error = capsys.readouterr().err
    assert "models/models.yml:" in error
    assert "G133 'sales_wide' reads the private dbt models" in error
    assert "'people' of group 'staff'" in error


def test_an_export_follows_the_latest_version(project):
    run_dbt(project, "build")
    assert read(project, "select weight from weights") == [(27,)]
    models = project / "models/models.yml"
    models.write_text(models.read_text().replace("latest_version: 1", "latest_version: 2"))
    run_dbt(project, "build", "--select", "parcels", "weights")
    assert read(project, "select weight from weights") == [(27000,)]
    assert main(["generate", "--check", "--project-dir", str(project)]) == 0


def test_dbt_does_not_build_an_export_over_versions_that_overlap(project):
    run_dbt(project, "build")
    assert read(project, "select area__manager, revenue from by_manager order by all") == [("ann", 12), ("bob", 24)]
    with pytest.raises(AssertionError, match="managers__one_version_of_area"):
        run_dbt(project, "build", "--vars", "{bob_from: '2024-01-15'}")
    assert read(project, "select sum(revenue) from by_manager") == [(36,)]


def read(project, sql):
    with duckdb.connect(str(project / "shop.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()
