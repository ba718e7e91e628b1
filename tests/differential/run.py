"""MetricFlow against gemel, on random queries.

    python tests/differential/run.py --queries 2000 --seed 0 [--project nasty] [--subject compiler]

MetricFlow runs in a Python of its own (GEMEL_METRICFLOW_PYTHON). A query counts when MetricFlow answers it, and
answers the same without its optimizers. `--subject reference` puts tests/reference.py in gemel's place.
"""

import argparse
import collections
import datetime as dt
import decimal
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import duckdb  # noqa: E402

from differential import nasty_world  # noqa: E402
from differential.questions import Asker, Question  # noqa: E402
from gemel.errors import GemelError  # noqa: E402
from gemel.spec.manifest import Manifest  # noqa: E402
from gemel.spec.reading import read_manifest  # noqa: E402

Answer = tuple[list[str], list[tuple]]
Subject = Callable[[Manifest, dict, duckdb.DuckDBPyConnection, Question], Answer]


def by_reference(manifest: Manifest, tables: dict, _: duckdb.DuckDBPyConnection, question: Question) -> Answer:
    import reference

    return reference.evaluate(manifest, tables, question.for_gemel())


def by_compiler(manifest: Manifest, tables: dict, database: duckdb.DuckDBPyConnection, question: Question) -> Answer:
    from gemel.compiler import compile_query
    from gemel.compiler.graph import bind

    result = database.execute(compile_query(bind(manifest), question.for_gemel()))
    return [column[0] for column in result.description], result.fetchall()


SUBJECTS = {"reference": by_reference, "compiler": by_compiler}


class MetricFlow:
    """The other process."""

    def __init__(self, python: str, manifest: pathlib.Path) -> None:
        command = [python, str(HERE / "metricflow_process.py"), str(manifest)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if "ready" not in self._process.stdout.readline():
            raise RuntimeError("MetricFlow did not start")

    def request(self, **content: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def compare(question: Question, theirs: dict[str, Any], ours: Answer) -> str | None:
    """What differs, or None."""
    columns, rows = ours
    if sorted(columns) != sorted(theirs["columns"]):
        return f"columns {columns} against {theirs['columns']}"
    place = [columns.index(column) for column in theirs["columns"]]
    mine = [tuple(plain(row[i]) for i in place) for row in rows]
    other = [tuple(plain(value) for value in row) for row in theirs["rows"]]
    if question.limit is not None:
        keys = [name.lstrip("-") for name in question.order_by]
        at = [i for i, c in enumerate(theirs["columns"]) if any(c == k or c.startswith(k + "__") for k in keys)]
        mine, other = ([tuple(row[i] for i in at) for row in side] for side in (mine, other))
    count_mine, count_other = collections.Counter(mine), collections.Counter(other)
    if count_mine == count_other:
        return None
    extra, missing = list((count_mine - count_other).elements()), list((count_other - count_mine).elements())
    return f"{theirs['columns']}: gemel only {extra[:4]} ({len(extra)}), MetricFlow only {missing[:4]} ({len(missing)})"


def plain(value: Any) -> Any:
    match value:
        case {"t": text}:
            return plain(dt.datetime.fromisoformat(text))
        case dt.datetime():
            return value.isoformat()
        case dt.date():
            return dt.datetime(value.year, value.month, value.day).isoformat()
        case bool() | None | str():
            return value
        case int() | float() | decimal.Decimal():
            return float(f"{float(value):.9g}")
        case _:
            return str(value)


def parsed_nasty(folder: pathlib.Path) -> pathlib.Path:
    """dbt's semantic_manifest.json of the nasty project."""
    dbt = pathlib.Path(sys.executable).with_name("dbt")
    command = [str(dbt), "parse", "--no-partial-parse", "--quiet", "--profiles-dir", ".", "--target-path", str(folder)]
    environment = os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "0", "DBT_LOG_PATH": str(folder)}
    subprocess.run(command, cwd=HERE / "nasty", env=environment, check=True)
    return folder / "semantic_manifest.json"


def nasty_worlds(seed: int) -> Iterator[tuple[dict, str]]:
    """Tables as rows of dicts, and the script that makes them."""
    for number in range(seed * 1000, seed * 1000 + 1000):
        rows = nasty_world.world(number)
        names = {t: [c.split()[0] for c in columns.split(", ")] for t, columns in nasty_world.COLUMNS.items()}
        yield {t: [dict(zip(names[t], r, strict=True)) for r in rows[t]] for t in rows}, nasty_world.script(rows)


def values_of(tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for row in (row for name, rows in tables.items() if not name.startswith("spine") for row in rows):
        for column, value in row.items():
            values.setdefault(column, []).append(value)
    return values


def run(python: str, count: int, seed: int, subject: str, per_world: int, only: tuple[str, ...], say: Callable) -> dict:
    tally: collections.Counter[str] = collections.Counter()
    differences: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = parsed_nasty(pathlib.Path(folder))
        manifest = read_manifest(json.loads(file.read_text()))
        metricflow = MetricFlow(python, file)
        chance = random.Random(seed)
        days = [str(day) for day in nasty_world.days()[10:110]]
        for tables, script in nasty_worlds(seed):
            metricflow.request(script=script, **{"as": "nasty"})
            database = duckdb.connect()
            database.execute("attach ':memory:' as nasty; use nasty; " + script)
            asker = Asker(manifest, values_of(tables), days, only=only)
            for _ in range(per_world):
                if sum(tally.values()) >= count:
                    metricflow.close()
                    return {"tally": dict(tally), "differences": differences}
                question = asker.question(chance)
                outcome, detail = judge(metricflow, manifest, tables, database, question, SUBJECTS[subject])
                tally[outcome] += 1
                if outcome not in ("equal", "both refuse", "only gemel answers"):
                    differences.append({"question": str(question), "outcome": outcome, "detail": detail})
                    say(f"{outcome}: {question}\n    {detail}")
            database.close()
    raise AssertionError("there are more worlds than that")


def judge(metricflow, manifest, tables, database, question, subject) -> tuple[str, str]:
    theirs = metricflow.request(**question.for_metricflow())
    try:
        ours = subject(manifest, tables, database, question)
    except (GemelError, duckdb.Error, Exception) as error:
        if "error" in theirs:
            return "both refuse", ""
        return "gemel refuses", f"{type(error).__name__}: {error}"[:600]
    if "error" in theirs:
        return "only gemel answers", theirs["error"]
    if "unoptimized" in theirs:
        return "MetricFlow differs with itself", ""
    difference = compare(question, theirs, ours)
    return ("different", difference) if difference else ("equal", "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-world", type=int, default=25)
    parser.add_argument("--subject", choices=SUBJECTS, default="compiler")
    parser.add_argument("--only", nargs="*", default=(), help="metric types")
    options = parser.parse_args()
    python = os.environ.get("GEMEL_METRICFLOW_PYTHON")
    if not python:
        sys.exit("set GEMEL_METRICFLOW_PYTHON to a Python that has metricflow and duckdb")
    report = run(python, options.queries, options.seed, options.subject, options.per_world, tuple(options.only), print)
    print(json.dumps(report["tally"], indent=2))
    sys.exit(any(d["outcome"] in ("different", "gemel refuses") for d in report["differences"]))


if __name__ == "__main__":
    main()
