"""Amazon Athena, which speaks as Trino does."""

from dataclasses import replace

from gemel.engines.stores import CONTRIB, Arguments, FeastStore, Settings, Table, TargetSettings, quoted
from gemel.engines.trino import TRINO


def _store(given: TargetSettings) -> Settings:
    return {
        "type": "athena",
        "data_source": given.get("database") or "awsdatacatalog",
        "region": given.plain("region_name"),
        "database": given.plain("schema"),
        "workgroup": given.get("work_group") or "primary",
        "s3_staging_location": given.plain("s3_staging_dir"),
    }


def _source(table: Table) -> Arguments:
    return quoted(data_source=table.database, database=table.schema, table=table.name)


ATHENA = replace(
    TRINO,
    name="athena",
    dialect="athena",
    address=("region_name",),
    feast=FeastStore("AthenaSource", f"{CONTRIB}.athena_offline_store.athena_source", _source, _store),
)
