"""profiles.yml, as dbt finds and reads it."""

import pytest

from gemel.dbt.profile import catalog_of, read_target
from gemel.engines.connections.files import Attachment
from gemel.engines.connections.opening import open_target
from gemel.errors import ProjectError, WarehouseError

PROFILES = """\
config: {}
shop:
  target: "{{ env_var('SHOP_TARGET', 'dev') }}"
  outputs:
    dev:
      type: duckdb
      path: "build/{{ env_var('SHOP_DB', 'shop') }}.duckdb"
      schema: analytics
      threads: 2
      extensions: [parquet, {name: icu}]
      settings: {memory_limit: 1GB}
      attach:
        - {path: raw.duckdb, alias: landing}
        - {path: refs.duckdb}
    prod:
      type: snowflake
      account: "{{ env_var('NOT_SET_ANYWHERE') }}"
    cloud: {type: duckdb, path: "md:shop"}
    lake: {type: snowflake}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shop = tmp_path / "shop"
    shop.mkdir()
    monkeypatch.chdir(tmp_path)
    (shop / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (shop / "profiles.yml").write_text(PROFILES)
    return shop


def read_profile(project, **options):
    return open_target(read_target(project, **options), project).profile


def refused(project, **options):
    with pytest.raises((ProjectError, WarehouseError)) as caught:
        read_profile(project, **options)
    return caught.value


def test_the_default_target_is_read_with_paths_relative_to_the_project(project):
    profile = read_profile(project)
    assert (profile.target, profile.schema, profile.database) == ("dev", "analytics", "shop")
    assert profile.path == str(project / "build/shop.duckdb")
    assert profile.attach == (
        Attachment(str(project / "raw.duckdb"), "landing"),
        Attachment(str(project / "refs.duckdb"), "refs"),
    )
    assert profile.catalogs == {"shop", "landing", "refs"}
    assert (profile.extensions, profile.settings) == (("parquet", "icu"), {"memory_limit": "1GB"})


def test_env_var_is_rendered_in_the_target_and_in_its_values(project, monkeypatch):
    monkeypatch.setenv("SHOP_DB", "other")
    assert read_profile(project).path == str(project / "build/other.duckdb")
    monkeypatch.setenv("SHOP_TARGET", "lake")
    assert refused(project).code == "G404"


def test_a_variable_missing_for_another_target_does_no_harm_and_for_this_one_is_named(project):
    assert read_profile(project).target == "dev"
    error = refused(project, target="prod")
    assert error.code == "G604"
    assert "NOT_SET_ANYWHERE is not set" in error.message


def test_profiles_are_searched_in_the_given_folder_then_the_project_then_at_home(project, tmp_path, monkeypatch):
    home, option, variable = (tmp_path / name for name in ("home/.dbt", "option", "variable"))
    for folder in (home, option, variable):
        folder.mkdir(parents=True)
        (folder / "profiles.yml").write_text(PROFILES.replace("analytics", folder.name.strip(".")))
    assert read_profile(project, profiles_dir=str(option)).schema == "option"
    assert read_profile(project).schema == "analytics"
    monkeypatch.setenv("DBT_PROFILES_DIR", str(variable))
    assert read_profile(project).schema == "variable"
    monkeypatch.delenv("DBT_PROFILES_DIR")
    (project / "profiles.yml").unlink()
    assert read_profile(project).schema == "dbt"


def test_a_relative_path_falls_back_to_the_current_directory(project, tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build/shop.duckdb").touch()
    assert read_profile(project).path == "build/shop.duckdb"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda project: (project / "profiles.yml").unlink(), "there is no profiles.yml"),
        (lambda project: (project / "profiles.yml").write_text("shop: ["), "not YAML"),
        (lambda project: (project / "profiles.yml").write_text("- shop"), "keys and values"),
        (lambda project: (project / "profiles.yml").write_text("shopp: {}"), "no profile is named 'shop'"),
        (lambda project: (project / "profiles.yml").write_text("shop: {}"), "no target named 'default'"),
        (lambda project: (project / "dbt_project.yml").write_text("name: shop\n"), "names no profile"),
        (lambda project: (project / "dbt_project.yml").unlink(), "dbt_project.yml"),
    ],
)
def test_a_missing_setting_is_reported(project, change, says):
    change(project)
    error = refused(project)
    assert error.code in ("G601", "G604")
    assert says in str(error)


def test_a_missing_target_suggests_an_existing_one(project):
    assert refused(project, target="dve").hint == "did you mean dev?"


@pytest.mark.parametrize(("target", "says"), [("lake", "only duckdb"), ("cloud", "MotherDuck")])
def test_another_warehouse_is_refused_for_now(project, target, says):
    error = refused(project, target=target)
    assert (error.code, says in error.message) == ("G404", True)


def test_a_database_file_has_the_name_that_duckdb_gives_it(tmp_path):
    import duckdb

    for name in ("gemel.duckdb", "a.b.duckdb", "plain"):
        with duckdb.connect(str(tmp_path / name)) as connection:
            (database,) = connection.execute("SELECT current_database()").fetchone()
        assert catalog_of(str(tmp_path / name)) == database
