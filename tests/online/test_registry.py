"""A Feast registry knows full paths, so one that was copied speaks of the folder that it was copied from."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from gemel.errors import BridgeError
from gemel.online.config import RegistryFile
from gemel.online.feast import messages
from gemel.online.registry.file import check_registry, drop_broken_registry, drop_copied_registry
from gemel.temporary import temporary_folder


def registry_of(repo):
    return RegistryFile("shop", repo / "data/registry.db")


def write_repo(folder):
    (folder / "data").mkdir(parents=True)
    drop_copied_registry(folder, registry_of(folder))
    (folder / "data/registry.db").write_text("tables of this folder")
    return folder


def test_a_registry_stays_where_it_was_made(tmp_path):
    repo = write_repo(tmp_path / "shop")
    drop_copied_registry(repo, registry_of(repo))
    assert (repo / "data/registry.db").read_text() == "tables of this folder"


def test_a_registry_that_came_with_a_copy_is_forgotten_and_the_first_one_stays(tmp_path):
    repo = write_repo(tmp_path / "shop")
    copy = tmp_path / "copy"
    shutil.copytree(repo, copy)
    drop_copied_registry(copy, registry_of(copy))
    assert not (copy / "data/registry.db").exists()
    assert (repo / "data/registry.db").exists()


def test_a_registry_that_a_copy_shares_with_the_first_one_stays(tmp_path):
    repo = write_repo(tmp_path / "shop")
    copy = tmp_path / "copy"
    shutil.copytree(repo, copy)
    drop_copied_registry(copy, registry_of(repo))
    assert (repo / "data/registry.db").exists()


def field(number, content):
    """A field of protobuf: its number, the length of the content, and the content."""
    tag = number << 3 | 2
    return bytes([tag] if tag < 128 else [tag & 0x7F | 0x80, tag >> 7]) + bytes([len(content)]) + content


ENTITY, PROJECT = field(1, b"customer"), field(17, b"shop")


@pytest.mark.parametrize("content", [b"", b"garbage" * 50, ENTITY, (ENTITY + PROJECT)[:-1], b"\xff" * 20])
def test_a_registry_that_is_none_is_noticed_and_written_again(tmp_path, content):
    repo = write_repo(tmp_path / "feature_views")
    (repo / "data/registry.db").write_bytes(content)
    with pytest.raises(BridgeError, match=r"G530 feature_views/data/registry\.db is not a registry of Feast"):
        check_registry(repo, registry_of(repo))
    drop_broken_registry(registry_of(repo))
    assert not (repo / "data/registry.db").exists()
    check_registry(repo, registry_of(repo))


def test_a_registry_of_feast_is_not_broken(tmp_path):
    repo = write_repo(tmp_path / "feature_views")
    (repo / "data/registry.db").write_bytes(ENTITY + PROJECT)
    check_registry(repo, registry_of(repo))
    drop_broken_registry(registry_of(repo))
    assert (repo / "data/registry.db").exists()


def test_what_an_apply_changes_is_told_but_not_the_times_of_its_sources():
    source = 'name: "sales_source"\nmeta {{\n  created_timestamp {{\n    seconds: {}\n    nanos: 5\n  }}\n}}\n'
    output = (
        "No project found in the repository\nCreated entity customer\n"
        f"Updated feature view buying\n\tbatch_source: {source.format(1)} -> {source.format(2)}\n"
        f"Updated feature view visiting\n\tbatch_source: {source.format(1)} -> {source.format(2)}\n"
        "\tonline: True -> False\n"
        "Updated entity shop\n\tvalue_type: INT64 -> STRING\n\nNo changes to infrastructure\n"
    )
    assert messages(output) == ["Created entity customer", "Updated feature view visiting", "Updated entity shop"]


IMPORTING = """
import importlib.util, runpy, sys, time
from pathlib import Path
from gemel.online.feast import _feast
with _feast(Path(sys.argv[1]), "apply"):
    [package] = importlib.util.find_spec("feast").submodule_search_locations
    metrics = runpy.run_path(package + "/metrics.py")  # what every import of Feast runs
    metrics["Counter"]("applied", "...").inc()
print("begun", flush=True)
time.sleep(60)
"""


def test_feasts_folder_of_metrics_goes_with_ours_after_a_kill(tmp_path, monkeypatch):
    repo, temporary = write_repo(tmp_path / "feature_views"), tmp_path / "temporary"
    (repo / "feature_store.yaml").touch()
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS")}
    command = [sys.executable, "-c", IMPORTING, str(repo)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment | {"TMPDIR": str(temporary)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        [folder] = temporary.iterdir()
        assert list(folder.glob("counter_*.db"))
        process.kill()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with temporary_folder() as ours:
        assert list(temporary.iterdir()) == [ours]
