"""gemel lineage on a generated project: from the shell, over the number of metrics. What stands for dbt's work is a
manifest.json with a source, a staging model and a mart for each semantic model, and feature views over some of them."""

import json
import os
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import generated
from cold import clocked_child
from report import Report, Table
from timing import median

SIZES = (500, 2_000, 5_000)
TURNS = 3
ASKED = (
    ("both sides of a ratio", ("done_share_0",)),
    ("down from a source column", ("raw.table_0.amount", "--down")),
    ("impact of a source column", ("raw.table_0.amount", "--impact")),
    ("impact of a mart", ("model:model_0", "--impact")),
)


def measure(options: Namespace) -> Report:
    table = Table(["question", "metrics", "tables", "wall s", "CPU s"])
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        for metrics in SIZES[:1] if options.quick else SIZES:
            models = metrics // generated.METRICS_A_MODEL
            project = write_project(Path(folder) / str(metrics), models)
            for question, asked in ASKED:
                clocked(project, asked)
                wall, cpu = clocked(project, asked)
                table.rows.append([question, f"{metrics:,}", f"{3 * models:,}", median(wall), median(cpu)])
                options.say(str(table.rows[-1]))
    return Report([table])


def clocked(project: Path, asked: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of each turn."""
    turns = [
        clocked_child([sys.executable, "-m", "gemel", "lineage", *asked], project, {**os.environ}) for _ in range(TURNS)
    ]
    return [wall for wall, _, _ in turns], [cpu for _, cpu, _ in turns]


def write_project(folder: Path, models: int) -> Path:
    """A dbt project as dbt would leave it after a build."""
    (folder / "target").mkdir(parents=True)
    (folder / "feature_views").mkdir()
    (folder / "models").mkdir()
    (folder / "dbt_project.yml").write_text("name: big\nprofile: big\n")
    (folder / "profiles.yml").write_text("big: {target: dev, outputs: {dev: {type: duckdb, path: big.duckdb}}}\n")
    (folder / "feature_views/views.yml").write_text(json.dumps(features(models)))
    definitions = generated.manifest(models)
    names = [metric["name"] for metric in definitions["metrics"]]
    definitions["saved_queries"] = [
        {"name": f"saved_{number}", "query_params": {"metrics": names[number * 10 : number * 10 + 3]}}
        for number in range(models)
    ]
    (folder / "target/manifest.json").write_text(json.dumps(dbt_manifest(definitions)))
    manifest = folder / "target/semantic_manifest.json"
    manifest.write_text(json.dumps(definitions))
    later = time.time() + 5
    os.utime(manifest, (later, later))
    return folder


def features(models: int) -> dict:
    """Twenty views of three features each, and a service for each."""
    views = [
        {
            "name": f"view_{number}",
            "entity": f"e{number}",
            "schedule": "day",
            "features": [{"metric": f"revenue_{number}", "windows": ["1 day", "7 days", "28 days"]}],
        }
        for number in range(min(20, models))
    ]
    services = [
        {"name": f"service_{number}", "owner": "ml@example.com", "features": [view["name"]]}
        for number, view in enumerate(views)
    ]
    return {"feature_views": views, "feature_services": services}


def dbt_manifest(definitions: dict) -> dict:
    nodes, sources = {}, {}
    for model in definitions["semantic_models"]:
        place = model["node_relation"]
        number = place["alias"].rpartition("_")[2]
        columns = {entity["expr"] for entity in model["entities"]} | {each["name"] for each in model["dimensions"]}
        columns = sorted(columns | {measure["expr"] for measure in model["measures"]})
        raw = described(f"table_{number}", place | {"schema_name": "raw"})
        sources[f"source.big.raw.table_{number}"] = raw | {
            "resource_type": "source",
            "source_name": "raw",
            "identifier": raw["name"],
        }
        parent = f"source.big.raw.table_{number}", raw
        for name in (f"stg_{number}", place["alias"]):
            made = described(name, place)
            sql = [f"with above as (select * from {parent[1]['relation_name']})", "select"]
            sql += [",\n".join(f"    {column}" for column in columns), "from above"]
            made |= {"compiled_code": "\n".join(sql), "depends_on": {"nodes": [parent[0]]}}
            nodes[f"model.big.{name}"] = made
            parent = f"model.big.{name}", made
    return {"metadata": {"project_name": "big", "adapter_type": "duckdb"}, "nodes": nodes, "sources": sources}


def described(name: str, place: dict) -> dict:
    database, schema = place["database"], place["schema_name"]
    return {
        "name": name,
        "alias": name,
        "resource_type": "model",
        "package_name": "big",
        "language": "sql",
        "database": database,
        "schema": schema,
        "relation_name": f'"{database}"."{schema}"."{name}"',
    }
