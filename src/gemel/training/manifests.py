"""The manifest of a training set: everything needed to make it again."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gemel.features.selection import Choice, Chosen
from gemel.features.tables import Tables
from gemel.on_demand.computing import Computed
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
    served = accuracy == "served"
    definitions = {each.view.name: _definitions(tables, each, source, served=served) for each in choice.needed()}
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
        "dbt": {"dbt_version": source.dbt.dbt_version, "project_name": source.dbt.name},
        "columns": {field.name: str(field.type) for field in schema},
    }


def _definitions(tables: Tables, each: Chosen, source: Source, *, served: bool) -> dict[str, Any]:
    """The definitions of a view's features. Served values have the definition that their table was built from, which is
    None if it is not recorded."""
    digests = tables.digests(each.view)
    features = {name: digests[name] for name in each.columns}
    if not served:
        return {"table": tables.digest(each.view), "features": features}
    build = source.builds.get(each.view.name)
    if build is None:
        return {"table": None, "features": features}
    built = {"invocation_id": build.invocation_id, "built_at": build.built_at}
    return {"table": build.definition, "built": built, "features": features}
