"""What a feature is computed from, as a text: the same whatever stands beside it, another when its meaning is."""

import pytest

from compiler.test_moments import planned, view
from gemel.compiler.sql.fingerprints import fingerprints
from gemel.spec.time import parse_window

FEATURES = ("orders 7 days", "revenue 7 days", "average_amount 7 days", "done_share all", "buyers 7 days", "visits all")
NEIGHBOURS = ("gold_orders 1 day", "filled_orders 7 days", "orders 28 days", "done_share 7 days", "customer__segment")


def of(feature, *beside, **more):
    return fingerprints_of(feature, *beside, **more)[feature.replace(" ", "_")]


def fingerprints_of(*features, until="2024-02-01", **more):
    return fingerprints(planned(view(*features, **more), until=until))


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_the_same_whatever_stands_beside_it(feature):
    for beside in [each for each in (*FEATURES, *NEIGHBOURS) if each != feature]:
        assert of(feature, beside) == of(feature)
        assert fingerprints_of(beside, feature)[feature.replace(" ", "_")] == of(feature)


def test_features_that_mean_different_things_are_different():
    texts = fingerprints_of(*FEATURES, *NEIGHBOURS)
    assert len({*texts.values()}) == len(texts)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize(
    "more",
    [{"schedule": "hour"}, {"delay": parse_window("2 hours")}, {"until": "2024-03-01"}],
    ids=["schedule", "delay", "until"],
)
def test_a_feature_is_another_with_another_schedule_delay_or_end(feature, more):
    assert of(feature, **more) != of(feature)


def test_a_feature_is_another_when_facts_are_known_at_another_time():
    assert of("orders all", known_at="order__paid_at") != of("orders all")


def test_a_text_says_what_is_summed_of_which_facts_and_over_what():
    assert of("revenue 7 days").startswith("sum 7 days by 1 day of 'sum' orders.amount")
    assert "orders.status = 'done'" in of("done_share all")
    assert "orders.status = 'done'" not in of("orders 7 days")
