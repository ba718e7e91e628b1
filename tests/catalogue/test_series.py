"""The numbers behind the charts."""

import datetime as dt

from gemel.catalogue.series import Series, Unknown, series


def test_the_last_year_is_53_weeks_up_to_the_newest_row(shop):
    result = series(shop.project)["revenue"]
    assert isinstance(result, Series)
    assert result.grain == "week"
    days = [day for day, _ in result.points]
    assert (days[0], days[-1], len(days)) == (dt.date(2023, 7, 3), dt.date(2024, 7, 1), 53)


def test_all_weeks_but_the_last_are_whole_and_a_week_without_facts_has_no_value(shop):
    points = dict(series(shop.project)["revenue"].points)
    assert points[dt.date(2023, 7, 3)] == 73.5
    assert points[dt.date(2024, 7, 1)] == 21.0
    assert points[dt.date(2024, 5, 6)] is None


def test_a_metric_without_a_chart_has_a_reason_and_the_others_have_charts(shop):
    result = series(shop.project)
    assert result["last_region"] == Unknown("its values are not numbers")
    assert isinstance(result["lost"], Unknown)
    assert "not_there" in result["lost"].reason
    assert result["returned"] == Unknown("its tables have no rows")
    assert isinstance(result["revenue"], Series)


def test_metrics_of_several_times_are_shown_by_the_coarsest(shop):
    result = series(shop.project)["revenue_less_returned"]
    assert isinstance(result, Series)
    assert result.grain == "month"
    assert result.points[-1] == (dt.date(2024, 7, 1), 21.0)


def test_a_metric_without_any_value_says_why(shop):
    result = series(shop.project)
    nowhere = "it has no value in any month from 2023-07-01 to 2024-07-01"
    assert result["return_rate"] == Unknown(f"{nowhere}: returns has no rows")
    nowhere = "it has no value in any week from 2023-07-03 to 2024-07-01"
    assert result["revenue_long_ago"] == Unknown(f"{nowhere}: it needs values of 9 years before")


def test_a_rate_of_a_year_ago_is_shown_by_month_as_a_year_is_not_whole_weeks(shop):
    result = series(shop.project)["share_a_year_ago"]
    assert isinstance(result, Series)
    assert result.grain == "month"
    assert [value for _, value in result.points if value is not None]
