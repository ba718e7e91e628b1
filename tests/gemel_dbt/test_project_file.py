"""dbt_project.yml: the project's name, its folders, its variables, and where packages are."""

import pytest

from gemel.dbt.project_file import (
    find_packages,
    find_project,
    list_yaml_files,
    read_paths,
    read_project_name,
    read_target_path,
    read_variables,
)
from gemel.errors import ProjectError


@pytest.fixture
def project(tmp_path):
    def write(text):
        (tmp_path / "dbt_project.yml").write_text(text)
        return tmp_path

    return write


def test_a_project_is_found_from_a_folder_inside_it(project):
    root = project("name: shop\n")
    (root / "models/marts").mkdir(parents=True)
    assert find_project(root / "models/marts") == root.resolve()
    assert find_project(root.parent) is None


def test_the_name_is_dbts_or_the_folders(project, tmp_path):
    assert read_project_name(project("name: shop\n")) == "shop"
    assert read_project_name(project("version: 1\n")) == tmp_path.name
    assert read_project_name(None) == "project"


def test_folders_are_those_named_or_the_defaults_of_dbt(project):
    root = project("model-paths: [models, semantic]\ntest-paths: []\n")
    assert [read_paths(root, kind) for kind in ("model", "test", "macro", "analysis")] == [
        ["models", "semantic"],
        [],
        ["macros"],
        ["analyses"],
    ]


def test_artifacts_are_in_target_unless_a_plain_path_is_named(project):
    assert read_target_path(project("target-path: build\n")) == "build"
    assert read_target_path(project("target-path: \"{{ env_var('X') }}\"\n")) == "target"
    assert read_target_path(project("name: shop\n")) == "target"


def test_definitions_of_packages_are_found_where_packages_are_installed(project):
    root = project("packages-install-path: vendor\n")
    (root / "vendor/other/models").mkdir(parents=True)
    (root / "vendor/other/dbt_project.yml").write_text("name: other\n")
    (root / "vendor/other/models/metrics.yml").write_text("metrics: []\n")
    assert find_packages(root) == root / "vendor"
    assert list_yaml_files(root) == [root / "vendor/other/models/metrics.yml"]
    assert find_packages(project("name: shop\n")) == root / "dbt_packages"


def test_variables_are_an_object_or_none(project):
    assert read_variables(project("vars: {days: 3, shop: {days: 4}}\n")) == {"days": 3, "shop": {"days": 4}}
    assert read_variables(project("vars: [days]\n")) == {}


@pytest.mark.parametrize("text", ["name: [", "- a list\n", "\x00"])
def test_an_unreadable_file_has_no_folders_and_an_error_for_the_name(project, text):
    root = project(text)
    assert (read_paths(root, "model"), read_target_path(root), find_packages(root)) == (
        [],
        "target",
        root / "dbt_packages",
    )
    with pytest.raises(ProjectError) as caught:
        read_project_name(root)
    assert caught.value.code == "G604"
