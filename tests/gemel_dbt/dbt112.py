"""The worked example with dbt-core 1.12, in both kinds of YAML: it builds, verifies, and has the numbers of 1.11.

    python tests/gemel_dbt/dbt112.py PYTHON PYTHON

These are the Pythons with dbt-core 1.11 and with 1.12; `make dbt112` makes the second one. Each project is in
build/dbt112.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from worlds.newer_yaml import rewrite_project  # noqa: E402

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
ASK = """
import json, gemel
with gemel.load(".") as project:
    answers = {}
    for metric in project.metrics():
        for group_by in (["metric_time__month"], ["metric_time__day"]):
            rows = project.query(metric.name, group_by, order_by=group_by).rows()
            answers[f"{metric.name} by {group_by}"] = [[str(value) for value in row] for row in rows]
    print(json.dumps(answers))
"""


def main(*pythons: str) -> int:
    old, new = (str(Path(python).absolute()) for python in pythons)
    answers = {}
    for name, python in (("1.11-legacy", old), ("1.12-legacy", new), ("1.12-newer", new)):
        folder = make_project(ROOT / "build" / "dbt112" / name)
        version = run(python, "-c", "from importlib.metadata import version as v; print(v('dbt-core'))").strip()
        print(f"{name}: dbt-core {version}: gemel build", flush=True)
        for command in ("build", "validate"):
            print(run(python, "-m", "gemel", command, folder=folder).strip().splitlines()[-1], flush=True)
        answers[name] = json.loads(run(python, "-c", ASK, folder=folder).splitlines()[-1])
    first, *others = answers.items()
    failed = False
    for name, found in others:
        different = [key for key in {**first[1], **found} if first[1].get(key) != found.get(key)]
        failed |= bool(different)
        print(f"{name}: {len(found)} answers, {len(different)} not those of {first[0]}: {different}")
    return int(failed)


def make_project(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for part in PARTS:
        source, place = ROOT / part, folder / part
        place.parent.mkdir(parents=True, exist_ok=True)
        ignored = shutil.ignore_patterns("*.parquet", "*.db") if part == "feature_views" else None
        shutil.copytree(source, place, ignore=ignored) if source.is_dir() else shutil.copy2(source, place)
    if folder.name.endswith("newer"):
        rewrite_project(folder, ("models/marts", "semantic", "metrics"))  # not what is generated
        file = folder / "dbt_project.yml"
        # dbt-core 1.12.0 refuses the windows of its own YAML otherwise.
        file.write_text(file.read_text().replace("flags:", "flags:\n  require_nested_cumulative_type_params: false"))
    return folder


def run(*command: str, folder: Path = ROOT) -> str:
    """What a command prints, on either stream."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:6])} failed:\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
