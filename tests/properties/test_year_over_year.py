"""A year ago, by week and by everything else: drawn events of three years, and cases with their data."""

import datetime as dt
import random
import re
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from gemel.compiler.compiled import compile_query
from gemel.compiler.names.graph import bind
from gemel.errors import QueryError
from gemel.spec.manifest import Manifest, Relation, TimeSpine
from gemel.spec.metrics import Cumulative, Derived, Measure, Percentile, Ratio
from gemel.spec.metrics import Metric as MetricOf
from gemel.spec.time import Window
from properties.asking import counted, plain
from reference import evaluate
from worlds.drawn import filled, model, simple, time, used, word
from worlds.questions import Question
from worlds.shop import flat


def visits(name: str, agg: str = "sum", expr: str = "amount", **more: object) -> Measure:
    return Measure(name, "visits", agg, expr, "came_on", **more)


BASES = (
    simple(visits("visits", "count", "1")),
    simple(visits("visitors", "count_distinct", "who")),
    simple(visits("spent")),
    simple(visits("spent_average", "average")),
    simple(visits("spent_median", "percentile", percentile=Percentile(0.5))),
    simple(visits("spent_most", "max")),
    simple(visits("visits_filled", "count", "1"), fill_nulls_with=0, join_to_timespine=True),
)
OTHERS = (
    MetricOf("spent_per_visit", Ratio(used("spent"), used("visits"))),
    MetricOf("visits_7d", Cumulative(used("visits"), Window(7, "day"))),
    MetricOf("visits_wtd", Cumulative(used("visits"), grain_to_date="week", period_agg="last")),
)
BEFORE = tuple(
    MetricOf(f"{base.name}_{unit}_ago", Derived("ago", (used(base.name, "ago", offset_window=Window(1, unit)),)))
    for base in (*BASES, *OTHERS)
    for unit in ("month", "quarter", "year")
)
DAYS = [dt.date(2023, 1, 1) + dt.timedelta(days=n) for n in range(3 * 366)]
MANIFEST = Manifest(
    (model("visits", "came_on", {"visit": "primary"}, time("came_on"), word("channel")),),
    (*BASES, *OTHERS, *BEFORE),
    time_spines=(TimeSpine(Relation("days", schema="main"), "day", "day", (("season", "season"),)),),
)
GRAPH = bind(MANIFEST)
SPINE = [{"day": day, "season": (day - DAYS[0]).days // 45} for day in DAYS]
# The ends of Februaries and years, and of months of 30 and 31 days.
BUSY = [dt.date(2024, 2, day) for day in (26, 28, 29)] + [
    dt.date(2023, 2, 28),
    dt.date(2024, 3, 1),
    dt.date(2023, 12, 31),
]
BUSY += [dt.date(2024, 1, 1), dt.date(2024, 5, 31), dt.date(2024, 6, 30), dt.date(2025, 12, 31)]


def visit(
    day: dt.date | str, who: str | None = "ann", amount: int | None = 10, channel: str | None = "web"
) -> dict[str, object]:
    came = dt.date.fromisoformat(day) if isinstance(day, str) else day
    return {"visit_id": 0, "came_on": came, "who": who, "amount": amount, "channel": channel}


drawn = st.lists(
    st.builds(
        visit,
        st.sampled_from(BUSY),
        st.sampled_from(["ann", "bob", None]),
        st.sampled_from([5, 10, None]),
        st.sampled_from(["web", "app", None]),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def database():
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("create table days (day date, season int)")
    connection.execute("create table visits (visit_id int, came_on date, who text, amount int, channel text)")
    connection.execute(filled({"days": SPINE}))
    return connection


def ask(database, question: Question, rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """As the SQL gives them, once the reference evaluator has agreed."""
    sql = compile_query(GRAPH, question.for_gemel()).sql
    database.execute(filled({"visits": rows}))
    found = database.execute(sql).fetchall()
    assert counted(found) == counted(evaluate(MANIFEST, {"visits": rows, "days": SPINE}, question.for_gemel())[1])
    return sorted(tuple(str(plain(v)).removesuffix(" 00:00:00") for v in row) for row in found if row[-1] is not None)


@given(seed=st.integers(0, 2**32), rows=drawn)
def test_a_month_a_quarter_or_a_year_ago_is_what_the_definition_says(database, seed, rows):
    chance = random.Random(seed)
    metric = f"{chance.choice(BASES).name}_{chance.choice(['month', 'quarter', 'year', 'year'])}_ago"
    grains = ["day", "week", "week", "month", "quarter", "year", "season"]
    times = [f"metric_time__{grain}" for grain in chance.sample(grains, chance.choice([1, 1, 2]))]
    others = ["visit__channel"] if chance.random() < 0.3 else []
    where = ["{{ Dimension('visit__channel') }} = 'web'"] if chance.random() < 0.2 else []
    where += ["{{ TimeDimension('metric_time', 'day') }} > '2024-03-15'"] if chance.random() < 0.2 else []
    question = Question((metric,), tuple(dict.fromkeys([*times, *others])), tuple(where))
    note(str(question))
    ask(database, question, rows)


def test_a_year_ago_by_week_each_fact_is_seen_once_in_the_week_of_its_day_a_year_later(database):
    # 2023-02-28 and 2024-02-29 are a Tuesday and a Thursday; a year later they are 2024-02-28 and 2025-02-28.
    rows = [visit("2023-02-28"), visit("2024-02-29", "ann", 30), visit("2024-02-28", "ann", 20)]
    by_week = ("metric_time__week",)
    assert ask(database, Question(("visits_year_ago",), by_week), rows) == [
        ("2024-02-26", "1.0"),
        ("2025-02-24", "2.0"),
    ]
    assert ask(database, Question(("visitors_year_ago",), by_week), rows)[-1] == ("2025-02-24", "1.0")
    assert ask(database, Question(("spent_median_year_ago",), by_week), rows)[-1] == ("2025-02-24", "25.0")


def test_a_month_ago_by_quarter_no_fact_is_counted_twice_and_none_is_lost(database):
    rows = [visit("2024-02-29"), visit("2023-01-31"), visit("2023-01-29")]
    found = ask(database, Question(("visits_month_ago",), ("metric_time__quarter",)), rows)
    assert found == [("2023-01-01", "2.0"), ("2024-01-01", "1.0")]


@pytest.mark.parametrize("metric", ["spent_per_visit_year_ago", "visits_7d_year_ago", "visits_wtd_month_ago"])
def test_what_is_more_than_the_facts_of_a_week_is_refused_by_week_a_year_ago(metric):
    with pytest.raises(QueryError, match=r"G324 .* is not a whole number of weeks") as refused:
        compile_query(GRAPH, Question((metric,), ("metric_time__week",)).for_gemel())
    assert refused.value.hint == "group by metric_time__day too, or offset by whole weeks"
    compile_query(GRAPH, Question((metric,), ("metric_time__week", "metric_time__day")).for_gemel())


@pytest.mark.parametrize(
    ("window", "by", "code"),
    [
        (Window(2, "day"), "metric_time__month", "G324"),
        (Window(1, "month"), "metric_time__quarter", "G324"),
        (Window(5, "hour"), "metric_time__day", "G324"),
        (Window(1, "month"), "metric_time__season", "G324"),
        (Window(1, "month"), "metric_time__month metric_time__season", "G324"),
        (Window(1, "month"), "metric_time__day metric_time__season", None),
        (Window(12, "month"), "metric_time__year", None),
        (Window(14, "day"), "metric_time__week", None),
        (Window(48, "hour"), "metric_time__day", None),
    ],
)
def test_a_result_moves_only_by_whole_periods(window, by, code):
    ago = MetricOf("ago", Derived("ago", (used("spent_per_visit", "ago", offset_window=window),)))
    graph = bind(Manifest(MANIFEST.models, (*MANIFEST.metrics, ago), time_spines=MANIFEST.time_spines))
    question = Question(("ago",), tuple(by.split())).for_gemel()
    if code is None:
        compile_query(graph, question)
        return
    with pytest.raises(QueryError, match=f"{code} metric 'ago' uses 'spent_per_visit' {window} earlier, ") as refused:
        compile_query(graph, question)
    assert (hinted(refused.value, by) is None) == (window.unit == "hour")
    if window.unit != "hour":
        compile_query(graph, Question(("ago",), tuple(hinted(refused.value, by).split())).for_gemel())


def hinted(error: QueryError, by: str) -> str | None:
    """The items to group by instead of `by`."""
    match = re.match(r"group by (\w+) (too|instead)", error.hint or "")
    return match and (f"{by} {match[1]}" if match[2] == "too" else match[1])


def test_a_hint_names_no_time_that_is_finer_than_the_facts():
    [facts] = MANIFEST.models
    monthly = replace(facts, dimensions=tuple(replace(each, grain=each.grain and "month") for each in facts.dimensions))
    graph = bind(replace(MANIFEST, models=(monthly,)))
    with pytest.raises(QueryError, match="G324") as refused:
        compile_query(graph, Question(("spent_per_visit_year_ago",), ("metric_time__extract_month",)).for_gemel())
    assert refused.value.hint == "group by metric_time__month too"
    by = ("metric_time__extract_month", "metric_time__month")
    compile_query(graph, Question(("spent_per_visit_year_ago",), by).for_gemel())


def test_facts_by_day_have_no_value_five_hours_earlier():
    ago = MetricOf("ago", Derived("ago", (used("visits", "ago", offset_window=Window(5, "hour")),)))
    graph = bind(Manifest(MANIFEST.models, (*MANIFEST.metrics, ago), time_spines=MANIFEST.time_spines))
    with pytest.raises(
        QueryError, match="G313 measure 'visits' has the grain day, so it has no value of 5 hours earlier"
    ):
        compile_query(graph, Question(("ago",), ("metric_time__day",)).for_gemel())


def test_the_sql_of_a_year_ago_by_week_is_what_one_would_write():
    sql = compile_query(GRAPH, Question(("visits_year_ago",), ("metric_time__week",)).for_gemel()).sql
    assert flat(sql) == flat("""
        WITH visits_by_step AS (
          SELECT
            CAST(visits.came_on AS DATE) AS step,
            COUNT(*) AS visits
          FROM main.visits
          GROUP BY 1
        ), spine AS (
          SELECT
            DATE_TRUNC('DAY', spine."day") AS step,
            DATE_TRUNC('WEEK', spine."day") AS metric_time__week
          FROM main.days AS spine
        )
        SELECT
          spine.metric_time__week,
          SUM(facts.visits) AS visits_year_ago
        FROM visits_by_step AS facts
        JOIN spine
          ON spine.step = facts.step + INTERVAL '1' YEAR
        GROUP BY 1
    """)
