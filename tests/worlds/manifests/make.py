"""Remakes the manifests in this folder: each dbt that is named parses the project beside this file.

    python tests/worlds/manifests/make.py 1.11=DBT 1.12=DBT 2=DBT

DBT is the program of that version; README.md says how to get each.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SPECS = {"1.11": ("legacy",), "1.12": ("legacy", "newer"), "2": ("newer",)}
NODE_KEYS = ("name", "alias", "schema", "database", "relation_name", "package_name", "version", "resource_type")


def main() -> None:
    for argument in sys.argv[1:]:
        version, _, dbt = argument.partition("=")
        for spec in SPECS[version]:
            for artifact, data in parse(dbt, version, spec).items():
                file = HERE / f"dbt-{version}-{spec}.{artifact}.json"
                file.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
                print(f"{file.name}: {file.stat().st_size:,} bytes")


def parse(dbt: str, version: str, spec: str) -> dict[str, object]:
    """What `dbt parse` writes: semantic_manifest.json whole, of manifest.json what tells the nodes' names."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "nasty"
        shutil.copytree(HERE / "project", project, ignore=shutil.ignore_patterns("legacy.yml", "newer.yml"))
        definitions = yaml.safe_load((HERE / "project" / f"{spec}.yml").read_text())
        if version == "2":
            definitions = as_alpha_4_reads(definitions)
        (project / "models" / "all.yml").write_text(yaml.safe_dump(definitions, sort_keys=False))
        quiet = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
        command = [str(Path(dbt).expanduser()), "parse", "--profiles-dir", "."]
        ran = subprocess.run(command, cwd=project, env=os.environ | quiet, capture_output=True, text=True)
        target = project / "target"
        if ran.returncode or not (target / "semantic_manifest.json").exists():
            sys.exit(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")
        manifest = json.loads((target / "manifest.json").read_text())
        nodes = {id: {key: node.get(key) for key in NODE_KEYS} for id, node in manifest["nodes"].items()}
        return {
            "semantic": json.loads((target / "semantic_manifest.json").read_text()),
            "nodes": {
                "metadata": {key: manifest["metadata"].get(key) for key in ("dbt_version", "project_name")},
                "nodes": nodes,
            },
        }


def as_alpha_4_reads(value: Any) -> Any:
    """The same, without what dbt-core 2.0.0-alpha.4 refuses.

    These are lists of filters, names alone among input metrics, and the order and limit of a saved query.
    """
    match value:
        case {"filter": list() as filters}:
            return as_alpha_4_reads({**value, "filter": " and ".join(f"({text.strip()})" for text in filters)})
        case {"input_metrics": [*_, str()] | [str(), *_] as inputs}:
            objects = [{"name": entry} if isinstance(entry, str) else entry for entry in inputs]
            return as_alpha_4_reads({**value, "input_metrics": objects})
        case dict():
            return {key: as_alpha_4_reads(inner) for key, inner in value.items() if key not in ("order_by", "limit")}
        case list():
            return [as_alpha_4_reads(inner) for inner in value]
        case _:
            return value


if __name__ == "__main__":
    main()
