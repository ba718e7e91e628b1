"""A real Apache Superset takes the generated dataset, draws a chart, and its numbers are compared with `gemel query`'s.

`make superset` runs it and writes docs/superset.md's table and picture. What it starts listens on loopback only, and is
gone at the end, as are the folder with its database and the copy of the worked example.
"""

import argparse
import datetime as dt
import json
import math
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

import gemel

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1]
PARTS = (
    "dbt_project.yml",
    "profiles.yml",
    "models",
    "macros",
    "semantic",
    "metrics",
    "feature_views",
    "data",
    "tests/dbt",
)
MONTHS = ("metric_time__month",)
CHART = "late_rate"

CONFIG = """
import os
SECRET_KEY = os.environ["SUPERSET_SECRET"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['SUPERSET_HOME']}/superset.db"
PREVENT_UNSAFE_DB_CONNECTIONS = False  # DuckDB is a file on this machine
TALISMAN_ENABLED = False  # no https on loopback
WTF_CSRF_ENABLED = False
RATELIMIT_ENABLED = False
"""

CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--superset", type=Path, default=EXAMPLE / ".bootstrap" / "superset", help="its environment")
    parser.add_argument("--write", action="store_true", help="write docs/superset.md's table, and its picture")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="superset-") as folder:
        project = build(Path(folder) / "example")
        archive = Path(folder) / "gemel.zip"
        run(project.session.dir, "gemel", "export", "superset", "--skip", "--out", str(archive))
        with superset(options.superset, Path(folder) / "superset") as session:
            session.upload("/api/v1/dataset/import/", archive)
            datasets = session.datasets()
            results = [each for dataset in datasets for each in compare(project, session, dataset)]
            if options.write:
                [charted] = [each for each in datasets if CHART in metrics_of(each)]
                session.picture(session.chart(charted), HERE / f"{CHART}.png")
    print(table(results), end="")
    if options.write:
        page = EXAMPLE / "docs" / "superset.md"
        page.write_text(re.sub(r"(?m)(^\|.*\n)+", lambda _: table(results), page.read_text(), count=1))
    if any(each.different for each in results):
        sys.exit("Superset's numbers are not gemel's")


@dataclass(frozen=True)
class Compared:
    """One metric by month: how many months, how many of them differ, and one month's two numbers."""

    metric: str
    months: int
    different: int
    superset: float | None
    gemel: float | None


def build(folder: Path) -> gemel.Project:
    """A copy of the worked example as plain `dbt build` makes it."""
    for part in PARTS:
        if (EXAMPLE / part).is_dir():
            shutil.copytree(EXAMPLE / part, folder / part, ignore=shutil.ignore_patterns("*.db*", "*.home"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(EXAMPLE / part, folder / part)
    say("dbt build")
    run(folder, "dbt", "build", "--quiet", "--profiles-dir", ".")
    return gemel.load(folder)


def compare(project: gemel.Project, session: "Session", dataset: dict[str, Any]) -> list[Compared]:
    """Every metric of the dataset by month, as Superset's chart API and as `gemel query` tell it."""
    compared = []
    for metric in sorted(metrics_of(dataset)):
        say(f"asking both for {metric}")
        theirs = session.by_month(dataset, metric)
        ours = {
            month: value if value is None else float(value)
            for month, value in zip(*project.query([metric], [*MONTHS]).arrow().to_pydict().values(), strict=True)
        }
        different = sum(not same(theirs.get(month), ours.get(month)) for month in theirs.keys() | ours.keys())
        some = max(ours)
        compared.append(Compared(metric, len(ours), different, theirs.get(some), ours[some]))
    return compared


def metrics_of(dataset: dict[str, Any]) -> list[str]:
    return [each["metric_name"] for each in dataset["metrics"]]


def same(left: float | None, right: float | None) -> bool:
    """Equal, but for the order in which floating point numbers were added."""
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)


@contextmanager
def superset(environment: Path, home: Path) -> Iterator["Session"]:
    """A Superset of its own, with its metadata in SQLite, and someone logged in."""
    home.mkdir()
    (home / "superset_config.py").write_text(CONFIG)
    password = secrets.token_urlsafe()
    variables = {
        "SUPERSET_HOME": str(home),
        "SUPERSET_CONFIG_PATH": str(home / "superset_config.py"),
        "SUPERSET_SECRET": secrets.token_urlsafe(42),
        "FLASK_APP": "superset",
        "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    names = ["--username", "admin", "--firstname", "A", "--lastname", "B", "--email", "admin@example.com"]
    for arguments in (["db", "upgrade"], ["fab", "create-admin", *names, "--password", password], ["init"]):
        say(f"superset {' '.join(arguments[:2])}")
        run(home, str(environment / "bin" / "superset"), *arguments, **variables)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [environment / "bin" / "superset", "run", "--host", "127.0.0.1", "--port", str(port), "--with-threads"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=home, env=os.environ | variables, stdout=log, stderr=log)
    try:
        yield Session(f"http://127.0.0.1:{port}", password, waiting_for=server)
    except requests.RequestException as error:
        sys.exit(f"{error}\n{(home / 'log').read_text()[-2000:]}")
    finally:
        server.terminate()
        server.wait()


class Session:
    """Someone logged in to a Superset."""

    def __init__(self, address: str, password: str, *, waiting_for: "subprocess.Popen[bytes]") -> None:
        self.address, self._password, self._http = address, password, requests.Session()
        for _ in range(120):
            try:
                self._http.get(f"{address}/health", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                if waiting_for.poll() is not None:
                    raise
                time.sleep(1)
        login = {"username": "admin", "password": password, "provider": "db"}
        token = self.post("/api/v1/security/login", json=login)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, **what: Any) -> Any:
        return self._read(self._http.post(self.address + path, timeout=120, **what))

    def get(self, path: str) -> Any:
        return self._read(self._http.get(self.address + path, timeout=120))

    def _read(self, response: requests.Response) -> Any:
        if not response.ok:
            raise requests.HTTPError(f"{response.request.url}: {response.status_code} {response.text[:1000]}")
        return response.json()

    def upload(self, path: str, archive: Path) -> None:
        with archive.open("rb") as file:
            self.post(path, files={"formData": (archive.name, file, "application/zip")}, data={"overwrite": "true"})

    def datasets(self) -> list[dict[str, Any]]:
        results = self.get("/api/v1/dataset/")["result"]
        return [self.get(f"/api/v1/dataset/{each['id']}")["result"] for each in results]

    def by_month(self, dataset: dict[str, Any], metric: str) -> dict[dt.datetime, float | None]:
        """The metric by month of the dataset's main time, as a line chart asks for it."""
        axis = {
            "timeGrain": "P1M",
            "columnType": "BASE_AXIS",
            "expressionType": "SQL",
            "sqlExpression": dataset["main_dttm_col"],
            "label": "month",
        }
        payload = {
            "datasource": {"id": dataset["id"], "type": "table"},
            "queries": [{"columns": [axis], "metrics": [metric], "row_limit": 10_000}],
            "result_format": "json",
            "result_type": "full",
        }
        rows = self.post("/api/v1/chart/data", json=payload)["result"][0]["data"]
        return {as_month(row["month"]): row[metric] for row in rows}

    def chart(self, dataset: dict[str, Any]) -> int:
        """The line chart of one ratio by month; its number in Superset."""
        params = {
            "datasource": f"{dataset['id']}__table",
            "viz_type": "echarts_timeseries_line",
            "x_axis": dataset["main_dttm_col"],
            "time_grain_sqla": "P1M",
            "metrics": [CHART],
            "groupby": [],
            "row_limit": 10_000,
            "y_axis_format": ".1%",
            "markerEnabled": True,
        }
        chart = {
            "slice_name": "Late rate by month",
            "viz_type": params["viz_type"],
            "datasource_id": dataset["id"],
            "datasource_type": "table",
            "params": json.dumps(params),
        }
        return int(self.post("/api/v1/chart/", json=chart)["id"])

    def picture(self, chart: int, file: Path) -> None:
        """The chart in its editor, as headless Chromium shows it."""
        from playwright.sync_api import sync_playwright

        program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
        if program is None:
            sys.exit("the picture needs Chromium (Debian: apt install chromium), or leave --write out")
        say("taking the picture")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program, args=[*CHROMIUM])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{self.address}/login/")
            page.get_by_role("textbox").first.fill("admin")
            page.locator("input[type=password]").fill(self._password)
            page.keyboard.press("Enter")
            page.wait_for_url(lambda url: "/login" not in url)
            page.goto(f"{self.address}/explore/?slice_id={chart}")
            page.locator("canvas").wait_for(timeout=60_000)
            page.wait_for_timeout(3_000)  # the line is drawn from left to right
            page.screenshot(path=file)


def as_month(milliseconds: float | None) -> dt.datetime | None:
    """Superset tells times as milliseconds since 1970."""
    if milliseconds is None:
        return None
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).replace(tzinfo=None)


def table(results: list[Compared]) -> str:
    lines = ["| metric | months | different | the last month in Superset | in `gemel query` |", "|---|--:|--:|--:|--:|"]
    for each in results:
        lines.append(f"| {each.metric} | {each.months} | {each.different} | {each.superset} | {each.gemel} |")
    return "".join(f"{line}\n" for line in lines)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(folder: Path, command: str, *arguments: str, **variables: str) -> None:
    program = Path(sys.executable).parent / command
    environment = os.environ | variables
    completed = subprocess.run([program, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if completed.returncode:
        sys.exit(f"{command} {' '.join(arguments)} failed:\n{completed.stdout}{completed.stderr}")


if __name__ == "__main__":
    main()
