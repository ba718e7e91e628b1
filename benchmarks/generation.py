"""`gemel generate` of 500 feature views, as a process: into an empty folder, and `--check` of what it wrote."""

import json
import os
import shutil
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import duckdb
import generated
from cold import clocked_child
from report import Report, Table
from timing import Times, median

TURNS = 3
VIEWS = 500
PROFILE = """
shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: shop.duckdb}
"""
PROJECT = """
name: shop
profile: shop
model-paths: [models]
"""
VIEW = """
  - name: view_{number}
    entity: {entity}
    schedule: day
    owner: ada@example.com
    description: What model_{number} tells of {entity}.
    features:
      - {{metric: revenue_{number}, windows: [7 days, 28 days]}}
      - {{metric: average_price_{number}, windows: [28 days]}}
      - {{metric: done_share_{number}, windows: [28 days]}}
      - {{dimension: {entity}__tier, as_of: current, name: tier_{number}}}
"""


def measure(options: Namespace) -> Report:
    views = 50 if options.quick else VIEWS
    table = Table(["command", "views", "features", "wall s", "CPU s", "peak MB"])
    gemel = [str(Path(sys.executable).with_name("gemel")), "generate"]
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        project, written = Path(folder) / "shop", Path(folder) / "shop" / "models" / "features"
        make_project(project, views)
        environment = os.environ | {"PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode"), "DBT_PROFILES_DIR": "."}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        times = {"gemel generate": Times(), "gemel generate --check": Times()}
        memory = dict.fromkeys(times, 0.0)
        for turn in range((1 if options.quick else TURNS) + 1):
            shutil.rmtree(written, ignore_errors=True)
            for name, command in zip(times, (gemel, [*gemel, "--check"]), strict=True):
                parsed(project)
                wall, cpu, peak = clocked_child(command, project, environment)
                if turn:  # the first compiles Python
                    times[name].add(wall, cpu)
                    memory[name] = max(memory[name], peak)
                options.say(f"{name}: {wall:.2f} s, {cpu:.2f} s of processors, {peak:.0f} MB")
        files = [*written.glob("view_*.sql")]
        assert len(files) == views, f"{len(files)} models of {views} views"
        features = (project / "feature_views" / "definitions.py").read_text().count("Field(") - views
    for name, each in times.items():
        table.rows.append((name, views, features, median(each.wall), median(each.cpu), memory[name]))
    return Report([table])


def make_project(project: Path, views: int) -> None:
    """As dbt leaves it after `dbt parse` and `dbt run`: a model a view, ten metrics a model, ten views a file."""
    definitions = generated.manifest(views)
    (project / "target").mkdir(parents=True)
    (project / "models").mkdir()
    (project / "feature_views").mkdir()
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "profiles.yml").write_text(PROFILE)
    for start in range(0, views, 10):
        text = "".join(
            VIEW.format(number=number, entity=f"e{generated.leads_to(number, views)[0]}")
            for number in range(start, start + 10)
        )
        services = f"feature_services:\n  - name: service_{start}\n    owner: ada@example.com\n    features: "
        services += f"[{', '.join(f'view_{number}' for number in range(start, start + 10))}]\n"
        (project / "feature_views" / f"views_{start}.yml").write_text(f"feature_views:{text}{services}")
    with duckdb.connect(str(project / "shop.duckdb")) as database:
        database.execute(generated.tables(definitions))
    nodes = {
        f"model.shop.{place['alias']}": {
            "name": place["alias"],
            "resource_type": "model",
            "package_name": "shop",
            "database": place["database"],
            "schema": place["schema_name"],
            "alias": place["alias"],
        }
        for place in (model["node_relation"] for model in definitions["semantic_models"])
    }
    (project / "target" / "semantic_manifest.json").write_text(json.dumps(definitions))
    (project / "target" / "manifest.json").write_text(
        json.dumps({"metadata": {"project_name": "shop"}, "nodes": nodes, "parent_map": {}})
    )


def parsed(project: Path) -> None:
    """As if dbt had just parsed what is there."""
    for name in ("semantic_manifest.json", "manifest.json"):
        os.utime(project / "target" / name)
