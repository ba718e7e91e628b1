"""Open Semantic Interchange (Apache Ossie): one semantic model for each fact table.

Its metrics are expressions over fields of datasets, without windows, offsets or fills. `custom_extensions` hold the
exact dbt definitions, also of what OSI cannot express, so an import loses nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sqlglot import exp

from gemel.bi.exports.exported import Exported, Source, fit_stars, heading, notes
from gemel.bi.exports.members import Columns
from gemel.bi.exports.stars import Field, Refusal, Star, StarMetric, Table, anchor, prune, restrict, unshadow
from gemel.bi.exports.texts import ANSI, OSI_WORDS, STANDARD, Naming, bare, write_expression
from gemel.bi.yaml_text import commented, dump
from gemel.compiler.sql import dialects as sql
from gemel.compiler.sql.lowering import Tables
from gemel.dbt.semantic.definitions import Definitions
from gemel.errors import QueryError
from gemel.spec.fields import Json

Version = Literal["0.1.1", "0.2.0.dev0"]

TOOL = "OSI"
VENDOR = "DBT"
_UNKNOWN: Mapping[Version, frozenset[str]] = {"0.1.1": frozenset({"BIGQUERY"}), "0.2.0.dev0": frozenset()}
"""SQL dialects that a version does not have."""


def export(source: Source, metrics: Sequence[str], *, version: Version, name: str) -> Exported:
    stars, refused = fit_stars(source, metrics, fit, unshadow, anchor)
    definitions = source.definitions()
    document, more = write(stars, refused, version=version, dialect=source.dialect, definitions=definitions)
    refused += more
    text = commented(heading(name, TOOL, refused, stars)) + _text(document)
    count = sum(len(model.get("metrics", ())) for model in document["semantic_model"])
    return Exported(TOOL, text, count, tuple(refused), tuple(notes(stars)))


def _text(document: Json) -> str:
    """In 0.1.1 a document lists semantic models; in 0.2 it is one semantic model, and a file a stream of documents."""
    if document["version"] == "0.1.1":
        return dump(document)
    documents = [{"version": document["version"], **model} for model in document["semantic_model"]]
    return "---\n".join(dump(each) for each in documents)


def fit(star: Star) -> tuple[Star, tuple[Refusal, ...]]:
    """Omits tables whose join is more than equal columns, because an OSI relationship cannot express it."""
    return prune(star, [each.name for each in star.tables if each.parent and each.equal is None])


def write(
    stars: Sequence[Star], refused: Sequence[Refusal], *, version: Version, dialect: str, definitions: Definitions
) -> tuple[Json, tuple[Refusal, ...]]:
    """The document, and the metrics that none of its dialects supports."""
    named = {engine: word for word, engine in OSI_WORDS.items() if engine != STANDARD and word not in _UNKNOWN[version]}
    words = {ANSI: "ANSI_SQL"} | {engine: word for engine, word in named.items() if engine == dialect}
    tables = sql.named(home=sql.engine_of(dialect))
    carried: set[str] = set()
    models: list[Json] = []
    more: list[Refusal] = []
    for star in stars:
        model, refused_here = _model(star, words, definitions, carried, tables)
        more += refused_here
        models.append(model)
    if models:
        reasons = {each.metric: each.reason for each in (*refused, *more)}
        models[0]["custom_extensions"] = [_extension(_rest(definitions, carried, reasons))]
    return {"version": version, "semantic_model": models}, tuple(more)


def _model(
    star: Star, words: Mapping[str, str], definitions: Definitions, carried: set[str], tables: Tables
) -> tuple[Json, tuple[Refusal, ...]]:
    columns = Columns([star])
    metrics, refused = [], []
    for item in star.metrics:
        try:
            metrics.append(_metric(star, item, columns, words, definitions))
        except QueryError as error:
            refused.append(Refusal(item.metric.name, error.message))
    star = restrict(star, refused)
    carried |= {f"metric {each['name']}" for each in metrics}
    facts = star.facts.model
    datasets = [_dataset(star, each, columns, words, definitions, carried, tables) for each in star.tables]
    return _without_empty(
        {
            "name": facts.name,
            "description": facts.description and facts.description.strip(),
            "datasets": datasets,
            "relationships": [_relationship(each) for each in star.tables if each.parent],
            "metrics": metrics,
        }
    ), tuple(refused)


def _metric(star: Star, item: StarMetric, columns: Columns, words: Mapping[str, str], definitions: Definitions) -> Json:
    metric = item.metric

    def naming(dialect: str) -> Naming:
        return lambda column: f"{column.table}.{columns.field(star, column)}"

    expression = _expression(item.expression, words, naming)
    extension = {"metric": definitions.metrics.get(metric.name), "expression": expression["dialects"][0]["expression"]}
    return _without_empty(
        {
            "name": metric.name,
            "description": metric.description and metric.description.strip(),
            "expression": expression,
            "custom_extensions": [_extension(extension)],
        }
    )


def _dataset(
    star: Star,
    table: Table,
    columns: Columns,
    words: Mapping[str, str],
    definitions: Definitions,
    carried: set[str],
    tables: Tables,
) -> Json:
    model = table.model
    fields = [_field(each, words) for each in star.fields_of(table.name)]
    fields += [
        {"name": name, "expression": _expression(column, words, bare)}
        for name, column in columns.added(model.name).items()
        if table is star.facts or isinstance(column, exp.Column)
    ]
    carried.add(f"semantic_model {model.name}")
    return _without_empty(
        {
            "name": table.name,
            "source": tables(table.relation).sql(STANDARD),
            "primary_key": list(table.key),
            "description": model.description and model.description.strip(),
            "fields": fields,
            "custom_extensions": [_extension({"semantic_model": definitions.models.get(model.name)})],
        }
    )


def _field(field: Field, words: Mapping[str, str]) -> Json:
    element = field.element
    return _without_empty(
        {
            "name": field.name,
            "expression": _expression(field.value, words, bare),
            "dimension": {"is_time": field.grain is not None},
            "label": element.label,
            "description": element.description and element.description.strip(),
        }
    )


def _relationship(table: Table) -> Json:
    assert table.equal is not None
    return {
        "name": f"{table.parent}_to_{table.name}",
        "from": table.parent,
        "to": table.name,
        "from_columns": [ours for ours, _ in table.equal],
        "to_columns": [theirs for _, theirs in table.equal],
    }


def _expression(tree: exp.Expr, words: Mapping[str, str], naming: Callable[[str], Naming]) -> Json:
    """The expression in every dialect that supports it. Raises QueryError if none does."""
    dialects, problem = [], None
    for dialect, word in words.items():
        try:
            dialects.append({"dialect": word, "expression": write_expression(tree, dialect, naming(dialect))})
        except QueryError as error:
            problem = error
    if not dialects:
        assert problem is not None
        raise problem
    return {"dialects": dialects}


def _rest(definitions: Definitions, carried: set[str], reasons: Mapping[str, str]) -> Json:
    """The definitions that no dataset and no metric of the document carries."""

    def left(kind: str, items: Mapping[str, Json]) -> list[Json]:
        return [item for name, item in items.items() if f"{kind} {name}" not in carried]

    return _without_empty(
        {
            "semantic_models": left("semantic_model", definitions.models),
            "metrics": left("metric", definitions.metrics),
            "saved_queries": left("saved_query", definitions.saved_queries),
            "refused": dict(reasons),
        }
    )


def _extension(data: Json) -> Json:
    return {"vendor_name": VENDOR, "data": json.dumps(data, ensure_ascii=False)}


def _without_empty(item: Json) -> Json:
    return {key: value for key, value in item.items() if value not in (None, "", [], {})}
