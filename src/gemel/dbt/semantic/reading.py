"""Reads dbt's semantic_manifest.json into a Manifest: legacy and newer YAML, old and new dbt, one form.

dbt writes the definitions nearly as the user wrote them. The rewriting that MetricFlow does before it starts
(its `metricflow_semantic_interfaces.transformations`) is done here, in one pass: no other module needs to know that
there are two specs. Unknown keys are ignored, and no version is checked. `docs/specs.md` lists what each dbt writes,
and what it loses.
"""

from collections.abc import Iterable
from dataclasses import replace

from gemel.dbt.semantic.metrics import read_filters, read_metrics
from gemel.dbt.semantic.models import parse_relation, read_models, read_relation
from gemel.dbt.semantic.state import Definitions
from gemel.errors import About, DefinitionError, GemelError, Problems, ProjectError
from gemel.spec.fields import Json, choice, name_of, object_at, object_or_empty, objects, optional_text, text, texts
from gemel.spec.manifest import Export, Manifest, SavedQuery, TimeSpine
from gemel.spec.time import GRAINS


def read_manifest(data: object) -> Manifest:
    """The content of a `semantic_manifest.json` as a Manifest.

    Raises ProjectError (G602) if it is not a semantic manifest, and Problems with every DefinitionError
    (G101, G121-G129) if a definition is invalid.
    """
    manifest, problems = read_valid(data)
    if problems:
        raise Problems(problems)
    return manifest


def read_valid(data: object) -> tuple[Manifest, tuple[GemelError, ...]]:
    """The valid definitions, and the errors in the others. Raises ProjectError (G602)."""
    if not isinstance(data, dict) or not isinstance(data.get("semantic_models"), list):
        raise ProjectError(
            "G602",
            "this is not a semantic manifest: it has no list of semantic_models",
            hint="pass the semantic_manifest.json that `dbt parse` writes into target/",
        )
    definitions = Definitions()
    try:
        manifest = _manifest(data, definitions)
    except RecursionError:
        raise ProjectError("G602", "this is not a semantic manifest: it is nested too deeply") from None
    return manifest, tuple(definitions.problems)


def _manifest(data: Json, definitions: Definitions) -> Manifest:
    spines = tuple(_time_spines(data, definitions))
    definitions.grains = (*GRAINS, *(name for spine in spines for name, _ in spine.custom))
    manifest = Manifest(
        models=read_models(data, definitions),
        metrics=read_metrics(data, definitions),
        saved_queries=definitions.read_each(data, "saved_queries", "saved_query", _saved_query),
        time_spines=spines,
    )
    used = {(measure.name, measure.model) for measure in manifest.measures}
    written = {(measure.name, measure.model) for measure in definitions.measures.values() if measure is not None}
    return replace(manifest, idle_measures=tuple(sorted(written - used)))


def _saved_query(item: Json, definitions: Definitions) -> SavedQuery:
    params = object_at(item, "query_params") or {}
    limit = params.get("limit")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise DefinitionError("G121", f"the limit of saved query {name_of(item)!r} must be a whole number")
    metrics = tuple(definitions.check_metric(name.lower()) for name in texts(params, "metrics"))
    about = About("saved_query", name_of(item))
    return SavedQuery(
        name=name_of(item),
        metrics=metrics,
        group_by=texts(params, "group_by"),
        where=read_filters(params.get("where")),
        order_by=texts(params, "order_by"),
        limit=limit,
        exports=definitions.read_each(item, "exports", "export", _export, inside=about),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )


def _export(item: Json, definitions: Definitions) -> Export:
    config = object_at(item, "config") or {}
    kind = choice(config, "export_as", ("table", "view"), default="table")
    return Export(
        name=text(item, "name"),
        kind="view" if kind == "view" else "table",
        schema=optional_text(config, "schema_name") or optional_text(config, "schema"),
        alias=optional_text(config, "alias"),
        database=optional_text(config, "database"),
    )


def _time_spines(data: Json, definitions: Definitions) -> Iterable[TimeSpine]:
    """The time spines. A legacy one counts only if no newer one has its grain."""
    configuration = object_or_empty(data, "project_configuration")
    grains: set[str] = set()
    for key, read in (("time_spines", _time_spine), ("time_spine_table_configurations", _legacy_time_spine)):
        for item in objects(configuration, key):
            relation = item.get("node_relation") or {}
            name = relation.get("alias") if isinstance(relation, dict) else None
            try:
                spine = read(item)
            except DefinitionError as error:
                error.about = About("time_spine", str(name or item.get("location")))
                definitions.problems.append(error)
                continue
            if read is _time_spine or spine.grain not in grains:
                grains.add(spine.grain)
                yield spine


def _time_spine(item: Json) -> TimeSpine:
    column = object_at(item, "primary_column") or {}
    return TimeSpine(
        relation=read_relation(object_at(item, "node_relation") or {}, of="a time spine"),
        column=text(column, "name"),
        grain=choice(column, "time_granularity", GRAINS),
        custom=tuple(
            (name_of(grain), optional_text(grain, "column_name") or text(grain, "name"))
            for grain in objects(item, "custom_granularities")
        ),
    )


def _legacy_time_spine(item: Json) -> TimeSpine:
    return TimeSpine(
        relation=parse_relation(text(item, "location")),
        column=text(item, "column_name"),
        grain=choice(item, "grain", GRAINS),
    )
