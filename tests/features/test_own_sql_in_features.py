"""Features over definitions in the warehouse's own SQL: their hashes, and where they can be computed."""

import copy
from textwrap import dedent

import pytest

from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import QueryError
from gemel.features.binding import bind_features
from gemel.features.selection import Chosen
from gemel.features.tables import Tables
from gemel.spec.feature_views import parse_feature_views
from gemel.training.exactness import check_exact, exact_features
from worlds.feature_shop import MANIFEST

VIEW = """
    feature_views:
      - name: buying
        entity: customer
        schedule: hour
        features: [{metric: orders, windows: [7 days]}, {metric: few, windows: [7 days]}]
"""


def bound_with(expr, dialect):
    """The view, whose second metric counts rows by an expression."""
    manifest = copy.deepcopy(MANIFEST)
    sales = next(model for model in manifest["semantic_models"] if model["name"] == "sales")
    sales["measures"].append({"name": "few", "agg": "count", "expr": expr})
    manifest["metrics"].append({"name": "few", "type": "simple", "type_params": {"measure": {"name": "few"}}})
    graph = bind(read_manifest(manifest), dialect)
    return graph, bind_features(graph, parse_feature_views([("feature_views/shop.yml", dedent(VIEW))])).views[0]


def hashes(expr, dialect):
    graph, view = bound_with(expr, dialect)
    tables = Tables(graph)
    return tables.digest(view), tables.digests(view)["few_7d"], tables.digests(view)["orders_7d"]


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_a_hash_changes_with_any_word_of_an_expression_and_with_no_blank(dialect):
    whole, few, orders = hashes("to_char(sold_at, 'YYYY')", dialect)
    assert hashes("TO_CHAR( sold_at,'YYYY' ) -- the year", dialect) == (whole, few, orders)
    other = hashes("to_char(sold_at, 'MM')", dialect)
    assert other[0] != whole
    assert other[1] != few
    assert other[2] == orders


def test_a_hash_is_the_same_on_every_engine():
    assert hashes("upper(customer)", "duckdb") == hashes("upper(customer)", "postgres")


def test_what_duckdb_has_no_words_for_is_exact_only_in_duckdb():
    graph, view = bound_with("to_char(sold_at, 'FMMonth')", "postgres")
    assert [feature.name for feature in exact_features(graph, view)] == ["orders_7d"]
    check_exact(graph, [Chosen(view, ("orders_7d",))])
    with pytest.raises(QueryError) as refused:
        check_exact(graph, [Chosen(view, ("orders_7d", "few_7d"))])
    assert refused.value.code == "G327"
    assert "served" in refused.value.hint
    graph, view = bound_with("strftime(sold_at, '%B')", "duckdb")
    assert len(exact_features(graph, view)) == 2
