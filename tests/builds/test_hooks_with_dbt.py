"""What dbt alone records of its builds, by the hooks and macros that gemel generates: on DuckDB and PostgreSQL."""

import datetime as dt
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import duckdb
import pytest

from gemel.builds.hooks import hook_settings, write_config
from gemel.builds.macros import write_macros
from gemel.engines.duckdb import DUCKDB
from gemel.engines.lookup import all_engines
from gemel.engines.postgres import POSTGRES
from worlds import warm_dbt
from worlds.postgres import own_name, own_schema
from worlds.projects import write_project
from worlds.sales_project import PROJECT, profiles

NAMES = ("buying", "selling", "visiting", "Mixed", "order", "viewed", "grown", "elsewhere")
SETTINGS = {
    "viewed": {"materialized": '"view"'},
    "grown": {"materialized": '"incremental"'},
    "elsewhere": {"materialized": '"table"', "schema": '"bi"'},
}
SELECT = "select cast('2024-01-0{} 10:00' as timestamp) as moment union all select timestamp '2024-01-01'"
HASH = "0123456789a{}"


def model(number, engine, *, after=()):
    settings = SETTINGS.get(NAMES[number], {"materialized": '"table"'})
    newest = None if settings["materialized"] == '"view"' else "MAX(moment)"
    hooks = hook_settings(engine, HASH.format(number), newest=newest, after=after)
    return f"{write_config(settings | hooks)}\n\n{SELECT.format(number + 2)}\n"


class Project:
    """Eight models in eight threads, and what was recorded of them: rows by relation."""

    def __init__(self, root, engine, output, query):
        self.root, self.engine, self._query = root, engine, query
        files = {f"models/{name}.sql": model(number, engine) for number, name in enumerate(NAMES)}
        files |= {
            "dbt_project.yml": PROJECT,
            "profiles.yml": profiles(output | {"threads": 8}, prod=output | {"schema": "prod"}),
        }
        write_project(root, files | {"macros/gemel_builds.sql": write_macros(engine)})

    def dbt(self, *arguments, target_path="target"):
        command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]
        done = warm_dbt.run([*command, *arguments, "--target-path", target_path], cwd=self.root)
        return SimpleNamespace(code=done.returncode, text=done.stdout + done.stderr)

    def rows(self, schema=""):
        columns = "relation, definition, invocation_id, built_at, newest_fact"
        found = self._query(f"select {columns} from {{}}{schema}.gemel_builds order by built_at")
        return [SimpleNamespace(**dict(zip(columns.split(", "), row, strict=True))) for row in found]


@pytest.fixture
def on_duckdb(tmp_path):
    def query(sql):
        with duckdb.connect(str(tmp_path / "shop.duckdb"), read_only=True) as con:
            return con.execute(sql.format("main")).fetchall()

    return Project(tmp_path, DUCKDB, {"type": "duckdb", "path": "shop.duckdb"}, query)


@pytest.fixture
def on_postgres(tmp_path, needs_postgres):
    with own_schema(needs_postgres, own_name("builds")) as schema:

        def query(sql):
            return schema.connection.execute(sql.format(schema.name)).fetchall()

        yield Project(tmp_path, POSTGRES, schema.output(), query)


@pytest.fixture(params=["duckdb", "postgres"])
def project(request):
    return request.getfixturevalue(f"on_{request.param}")


def test_models_that_are_built_at_once_in_an_empty_database_each_record_what_built_them(project):
    before = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    done = project.dbt("run")
    after = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    assert done.code == 0, done.text
    here, elsewhere = project.rows(), project.rows("_bi")
    assert sorted(row.relation for row in here) == sorted(set(NAMES) - {"elsewhere"})
    assert [row.relation for row in elsewhere] == ["elsewhere"]
    for row in (*here, *elsewhere):
        number = NAMES.index(row.relation)
        assert row.definition == HASH.format(number)
        assert row.newest_fact == (None if row.relation == "viewed" else dt.datetime(2024, 1, number + 2, 10))
        assert before <= row.built_at <= after
    [invocation] = {row.invocation_id for row in (*here, *elsewhere)}
    assert invocation in (project.root / "target/manifest.json").read_text()

    assert project.dbt("run", "--select", "grown", "--full-refresh").code == 0
    assert [row.relation for row in project.rows()].count("grown") == 2
    assert project.rows()[-1].invocation_id != invocation


def test_a_model_that_fails_after_its_rows_were_made_leaves_no_record(project):
    assert project.dbt("run", "--select", "buying", "grown").code == 0
    for name in ("buying", "grown"):
        text = model(NAMES.index(name), project.engine, after=["select * from no_such_table"])
        (project.root / f"models/{name}.sql").write_text(text.replace("0123", "dddd"))
    failed = project.dbt("run", "--select", "buying", "grown", "selling")
    assert (failed.code, "no_such_table" in failed.text) == (1, True), failed.text
    assert sorted(row.relation for row in project.rows()) == ["buying", "grown", "selling"]
    assert not any(row.definition.startswith("dddd") for row in project.rows())


def test_rows_that_are_not_those_of_all_facts_are_recorded_as_such(on_duckdb):
    assert on_duckdb.dbt("run", "--select", "buying").code == 0
    assert on_duckdb.dbt("run", "--select", "buying", "--empty").code == 0
    assert on_duckdb.dbt("run", "--select", "buying", "--sample", "3 days").code == 0
    assert on_duckdb.dbt("run", "--select", "buying", "--target", "prod", target_path="prod").code == 0
    cloned = on_duckdb.dbt("clone", "--select", "buying", "--state", "prod", "--full-refresh")
    assert cloned.code == 0, cloned.text
    assert [row.definition for row in on_duckdb.rows()] == [HASH.format(0), "--empty", "--sample", "clone"]


def test_at_the_end_of_a_run_every_other_model_can_be_recorded_too(project):
    write_project(
        project.root,
        {
            "dbt_project.yml": PROJECT + '    on-run-end: "{{ gemel_record_builds(results) }}"\n',
            "models/own.sql": "{{ config(materialized='table') }} select 1 as n",
            "models/dim/other.sql": "{{ config(schema='dims') }} select n from {{ ref('own') }}",
            "models/passing.sql": "{{ config(materialized='ephemeral') }} select 1 as n",
            "models/failing.sql": "select * from no_such_table",
            "seeds/sown.csv": "n\n1\n",
        },
    )
    done = project.dbt("build")
    assert done.code == 1, done.text
    rows = project.rows()
    assert sorted(row.relation for row in rows) == sorted([*NAMES[:-1], "own", "sown"]), done.text
    [other] = project.rows("_dims")
    [own] = [row for row in rows if row.relation == "own"]
    assert other.relation == "other" and len(other.definition) == len(own.definition) == 12
    assert other.definition != own.definition


def test_two_dbts_at_once_in_an_empty_schema_both_record_their_builds(on_postgres):
    halves = [("buying", "selling", "visiting"), ("Mixed", "order", "viewed")]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda half: on_postgres.dbt("run", "--select", *half, target_path=half[0]), halves))
    assert [each.code for each in done] == [0, 0], done
    assert sorted(row.relation for row in on_postgres.rows()) == sorted([*halves[0], *halves[1]])


@pytest.mark.parametrize("engine", [each for each in all_engines() if each.create_table], ids=lambda each: each.name)
def test_the_table_of_builds_can_be_read_in_the_engine_s_own_dialect(engine):
    import sqlglot

    text = write_macros(engine)
    [create] = text.split("-%}\nCREATE")[1:] if "-%}\nCREATE" in text else [text.split("BEGIN CREATE")[1]]
    create = "CREATE" + create.split("\n  {%- endif")[0].split("; EXCEPTION")[0].replace("{{ builds }}", "s.b")
    [parsed] = sqlglot.parse(create, dialect=engine.dialect)
    assert [column.name for column in parsed.this.expressions] == [
        *("relation", "definition", "invocation_id", "built_at", "newest_fact")
    ]
