"""The inputs of a training set: where its features come from, and the table of requests in gemel's own DuckDB."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.builds.records import Build
from gemel.compiler.names.graph import Graph
from gemel.compiler.sql import dialects
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject

REQUESTS = Relation("requests", schema="main", database="temp")


@dataclass(frozen=True, slots=True)
class Source:
    """Where features come from. `relations` are the names of the tables in the project `dbt`, and `builds` what built
    them, as far as it is recorded."""

    graph: Graph
    types: Mapping[str, Mapping[str, str]]
    relations: Mapping[str, str]
    catalogs: frozenset[str]
    dbt: DbtProject
    builds: Mapping[str, Build] = field(default_factory=dict)


def requests_table() -> exp.Table:
    return dialects.named()(REQUESTS)
