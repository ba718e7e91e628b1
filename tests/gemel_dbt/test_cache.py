"""A manifest kept as it was read."""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gemel.dbt.semantic.file
from gemel.dbt.semantic import cache
from gemel.dbt.semantic.cache import read_cache, write_cache
from gemel.dbt.semantic.reading import read_manifest

MANIFESTS = Path(__file__).parents[1] / "worlds" / "manifests"
LATE = {
    "name": "late",
    "type": "derived",
    "config": {"meta": {"owners": ["ann", ["bo", None]], "since": 2.5}},
    "type_params": {"expr": "a - b", "metrics": ["a", {"name": "b", "offset_window": "7 days"}]},
    "filter": "{{ Entity('sale') }} = 'é'",
}
SALES = {
    "name": "sales",
    "node_relation": {"alias": "sales"},
    "entities": [{"name": "sale", "type": "primary"}],
    "dimensions": [{"name": "sold_at", "type": "time"}],
    "defaults": {"agg_time_dimension": "sold_at"},
    "measures": [
        {"name": "a", "agg": "percentile", "agg_params": {"percentile": 0.9}, "create_metric": True},
        {"name": "b", "agg": "sum", "non_additive_dimension": {"name": "sold_at"}, "create_metric": True},
    ],
}
CONTENT = json.dumps({"semantic_models": [SALES], "metrics": [LATE]}).encode()


def kept(folder, content=CONTENT):
    file = folder / "some" / "definitions.jsonl"
    write_cache(file, content, read_manifest(json.loads(content)))
    return file


@pytest.mark.parametrize("name", sorted(path.name for path in MANIFESTS.glob("*.semantic.json")))
def test_a_cached_manifest_equals_the_one_that_was_read(tmp_path, name):
    content = (MANIFESTS / name).read_bytes()
    read, cached = read_manifest(json.loads(content)), read_cache(kept(tmp_path, content), content)
    assert (cached.models, tuple(cached.metrics)) == (read.models, read.metrics)
    assert (cached.saved_queries, cached.time_spines) == (read.saved_queries, read.time_spines)
    assert [metric.meta for metric in cached.metrics] == [metric.meta for metric in read.metrics]


def test_metrics_are_decoded_one_by_one_on_access(tmp_path, monkeypatch):
    metrics = read_cache(kept(tmp_path), CONTENT).metrics_by_name
    read = []
    monkeypatch.setattr(cache.json, "loads", lambda line: read.append(line) or json.JSONDecoder().decode(line.decode()))
    assert metrics["late"].meta == LATE["config"]["meta"]
    assert metrics["late"].definition.inputs[1].offset_window.count == 7
    assert len(read) == 1
    assert list(metrics) == ["late", "a", "b"]
    assert "nothing" not in metrics and metrics.get("nothing") is None


def test_another_manifest_or_another_reader_ignores_the_cache(tmp_path, monkeypatch):
    file = kept(tmp_path)
    assert read_cache(file, CONTENT + b" ") is None
    monkeypatch.setattr(cache, "_hash_reader", lambda: "of another version")
    assert read_cache(file, CONTENT) is None


def test_a_changed_reader_is_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    readers = []
    for text in ("a = 1", "a = 10", "a = 10"):
        (tmp_path / "metrics.py").write_text(text)
        os.utime(tmp_path / "metrics.py", ns=(1, 1))
        readers.append(cache._hash_reader())
    assert (readers[0] == readers[1], readers[1] == readers[2]) == (False, True)


@given(st.data())
def test_a_truncated_or_changed_file_is_ignored(tmp_path_factory, data):
    file = kept(tmp_path_factory.mktemp("cache"))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.sampled_from([whole[:place], whole[:place] + b"?" + whole[place + 1 :], whole + b"\n1", b""]))
    file.write_bytes(cut)
    cached = read_cache(file, CONTENT)
    assert cached is None or cut == whole


def test_a_folder_that_is_not_writable_gets_no_cache(tmp_path):
    (tmp_path / "some").write_text("a file where the folder would be")
    assert read_cache(kept(tmp_path), CONTENT) is None
    folder = tmp_path / "other" / "some" / "definitions.jsonl"
    folder.mkdir(parents=True)
    kept(tmp_path / "other")
    assert [each.name for each in folder.parent.iterdir()] == ["definitions.jsonl"]


def turn(folder):
    """Write and read at once with others; how often something else than the whole came back."""
    file, wrong = kept(folder), 0
    for _ in range(30):
        kept(folder)
        cached = read_cache(file, CONTENT)
        wrong += cached is None or [metric.name for metric in cached.metrics] != ["late", "a", "b"]
    return wrong


def test_processes_that_start_at_once_do_not_disturb_each_other(tmp_path):
    with ProcessPoolExecutor(3) as processes:
        assert list(processes.map(turn, [tmp_path] * 3)) == [0, 0, 0]
    assert [each.name for each in (tmp_path / "some").iterdir()] == ["definitions.jsonl"]


# --- a project's start ----------------------------------------------------------------------------------------


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Load the manifest with these metrics; whether the definitions were read anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gemel.dbt.semantic.file, "WORTH_A_CACHE", 1)
    file = tmp_path / "semantic_manifest.json"
    reading = []

    def start(*metrics):
        file.write_text(json.dumps({"semantic_models": [SALES], "metrics": metrics}))
        monkeypatch.setattr(
            gemel.dbt.semantic.file, "read_valid", lambda data: reading.append(1) or cache_free_read(data)
        )
        reading.clear()
        return gemel.load(file, database=":memory:"), bool(reading)

    cache_free_read = gemel.dbt.semantic.file.read_valid
    return start


def test_the_second_start_uses_the_cache_and_gives_the_same_answers(started):
    first, anew = started(LATE)
    second, again = started(LATE)
    assert (anew, again) == (True, False)
    assert first.query(["a"], ["metric_time"]).sql == second.query(["a"], ["metric_time"]).sql
    assert first.metrics() == second.metrics()
    assert [str(finding) for finding in first.validate(skip_dw=True)] == [
        str(finding) for finding in second.validate(skip_dw=True)
    ]
    assert started(LATE, {**LATE, "name": "later"})[1]


def test_invalid_definitions_are_refused_at_every_start(started):
    for _ in range(2):
        with pytest.raises(gemel.GemelError):
            started({**LATE, "type": "odd"})


def test_a_small_manifest_is_read_faster_than_its_cache(started, tmp_path, monkeypatch):
    monkeypatch.setattr(gemel.dbt.semantic.file, "WORTH_A_CACHE", 10**5)
    assert started(LATE)[1] and started(LATE)[1]
    assert not (tmp_path / "cache").exists()
