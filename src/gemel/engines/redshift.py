"""Amazon Redshift."""

import re

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, filter_to_case, type_nulls
from gemel.engines.stores import FEAST, FeastStore, Settings, TargetSettings, split


def _store(given: TargetSettings) -> Settings:
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


REDSHIFT = Engine(
    name="redshift",
    dialect="redshift",
    capabilities=COMMON - {Capability.RANGES} | {Capability.ISODOW},
    rewrites=(asof_to_join, filter_to_case, type_nulls),
    longest_name=127,
    address=("host", "port"),
    feast=FeastStore("RedshiftSource", FEAST, split, _store),
)
