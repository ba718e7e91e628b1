"""Hostile filters in any number: `python tests/hostile/many.py --engine postgres --count 100000 --seed 1`.

Each is asked as a question and run. Nothing but one SELECT over the question's own tables may come of it, which calls
nothing but the functions of the table; or an error with a code. Afterwards nothing on the server has changed.

`--engine both` compares the rows of DuckDB and PostgreSQL instead.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import duckdb
from sqlglot import exp, parse

import gemel
from compiler.asked_values import alike
from gemel.compiler.question.language.closed import called_names
from gemel.compiler.question.language.functions import FUNCTIONS
from gemel.compiler.question.language.spelling import find_spelling
from gemel.errors import GemelError
from hostile.fortress import DEFINITIONS, Fortress
from hostile.grammar import COLUMNS, Grammar
from worlds.postgres import own_name, own_schema
from worlds.sales import ROWS

SLOWEST = 10.0
CATALOGS = {
    "duckdb": "SELECT DISTINCT function_name FROM duckdb_functions()",
    "postgres": "SELECT DISTINCT proname::text FROM pg_proc",
}
WORDS = frozenset(
    """( , = < > <= >= <> != + - * / % || AND OR NOT IN IS LIKE ILIKE BETWEEN CASE WHEN THEN ELSE AS ESCAPE FROM CAST
    SELECT WHERE HAVING ON JOIN USING FILTER BY DECIMAL NUMERIC SUM COUNT NULLIF COALESCE DATE_TRUNC EXTRACT DISTINCT
    UNION ALL""".split()  # noqa: SIM905
)
"""What stands before a bracket in any question's SQL."""


def allowed_names(engine):
    """What the SQL of an answer may call, in upper case: what the table spells, and what questions themselves need."""
    names = set(WORDS)
    for row in FUNCTIONS:
        units = (row.duckdb if engine == "duckdb" else row.postgres) if not isinstance(row.duckdb, str) else [None]
        for unit in units:
            names |= find_spelling(row, unit, engine).names
    return names


def check_select(sql, engine, names):
    statements = parse(sql, dialect=engine)
    assert len(statements) == 1 and isinstance(statements[0], exp.Query), sql
    tables = {table.name.lower() for table in statements[0].find_all(exp.Table)}
    ctes = {cte.alias.lower() for cte in statements[0].find_all(exp.CTE)}
    assert tables - ctes <= {"sales", "days"}, sql
    assert statements[0].find(exp.Command, exp.DML, exp.DDL, exp.Lambda, exp.Placeholder, exp.Parameter) is None, sql
    called = {name for name in called_names(sql, engine) if not re.fullmatch(r"[\d.']*", name)}
    assert called <= names, (called - names, sql)


def outcome(project, question, engine, names):
    """`answer`, or the code of an error; AssertionError for anything else."""
    begun = time.monotonic()
    try:
        answer = project.query(**question)
        check_select(answer.sql, engine, names)
        answer.rows()
        result = "answer"
    except GemelError as error:
        assert re.fullmatch(r"G\d{3}", error.code) and "bug in gemel" not in str(error) and len(str(error)) < 5_000
        result = error.code
    assert time.monotonic() - begun < SLOWEST, (question, time.monotonic() - begun)
    return result


def comparison(project, other, question):
    """What two engines make of a question: `same rows`, or the errors of both; AssertionError for other rows."""
    results = []
    for each in (project, other):
        try:
            answer = each.query(**question)
        except GemelError as error:
            results.append((error.code, None))
            continue
        try:
            results.append(("answer", sorted(answer.rows(), key=repr)))
        except GemelError:
            results.append(("error", None))
    (one, rows), (two, others) = results
    if one == two == "answer":
        pairs = [pair for each in zip(rows, others, strict=True) for pair in zip(*each, strict=True)]
        assert all(alike(left, right) for left, right in pairs), (rows, others)
        return "same rows"
    assert one == two or "error" in (one, two), results
    return f"both {one}" if one == two else f"{one} / {two}"


def questions(seed, count, names):
    """So many questions, each with one random filter on its rows or its result."""
    rows, results = Grammar(seed, names), Grammar(seed + 1, names, COLUMNS)
    for number in range(count):
        question = {"metrics": ["revenue", "orders"], "group_by": ["sale__region", "metric_time__day"]}
        yield question | ({"having": [results.text()]} if number % 3 == 0 else {"where": [rows.text()]})


@contextmanager
def duckdb_project(directory):
    """The project, the functions of its engine, and a function that tells whether all is as it was."""
    fortress = Fortress(directory)
    with duckdb.connect() as local:
        names = [name for (name,) in local.execute(CATALOGS["duckdb"]).fetchall() if name.isidentifier()]
    yield fortress.project, names, fortress.unharmed


@contextmanager
def postgres_project(directory, url):
    with own_schema(url, own_name("many")) as schema:
        run = schema.connection.execute
        run(f"SET search_path = {schema.name}")
        run("CREATE TABLE sales (sale_id int, customer text, region text, amount numeric(10, 2), sold_at date)")
        run(f"INSERT INTO sales VALUES {ROWS}")
        run(
            "CREATE TABLE days AS "
            "SELECT day::date FROM generate_series('2024-01-01', '2024-03-31', interval '1 day') AS day"
        )
        run("CREATE TABLE canary AS SELECT 'alive' AS song")
        run("CREATE SEQUENCE counter")
        text = json.dumps(DEFINITIONS).replace('"main"', json.dumps(schema.name))
        text = text.replace('"warehouse"', json.dumps(schema.connection.info.dbname))
        (directory / "semantic_manifest.json").write_text(text)
        (directory / "dbt_project.yml").write_text("name: many\nprofile: many\n")
        profile = {"many": {"target": "dev", "outputs": {"dev": schema.output()}}}
        (directory / "profiles.yml").write_text(json.dumps(profile))
        names = [name for (name,) in run(CATALOGS["postgres"]).fetchall() if name.isidentifier()]

        def state():
            return [
                run("SELECT * FROM canary").fetchall(),
                run("SELECT count(*), sum(amount) FROM sales").fetchall(),
                run("SELECT last_value, is_called FROM counter").fetchall(),
                run("SELECT count(*) FROM pg_largeobject_metadata").fetchall(),
                run(
                    "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace ORDER BY 1", [schema.name]
                ).fetchall(),
                run("SELECT setting FROM pg_settings WHERE name = 'TimeZone'").fetchall(),
            ]

        before = state()
        with gemel.load(directory, manifest=directory / "semantic_manifest.json", profiles_dir=directory) as project:
            yield project, names, lambda: state() == before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("duckdb", "postgres", "both"), default="duckdb")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", default="postgresql://postgres@127.0.0.1:5432/postgres")
    options = parser.parse_args()
    begun, outcomes, wrong = time.monotonic(), Counter(), 0
    with ExitStack() as stack:
        first, second = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        opened = duckdb_project(first) if options.engine == "duckdb" else postgres_project(first, options.url)
        project, names, unharmed = stack.enter_context(opened)
        if options.engine == "both":
            other, _, _ = stack.enter_context(duckdb_project(second))
            ask = partial(comparison, project, other)
        else:
            allowed = allowed_names(options.engine)
            ask = partial(outcome, project, engine=options.engine, names=allowed)
        for question in questions(options.seed, options.count, names if options.engine != "both" else ()):
            try:
                outcomes[ask(question)] += 1
            except Exception as error:
                wrong += 1
                print(f"WRONG {question}\n  {type(error).__name__}: {str(error)[:1000]}", flush=True)
        assert unharmed(), "something changed"
    print(f"{options.count:,} questions on {options.engine}, seed {options.seed}, {time.monotonic() - begun:.0f} s")
    print(", ".join(f"{code} {number:,}" for code, number in outcomes.most_common()))
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
