"""A result as a dbt model: its SQL with `{{ ref(...) }}`, and its properties for dbt and for readers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp

from gemel.builds.hooks import hash_definition, hook_settings, write_config
from gemel.compiler.compiled import Compiled, Context, compiled
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.question.expressions import identifier
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Engine
from gemel.errors import About, BiError, GemelError
from gemel.files import add_header, escape_all, escape_description, escape_templates, unique_key
from gemel.spec.fields import Json
from gemel.spec.manifest import Export
from gemel.spec.project import DbtProject


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a model. `meta` is for programs; `cut` marks a time that is truncated to a grain."""

    name: str
    description: str | None = None
    cut: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BiModel:
    """A dbt model to generate as `export`, from the file `source`. The `keys` together are unique; `each` names what a
    row stands for."""

    source: str
    plan: Plan
    export: Export
    description: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    meta: Mapping[str, Any]
    about: About
    each: str = "group"

    @property
    def name(self) -> str:
        return self.export.name


def compile_model(model: BiModel, dialect: str, casts: Mapping[str, str] | None = None) -> Compiled:
    """The rows of the model, with marks for relations. `casts` are columns to cast, with DuckDB's names of the types.
    Raises QueryError (G327) if the engine lacks something."""

    def cast(select: exp.Select) -> exp.Select:
        for output in select.selects:
            kind = (casts or {}).get(output.alias_or_name)
            if kind is not None:
                value = exp.cast(output.unalias().copy(), exp.DataType.build(kind, dialect=DIALECT))
                output.replace(exp.alias_(value, output.args.get("alias") or identifier(output.alias_or_name)))
        return select

    return compiled(model.plan, Context.marking(dialect, cast if casts else None))


def write_model(model: BiModel, rows: Compiled, dbt: DbtProject, engine: Engine) -> str:
    """The text of `models/bi/<name>.sql`. Raises DefinitionError (G132, G133)."""
    escaped = replace(rows, sql=escape_templates(rows.sql))
    sql = escaped.with_names(lambda relation: f"{{{{ {dbt.ref(relation)} }}}}").sql
    config = _config(model, sql, engine, dbt.group_of(rows.relations, model.name))
    return add_header(".sql", model.source, f"{config}\n\n{sql}\n")


def properties(model: BiModel, types: Mapping[str, str], engine: Engine) -> Json:
    """The entry in `_bi.yml`. `types` has the known types of the columns."""
    tests = []
    if model.keys:
        test = {
            "name": f"{model.name}_has_one_row_for_each_{model.each}",
            "arguments": {"column_name": unique_key(model.keys, engine)},
        }
        tests.append({"unique": test})
    return {
        "name": model.name,
        "description": escape_description(model.description),
        "config": {"meta": {"gemel": escape_all(dict(model.meta))}},
        **({"data_tests": tests} if tests else {}),
        "columns": [_column(column, types.get(column.name)) for column in model.columns],
    }


def check_columns(model: BiModel, engine: Engine) -> Iterator[GemelError]:
    """G704 for each column whose name the warehouse or dbt would change."""
    longest = engine.longest_name
    for column in model.columns:
        if not column.name.isidentifier() or not column.name.isascii():
            reason = "which is not a valid column name"
        elif longest is not None and len(column.name) > longest:
            reason = f"which is too long: a name in {engine.name} has at most {longest} bytes"
        else:
            continue
        yield BiError(
            "G704",
            f"{model.name!r} would have a column {column.name[:100]!r}, {reason}",
            hint="give the entity, the dimension or the metric another name",
            about=model.about,
        )


def sentence(text: str) -> str:
    """A description on one line, with a full stop."""
    flat = " ".join(text.split())
    return flat if flat.endswith((".", "!", "?")) else f"{flat}."


def _config(model: BiModel, sql: str, engine: Engine, group: str | None) -> str:
    """dbt's config of the model, with the place of the table as far as the definition sets it."""
    export = model.export
    settings = {
        "materialized": export.kind,
        "alias": export.alias if export.alias != export.name else None,
        "schema": export.schema,
        "database": export.database,
        "group": group,
    }
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in settings.items() if value}
    return write_config(texts | hook_settings(engine, hash_definition(sql), newest=_newest(model, engine)))


def _newest(model: BiModel, engine: Engine) -> str | None:
    """The time of the newest fact, as far as the rows of a table have it."""
    times = [each.name for each in model.columns if each.name.partition("__")[0] == "metric_time"]
    newest = exp.Max(this=exp.column(identifier(times[0]))) if times and model.export.kind == "table" else None
    return str(newest.sql(engine.dialect)) if newest else None


def _column(column: Column, type_: str | None) -> Json:
    return {
        "name": column.name,
        **({"description": escape_description(column.description)} if column.description else {}),
        **({"data_type": type_} if type_ else {}),
        **({"quote": True} if identifier(column.name).quoted else {}),
        **({"config": {"meta": {"gemel": escape_all(dict(column.meta))}}} if column.meta else {}),
    }
