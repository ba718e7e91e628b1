"""Amazon Redshift."""

import re

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, filter_to_case, type_nulls
from gemel.engines.stores import FEAST, FeastStore, Settings, TargetSettings, split


def _store(settings: TargetSettings) -> Settings:
    host = re.fullmatch(
        r"([\w-]+)(?:\.\d+)?\.[\w-]+\.([\w-]+)\.redshift(-serverless)?\.amazonaws\.com", str(settings.get("host"))
    )
    serverless = bool(host and host[3])
    cluster = settings.get("cluster_id") or (host[1] if host else None)
    login = (
        {"workgroup": host[1]}
        if host and serverless
        else {"cluster_id": cluster or settings.plain("cluster_id"), "user": settings.plain("user")}
    )
    return {
        "type": "redshift",
        **login,
        "region": settings.get("region") or (host[2] if host else settings.plain("region")),
        "database": settings.plain("dbname", "database"),
        "s3_staging_location": settings.plain("s3_staging_location"),
        "iam_role": settings.plain("iam_role"),
    }


REDSHIFT = Engine(
    name="redshift",
    dialect="redshift",
    capabilities=COMMON - {Capability.RANGES} | {Capability.FUNCTIONS, Capability.ISODOW},
    rewrites=(asof_to_join, filter_to_case, type_nulls),
    longest_name=127,
    address=("host", "port"),
    create_table="{}",
    feast=FeastStore("RedshiftSource", FEAST, split, _store),
)
