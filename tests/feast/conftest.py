import duckdb
import pytest

from worlds.feature_shop import open_shop

shop = pytest.fixture(open_shop)


class Repo:
    """A Feast repository in a folder: `view` makes a feature view of rows, `ask` joins it to entity rows."""

    def __init__(self, root):
        import feast

        self.root = root
        self.views = {}
        config = {
            "registry": str(root / "registry.db"),
            "offline_store": {"type": "gemel.feast.DuckDBOfflineStore", "database": "shop.duckdb"},
            "online_store": {"type": "sqlite", "path": str(root / "online.db")},
        }
        self.store = feast.FeatureStore(
            config=feast.RepoConfig(
                project="shop", provider="local", entity_key_serialization_version=3, repo_path=root, **config
            )
        )

    def sql(self, sql):
        with duckdb.connect(str(self.root / "shop.duckdb")) as con:
            con.execute("SET TimeZone = 'UTC'")
            return con.execute(sql).fetchall()

    def view(self, select, *, name="buying", keys=("customer",), types=None, kind="parquet", ttl=None, **source):
        import feast
        from feast import types as feast_types

        from gemel.feast import DuckDBSource

        source = {"timestamp_field": "event_timestamp", **source}
        self.sql(f"CREATE OR REPLACE TABLE {name} AS {select}")
        if kind == "parquet":
            self.sql(f"COPY {name} TO '{self.root / name}.parquet'")
            source_of_view = feast.FileSource(name=name, path=f"{name}.parquet", **source)
        else:
            source_of_view = DuckDBSource(name=name, table=name, **source)
        fields = {"customer": "Int64", **(types or {"orders": "Int64"})}
        view = feast.FeatureView(
            name=name,
            entities=[feast.Entity(name=key, join_keys=[key], value_type=feast.ValueType.INT64) for key in keys],
            schema=[feast.Field(name=field, dtype=getattr(feast_types, type_)) for field, type_ in fields.items()],
            source=source_of_view,
            ttl=ttl,
        )
        self.views[name] = view
        entities = [feast.Entity(name=key, join_keys=[key], value_type=feast.ValueType.INT64) for key in keys]
        self.store.apply([*entities, view])
        return view

    def ask(self, rows, *features, **more):
        import pandas

        if isinstance(rows, list):
            rows = pandas.DataFrame(
                {
                    "customer": pandas.Series([key for key, _ in rows], dtype="Int64"),
                    "event_timestamp": pandas.to_datetime([at for _, at in rows], format="ISO8601", utc=True),
                }
            )
        return self.store.get_historical_features(rows, features=list(features or ["buying:orders"]), **more)

    def orders(self, *rows, **more):
        return self.ask(list(rows), **more).to_arrow()["orders"].to_pylist()


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)
