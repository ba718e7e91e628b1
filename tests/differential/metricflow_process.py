"""MetricFlow behind a pipe. Run with a Python that has metricflow and duckdb; knows nothing of gemel.

    python metricflow_process.py semantic_manifest.json        one JSON request a line in, one JSON answer a line out

A request is {"script": sql, "name": database} or {"attach": file, "name": database} (tables to ask from now on), or:
{"metrics", "group_by", "where", "start", "end", "order_by", "limit"}. An answer to a query is {"columns", "rows",
"sql"} or {"error"}; where MetricFlow without its optimizers says something else, also {"unoptimized": rows}.
"""

import datetime as dt
import decimal
import json
import logging
import sys

import duckdb
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.optimizer.optimization_levels import SqlOptimizationLevel
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup


class Renderer:
    """All of a SQL client that compiling a query needs."""

    sql_engine_type = SqlEngine.DUCKDB
    sql_plan_renderer = DuckDbSqlPlanRenderer()


def main() -> None:
    logging.disable(logging.CRITICAL)
    engine = load(sys.argv[1])
    print(json.dumps({"ready": True}), flush=True)
    database = duckdb.connect()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "script" in request:
                database.close()
                database = duckdb.connect()
                database.execute(f'attach \':memory:\' as "{request["name"]}"; use "{request["name"]}"')
                database.execute(request["script"])
                answer = {}
            elif "attach" in request:
                database.close()
                database = duckdb.connect()
                database.execute(f"attach '{request['attach']}' as \"{request['name']}\" (read_only)")
                answer = {}
            else:
                answer = ask(engine, database, request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:4000]}
        print(json.dumps(answer, default=plain), flush=True)


def load(file: str) -> MetricFlowEngine:
    with open(file) as text:
        manifest = parse_manifest_from_dbt_generated_manifest(text.read())
    return MetricFlowEngine(semantic_manifest_lookup=SemanticManifestLookup(manifest), sql_client=Renderer())


def ask(engine: MetricFlowEngine, database: duckdb.DuckDBPyConnection, request: dict) -> dict:
    sql = compile_request(engine, request)
    columns, rows = run(database, sql)
    answer = {"columns": columns, "rows": rows, "sql": sql}
    plain_sql = compile_request(
        engine,
        request,
        sql_optimization_level=SqlOptimizationLevel.O0,
        dataflow_plan_optimizations=frozenset(),
    )
    try:
        plain_columns, plain_rows = run(database, plain_sql)
    except duckdb.Error as error:
        answer["unoptimized_error"] = str(error)[:1000]
        return answer
    order = [plain_columns.index(column) for column in columns]
    plain_rows = [[row[i] for i in order] for row in plain_rows]
    if request.get("limit") is None and key(rows) != key(plain_rows):
        answer |= {"unoptimized": plain_rows, "unoptimized_sql": plain_sql}
    return answer


def compile_request(engine: MetricFlowEngine, request: dict, **options: object) -> str:
    moments = {name: request.get(name) and dt.datetime.fromisoformat(request[name]) for name in ("start", "end")}
    asked = MetricFlowQueryRequest.create(
        metric_names=request.get("metrics") or None,
        group_by_names=request.get("group_by") or None,
        where_constraints=request.get("where") or None,
        time_constraint_start=moments["start"],
        time_constraint_end=moments["end"],
        order_by_names=request.get("order_by") or None,
        limit=request.get("limit"),
        min_max_only=bool(request.get("min_max_only")),
        **options,
    )
    return engine.explain(asked).sql_statement.sql


def run(database: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[list]]:
    result = database.execute(sql)
    return [column[0] for column in result.description], [list(row) for row in result.fetchall()]


def key(rows: list[list]) -> list[str]:
    return sorted(json.dumps([round_off(v) for v in row], default=plain) for row in rows)


def round_off(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        return value
    return float(f"{value:.9g}")


def plain(value: object) -> object:
    match value:
        case decimal.Decimal():
            return float(value)
        case dt.datetime():
            return {"t": value.isoformat()}
        case dt.date():
            return {"t": dt.datetime(value.year, value.month, value.day).isoformat()}
        case _:
            return str(value)


if __name__ == "__main__":
    main()
