"""SQL on many rows: gemel's, the best that we can write by hand, MetricFlow's. Rows are equal before time counts."""

import datetime as dt
import decimal
import json
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb
import metricflow_client
from report import Report, Table, ratio
from timing import Times, clocked, median

import gemel

SHOP = Path(__file__).parent / "shop"
THREADS = 2
TURNS = 5
BUDGET = 20.0  # seconds that one SQL text gets altogether, if it has had one turn
LIMIT = 90.0  # seconds that one run may take

Contenders = dict[str, str]


def measure(options: Namespace) -> Report:
    many = options.rows or (200_000 if options.quick else 20_000_000)
    sizes = [min(200_000, many), max(many // 10, min(200_000, many)), many]
    report = Report([f"{many:,} orders and {many:,} visits, DuckDB {duckdb.__version__}, {THREADS} threads."])
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        shops = {rows: make_shop(Path(folder) / f"{rows}.duckdb", rows) for rows in dict.fromkeys(sizes)}
        questions = json.loads((SHOP / "questions.json").read_text())
        questions = {name: question for name, question in questions.items() if name in (options.only or questions)}
        contenders = {name: sql_of(name, question, shops[many]) for name, question in questions.items()}
        theirs = metricflow_sql(questions)
        table = Table(["question", "rows", "gemel s", "by hand s", "MetricFlow s", "gemel / by hand",
                       "same, CPU", "MetricFlow / gemel"])  # fmt: skip
        for name, texts in contenders.items():
            if name in theirs:
                texts["MetricFlow"] = theirs[name]
            for rows, times, remark in compete(texts, [(rows, shops[rows]) for rows in sizes]):
                table.rows.append(row_of(name, rows, times))
                report.parts += [f"- {name}, {rows:,} rows: {remark}"] if remark else []
                options.say(f"{name}, {rows:,} rows: " + ", ".join(f"{k} {v.wall}" for k, v in times.items()) + remark)
    report.parts.insert(1, table)
    return report


def make_shop(file: Path, facts: int) -> Path:
    """A DuckDB file with `facts` orders and as many visits, of a customer for every fifty."""
    with duckdb.connect(config={"threads": THREADS}) as database:
        database.execute(f"attach '{file}' as shop; use shop")
        database.execute((SHOP / "tables.sql").read_text().format(facts=facts, customers=max(facts // 50, 1)))
    return file


def sql_of(name: str, question: dict[str, Any], database: Path) -> Contenders:
    shop = gemel.load(SHOP / "semantic_manifest.json", database=database)
    return {"gemel": shop.query(**question).sql, "by hand": (SHOP / "by_hand" / f"{name}.sql").read_text()}


def metricflow_sql(questions: dict[str, dict[str, Any]]) -> dict[str, str]:
    if not metricflow_client.python():
        return {}
    metricflow = metricflow_client.MetricFlow(SHOP / "semantic_manifest.json", limit=60)
    answers = {name: metricflow.compile(question) for name, question in questions.items()}
    metricflow.close()
    return {name: answer["sql"] for name, answer in answers.items() if "sql" in answer}


def compete(texts: Contenders, sizes: list[tuple[int, Path]]) -> Iterable[tuple[int, dict[str, Times], str]]:
    """At the largest of three sizes; where someone does not get that far, also at the largest that all do.

    The smallest comes first. It tells who need not even start on more.
    """
    (few, small), middle, large = sizes
    first = (few, *contest(texts, small, texts))
    if large[0] == few:
        yield first
        return
    found = []
    for rows, file in (large, middle):
        hopeful = [name for name in texts if foreseen(first[1][name], rows / few) < LIMIT]
        found.append((rows, *contest(texts, file, hopeful)))
        if everyone(found[-1][1]):
            break
    if len(found) == 2:
        yield found[1] if everyone(found[1][1]) else first
    yield found[0]


def foreseen(times: Times, factor: float) -> float:
    wall = median(times.wall)
    return LIMIT if wall is None else wall * factor


def everyone(times: dict[str, Times]) -> bool:
    return all(each.wall for each in times.values())


def contest(texts: Contenders, file: Path, names: Iterable[str]) -> tuple[dict[str, Times], str]:
    """Times of those of `names` that end in time, and what is to be said about it."""
    times = {name: Times() for name in texts}
    answers: dict[str, list[str]] = {}
    remarks = []
    with duckdb.connect(config={"threads": THREADS, "temp_directory": str(file.parent / "spill")}) as database:
        database.execute(f"attach '{file}' as shop (read_only); use shop")
        running = [*names]
        for turn in range(TURNS + 1):
            for name in [*running]:
                if sum(times[name].wall) > BUDGET:
                    continue
                try:
                    rows, wall, cpu = run(database, texts[name])
                except duckdb.InterruptException:
                    running.remove(name)
                    remarks.append(f"{name} was stopped after {LIMIT:.0f} s")
                    continue
                if turn == 0:
                    answers[name] = rows
                if turn or wall > BUDGET / 4:  # the first, cold turn counts where it is long
                    times[name].add(wall, cpu)
    for name, answer in answers.items():
        if answer != answers.get("by hand", answer):
            # A wrong answer's time is not worth telling.
            times[name] = Times()
            remarks.append(f"the rows of {name} differ from those of the SQL by hand")
    return times, "; ".join(remarks)


def run(database: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], float, float]:
    found: list[tuple[Any, ...]] = []
    columns: list[str] = []

    def work() -> None:
        result = database.execute(sql)
        columns.extend(column[0] for column in result.description or ())
        found.extend(result.fetchall())

    with stopped_after(LIMIT, database.interrupt):
        wall, cpu = clocked(work)
    order = sorted(range(len(columns)), key=columns.__getitem__)
    return sorted(str([plain(row[place]) for place in order]) for row in found), wall, cpu


class stopped_after:
    """A block that calls `stop` if it is still running after so many seconds."""

    def __init__(self, seconds: float, stop: Callable[[], None]) -> None:
        self._timer = Timer(seconds, stop)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def plain(value: object) -> object:
    """A date is its midnight, and numbers are equal to nine digits."""
    match value:
        case dt.datetime():
            return value.isoformat()
        case dt.date():
            return dt.datetime(value.year, value.month, value.day).isoformat()
        case bool():
            return value
        case int() | float() | decimal.Decimal():
            return float(f"{float(value):.9g}")
        case _:
            return value


def row_of(name: str, rows: int, times: dict[str, Times]) -> list[object]:
    ours, hand, theirs = (times.get(each, Times()) for each in ("gemel", "by hand", "MetricFlow"))
    wall = [median(each.wall) for each in (ours, hand, theirs)]
    return [name.replace("_", " "), rows, *wall, ratio(wall[0], wall[1]), ratio(median(ours.cpu), median(hand.cpu)),
            ratio(wall[2], wall[0])]  # fmt: skip
