"""The types of columns that dbt has recorded.

dbt's catalog.json (`dbt docs generate`) has the columns of all tables. A column's `data_type` in a model's properties
takes precedence.
"""

import json
from pathlib import Path

from gemel.spec.fields import Json
from gemel.spec.project import DbtProject


def read_types(artifacts: Path, dbt: DbtProject) -> dict[tuple[str, str], dict[str, str]]:
    """Each column's type, by its name in lower case, for each table with columns, by its schema and name."""
    catalog = _read_tables(artifacts / "catalog.json")
    types = {}
    for id in {**dbt.nodes, **catalog}:
        node, table = dbt.nodes.get(id), catalog.get(id, {})
        place = table.get("metadata") or {}
        schema, name = (node.relation.schema, node.relation.name) if node else (place.get("schema"), place.get("name"))
        built = {str(each["name"]).lower(): each.get("type") for each in (table.get("columns") or {}).values()}
        declared = {column: type for column, type in node.columns.items() if type} if node else {}
        columns = {column: str(type) for column, type in {**built, **declared}.items() if type}
        if schema and name and columns:
            types[str(schema), str(name)] = columns
    return types


def _read_tables(file: Path) -> dict[str, Json]:
    """The tables in catalog.json; empty if the file is missing or not written by dbt."""
    try:
        content = json.loads(file.read_bytes())
        return {**content.get("nodes", {}), **content.get("sources", {})}
    except (OSError, ValueError, AttributeError):
        return {}
