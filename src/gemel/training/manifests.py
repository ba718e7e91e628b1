"""The manifest of a training set: everything needed to make it again."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gemel.features.selection import Choice, Chosen
from gemel.features.tables import Tables
from gemel.on_demand.computing import Computed
from gemel.spec.project import DbtProject
from gemel.training.source import Source
from gemel.training.spine import Spine

if TYPE_CHECKING:
    import pyarrow


def describe_set(
    source: Source,
    choice: Choice,
    computed: Sequence[Computed],
    spine: Spine,
    schema: "pyarrow.Schema",
    *,
    accuracy: str,
    time_column: str,
) -> dict[str, Any]:
    """Everything needed to make the set again, and nothing that would differ the next time."""
    tables = Tables(source.graph)
    definitions = {each.view.name: _definitions(tables, each) for each in choice.needed()}
    for each, (view, names) in zip(computed, choice.on_demand, strict=True):
        sources = tables.digests_of(choice.views, view.sources)
        definitions[view.name] = {"features": {name: each.digest(sources, name) for name in names}}
    return {
        "gemel": version("gemel"),
        "accuracy": accuracy,
        "rows": spine.rows,
        "spine": {"source": spine.name, "sha256": spine.sha256, "time_column": time_column},
        "features": [f"{view}.{name}" for view, name in choice.features()],
        **({"inputs": choice.inputs()} if choice.on_demand else {}),
        "definitions": definitions,
        "dbt": _invocation(source.dbt),
        "columns": {field.name: str(field.type) for field in schema},
    }


def _definitions(tables: Tables, each: Chosen) -> dict[str, Any]:
    digests = tables.digests(each.view)
    return {"table": tables.digest(each.view), "features": {name: digests[name] for name in each.columns}}


def _invocation(dbt: DbtProject) -> dict[str, Any]:
    """The dbt run that named the tables."""
    return {"invocation_id": dbt.invocation_id, "dbt_version": dbt.dbt_version, "project_name": dbt.name}
