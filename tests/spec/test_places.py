"""Where definitions stand."""

import pytest

from gemel.dbt.project_file import list_yaml_files, locate_definitions
from gemel.errors import About

SALES = """\
semantic_models:
  - name: sales
    model: ref('sales')
    dimensions:
      - {name: region, type: categorical}
    measures:
      - name: amount
        agg: sum
        create_metric: true
"""
METRICS = """\
metrics:
  - name: growth
    type: derived
    type_params:
      expr: revenue
      metrics:
        - name: revenue
  - name: Revenue
    type: simple
saved_queries:
  - name: monthly
    query_params: {metrics: [revenue]}
    exports:
      - name: monthly_table
"""
NEWER = """\
models:
  - name: orders
    semantic_model: {enabled: true}
    columns:
      - name: ordered_at
        dimension: {type: time}
    metrics:
      - name: order_count
        type: simple
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: shop\nmodel-paths: [semantic, metrics]\n")
    for name, text in {
        "semantic/sales.yml": SALES,
        "metrics/core.yaml": METRICS,
        "metrics/newer.yml": NEWER,
        "elsewhere/core.yml": METRICS,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("about", "place"),
    [
        (About("semantic_model", "sales"), "semantic/sales.yml:2:5"),
        (About("semantic_model", "sales", "region"), "semantic/sales.yml:5:9"),
        (About("semantic_model", "sales", "amount"), "semantic/sales.yml:7:9"),
        (About("saved_query", "monthly"), "metrics/core.yaml:11:5"),
        (About("saved_query", "monthly", "monthly_table"), "metrics/core.yaml:14:9"),
        (About("metric", "growth"), "metrics/core.yaml:2:5"),
    ],
)
def test_a_definition_is_found_with_its_line_and_column(project, about, place):
    assert str(locate_definitions(project).of(about)) == place


def test_a_metric_is_where_it_is_defined_and_not_where_it_is_used(project):
    assert str(locate_definitions(project).of(About("metric", "revenue"))) == "metrics/core.yaml:8:5"


def test_a_metric_created_from_a_measure_is_where_the_measure_is(project):
    assert str(locate_definitions(project).of(About("metric", "amount"))) == "semantic/sales.yml:7:9"


def test_the_newer_spec_keeps_all_of_it_under_the_model(project):
    assert str(locate_definitions(project).of(About("metric", "order_count"))) == "metrics/newer.yml:8:9"
    assert (
        str(locate_definitions(project).of(About("semantic_model", "orders", "ordered_at"))) == "metrics/newer.yml:5:9"
    )


def test_an_element_that_is_not_found_leaves_the_place_of_its_model(project):
    assert str(locate_definitions(project).of(About("semantic_model", "sales", "nothing"))) == "semantic/sales.yml:2:5"


def test_feature_views_are_searched_in_their_own_folder(project):
    (project / "feature_views").mkdir()
    (project / "feature_views/a.yml").write_text(
        "feature_views:\n  - name: punctuality\n    features:\n      - metric: late\n"
    )
    assert (
        str(locate_definitions(project).of(About("feature_view", "punctuality", "late"))) == "feature_views/a.yml:4:9"
    )


@pytest.mark.parametrize("broken", ["metrics: [", "- revenue: &x *x", "\x00revenue", "revenue", ""])
def test_a_broken_file_costs_only_its_own_places(project, broken):
    (project / "metrics/a_broken.yml").write_text(broken)
    assert str(locate_definitions(project).of(About("metric", "revenue"))) == "metrics/core.yaml:8:5"


def test_a_missing_place_is_none_and_never_an_error(tmp_path, project):
    assert locate_definitions(project).of(About("metric", "nothing")) is None
    assert locate_definitions(tmp_path / "nowhere").of(About("metric", "revenue")) is None


def test_only_model_paths_and_packages_are_read(project):
    package = project / "dbt_packages/other"
    (package / "models").mkdir(parents=True)
    (package / "dbt_project.yml").write_text("name: other\n")
    (package / "models/p.yml").write_text("metrics: []\n")
    assert [file.relative_to(project).as_posix() for file in list_yaml_files(project)] == [
        "semantic/sales.yml",
        "metrics/core.yaml",
        "metrics/newer.yml",
        "dbt_packages/other/models/p.yml",
    ]


def test_duplicate_metrics_are_found_with_both_places(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/m.yml").write_text("metrics:\n  - name: orders\n  - name: revenue\n  - name: Orders\n")
    [(about, first, second)] = locate_definitions(tmp_path).find_duplicates()
    assert (about.name, str(first), str(second)) == ("orders", "models/m.yml:2:5", "models/m.yml:4:5")
