"""That the leak is real: one small model given the same metrics in three ways, offline and then as it is served.

`make leak` runs it on all of 2013 and writes docs/leak.md's figures; that page says what they show.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pandas

import gemel

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1]
PARTS = ("dbt_project.yml", "profiles.yml", "models", "macros", "semantic", "metrics", "feature_views", "data")

# Each feature of gemel's, and what a table with one row for each entity and calendar day has in its place.
FEATURES = {
    "carrier_punctuality.flights_7d": "flights[7 days]",
    "carrier_punctuality.late_rate_7d": "late_rate[7 days]",
    "carrier_punctuality.late_rate_28d": "late_rate[28 days]",
    "carrier_punctuality.cancellation_rate_7d": "cancellation_rate[7 days]",
    "carrier_punctuality.average_departure_delay_7d": "average_departure_delay[7 days]",
    "origin_congestion.departures_3h": "departures",
    "origin_congestion.late_departures_3h": "late_departures",
    "origin_congestion.late_rate_1d": "late_rate",
    "origin_congestion.cancelled_flights_3h": "cancelled_flights",
    "plane_history.arrivals_7d": "arrivals[7 days]",
    "plane_history.average_arrival_delay_7d": "average_arrival_delay[7 days]",
    "plane_history.average_arrival_delay_28d": "average_arrival_delay[28 days]",
    "plane_history.late_arrival_rate_28d": "late_arrival_rate[28 days]",
    "plane_history.miles_flown_28d": "miles_flown[28 days]",
}
ENTITIES = {"carrier_punctuality": "carrier", "origin_congestion": "origin", "plane_history": "plane"}

# What the timetable says long before: every model has it.
TIMETABLE = ["hour", "weekday", "distance"]

# A prediction for every flight that left, an hour before it should. `day` is its day on New York's calendar, and
# `day_before` the last one that is over at that moment.
SPINE = """
    SELECT
        flight_id AS flight, carrier, origin, tail_number AS plane,
        scheduled_departure_utc - INTERVAL 1 HOUR AS event_timestamp,
        hour(scheduled_departure_at) AS hour, isodow(scheduled_departure_at) AS weekday, distance,
        CAST(scheduled_departure_at AS DATE) AS day,
        CAST(scheduled_departure_at - INTERVAL 1 HOUR AS DATE) - 1 AS day_before,
        is_late_departure AS late
    FROM flights
    WHERE NOT is_cancelled
    ORDER BY event_timestamp, flight
"""

COLORS = ("#c0392b", "#6b7280", "#1f6fb2")
SCORES = {"auc": "AUC", "average_precision": "average precision"}

GEMEL = "gemel, as served"
SAME_DAY = "by day, joined on the flight's day"
DAY_BEFORE = "by day, joined on the day before"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    day = dt.date.fromisoformat
    parser.add_argument("--start", type=day, default=dt.date(2013, 1, 1), help="first day to train on")
    parser.add_argument("--split", type=day, default=dt.date(2013, 10, 1), help="first day to test on")
    parser.add_argument("--end", type=day, default=dt.date(2014, 1, 1), help="the day after the last")
    parser.add_argument("--moments", type=int, default=24, help="hours of the test whose flights are asked for online")
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    parser.add_argument("--write", action="store_true", help="write docs/leak.md's figures: leak.json, leak.svg, table")
    options = parser.parse_args()
    # On a busy machine, threads that wait for each other take twenty times as long as one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # The views' relative paths start in the copy, and the example has files of the same names.
    with tempfile.TemporaryDirectory(prefix="leak-") as folder, contextlib.chdir(folder):
        project = build(Path(folder), options.start, options.end)
        results = compare(project, options.split, moments=options.moments)
    text = json.dumps(results, indent=2) + "\n"
    if options.out:
        options.out.write_text(text)
    if options.write:
        (HERE / "leak.json").write_text(text)
        draw(results, HERE / "leak.svg")
        page = EXAMPLE / "docs" / "leak.md"
        page.write_text(re.sub(r"(?m)(^\|.*\n)+", lambda _: table(results), page.read_text(), count=1))
    print(table(results))


def build(folder: Path, start: dt.date, end: dt.date) -> gemel.Project:
    """A copy of the worked example with the flights of some days, its tables built and nothing online yet."""
    for part in PARTS:
        if (EXAMPLE / part).is_dir():
            shutil.copytree(EXAMPLE / part, folder / part, ignore=shutil.ignore_patterns("*.db*", "*.home"))
        else:
            shutil.copy(EXAMPLE / part, folder / part)
    say("building the worked example")
    flights = folder / "data" / "flights.parquet"
    days = f"make_date(year, month, day) >= DATE '{start}' AND make_date(year, month, day) < DATE '{end}'"
    duckdb.sql(f"COPY (FROM '{EXAMPLE / 'data' / 'flights.parquet'}' WHERE {days}) TO '{flights}'")
    tables = ["time_spine_day", *(f"+{view}" for view in ENTITIES)]
    run(folder, "dbt", "run", "--quiet", "--profiles-dir", ".", "--select", *tables)
    return gemel.load(folder)


def compare(project: gemel.Project, split: dt.date, *, moments: int) -> dict[str, Any]:
    """Each model on a test set made like its training set, and on what there is at the moment of prediction."""
    with duckdb.connect(str(project.session.dir / "gemel.duckdb"), read_only=True) as con:
        spine = con.sql(SPINE).arrow().read_all()
    served = project.training_set(list(FEATURES), spine, accuracy="served").df()
    by_day = day_stamped(project)
    same_day, day_before = joined(spine, by_day, "day"), joined(spine, by_day, "day_before")

    ways = {SAME_DAY: (same_day, day_before), DAY_BEFORE: (day_before, day_before), GEMEL: (served, served)}
    models, found = {}, {}
    for features, (offline, at_the_moment) in ways.items():
        say(f"training on {features}")
        model = models[features] = fit(offline[~is_test(offline, split)])
        found[features] = {
            "offline": scores(model, offline[is_test(offline, split)]),
            "served": scores(model, at_the_moment[is_test(at_the_moment, split)]),
        }
    test = served[is_test(served, split)]
    return {
        "features": FEATURES,
        "train": {"first": str(served["day"].min()), "flights": len(served) - len(test)},
        "test": {"first": str(split), "flights": len(test), "late": round(float(test["late"].mean()), 4)},
        "models": found,
        "online": replay(project, test, models[GEMEL], moments=moments),
    }


def day_stamped(project: gemel.Project) -> dict[str, pandas.DataFrame]:
    """By entity, the table that people usually make: the row of a day holds that day, and windows that end with it.

    It is what a dashboard shows of these metrics.
    """
    tables = {}
    for view, entity in ENTITIES.items():
        metrics = {column(feature): metric for feature, metric in FEATURES.items() if feature.startswith(f"{view}.")}
        table = project.query(list(metrics.values()), [entity, "metric_time__day"]).df()
        tables[entity] = table.set_axis([entity, "day", *metrics], axis="columns")
    return tables


def joined(spine: Any, by_day: dict[str, pandas.DataFrame], day: str) -> pandas.DataFrame:
    """Each row of the spine with the newest row of each of its entities, at or before `day`."""
    with duckdb.connect() as con:
        con.register("spine", spine)
        rows = con.sql("FROM spine")
        for entity, table in by_day.items():
            con.register(f"by_{entity}", table)
            rows = con.sql(f"""
                SELECT rows.*, found.* EXCLUDE ({entity}, day)
                FROM rows ASOF LEFT JOIN by_{entity} AS found
                    ON rows.{entity} = found.{entity} AND rows.{day} >= found.day
            """)
        return rows.order("event_timestamp, flight").df()


def column(feature: str) -> str:
    return feature.split(".")[1]


def is_test(rows: pandas.DataFrame, split: dt.date) -> Any:
    return pandas.to_datetime(rows["day"]) >= pandas.Timestamp(split)


def inputs(rows: pandas.DataFrame) -> pandas.DataFrame:
    return rows[[*TIMETABLE, *map(column, FEATURES)]].astype("float64")


def fit(rows: pandas.DataFrame) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0)
    return model.fit(inputs(rows), rows["late"])


def scores(model: Any, rows: pandas.DataFrame) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    told = model.predict_proba(inputs(rows))[:, 1]
    return {
        "auc": round(float(roc_auc_score(rows["late"], told)), 4),
        "average_precision": round(float(average_precision_score(rows["late"], told)), 4),
    }


def replay(project: gemel.Project, rows: pandas.DataFrame, model: Any, *, moments: int) -> dict[str, Any]:
    """What the online store answers in some hours of the test, against the same rows of the training set.

    Hour by hour, what was known by then is materialized, and each flight whose prediction is due in the hour is asked
    for. Rows change at full hours only.
    """
    due = rows["event_timestamp"].dt.floor("h")
    hours = sorted(random.Random(0).sample(sorted(due.unique()), moments))
    answers = []
    for hour in hours:
        say(f"asking the online store as of {hour} UTC")
        run(project.session.dir, "gemel", "features", "materialize", "--end", f"{hour:%Y-%m-%dT%H:%M:%S}", *ENTITIES)
        asked = rows[due == hour].copy()
        for view, entity in ENTITIES.items():
            found = project.online(view, [{entity: key} for key in asked[entity]])
            for feature in FEATURES:
                if feature.startswith(f"{view}."):
                    values = [row.values[column(feature)] if row else None for row in found]
                    asked[column(feature)] = pandas.Series(values, asked.index, dtype="float64")
        answers.append(asked)
    online = pandas.concat(answers)
    trained = rows.loc[online.index]
    return {
        "hours": len(hours),
        "flights": len(online),
        "values": len(online) * len(FEATURES),
        "different": different(inputs(online), inputs(trained)),
        "training_set": scores(model, trained),
        "online_store": scores(model, online),
    }


def different(left: pandas.DataFrame, right: pandas.DataFrame) -> int:
    """How many values are not the very same; nothing is the same as nothing."""
    return int((~((left == right) | (left.isna() & right.isna()))).sum().sum())


def table(results: dict[str, Any]) -> str:
    lines = ["| features | AUC offline | AUC served | average precision offline | served |", "|---|--:|--:|--:|--:|"]
    for features, found in results["models"].items():
        cells = [f"{found[where][score]:.3f}" for score in SCORES for where in ("offline", "served")]
        lines.append(f"| {features} | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def draw(results: dict[str, Any], file: Path) -> None:
    """Offline on the left, served on the right, a line for each model. On a ground of its own: pages may be dark."""
    from matplotlib import pyplot

    pyplot.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "leak", "font.family": "sans-serif", "font.size": 11}
    guesses = {"auc": 0.5, "average_precision": results["test"]["late"]}
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    for panel, (score, title) in zip(panels, SCORES.items(), strict=True):
        panel.axhline(guesses[score], color="#888888", linestyle=":", label="guessing")
        for color, (features, found) in zip(COLORS, results["models"].items(), strict=True):
            values = [found["offline"][score], found["served"][score]]
            panel.plot(values, "o-", color=color, linewidth=2.5, label=features)
            for place, side in enumerate(("right", "left")):
                text = {"ha": side, "va": "center", "color": color, "textcoords": "offset points"}
                panel.annotate(f"{values[place]:.3f}", (place, values[place]), (-10 + 20 * place, 0), **text)
        panel.set(title=title, xlim=(-0.4, 1.4), xticks=[0, 1], xticklabels=["offline", "served"])
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(folder: Path, command: str, *arguments: str) -> None:
    program = Path(sys.executable).with_name(command)
    ran = subprocess.run([program, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ran.returncode:
        sys.exit(f"{command} {' '.join(arguments)} failed:\n{ran.stdout}")


if __name__ == "__main__":
    main()
