"""A feature table of two entities, and an online store for it, in gemel's hands and in Feast's."""

import dataclasses
import datetime as dt
import os
from urllib.parse import urlsplit

import duckdb

from gemel.online.config import RedisStore, SqliteStore
from gemel.online.loader import materialize
from gemel.online.newest import OnlineView
from gemel.online.opening import open_store
from gemel.online.reading import read

END = dt.datetime(2024, 2, 1, tzinfo=dt.UTC)


class Place:
    """A feature table of two entities and a store for it."""

    def __init__(self, folder, config):
        self.folder, self.config = folder, config
        self.file = folder / "buying.parquet"
        self.view = OnlineView(
            "buying", {"zone": "string", "area": "int64"}, {"n": "int64", "f": "float64", "s": "string"}, self.file
        )

    def table(self, *rows):
        """(zone, area, day of January or time, n) with more for the day of `created`."""
        values = ", ".join(
            f"({_sql(zone)}, {area}::bigint, {_time(day)}, {n}::bigint, {n} / 4, 's{n}', {_time([*created, day][0])})"
            for zone, area, day, n, *created in rows
        )
        names = "zone, area, event_timestamp, n, f, s, created_timestamp"
        where = "" if rows else " where false"
        values = values or "('', 0, timestamp '2024-01-01', 0, 0.0, '', timestamp '2024-01-01')"
        duckdb.sql(f"copy (select * from (values {values}) t({names}){where}) to '{self.file}'")
        return self

    def with_ttl(self, ttl):
        """The view with another ttl."""
        return dataclasses.replace(self.view, ttl=ttl)

    def run(self, end=END):
        store = open_store(self.config)
        try:
            return materialize(store, [self.view], end=end, folder=self.folder)
        finally:
            store.close()

    def online(self, *keys):
        """The `n` of each (zone, area); None for what is not online."""
        return [row and row.values["n"] for row in self.answers(*keys)]

    def feast(self):
        """Stock Feast over the same table and store."""
        from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
        from feast.types import Float64, Int64, String

        if isinstance(self.config, SqliteStore):
            online = {"type": "sqlite", "path": str(self.config.path)}
        else:
            options = self.config.options
            address = f"{options['host']}:{options['port']},db={options['db']}"
            online = {"type": "redis", "connection_string": address}
        store = FeatureStore(
            config=RepoConfig(
                project=self.config.project,
                provider="local",
                registry=str(self.folder / "registry.db"),
                online_store=online,
                offline_store={"type": "duckdb"},
                entity_key_serialization_version=3,
            )
        )
        zone = Entity(name="zone", join_keys=["zone"], value_type=ValueType.STRING)
        area = Entity(name="area", join_keys=["area"], value_type=ValueType.INT64)
        view = FeatureView(
            name="buying",
            entities=[zone, area],
            schema=[
                *(Field(name="zone", dtype=String), Field(name="area", dtype=Int64)),
                *(Field(name="n", dtype=Int64), Field(name="f", dtype=Float64), Field(name="s", dtype=String)),
            ],
            source=FileSource(
                path=str(self.file), timestamp_field="event_timestamp", created_timestamp_column="created_timestamp"
            ),
        )
        store.apply([zone, area, view])
        return store

    def answers(self, *keys, now=END):
        """The whole answer for each (zone, area)."""
        store = open_store(self.config)
        try:
            return read(store, [(self.view, ["n"])], [{"zone": zone, "area": area} for zone, area in keys], now=now)
        finally:
            store.close()


def _sql(text):
    return "'" + text.replace("'", "''") + "'"


def _time(day):
    return f"timestamp '{day}'" if isinstance(day, str) else f"timestamp '2024-01-01' + interval {day - 1} day"


def open_place(request, tmp_path):
    """The fixture `place`, whose parameter is `sqlite` or `redis`."""
    if request.param == "sqlite":
        yield Place(tmp_path, SqliteStore("shop", tmp_path / "online.db"))
        return
    import redis

    url = urlsplit(request.getfixturevalue("needs_redis"))
    project = f"gemel_test_{os.getpid()}_{tmp_path.name}"
    options = {"host": url.hostname, "port": url.port, "db": int(url.path[1:] or 0)}
    yield Place(tmp_path, RedisStore(project, options))
    client = redis.Redis(**options)
    for key in [*client.scan_iter(f"*{project}"), f"gemel:{project}:materialized"]:
        client.delete(key)
    client.close()
