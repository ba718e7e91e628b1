"""Our offline store, used through Feast: what Feast expects of every store, and what it should."""

import datetime as dt
import random
import warnings

import pytest

from gemel.errors import BridgeError, WarehouseError

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

DAY = dt.timedelta(days=1)


def rows(*values, columns="customer, event_timestamp, orders"):
    values_sql = ", ".join(f"({value})" for value in values)
    return f"SELECT * FROM (VALUES {values_sql}) AS rows ({columns})"


BUYING = rows("1, timestamp '2024-01-01', 1", "1, timestamp '2024-01-03', 2", "2, timestamp '2024-01-02', NULL")


@pytest.mark.parametrize("kind", ["parquet", "table"])
def test_each_entity_row_comes_back_once_in_its_place_with_the_newest_row_before_it(repo, kind):
    repo.view(BUYING, kind=kind)
    entity_rows = [
        *((1, "2024-01-03"), (1, "2024-01-02 23:59:59.999999"), (None, "2024-01-05"), (2, "2024-01-05")),
        *((1, "2023-12-31"), (9, "2024-01-05"), (1, "2024-01-03"), (1, None)),
    ]
    answer = repo.ask(entity_rows).to_arrow()
    assert answer.column_names == ["customer", "event_timestamp", "orders"]
    assert str(answer.schema.field("orders").type) == "int64"
    assert answer["customer"].to_pylist() == [key for key, _ in entity_rows]
    assert answer["orders"].to_pylist() == [2, 1, None, None, None, None, 2, None]


def test_the_join_is_what_row_by_row_python_says(repo):
    """Ties, corrections, gaps, ttl, nulls and nanoseconds, against the definition."""
    import pandas

    chance = random.Random(7)
    start = pandas.Timestamp("2024-01-01")

    def moment():
        return (
            start + pandas.Timedelta(hours=chance.randrange(60)) + pandas.Timedelta(nanoseconds=chance.choice([0, 1]))
        )

    for unit in ("us", "ns"):
        facts = [(chance.choice([1, 2, 3, None]), moment().floor(unit), moment().floor("us"), n) for n in range(150)]
        frame = pandas.DataFrame(facts, columns=["customer", "event_timestamp", "created", "orders"])
        frame["customer"] = frame["customer"].astype("Int64")
        frame["event_timestamp"] = frame["event_timestamp"].astype(f"datetime64[{unit}]")
        frame["created"] = frame["created"].astype("datetime64[us]")
        # Two rows alike in key and both times have no order that anyone could rely on.
        frame = frame.drop_duplicates(["customer", "event_timestamp", "created"])
        frame.to_parquet(repo.root / "facts.parquet")
        ttl = pandas.Timedelta(hours=9)
        entity_rows = [(chance.choice([1, 2, 3, 4, None]), moment()) for _ in range(200)]
        for known_then in (False, True):
            view = f"SELECT * FROM '{repo.root / 'facts.parquet'}'"
            repo.view(view, ttl=ttl.to_pytimedelta(), created_timestamp_column="created")
            entity = pandas.DataFrame(entity_rows, columns=["customer", "event_timestamp"])
            entity["customer"] = entity["customer"].astype("Int64")
            answer = repo.ask(entity, filter_by_created_timestamp=known_then).to_arrow()["orders"].to_pylist()
            kept = list(frame.itertuples(index=False, name=None))
            expected = []
            for key, at in entity_rows:
                seen = [
                    (when, created, value)
                    for customer, when, created, value in kept
                    if key is not None and customer is not pandas.NA and customer == key
                    if when <= at and (created <= at or not known_then)
                ]
                newest = max(seen, default=None)
                expected.append(newest[2] if newest and newest[0] >= at - ttl else None)
            assert answer == expected, (unit, known_then)
            assert any(value is not None for value in answer) and None in answer


def test_a_value_is_good_up_to_and_including_its_ttl(repo):
    repo.view(BUYING, ttl=DAY)
    assert repo.orders((1, "2024-01-04"), (1, "2024-01-04 00:00:00.000001"), (1, "2024-01-02")) == [2, None, 1]


def test_of_two_rows_at_one_time_the_one_created_last_counts(repo):
    values = [f"1, timestamp '2024-01-01', timestamp '2024-02-0{day}', {day}" for day in (2, 3, 1)]
    columns = "customer, event_timestamp, created, orders"
    repo.view(rows(*values, columns=columns), created_timestamp_column="created")
    assert repo.orders((1, "2024-01-01")) == [3]
    orders = repo.orders((1, "2024-01-01"), (1, "2024-02-02"), filter_by_created_timestamp=True)
    assert orders == [None, 2]


def test_labels_and_other_columns_come_out_as_they_went_in(repo):
    import pandas

    repo.view(BUYING)
    given = pandas.DataFrame(
        {
            "label": pandas.Categorical(["yes", None, "no"]),
            "customer": [1, 2, 1],
            "event_timestamp": pandas.to_datetime(["2024-01-05", "2024-01-01", "2024-01-01"], utc=True),
            "took": pandas.to_timedelta([1, 2, 3], unit="h"),
            "list": [[1], None, []],
        },
        index=[7, 7, 3],
    )
    answer = repo.ask(given).to_df()
    pandas.testing.assert_frame_equal(answer.drop(columns="orders"), given.reset_index(drop=True))


def test_whole_numbers_beside_null_stay_whole_in_a_data_frame(repo):
    repo.view(BUYING)
    repo.sql("CREATE TABLE labels AS SELECT 1 AS customer, unnest([timestamp '2024-01-05', '2023-01-01']) AS happened")
    answer = repo.ask("SELECT happened AS event_timestamp, customer FROM labels ORDER BY happened DESC;").to_df()
    assert (str(answer["orders"].dtype), answer["orders"].fillna(-1).tolist()) == ("Int64", [2, -1])


def test_entity_rows_can_be_sql_over_the_database(repo):
    repo.view(BUYING)
    repo.sql(
        "CREATE TABLE labels AS SELECT 1 AS customer, "
        "unnest([timestamp '2024-01-05', '2024-01-01', '2023-01-01']) AS happened"
    )
    answer = repo.ask("SELECT happened AS event_timestamp, customer FROM labels ORDER BY happened DESC;")
    assert answer.to_arrow()["orders"].to_pylist() == [2, 1, None]
    assert answer.metadata.keys == ["customer"]
    assert (answer.metadata.min_event_timestamp.year, answer.metadata.max_event_timestamp.year) == (2023, 2024)
    assert "ASOF LEFT JOIN" in answer.to_sql()


def test_without_entity_rows_each_key_and_time_between_the_dates_is_one(repo):
    repo.view(BUYING)
    dates = {"start_date": dt.datetime(2024, 1, 2), "end_date": dt.datetime(2024, 1, 3)}
    answer = repo.ask(None, **dates).to_arrow()
    assert answer.select(["customer", "orders"]).to_pylist() == [
        {"customer": 2, "orders": None},
        {"customer": 1, "orders": 2},
    ]


def test_a_view_can_be_joined_twice_under_two_names_and_mapped_columns(repo):
    import pandas
    from feast import FeatureService

    columns = "customer, happened, n"
    view = repo.view(
        rows("1, timestamp '2024-01-01', 5", "2, timestamp '2024-01-01', 6", columns=columns),
        field_mapping={"n": "orders", "happened": "event_timestamp"},
    )
    both = [view.with_name(name).with_join_key_map({"customer": name}) for name in ("buyer", "payer")]
    repo.store.apply([FeatureService(name="both", features=both)])
    entity_rows = pandas.DataFrame(
        {"buyer": [1, 2], "payer": [2, 9], "event_timestamp": pandas.to_datetime(["2024-02-01"] * 2)}
    )
    service = repo.store.get_feature_service("both")
    found = repo.store.get_historical_features(entity_rows, service, full_feature_names=True).to_arrow()
    assert found.select(["buyer__orders", "payer__orders"]).to_pylist() == [
        {"buyer__orders": 5, "payer__orders": 6},
        {"buyer__orders": 6, "payer__orders": None},
    ]


def test_features_have_the_declared_types(repo):
    feast_types = {
        **{"orders": "Int64", "share": "Float32", "loud_y": "Bool", "name": "String", "at": "UnixTimestamp"},
        "many": "Int32",
    }
    query = "SELECT 1 AS customer, timestamptz '2024-01-01 00:00+00' AS event_timestamp, 3.0::double AS orders, "
    query += "0.5 AS share, true AS loud_y, 'Ada' AS name, timestamp '2024-01-01' AS at, 7::bigint AS many"
    repo.view(query, types=feast_types)
    answer = repo.ask([(1, "2024-01-01"), (2, "2024-01-01")], *(f"buying:{name}" for name in feast_types)).to_arrow()
    assert {name: str(answer.schema.field(name).type) for name in feast_types} == {
        **{"orders": "int64", "share": "float", "loud_y": "bool", "name": "string"},
        **{"at": "timestamp[us, tz=UTC]", "many": "int32"},
    }
    assert answer["orders"].to_pylist() == [3, None]


def test_an_integer_that_is_a_fraction_in_the_source_is_reported(repo):
    repo.view(rows("1, timestamp '2024-01-01', 1.5"))
    with pytest.raises(WarehouseError, match="buying:orders is BIGINT in its view, and has a fraction"):
        repo.orders((1, "2024-01-02"))


def test_keys_of_two_types_are_refused_and_integers_that_pandas_made_floats_are_not(repo):
    import pandas

    repo.view(BUYING)
    times = pandas.to_datetime(["2024-01-05"] * 3)
    answer = repo.ask(pandas.DataFrame({"customer": [1.0, None, 1.5], "event_timestamp": times}))
    assert answer.to_arrow()["orders"].to_pylist() == [2, None, None]
    with pytest.raises(
        BridgeError, match=r"'customer' is a string in the entity rows .*an integer in the source"
    ) as caught:
        repo.ask(pandas.DataFrame({"customer": ["1", "2", "3"], "event_timestamp": times}))
    assert caught.value.code == "G541"


def test_names_that_are_missing_or_taken_twice_are_refused(repo):
    import pandas
    from feast.errors import FeastEntityDFMissingColumnsError

    repo.view(BUYING)
    times = pandas.to_datetime(["2024-01-05"])
    with pytest.raises(FeastEntityDFMissingColumnsError, match="customer"):
        repo.ask(pandas.DataFrame({"buyer": [1], "event_timestamp": times}))
    taken = pandas.DataFrame({"customer": [1], "orders": [0], "event_timestamp": times})
    with pytest.raises(BridgeError) as caught:
        repo.ask(taken)
    assert caught.value.code == "G542"
    assert repo.ask(taken, full_feature_names=True).to_arrow()["buying__orders"].to_pylist() == [2]
    with pytest.raises(BridgeError) as caught:
        repo.ask(pandas.DataFrame({"customer": [1, "a"], "event_timestamp": [*times] * 2}))
    assert caught.value.code == "G544"


def test_a_source_that_lacks_the_time_or_the_file_is_reported(repo):
    from gemel.feast import DuckDBSource

    repo.view(BUYING, kind="table")
    with pytest.raises(BridgeError) as caught:
        DuckDBSource(name="b", table="buying", timestamp_field="event_time").validate(repo.store.config)
    assert (caught.value.code, caught.value.hint) == ("G543", "did you mean event_timestamp?")
    with pytest.raises(WarehouseError) as caught:
        DuckDBSource(name="b", table="buying", database="none.duckdb").validate(repo.store.config)
    assert caught.value.code == "G401"


def test_a_duckdb_source_comes_back_from_the_registry_as_it_was(repo):
    from feast.data_source import DataSource

    repo.view(BUYING, kind="table", description="What is bought.", tags={"a": "b"})
    kept = repo.store.get_feature_view("buying").batch_source
    assert kept == DataSource.from_proto(kept.to_proto())
    assert (kept.table, kept.description, kept.tags) == ("buying", "What is bought.", {"a": "b"})


def test_on_demand_features_are_computed_from_features_and_request_data(repo):
    import pandas
    from feast import Field, RequestSource
    from feast.errors import RequestDataNotFoundInEntityDfException
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Float64, Int64

    view = repo.view(BUYING)

    @on_demand_feature_view(
        sources=[view, RequestSource(name="basket", schema=[Field(name="items", dtype=Int64)])],
        schema=[Field(name="with_basket", dtype=Float64)],
    )
    def together(frame: pandas.DataFrame) -> pandas.DataFrame:
        return pandas.DataFrame({"with_basket": (frame["orders"] + frame["items"]).astype("float64")})

    repo.store.apply([together])
    entity_rows = pandas.DataFrame(
        {"customer": [1], "event_timestamp": pandas.to_datetime(["2024-01-05"]), "items": [40]}
    )
    assert repo.ask(entity_rows, "together:with_basket").to_arrow()["with_basket"].to_pylist() == [42.0]
    query = "SELECT 1 AS customer, timestamp '2024-01-05' AS event_timestamp"
    with pytest.raises(RequestDataNotFoundInEntityDfException):
        repo.ask(query, "together:with_basket")


@pytest.mark.parametrize("kind", ["parquet", "table"])
def test_rows_can_be_added_to_a_source_and_are_then_found(repo, kind):
    import pandas

    repo.view(BUYING, kind=kind)
    more = {
        "orders": [9],
        "event_timestamp": pandas.to_datetime(["2024-01-04"]).astype("datetime64[us]"),
        "customer": [1],
    }
    repo.store.write_to_offline_store("buying", pandas.DataFrame(more).astype({"orders": "int32", "customer": "int32"}))
    assert repo.orders((1, "2024-01-04"), (1, "2024-01-03")) == [9, 2]
    with pytest.raises(ValueError, match="missing_expected_columns"):
        repo.store.write_to_offline_store("buying", pandas.DataFrame({"customer": [1]}))


@pytest.mark.parametrize("kind", ["parquet", "table"])
def test_a_dataset_is_saved_found_again_and_not_overwritten_unasked(repo, kind):
    from feast.errors import SavedDatasetLocationAlreadyExists
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    from gemel.feast import SavedDatasetDuckDBStorage

    repo.view(BUYING)
    place = SavedDatasetFileStorage("saved.parquet") if kind == "parquet" else SavedDatasetDuckDBStorage("saved")
    job = repo.ask([(1, "2024-01-03"), (2, "2024-01-03")])
    repo.store.create_saved_dataset(job, "saved", place)
    found = repo.store.get_saved_dataset("saved").to_arrow()
    assert found.select(["customer", "orders"]).to_pydict() == {"customer": [1, 2], "orders": [2, None]}
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(place)
    job.persist(place, allow_overwrite=True)


def test_feast_materializes_the_newest_row_of_each_key(repo):
    repo.view(BUYING)
    repo.store.materialize(dt.datetime(2023, 1, 1), dt.datetime(2024, 1, 2))
    found = repo.store.get_online_features(["buying:orders"], [{"customer": 1}, {"customer": 2}]).to_dict()
    assert found["orders"] == [1, None]


def test_a_folder_of_parquet_is_one_source_with_the_columns_that_its_folders_name(repo):
    import feast
    from feast import types as feast_types

    repo.view(BUYING)
    repo.sql(f"COPY (FROM buying) TO '{repo.root / 'bought'}' (FORMAT parquet, PARTITION_BY (customer))")
    view = feast.FeatureView(
        name="bought",
        entities=[feast.Entity(name="customer", value_type=feast.ValueType.INT64)],
        schema=[feast.Field(name=name, dtype=feast_types.Int64) for name in ("customer", "orders")],
        source=feast.FileSource(name="bought", path="bought", timestamp_field="event_timestamp"),
    )
    repo.store.apply([view])
    entity_rows = [(1, "2024-01-03"), (1, "2024-01-02"), (2, "2024-01-03"), (3, "2024-01-03")]
    assert repo.ask(entity_rows, "bought:orders").to_arrow()["orders"].to_pylist() == [2, 1, None, None]
    assert sorted(each.name for each in (repo.root / "bought").iterdir()) == ["customer=1", "customer=2"]


def test_a_view_without_entities_has_one_row_for_everybody(repo):
    import feast
    from feast import types as feast_types

    repo.view(BUYING)
    query = rows("timestamp '2024-01-03', 8", "timestamp '2024-01-01', 7", columns="event_timestamp, total")
    repo.sql(f"COPY ({query}) TO '{repo.root / 'all.parquet'}'")
    view = feast.FeatureView(
        name="everybody",
        entities=[],
        schema=[feast.Field(name="total", dtype=feast_types.Int64)],
        source=feast.FileSource(name="all", path="all.parquet", timestamp_field="event_timestamp"),
    )
    repo.store.apply([view])
    features = ["everybody:total", "buying:orders"]
    answer = repo.ask([(1, "2024-01-02"), (1, "2024-01-03"), (9, "2023-01-01")], *features).to_arrow()
    assert (answer["total"].to_pylist(), answer["orders"].to_pylist()) == ([7, 8, None], [1, 2, None])
    repo.store.materialize(dt.datetime(2023, 1, 1), dt.datetime(2024, 2, 1))
    found = repo.store.get_online_features(features, [{"customer": 1}, {"customer": 9}]).to_dict()
    assert (found["total"], found["orders"]) == ([8, 8], [2, None])


@pytest.mark.parametrize("given", ["table", "folder"])
def test_logged_features_can_be_read_again(repo, tmp_path, given):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from feast import FeatureService
    from feast.feature_logging import LOG_TIMESTAMP_FIELD, FeatureServiceLoggingSource, LoggingConfig
    from feast.infra.offline_stores.file_source import FileLoggingDestination

    view = repo.view(BUYING)
    logged = LoggingConfig(destination=FileLoggingDestination(path="logs"))
    repo.store.apply([FeatureService(name="churn", features=[view], logging_config=logged)])
    service = repo.store.get_feature_service("churn")
    schema = FeatureServiceLoggingSource(service, "shop").get_schema(repo.store.registry)
    moment = dt.datetime(2024, 1, 5, tzinfo=dt.UTC)
    values = {
        **{"customer": 1, "buying__orders": 2, "buying__orders__status": 2},
        **{"buying__orders__timestamp": moment, "__log_timestamp": moment, "__log_date": moment.date()},
        "__request_id": "r1",
    }
    for request in ("r1", "r2"):
        table = pa.Table.from_pylist([values | {"__request_id": request}], schema)
        if given == "folder":
            (tmp_path / request).mkdir()
            pq.write_table(table, tmp_path / request / "batch.parquet")
        repo.store.write_logged_features(table if given == "table" else tmp_path / request, service)
    found = repo.store._get_provider().offline_store.pull_all_from_table_or_query(
        config=repo.store.config,
        data_source=service.logging_config.destination.to_data_source(),
        join_key_columns=["customer"],
        feature_name_columns=["buying__orders", "__request_id"],
        timestamp_field=LOG_TIMESTAMP_FIELD,
        start_date=moment - DAY,
        end_date=moment + DAY,
    )
    assert sorted(found.to_arrow().select(["customer", "buying__orders", "__request_id"]).to_pylist(), key=str) == [
        {"customer": 1, "buying__orders": 2, "__request_id": request} for request in ("r1", "r2")
    ]


@pytest.mark.filterwarnings("default")
def test_a_copy_of_another_definition_than_the_registrys_is_told(repo):
    repo.view(BUYING)
    repo.views["buying"].tags["definition"] = "today"
    repo.store.apply([repo.views["buying"]])
    for metadata, is_other in (("", False), ("gemel_definition: 'today'", False), ("gemel_definition: 'before'", True)):
        kept = f", KV_METADATA {{{metadata}}}" if metadata else ""
        repo.sql(f"COPY buying TO '{repo.root / 'buying.parquet'}' (FORMAT parquet{kept})")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert repo.orders((1, "2024-01-05")) == [2]
        told = [str(each.message) for each in caught if "another definition (before)" in str(each.message)]
        assert len(told) == is_other, told
