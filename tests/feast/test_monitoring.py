"""What `feast monitor run` measures through our offline store, against SQL by hand."""

import datetime as dt
import json
import math

import pytest

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

VALUES = {"orders": "Int64", "price": "Float64", "nick": "String", "gift": "Bool", "empty": "String"}
BUYING = """
    select i % 5 as customer, timestamp '2024-01-01' + interval (i) hour as event_timestamp,
        case when i % 7 <> 0 then i * i end as orders,
        case i when 3 then 'nan'::double when 4 then 'inf'::double when 5 then null else i / 3 end as price,
        case when i % 4 <> 0 then 'n' || (i % 3) end as nick, i % 2 = 0 as gift, null::text as empty
    from range(1, 1001) as rows (i)
"""


@pytest.fixture(params=["parquet", "table"])
def service(request, repo):
    from feast.monitoring.monitoring_service import MonitoringService

    repo.view(BUYING, types=VALUES, kind=request.param)
    return MonitoringService(repo.store)


def test_each_feature_is_measured_as_by_hand(repo, service):
    result = service.auto_compute()
    assert (result["computed_feature_views"], result["computed_features"], result["baseline_features"]) == (1, 25, 5)
    end = dt.datetime(2024, 1, 1) + dt.timedelta(hours=1000)
    spans = {"daily": 1, "weekly": 7, "monthly": 30, "baseline": 10_000}
    for granularity, days in spans.items():
        measured = {row["feature_name"]: row for row in service.get_feature_metrics("shop", granularity=granularity)}
        assert measured.keys() == VALUES.keys()
        where = f"event_timestamp >= timestamp '{end - dt.timedelta(days=days)}'"
        for name in ("orders", "price"):
            by_hand = f"""
                with rows as (select {name}::double as v from buying where {where}),
                    finite as (select v from rows where v is not null and isfinite(v))
                select (select count(*) from rows), (select count(*) from rows where v is null), avg(v), stddev_samp(v),
                    min(v), max(v), quantile_cont(v, 0.5), quantile_cont(v, 0.75), quantile_cont(v, 0.9),
                    quantile_cont(v, 0.95), quantile_cont(v, 0.99), list(v) from finite
            """
            [[*expected, values]] = repo.sql(by_hand)
            row = measured[name]
            names = (
                "row_count",
                "null_count",
                "mean",
                "stddev",
                "min_val",
                "max_val",
                "p50",
                "p75",
                "p90",
                "p95",
                "p99",
            )
            assert [row[each] for each in names] == pytest.approx(expected), (granularity, name)
            assert row["null_rate"] == pytest.approx(row["null_count"] / row["row_count"])
            bins, counts = row["histogram"]["bins"], row["histogram"]["counts"]
            assert (bins[0], bins[-1], len(counts), sum(counts)) == (
                *(min(values), pytest.approx(max(values)), 20, len(values)),
            )
            width = row["histogram"]["bin_width"]
            places = [min(math.floor((value - bins[0]) / width), 19) for value in values]
            assert counts == [places.count(place) for place in range(20)]
        for name in ("nick", "gift"):
            [[total, nulls]] = repo.sql(f"select count(*), count(*) - count({name}) from buying where {where}")
            found = repo.sql(
                f"select {name}::text, count(*) from buying where {where} and {name} is not null "
                "group by 1 order by 2 desc, 1"
            )
            row = measured[name]
            assert (row["row_count"], row["null_count"], row["mean"]) == (total, nulls, None)
            assert row["histogram"] == {
                "values": [{"value": value, "count": count} for value, count in found],
                "other_count": 0,
                "unique_count": len(found),
            }
        row = measured["empty"]
        assert (row["null_rate"], row["row_count"], row["histogram"]) == (1.0, measured["nick"]["row_count"], None)
        assert row["max_event_timestamp"] == end.replace(tzinfo=dt.UTC).isoformat()
    [view] = service.get_feature_view_metrics("shop", granularity="weekly")
    assert (view["total_features"], view["features_with_nulls"], view["max_null_rate"]) == (5, 3, 1.0)


def test_what_was_measured_again_replaces_what_was_measured_before(repo, service):
    for _ in range(2):
        service.compute_metrics("shop", "buying", start_date=dt.date(2024, 1, 1), end_date=dt.date(2024, 1, 3))
        service.compute_baseline("shop")
    rows = service.get_feature_metrics("shop", feature_name="orders")
    assert [(row["granularity"], row["is_baseline"]) for row in rows] == [("daily", False), ("baseline", True)]
    assert rows[0]["row_count"] == 71  # from 1 o'clock of January 1 to the end of January 3
    later = service.get_feature_metrics("shop", feature_name="orders", start_date=dt.date(2024, 2, 1))
    assert [row["granularity"] for row in later] == ["baseline"]
    service._get_offline_store().clear_monitoring_baseline(repo.store.config, "shop", feature_name="orders")
    assert {row["feature_name"] for row in service.get_baseline("shop")} == {*VALUES} - {"orders"}
    assert service.get_feature_metrics("another") == []


def test_jobs_are_kept_and_a_feature_with_many_values_shows_the_most_frequent(repo, service):
    job = service.submit_job("shop", "compute", "buying", {"start_date": "2024-01-01", "end_date": "2024-01-31"})
    result = service.execute_job(job)
    assert result["computed_features"] == 5
    kept = service.get_job(job)
    assert (kept["status"], kept["parameters"]["end_date"]) == ("completed", "2024-01-31")
    assert kept["result_summary"]["computed_features"] == 5
    [row] = service._get_offline_store().compute_monitoring_metrics(
        repo.store.config, repo.views["buying"].batch_source, [("orders", "categorical")], "event_timestamp", top_n=3
    )
    assert row["histogram"]["values"] == [{"value": str(n * n), "count": 1} for n in (1, 10, 100)]
    assert (row["histogram"]["other_count"], row["histogram"]["unique_count"]) == (855, 858)
    json.dumps(row)


def test_a_view_of_one_value_and_of_no_rows(repo):
    from feast.monitoring.monitoring_service import MonitoringService

    repo.view("select 1 as customer, timestamp '2024-01-01' as event_timestamp, 7 as orders")
    service = MonitoringService(repo.store)
    service.auto_compute()
    rows = service.get_feature_metrics("shop", granularity="daily")
    assert [(row["mean"], row["stddev"], row["histogram"]) for row in rows] == [
        (7.0, None, {"bins": [7.0, 7.0], "counts": [1], "bin_width": 0.0})
    ]
    repo.view("select 1 as customer, timestamp '2024-01-01' as event_timestamp, 7 as orders limit 0", name="none")
    assert service.auto_compute("shop", "none")["computed_feature_views"] == 0
