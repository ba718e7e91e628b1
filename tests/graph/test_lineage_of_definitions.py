"""Who is made of whom, as the definitions say it: from the columns of a semantic model to those who read it."""

import pytest

from gemel.errors import QueryError, UnknownNameError
from worlds.market import DEFINITIONS, edges, ids, market, relation, simple, table


@pytest.fixture(scope="module")
def lineage():
    return market()


def into(lineage, node):
    return {(edge.source, edge.why) for edge in lineage.parents(node)}


def out_of(lineage, node):
    return {(edge.target, edge.why) for edge in lineage.children(node)}


def test_a_measure_is_made_of_columns_over_rows_in_time(lineage):
    assert into(lineage, "measure:revenue") == {
        ("column:orders.amount", "aggregation"),
        ("column:orders.discount", "aggregation"),
        ("rows:orders", "rows"),
        ("dimension:sale__sold_at", "group_by"),
    }


def test_a_sum_of_flags_is_made_of_the_flag_and_a_count_of_rows_of_no_column(lineage):
    assert ("column:orders.is_returned", "aggregation") in into(lineage, "measure:returns")
    assert into(lineage, "measure:sales") == {("rows:orders", "rows"), ("dimension:sale__sold_at", "group_by")}


def test_what_a_case_decides_by_is_another_bearing_than_what_it_gives(lineage):
    assert into(lineage, "dimension:sale__size") == {
        ("column:orders.amount", "conditional"),
        ("column:orders.tier", "transformation"),
    }


def test_a_ratio_is_made_of_two_metrics_and_decided_by_the_filter_of_one(lineage):
    assert into(lineage, "metric:return_rate") == {
        ("metric:returned", "transformation"),
        ("metric:sales", "transformation"),
        ("dimension:sale__is_paid", "filter"),
    }


def test_a_filter_on_another_model_brings_the_keys_of_the_join_and_the_rows_that_they_find(lineage):
    assert into(lineage, "metric:nordic_revenue") == {
        ("measure:revenue", "identity"),
        ("dimension:customer__country", "filter"),
        ("entity:sales.customer", "join"),
        ("entity:customers.customer", "join"),
        ("rows:customers", "join"),
    }


def test_a_far_model_is_joined_by_its_partition_and_that_of_the_nearest_model_before_it():
    partition = {"name": "ds", "type": "categorical", "is_partition": True}
    sales, customers = DEFINITIONS["semantic_models"]
    models = [
        sales | {"dimensions": [*sales["dimensions"], partition]},
        customers | {"entities": [*customers["entities"], {"name": "region", "type": "foreign"}]},
        {
            "name": "regions",
            "node_relation": relation("regions"),
            "entities": [{"name": "region", "type": "primary"}],
            "dimensions": [partition, {"name": "zone", "type": "categorical"}],
        },
    ]
    north = simple("north", "revenue", filter="{{ Dimension('region__zone', entity_path=['customer']) }} = 'north'")
    definitions = DEFINITIONS | {"semantic_models": models, "metrics": [*DEFINITIONS["metrics"], north]}
    lineage = market(definitions, "", [table("regions", columns=("region", "ds", "zone"))])
    joined = {("dimension:sale__ds", "join"), ("dimension:region__ds", "join"), ("rows:customers", "join")}
    assert joined <= into(lineage, "metric:north")
    assert ("dimension:sale__ds", "join") not in into(lineage, "metric:nordic_revenue")


def test_a_metric_of_another_week_stands_on_the_time_spine(lineage):
    assert into(lineage, "metric:growth") == {
        ("metric:revenue", "transformation"),
        ("column:seconds.second", "join"),
        ("rows:seconds", "join"),
    }


def test_a_saved_query_is_made_of_metrics_and_dimensions_and_decided_by_its_filters(lineage):
    assert into(lineage, "saved_query:by_country") == {
        ("metric:return_rate", "identity"),
        ("dimension:customer__country", "identity"),
        ("dimension:sale__size", "filter"),
        ("entity:sales.customer", "join"),
        ("entity:customers.customer", "join"),
        ("rows:customers", "join"),
    }


def test_a_feature_is_a_metric_for_an_entity_before_a_moment(lineage):
    assert into(lineage, "feature:buying.return_rate_7d") == {
        ("metric:return_rate", "aggregation"),
        ("dimension:sale__sold_at", "window"),
        ("entity:sales.customer", "group_by"),
    }
    assert ("metric:returned", "aggregation") in into(lineage, "feature:buying.return_rate_7d__numerator")
    assert ("dimension:customer__country", "identity") in into(lineage, "feature:buying.country")


def test_an_on_demand_feature_is_made_of_features_and_of_what_a_request_brings(lineage):
    assert into(lineage, "feature:asking.against_revenue") == {
        ("feature:buying.revenue_1d", "transformation"),
        ("input:asking.price", "transformation"),
    }


def test_a_service_takes_single_features_and_its_exposure_comes_of_it_alone(lineage):
    assert into(lineage, "feature_service:churn_v1") == {
        ("feature:buying.return_rate_7d", "part"),
        ("feature:asking.against_revenue", "part"),
    }
    assert into(lineage, "exposure:churn_v1") == {("feature_service:churn_v1", "identity")}


def test_an_exposure_of_somebody_comes_of_the_tables_and_metrics_that_it_names(lineage):
    assert into(lineage, "exposure:board") == {("model:orders", "part"), ("metric:return_rate", "part")}
    assert lineage.node("exposure:board").owner == "Ada <ada@example.com>"


def test_a_bi_view_comes_of_its_saved_query_and_a_wide_one_of_metrics_and_what_they_are_grouped_by(lineage):
    assert into(lineage, "bi_view:by_country") == {("saved_query:by_country", "identity")}
    assert into(lineage, "bi_view:sales_wide") == {
        ("metric:growth", "part"),
        ("entity:sales.sale", "identity"),
        ("dimension:customer__country", "identity"),
        ("entity:sales.customer", "join"),
        ("entity:customers.customer", "join"),
        ("rows:customers", "join"),
    }
    assert [node.id for node in lineage.find("by_country")] == ["saved_query:by_country"]
    assert [node.id for node in lineage.find("by_country.return_rate")] == ["bi_view:by_country"]


def test_a_dbt_model_over_a_feature_table_comes_of_the_feature_view(lineage):
    assert ("feature_view:buying", "table") in into(lineage, "rows:scores")
    assert ("rows:scores", "table") in out_of(lineage, "feature_view:buying")


def test_up_from_a_metric_leads_to_the_source_and_down_to_the_service(lineage):
    (metric,) = lineage.find("return_rate")
    assert {"source:till.orders", "column:orders.is_returned"} <= ids(lineage.upstream(metric))
    assert {"saved_query:by_country", "feature_service:churn_v1", "exposure:board"} <= ids(lineage.downstream(metric))
    assert ("metric:returned", "metric:return_rate", "transformation") in edges(lineage.upstream(metric))


def test_impact_names_each_kind_with_owners_and_tells_values_from_rows(lineage):
    impact = lineage.impact(*lineage.find("orders.is_paid"))
    named = {kind: [node.name for node in nodes] for kind, nodes in impact.groups.items()}
    assert named["metric"] == ["return_rate"]
    assert named["feature_service"] == ["churn_v1"]
    assert impact.groups["exposure"][0].owner == "Ada <ada@example.com>"
    assert "metric:return_rate" not in impact.values  # is_paid says only which sales count
    assert "metric:return_rate" in lineage.impact(*lineage.find("orders.is_returned")).values


def test_what_a_feature_view_changes_are_its_features_and_all_who_take_them(lineage):
    impact = lineage.impact(lineage.node("feature_view:buying"))
    named = {kind: [node.name for node in nodes] for kind, nodes in impact.groups.items()}
    assert named["feature_service"] == ["churn_v1"]
    assert {"buying.country", "buying.revenue_1d", "asking.against_revenue"} <= {*named["feature"]}
    assert "feature_service:churn_v1" in ids(lineage.downstream(lineage.node("feature_view:buying")))


def test_a_name_in_one_place_is_found_without_its_kind(lineage):
    assert [node.id for node in lineage.find("Return_Rate")] == ["metric:return_rate"]
    assert [node.id for node in lineage.find("customer__country")] == ["dimension:customer__country"]
    assert [node.id for node in lineage.find("sale__customer__country")] == ["dimension:customer__country"]
    assert [node.id for node in lineage.find("till.orders.amount")] == ["column:till.orders.amount"]
    assert [node.id for node in lineage.find("buying.revenue_1d")] == ["feature:buying.revenue_1d"]


def test_an_entity_is_one_thing_in_several_models(lineage):
    assert [node.id for node in lineage.find("customer")] == ["entity:customers.customer", "entity:sales.customer"]
    assert [node.id for node in lineage.find("entity:sales.customer")] == ["entity:sales.customer"]


def test_a_measure_gives_way_to_the_one_metric_of_its_name_and_an_exposure_to_its_service(lineage):
    assert [node.id for node in lineage.find("sales")] == ["metric:sales"]
    assert [node.id for node in lineage.find("churn_v1")] == ["feature_service:churn_v1"]


def test_a_name_of_several_is_refused_with_their_full_names(lineage):
    with pytest.raises(QueryError) as refused:  # nordic_revenue is made of the measure, too
        lineage.find("revenue")
    assert (refused.value.code, refused.value.hint) == ("G750", "write measure:revenue or metric:revenue")
    assert [node.id for node in lineage.find("metric:revenue")] == ["metric:revenue"]


@pytest.mark.parametrize(
    "name, hint",
    [
        ("retrun_rate", "did you mean return_rate or return_rate_7d or returned?"),
        ("metric:retrun_rate", "did you mean metric:return_rate or metric:returned?"),
        ("orders.amout", "did you mean orders.amount or orders.discount or orders.tier?"),
        ("metrc:revenue", "did you mean metric?"),
        ("zzz", "see `gemel list`; a column is written model.column or source.table.column"),
    ],
)
def test_an_unknown_name_says_what_is_near(lineage, name, hint):
    with pytest.raises(UnknownNameError) as refused:
        lineage.find(name)
    assert (refused.value.code, refused.value.hint) == ("G751", hint)


def test_a_reference_that_leads_nowhere_is_reported_and_the_rest_is_not_lost():
    metrics = [dict(each) for each in DEFINITIONS["metrics"]]
    metrics[4] = {**metrics[4], "filter": "{{ Dimension('customer__contry') }} = 'IS'"}
    lineage = market(DEFINITIONS | {"metrics": metrics}, features="")
    part = lineage.upstream(*lineage.find("nordic_revenue"))
    assert "measure:revenue" in ids(part)
    assert ("metric:nordic_revenue", "customer__contry cannot be reached from semantic model 'sales'") in {
        (gap.node, gap.reason) for gap in part.gaps
    }
