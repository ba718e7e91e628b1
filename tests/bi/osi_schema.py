"""The shape of an OSI document, as its specification says it: JSON Schema in our own words, for each version.

After core-spec/osi-schema.json (0.1.1) and core-spec/ossie-schema.json (0.2.0.dev0) of github.com/apache/ossie.
"""

DIALECTS = {
    "0.1.1": ["ANSI_SQL", "SNOWFLAKE", "MDX", "TABLEAU", "DATABRICKS"],
    "0.2.0.dev0": ["ANSI_SQL", "SNOWFLAKE", "MDX", "TABLEAU", "DATABRICKS", "MAQL", "BIGQUERY", "OSSIE_SQL_2026"],
}
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}


def schema(version):
    expression = record(
        dialects={
            "type": "array",
            "minItems": 1,
            "items": record(dialect={"enum": DIALECTS[version]}, expression=TEXT, required="dialect expression"),
        },
        required="dialects",
    )
    common = {"custom_extensions": listed(record(vendor_name=TEXT, data=TEXT, required="vendor_name data"))}
    common["ai_context"] = {"type": ["string", "object"]}
    field = record(
        name=TEXT,
        expression=expression,
        dimension=record(is_time={"type": "boolean"}),
        label=TEXT,
        description=TEXT,
        **common,
        required="name expression",
    )
    dataset = record(
        name=TEXT,
        source=TEXT,
        primary_key=TEXTS,
        unique_keys=listed(TEXTS),
        description=TEXT,
        fields=listed(field),
        **common,
        required="name source",
    )
    columns = TEXTS | {"minItems": 1}
    ends = {"from": TEXT, "to": TEXT, "from_columns": columns, "to_columns": columns}
    relationship = record(name=TEXT, **ends, **common, required="name from to from_columns to_columns")
    metric = record(name=TEXT, expression=expression, description=TEXT, **common, required="name expression")
    model = record(
        name=TEXT,
        description=TEXT,
        datasets=listed(dataset) | {"minItems": 1},
        relationships=listed(relationship),
        metrics=listed(metric),
        **common,
        required="name datasets",
    )
    stated = {"version": {"const": version}}
    if version == "0.1.1":
        return record(**stated, semantic_model=listed(model), required="version semantic_model")
    return model | {"properties": model["properties"] | stated, "required": [*model["required"], "version"]}


def record(*, required="", **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def listed(items):
    return {"type": "array", "items": items}
