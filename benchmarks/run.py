"""Measurements, side by side, as markdown tables: `python benchmarks/run.py [NAME]...`

benchmarks/README.md says what each shows. GEMEL_METRICFLOW_PYTHON names a Python that has metricflow; without it,
MetricFlow's columns stay empty.
"""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import metricflow_client
import report

README = Path(__file__).parent / "README.md"
BENCHMARKS = {
    "journeys": "journeys",
    "cold": "cold",
    "sql": "sql",
    "compile": "compilation",
    "load": "loading",
    "validate": "validation",
    "training": "training",
    "generate": "generation",
    "feature-table": "feature_table",
    "detection": "increments",
    "offline-store": "offline_store",
    "online": "online",
    "lineage": "lineage",
    "catalogue": "catalogue",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all, if none is named")
    parser.add_argument("--quick", action="store_true", help="fewer rows and turns: whether it works, not how fast")
    parser.add_argument("--rows", type=int, help="orders and visits of the SQL benchmark (default: 20,000,000)")
    parser.add_argument("--only", nargs="*", help="questions of the SQL benchmark (default: all)")
    parser.add_argument("--write", action="store_true", help="put the figures into benchmarks/README.md")
    parser.add_argument("--temp", help="where temporary files go; a full run needs 3 GB")
    parser.add_argument("--verbose", action="store_true", help="each measurement, on stderr")
    options = parser.parse_args()
    options.say = (lambda line: print(line, file=sys.stderr, flush=True)) if options.verbose else lambda line: None
    names = options.names or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}: {', '.join(BENCHMARKS)}")
    if not metricflow_client.python():
        print("GEMEL_METRICFLOW_PYTHON is not set: MetricFlow is left out\n", file=sys.stderr)
    for name in names:
        # Imported when its turn comes: what is imported here is in memory when children are measured.
        text = f"{circumstances()}\n\n{import_module(BENCHMARKS[name]).measure(options).markdown()}"
        print(f"## {name}\n\n{text}\n", flush=True)
        if options.write:
            report.write(README, name, text)


def circumstances() -> str:
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    return f"{dt.date.today()}{commit()}, {machine}{load}, Python {platform.python_version()}."


def commit() -> str:
    """Of what the figures are, where git can tell."""
    with suppress(OSError, subprocess.CalledProcessError):
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=README.parent, capture_output=True, text=True, check=True
        )
        return f", commit {said.stdout.strip()}"
    return ""


if __name__ == "__main__":
    main()
