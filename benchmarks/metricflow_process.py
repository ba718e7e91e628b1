"""MetricFlow behind a pipe, to be timed. Run with a Python that has metricflow; knows nothing of gemel.

    python metricflow_process.py semantic_manifest.json        one JSON request a line in, one JSON answer a line out

The first line out is {"seconds"} that loading took. A request is a question: {"metrics", "group_by", "where"}; its
answer {"sql", "seconds"} or {"error"}. {"validate": true} is answered by {"issues", "seconds"}. Seconds are a
processor's. Nothing is run: compiling needs no database.
"""

import json
import logging
import sys
import time
from typing import Any

from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow_semantic_interfaces.validations.semantic_manifest_validator import SemanticManifestValidator
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup


class Renderer:
    """All of a SQL client that compiling a query needs."""

    sql_engine_type = SqlEngine.DUCKDB
    sql_plan_renderer = DuckDbSqlPlanRenderer()


def main() -> None:
    logging.disable(logging.CRITICAL)
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    started = time.process_time()
    manifest = parse_manifest_from_dbt_generated_manifest(text)
    engine = MetricFlowEngine(semantic_manifest_lookup=SemanticManifestLookup(manifest), sql_client=Renderer())
    say({"seconds": time.process_time() - started})
    for line in sys.stdin:
        try:
            question = json.loads(line)
            say(validated(manifest) if question.get("validate") else answer(engine, question))
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"[:2000]})


def answer(engine: MetricFlowEngine, question: dict[str, Any]) -> dict[str, Any]:
    started = time.process_time()
    request = MetricFlowQueryRequest.create(
        metric_names=question["metrics"],
        group_by_names=question.get("group_by") or None,
        where_constraints=question.get("where") or None,
    )
    sql = engine.explain(request).sql_statement.sql
    return {"sql": sql, "seconds": time.process_time() - started}


def validated(manifest: Any) -> dict[str, Any]:
    started = time.process_time()
    found = SemanticManifestValidator[Any]().validate_semantic_manifest(manifest)
    return {"issues": len(found.all_issues), "seconds": time.process_time() - started}


def say(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main()
