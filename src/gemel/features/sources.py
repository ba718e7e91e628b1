"""Where Feast finds a feature table, by the kind of warehouse that dbt builds it in: its source and offline store.

One row for each warehouse that dbt and Feast share. Nothing here imports Feast; what it takes is read in its own
`feast.infra.offline_stores`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlglot import exp

from gemel.compiler.question.expressions import identifier
from gemel.compiler.sql.dialects import dialect_of
from gemel.dbt.profile import Target
from gemel.errors import BridgeError, Place, did_you_mean

CONTRIB = "feast.infra.offline_stores.contrib"

Arguments = dict[str, str]
Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Where dbt builds a feature table, as its warehouse writes the names down."""

    database: str
    schema: str
    name: str

    @property
    def sql(self) -> str:
        parts = [part for part in (self.database, self.schema, self.name) if part]
        return ".".join(identifier(part).sql("duckdb") for part in parts)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A kind of warehouse: what dbt calls it, the class of its Feast source and where that is imported from.

    `arguments` say to the source which table it is, `settings` to `feature_store.yaml` how to reach the warehouse, from
    the target of dbt's profile, if there is one.
    """

    adapter: str
    source: str
    module: str
    arguments: Callable[[Table], Arguments]
    settings: Callable[["Written"], Settings]

    @property
    def dialect(self) -> str:
        return dialect_of(self.adapter)

    @property
    def is_copied(self) -> bool:
        """Whether Feast reads a copy of the table as Parquet."""
        return self.adapter == "duckdb"


def warehouse(adapter: str) -> Warehouse:
    """Raises BridgeError (G580) for a warehouse that Feast has no offline store for."""
    if adapter not in WAREHOUSES:
        raise BridgeError(
            "G580",
            f"Feast has no offline store for dbt's {adapter!r} warehouses, so its tables cannot be features",
            hint=did_you_mean(adapter, WAREHOUSES) or f"there are {', '.join(WAREHOUSES)}",
        )
    return WAREHOUSES[adapter]


def table(relation_name: str, kind: Warehouse) -> Table:
    """`"shop"."main"."buying"`, as dbt names it in SQL, as the warehouse has it."""
    parsed = exp.to_table(relation_name, dialect=kind.dialect)
    folded = str.upper if kind.dialect == "snowflake" else str

    def name(part: exp.Expr | None) -> str:
        if not isinstance(part, exp.Identifier):
            return ""
        return part.name if part.args.get("quoted") else folded(part.name)

    return Table(*(name(parsed.args.get(part)) for part in ("catalog", "db", "this")))


class Written:
    """The settings of a target, for a file that is committed: plain ones as they are, secrets as `${VARIABLE}`."""

    def __init__(self, target: Target | None, adapter: str) -> None:
        self._target = target
        self._settings = target.rendered() if target else {}
        self._prefix = adapter.upper()

    def get(self, *names: str) -> Any:
        """The first of these settings that there is; None without any."""
        return next((self._settings[name] for name in names if self._settings.get(name) not in (None, "")), None)

    def plain(self, *names: str) -> Any:
        """As `get`; a variable to be filled in where the profile does not say it."""
        found = self.get(*names)
        return found if found is not None else f"${{{self._prefix}_{names[0].upper()}}}"

    def secret(self, *names: str) -> str:
        """The variable that the profile takes it from, or one to be set."""
        variables = [self._target.variable(name) for name in names] if self._target else []
        return f"${{{next(filter(None, variables), f'{self._prefix}_{names[0].upper()}')}}}"


def check_store(repo: Path, kind: Warehouse) -> None:
    """Raises BridgeError (G583) where feature_store.yaml, which is the user's, reads another kind of warehouse."""
    file = repo / "feature_store.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # told where it is used
    offline = content.get("offline_store") if isinstance(content, dict) else None
    found = offline.get("type") if isinstance(offline, dict) else offline
    kinds = {str(each.settings(Written(None, each.adapter))["type"]): each for each in WAREHOUSES.values()}
    theirs = kinds.get(str(found))
    if theirs is not None and theirs.settings is not kind.settings:
        raise BridgeError(
            "G583",
            f"the offline store is {found}, and dbt builds the feature tables in {kind.adapter}",
            hint="remove feature_store.yaml, and `gemel generate` writes it anew; or take another --target",
            place=Place(str(file)),
        )


def _quoted(**arguments: str) -> Arguments:
    return {name: f'"{value}"' for name, value in arguments.items() if value}


def _in_sql(found: Table) -> Arguments:
    return {"table": repr(found.sql) if '"' in found.sql else f'"{found.sql}"'}


def _dotted(found: Table) -> Arguments:
    return _quoted(table=".".join(filter(None, (found.database, found.schema, found.name))))


def _split(found: Table) -> Arguments:
    return _quoted(database=found.database, schema=found.schema, table=found.name)


def _athena(found: Table) -> Arguments:
    return _quoted(data_source=found.database, database=found.schema, table=found.name)


def _postgres_store(given: Written) -> Settings:
    return {
        "type": "postgres",
        "host": given.plain("host"),
        "port": int(given.get("port") or 5432),
        "database": given.plain("dbname", "database"),
        "db_schema": given.get("schema") or "public",
        "user": given.plain("user"),
        "password": given.secret("password", "pass"),
        # Feast's own default refuses a server without TLS, where dbt's takes it if it is there.
        "sslmode": given.get("sslmode") or "prefer",
    }


def _snowflake_store(given: Written) -> Settings:
    login = {"password": given.secret("password")}
    if given.get("authenticator"):
        login = {"authenticator": given.get("authenticator")}
    if given.get("private_key_path"):
        login = {
            "private_key": given.get("private_key_path"),
            "private_key_passphrase": given.secret("private_key_passphrase"),
        }
    return {
        "type": "snowflake.offline",
        "account": given.plain("account"),
        "user": given.plain("user"),
        **login,
        "role": given.get("role"),
        "warehouse": given.plain("warehouse"),
        "database": given.plain("database"),
        "schema": given.get("schema"),
    }


def _bigquery_store(given: Written) -> Settings:
    return {
        "type": "bigquery",
        "project_id": given.plain("project", "database"),
        "dataset": given.plain("dataset", "schema"),
        "location": given.get("location"),
    }


def _redshift_store(given: Written) -> Settings:
    host = re.fullmatch(
        r"([\w-]+)(?:\.\d+)?\.[\w-]+\.([\w-]+)\.redshift(-serverless)?\.amazonaws\.com", str(given.get("host"))
    )
    serverless = bool(host and host[3])
    cluster = given.get("cluster_id") or (host[1] if host else None)
    login = (
        {"workgroup": host[1]}
        if host and serverless
        else {"cluster_id": cluster or given.plain("cluster_id"), "user": given.plain("user")}
    )
    return {
        "type": "redshift",
        **login,
        "region": given.get("region") or (host[2] if host else given.plain("region")),
        "database": given.plain("dbname", "database"),
        "s3_staging_location": given.plain("s3_staging_location"),
        "iam_role": given.plain("iam_role"),
    }


def _spark_store(_: Written) -> Settings:
    # Spark's times have no zone of their own: they are shown by the session's.
    return {"type": "spark", "spark_conf": {"spark.sql.session.timeZone": "UTC"}}


def _athena_store(given: Written) -> Settings:
    return {
        "type": "athena",
        "data_source": given.get("database") or "awsdatacatalog",
        "region": given.plain("region_name"),
        "database": given.plain("schema"),
        "workgroup": given.get("work_group") or "primary",
        "s3_staging_location": given.plain("s3_staging_dir"),
    }


def _trino_store(given: Written) -> Settings:
    return {
        "type": "trino",
        "host": given.plain("host"),
        "port": int(given.get("port") or 8080),
        "catalog": given.plain("database"),
        "user": given.plain("user"),
        "http-scheme": given.get("http_scheme") or "http",
        "connector": {"type": given.plain("connector")},
        "dataset": given.get("schema"),
    }


def _clickhouse_store(given: Written) -> Settings:
    return {
        "type": "clickhouse",
        "host": given.get("host") or "localhost",
        "port": int(given.get("port") or 8123),
        "database": given.get("schema") or "default",
        "user": given.get("user") or "default",
        "password": given.secret("password"),
    }


def _duckdb_store(_: Written) -> Settings:
    return {"type": "gemel.feast.DuckDBOfflineStore"}


def _spark(adapter: str) -> Warehouse:
    module = f"{CONTRIB}.spark_offline_store.spark_source"
    return Warehouse(adapter, "SparkSource", module, _dotted, _spark_store)


WAREHOUSES = {
    each.adapter: each
    for each in (
        Warehouse(
            "duckdb",
            "FileSource",
            "feast",
            lambda found: {"path": f'str(TABLES / "{found.name}.parquet")'},
            _duckdb_store,
        ),
        Warehouse(
            "postgres",
            "PostgreSQLSource",
            f"{CONTRIB}.postgres_offline_store.postgres_source",
            _in_sql,
            _postgres_store,
        ),
        Warehouse("snowflake", "SnowflakeSource", "feast", _split, _snowflake_store),
        Warehouse("bigquery", "BigQuerySource", "feast", _dotted, _bigquery_store),
        Warehouse("redshift", "RedshiftSource", "feast", _split, _redshift_store),
        _spark("databricks"),
        _spark("spark"),
        Warehouse("athena", "AthenaSource", f"{CONTRIB}.athena_offline_store.athena_source", _athena, _athena_store),
        Warehouse("trino", "TrinoSource", f"{CONTRIB}.trino_offline_store.trino_source", _in_sql, _trino_store),
        Warehouse(
            "clickhouse",
            "ClickhouseSource",
            f"{CONTRIB}.clickhouse_offline_store.clickhouse_source",
            _in_sql,
            _clickhouse_store,
        ),
    )
}
"""By dbt's adapter type."""

DUCKDB = WAREHOUSES["duckdb"]
