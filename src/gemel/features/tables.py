"""A bound feature view to the dbt model that builds its table: SQL with `{{ ref(...) }}`, and its properties."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlglot import exp

from gemel.builds.hooks import copy_metadata, hash_definition, hook_settings, write_config
from gemel.compiler.compiled import Compiled, Context, Framed, JoinedHistory, compiled, definition_of, framed
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.features.detection import plan_fingerprint
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import copied, identifier, interval
from gemel.compiler.sql import dialects
from gemel.compiler.sql.fingerprints import fingerprints
from gemel.engines.duckdb import DIALECT, DUCKDB
from gemel.engines.engine import Capability, Engine
from gemel.errors import GemelError
from gemel.features.bound import Bound, BoundService, BoundView
from gemel.features.descriptions import describe
from gemel.features.increments import DEFINITION, Increment
from gemel.features.origins import NOTE
from gemel.features.plans import plan_table
from gemel.features.shapes import CREATED as CREATED
from gemel.features.shapes import moment_type, newest_moment, refuse_unkept, shape_for_feast, type_name
from gemel.features.times import UNTIL, timestamp
from gemel.features.types import TYPES
from gemel.files import DATA as DATA
from gemel.files import escape_description, escape_templates, to_yaml, unique_key
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject, call

Types = Mapping[str, str]
"""The type of each column of one view by name, entities included: `{"carrier": "string"}`."""

_STARTED = '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}'


class Tables:
    """The tables of bound views, as SQL. Parts that several texts of a view share are compiled once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._framed: dict[str, tuple[Framed, Compiled]] = {}
        self._definitions: dict[str, Compiled] = {}
        self._digests: dict[str, str] = {}
        self._column_digests: dict[str, dict[str, str]] = {}
        self._casts = {each.name: exp.DataType.build(each.sql, dialect=DIALECT) for each in TYPES.values()}

    def model(self, view: BoundView, types: Types, *, dbt: DbtProject, engine: Engine = DUCKDB) -> str:
        """The body of `models/features/<view>.sql`, without the header, for `engine`.

        `dbt` has the names for `ref()`. Raises QueryError (G327) and BridgeError (G58x) for what the engine does not
        support.
        """
        digest = self.digest(view)
        increment = Increment(self.graph, view, engine, digest) if view.lookback is not None else None
        with _at(view):
            refuse_unkept(view, engine)
            if increment is None and engine.dialect == DUCKDB.dialect:
                frame, _ = self._duckdb(view)
                outputs = shape_for_feast(
                    _cast_columns(exp.Select(expressions=[*frame.outputs]), types, self._casts), engine
                ).selects
                typed = frame.filled(outputs)
            else:

                def finish(select: exp.Select) -> exp.Select:
                    select = _cast_columns(_with_created(select), types, self._casts)
                    if increment is not None:
                        select = select.select(exp.alias_(exp.Literal.string(digest), DEFINITION), copy=False)
                    return shape_for_feast(select, engine)

                plan = view.plan if increment is None else plan_table(self.graph, view, increment.within)
                typed = compiled(plan, Context.marking(engine.dialect, finish))
            text, before = _templated(typed, dbt), ""
            if increment is not None:
                text = text.replace("WITH ", f"WITH {increment.ranges()}, ", 1)
                facts = _templated(self._fingerprint(view, engine), dbt) if view.detect else ""
                before = f"{{% set prepare %}}{{% raw %}}\n{increment.statements(facts)}{{% endraw %}}{{% endset %}}\n"
            group = dbt.group_of(typed.relations, view.name)
            return f"{before}{_config(view, digest, engine, group)}\n\n{text}\n"

    def uncast(self, view: BoundView, catalogs: frozenset[str] | None, engine: Engine = DUCKDB) -> Compiled:
        """The same table without casts, over the relations themselves, for the engine to describe its types."""
        if engine.dialect == DUCKDB.dialect:
            _, table = self._duckdb(view)
        else:
            table = compiled(view.plan, Context.marking(engine.dialect, _with_created))
        table = table.with_names(dialects.naming(catalogs, engine.dialect))
        # An engine may read the times before dbt fills them in.
        return table.with_values({UNTIL: "2000-01-01", _STARTED: "2000-01-01"})

    def relations(self, view: BoundView) -> tuple[Relation, ...]:
        """The relations that the table reads."""
        return self._definition(view).relations

    def histories(self, view: BoundView) -> tuple[JoinedHistory, ...]:
        """The histories that the table joins."""
        return self._definition(view).histories

    def digest(self, view: BoundView) -> str:
        """Twelve hex digits that change with the computation of the table.

        Feast does not notice a changed formula under an unchanged name; this digest among its tags shows it.
        """
        if view.name not in self._digests:
            table = self._definition(view).with_names(lambda relation: relation.name)
            self._digests[view.name] = hash_definition(table.sql)
        return self._digests[view.name]

    def digests(self, view: BoundView) -> dict[str, str]:
        """The digest of each column, independent of the other columns."""
        if view.name not in self._column_digests:
            self._column_digests[view.name] = {
                name: hash_definition(text) for name, text in fingerprints(view.plan).items()
            }
        return self._column_digests[view.name]

    def digests_of(
        self, views: Mapping[str, BoundView], columns: Iterable[tuple[str, Sequence[str]]]
    ) -> dict[str, str]:
        """The digests of some columns of some views, by `view.column`."""
        return {
            f"{name}.{column}": digest
            for name, own in columns
            for column, digest in self.digests(views[name]).items()
            if column in own
        }

    def _fingerprint(self, view: BoundView, engine: Engine) -> Compiled:
        """What the table is made of, by moment, for a build to find what has changed since the last one."""
        assert engine.row_hash is not None
        plan = plan_fingerprint(self.graph, view, until=timestamp(UNTIL), row_hash=engine.row_hash)
        return compiled(plan, Context.marking(engine.dialect))

    def _duckdb(self, view: BoundView) -> tuple[Framed, Compiled]:
        """The table in DuckDB's SQL: as a frame, whose columns can still be cast, and as a whole without casts."""
        if view.name not in self._framed:
            frame = framed(view.plan, Context.marking(DIALECT, _with_created))
            self._framed[view.name] = frame, frame.filled(frame.outputs)
        return self._framed[view.name]

    def _definition(self, view: BoundView) -> Compiled:
        """The table's SQL for hashes: DuckDB's, whatever the engine."""
        if view.name not in self._definitions:
            if self.graph.texts.dialect == DIALECT and not self._duckdb(view)[0].has_own_text:
                self._definitions[view.name] = self._duckdb(view)[1]
            else:
                self._definitions[view.name] = definition_of(view.plan, Context.marking(DIALECT, _with_created))
        return self._definitions[view.name]


@contextmanager
def _at(view: BoundView) -> Iterator[None]:
    """Raise the errors of a view at its place."""
    try:
        yield
    except GemelError as error:
        error.place = error.place or view.place
        if error.code == "G327":
            error.hint = "remove it from the view; DuckDB and PostgreSQL can express it"
        raise


def _templated(table: Compiled, dbt: DbtProject) -> str:
    """The SQL as dbt renders it, with relations by `ref()`."""
    escaped = replace(table, sql=escape_templates(table.sql, but=(UNTIL, _STARTED)))
    return escaped.with_names(lambda relation: f"{{{{ {dbt.ref(relation)} }}}}").sql


def _with_created(select: exp.Select) -> exp.Select:
    """Add the column with the time at which dbt makes the row."""
    return select.select(exp.alias_(timestamp(_STARTED), CREATED), copy=False)


def _cast_columns(select: exp.Select, types: Types, casts: Mapping[str, exp.DataType]) -> exp.Select:
    """Cast each column to its type in Feast; `casts` are the types by name."""
    outputs = [
        exp.Alias(this=exp.Cast(this=output.unalias(), to=copied(casts[types[name]])), alias=identifier(name))
        if (name := output.alias_or_name) in types
        else output
        for output in select.selects
    ]
    select.set("expressions", outputs)
    return select


def _config(view: BoundView, digest: str, engine: Engine, group: str | None) -> str:
    """dbt's settings of the model, Python between its double braces."""
    settings = {"materialized": '"table"'}
    before, after = [], []
    if view.lookback is not None:
        settings = {
            "materialized": '"incremental"',
            "incremental_strategy": '"append"',
            "on_schema_change": '"sync_all_columns"',
        }
        before.append("prepare")
    if engine.has(Capability.COPIED):
        after.append(
            f"COPY (FROM {{{{ this }}}} ORDER BY {_keys(view)}) TO '{DATA / view.name}.parquet' "
            f"(FORMAT parquet, KV_METADATA {{{NOTE}, {copy_metadata(digest)}}})"
        )
    settings |= dict(engine.model_config)
    if group is not None:
        settings["group"] = json.dumps(group)
    newest = newest_moment(engine)
    return write_config(settings | hook_settings(engine, digest, newest=newest, before=before, after=after))


def _keys(view: BoundView) -> str:
    """The key columns of a row, as SQL: `carrier, event_timestamp`, with quotes around keywords such as `"order"`."""
    writer = dialects.generator(DIALECT)
    return ", ".join(writer.generate(identifier(name), copy=False) for name in (*view.entities, MOMENT))


def properties(tables: Tables, bound: Bound, types: Mapping[str, Types], engine: Engine = DUCKDB) -> str:
    """`_feature_views.yml`: descriptions and types of each table for dbt, and its tests."""
    return to_yaml({"models": [_model(tables, view, types[view.name], engine) for view in bound.views]})


def exposures(bound: Bound) -> str:
    """`_feature_services.yml`: an exposure for each service, so that dbt's lineage ends at the models that use it."""
    return to_yaml({"exposures": [_exposure(service) for service in bound.services]})


def _model(tables: Tables, view: BoundView, types: Types, engine: Engine) -> dict[str, Any]:
    names = {type_: type_name(type_, engine) for type_ in {*types.values(), "string"}}
    columns: list[dict[str, Any]] = [
        {
            "name": entity,
            "description": escape_description(_entity_text(tables.graph, entity)),
            "data_type": names[types[entity]],
        }
        | ({"quote": True} if engine.has(Capability.UPPER_CASE_NAMES) or identifier(entity).quoted else {})
        | _TESTED
        for entity in view.entities
    ]
    moment = f"The moment, in UTC. The row holds what was known before it, {_lag(view)}."
    columns.append({"name": MOMENT, "description": moment, "data_type": moment_type(engine)} | _TESTED)
    for feature in view.features:
        text = describe(tables.graph, feature)
        described = {"description": escape_description(text)} if text else {}
        columns.append({"name": feature.name, **described, "data_type": names[types[feature.name]]})
    created = "When dbt made the row, in UTC. Of two rows for one moment, the later one counts."
    columns.append({"name": CREATED, "description": created, "data_type": moment_type(engine)} | _TESTED)
    if view.lookback is not None:
        text = "The hash of the definition that the row was built from."
        columns.append({"name": DEFINITION, "description": text, "data_type": names["string"]} | _TESTED)
    unique = {
        "unique": {
            "name": f"{view.name}_has_one_row_for_each_moment",
            "arguments": {"column_name": unique_key((*view.entities, MOMENT), engine)},
        }
    }
    return {
        "name": view.name,
        "description": escape_description(view.description or f"Features of {' and '.join(view.entities)}."),
        "config": {"meta": {"gemel": {"feature_view": view.name, "definition": tables.digest(view)}}},
        "data_tests": [unique, *_freshness(view, engine)],
        "columns": columns,
    }


_TESTED = {"data_tests": ["not_null"]}


def _freshness(view: BoundView, engine: Engine) -> list[dict[str, Any]]:
    """A test that the newest row is fresh, by one of dbt's own tests: `MAX(...) >= ...` must have the value 1."""
    allowed = view.freshness
    if allowed is None:
        return []
    newest = exp.Max(this=exp.column(MOMENT))
    oldest = exp.Sub(this=timestamp(UNTIL), expression=interval(allowed))
    one, zero = exp.Literal.number(1), exp.Literal.number(0)
    fresh = exp.case().when(exp.GTE(this=newest, expression=oldest), one).else_(zero)
    table = exp.Table(this=exp.Identifier(this=f"{{{{ {call('ref', view.name)} }}}}", quoted=False))
    value = exp.Subquery(this=exp.select(fresh).from_(table)).sql(engine.dialect)
    arguments = {"column_name": "1", "values": [value], "quote": False}
    return [{"accepted_values": {"name": f"{view.name}_is_fresh", "arguments": arguments}}]


def _lag(view: BoundView) -> str:
    delay = view.delay
    by = f"by {view.known_at}" if view.known_at else "by the time that facts are reported under"
    return f"{by}, and was available {delay} later" if delay else by


def _entity_text(graph: Graph, name: str) -> str:
    entities = [entity for model in graph.ways.keyed(name) if (entity := graph.entity(model, name))]
    entities += [entity for model in graph.models.values() for entity in model.entities if entity.name == name]
    return next((e.description for e in entities if e.description), f"The {name}.")


def _exposure(service: BoundService) -> dict[str, Any]:
    features = [f"{view.name}.{name}" for view, names in service.selected for name in names or view.feature_names]
    owner = {"email" if "@" in service.owner else "name": escape_templates(service.owner)}
    return {
        "name": service.name,
        "type": "ml",
        "description": escape_description(service.description or f"The features of {service.name}."),
        "owner": owner,
        "depends_on": [call("ref", table) for table in service.tables()],
        "config": {"meta": {"gemel": {"feature_service": service.name, "features": features}}},
    }
