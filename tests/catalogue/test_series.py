"""The numbers behind the charts."""

import datetime as dt

from gemel.catalogue.series import Series, Unknown, series


def test_the_last_year_is_53_weeks_up_to_the_newest_row(shop):
    found = series(shop.project)["revenue"]
    assert isinstance(found, Series)
    assert found.grain == "week"
    days = [day for day, _ in found.points]
    assert (days[0], days[-1], len(days)) == (dt.date(2023, 7, 3), dt.date(2024, 7, 1), 53)


def test_a_week_is_whole_but_for_the_last_one_and_a_week_without_facts_has_no_value(shop):
    points = dict(series(shop.project)["revenue"].points)
    assert points[dt.date(2023, 7, 3)] == 73.5
    assert points[dt.date(2024, 7, 1)] == 21.0
    assert points[dt.date(2024, 5, 6)] is None


def test_what_cannot_be_drawn_says_why_and_the_others_are_drawn(shop):
    found = series(shop.project)
    assert found["last_region"] == Unknown("its values are no numbers")
    assert isinstance(found["lost"], Unknown)
    assert "not_there" in found["lost"].reason
    assert found["returned"] == Unknown("its tables have no rows")
    assert isinstance(found["revenue"], Series)


def test_metrics_of_several_times_are_shown_by_the_coarsest(shop):
    found = series(shop.project)["return_rate"]
    assert isinstance(found, Series)
    assert found.grain == "month"
    assert found.points[-1] == (dt.date(2024, 7, 1), None)
