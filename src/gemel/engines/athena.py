"""Amazon Athena, whose SQL is Trino's."""

from dataclasses import replace

from gemel.engines.stores import CONTRIB, Arguments, FeastStore, Settings, Table, TargetSettings, quoted
from gemel.engines.trino import TRINO


def _store(settings: TargetSettings) -> Settings:
    return {
        "type": "athena",
        "data_source": settings.get("database") or "awsdatacatalog",
        "region": settings.plain("region_name"),
        "database": settings.plain("schema"),
        "workgroup": settings.get("work_group") or "primary",
        "s3_staging_location": settings.plain("s3_staging_dir"),
    }


def _source(table: Table) -> Arguments:
    return quoted(data_source=table.database, database=table.schema, table=table.name)


ATHENA = replace(
    TRINO,
    name="athena",
    dialect="athena",
    address=("region_name",),
    create_table=None,  # a table of Hive's needs a place in S3
    feast=FeastStore("AthenaSource", f"{CONTRIB}.athena_offline_store.athena_source", _source, _store),
)
