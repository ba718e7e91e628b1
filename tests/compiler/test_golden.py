"""The SQL of each question is the text that a person has read. `GEMEL_WRITE_GOLDEN=1` writes it anew, to be read."""

import os

import pytest
from sqlglot import exp

from compiler.example_questions import FEATURE_TABLES, FINGERPRINTS, HERE, QUESTIONS, REQUESTS, parsed, sql_of

GOLDEN = HERE / "golden"
NAMES = [*QUESTIONS, *FEATURE_TABLES, *FINGERPRINTS, *REQUESTS]


@pytest.mark.parametrize("name", NAMES)
def test_the_sql_is_what_was_read(name):
    sql = sql_of(name) + "\n"
    file = GOLDEN / f"{name}.sql"
    if os.environ.get("GEMEL_WRITE_GOLDEN"):
        file.write_text(sql)
    assert sql == file.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_cte_is_used(name):
    tree = parsed(name)
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    assert named <= {table.name for table in tree.find_all(exp.Table)}


def test_every_golden_text_has_a_question():
    assert {file.stem for file in GOLDEN.glob("*.sql")} == set(NAMES)
