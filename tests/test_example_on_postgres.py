"""What `make postgres` is made of: the raw data in a server, the project without what is generated, Redis online."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from gemel.dbt.profile import read_target
from gemel.engines.connections.postgres import Server
from worlds.postgres import own_name, own_schema

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("example_on_postgres", ROOT / "data/postgres.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_raw_data_is_copied_as_it_is(script, needs_postgres):
    with own_schema(needs_postgres, own_name("raw")) as schema:
        for _ in range(2):  # a second time makes the tables anew
            script.load(Server(schema.connection.info.dbname, schema.options), schema.name, ("airlines", "weather"))
        select = schema.connection.execute
        rows = select(f"SELECT name FROM {schema.name}.airlines WHERE carrier = 'UA'").fetchall()
        assert rows == [("United Air Lines Inc.",)]
        count, first, gusts = select(
            f"SELECT count(*), min(time_hour AT TIME ZONE 'UTC')::text, count(wind_gust) FROM {schema.name}.weather"
        ).fetchone()
        assert (count, first, 0 < gusts < count) == (26115, "2013-01-01 06:00:00", True)


def test_the_project_is_copied_without_what_is_generated(script, tmp_path):
    script.copy(tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"dbt_project.yml", "models/marts/flights.sql", "feature_views/departure_delay.yml"} <= found
    assert not any("features/" in name or name.endswith(("definitions.py", "feature_store.yaml")) for name in found)


def test_feast_is_told_of_postgres_and_redis(script, tmp_path, monkeypatch):
    for name in ("PGHOST", "PGDATABASE", "GEMEL_SCHEMA"):
        monkeypatch.delenv(name, raising=False)
    script.write_store(tmp_path / "store.yaml", read_target(ROOT, target="postgres"), "redis://:hush@db:6380/2")
    content = yaml.safe_load((tmp_path / "store.yaml").read_text())
    offline = content["offline_store"]
    assert (offline["type"], offline["host"], offline["db_schema"]) == ("postgres", "127.0.0.1", "gemel_flights")
    assert offline["password"] == "${PGPASSWORD}"
    assert content["online_store"] == {"type": "redis", "connection_string": "db:6380,db=2,password=hush"}
