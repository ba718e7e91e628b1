"""Engines that only have a description of their SQL, and that we have never run."""

from dataclasses import replace

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import (
    asof_to_join,
    day_to_moment,
    filter_to_case,
    is_true_to_coalesce,
    type_nulls,
    unzoned_truncation,
)
from gemel.engines.trino import weeks_in_days

_PERCENTILES = {Capability.PERCENTILES, Capability.APPROXIMATE_PERCENTILES}
_LIKE_POSTGRES = (asof_to_join, unzoned_truncation, type_nulls)

_SQLSERVER = Engine(
    "sqlserver",
    "tsql",
    COMMON - {Capability.RANGES, Capability.MONDAY_WEEKS, Capability.LENGTH_OF_ALL},
    (asof_to_join, filter_to_case),
)

OTHERS = (
    Engine(
        "mysql",
        "mysql",
        COMMON - _PERCENTILES - {Capability.MONDAY_WEEKS, Capability.LENGTH_OF_ALL},
        (asof_to_join, filter_to_case),
    ),
    _SQLSERVER,
    replace(_SQLSERVER, name="synapse"),
    Engine("fabric", "fabric", COMMON - {Capability.RANGES, Capability.LENGTH_OF_ALL}),
    Engine(
        "oracle",
        "oracle",
        COMMON - {Capability.MONDAY_WEEKS},
        (asof_to_join, day_to_moment, filter_to_case),
    ),
    Engine(
        "presto",
        "presto",
        COMMON - {Capability.PERCENTILES},
        (asof_to_join, is_true_to_coalesce, weeks_in_days),
    ),
    Engine("hive", "hive", COMMON - {Capability.PERCENTILES}),
    Engine("sqlite", "sqlite", COMMON - _PERCENTILES),
    Engine("doris", "doris", rewrites=(asof_to_join, filter_to_case)),
    Engine("starrocks", "starrocks", rewrites=(asof_to_join, is_true_to_coalesce, filter_to_case)),
    Engine(
        "materialize",
        "materialize",
        COMMON - {Capability.APPROXIMATE_PERCENTILES} | {Capability.ISODOW},
        _LIKE_POSTGRES,
    ),
    Engine(
        "risingwave",
        "risingwave",
        COMMON - {Capability.APPROXIMATE_PERCENTILES} | {Capability.ISODOW},
        _LIKE_POSTGRES,
    ),
)
