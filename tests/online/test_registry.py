"""A Feast registry knows full paths, so one that was copied speaks of the folder that it was copied from."""

import shutil

from gemel.online.feast import drop_copied_registry


def write_repo(folder):
    (folder / "data").mkdir(parents=True)
    drop_copied_registry(folder)
    (folder / "data/registry.db").write_text("tables of this folder")
    return folder


def test_a_registry_stays_where_it_was_made(tmp_path):
    repo = write_repo(tmp_path / "shop")
    drop_copied_registry(repo)
    assert (repo / "data/registry.db").read_text() == "tables of this folder"


def test_a_registry_that_came_with_a_copy_is_forgotten_and_the_first_one_stays(tmp_path):
    repo = write_repo(tmp_path / "shop")
    copy = tmp_path / "copy"
    shutil.copytree(repo, copy)
    drop_copied_registry(copy)
    assert not (copy / "data/registry.db").exists()
    assert (repo / "data/registry.db").exists()
