"""The files that `gemel generate` writes for the feature views, as texts by path, and feature_store.yaml."""

from collections.abc import Callable
from pathlib import Path

from gemel.compiler.names.graph import Graph
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import Capability, Engine
from gemel.engines.stores import Table
from gemel.errors import GemelError, Problems
from gemel.features import repository
from gemel.features.bound import Bound
from gemel.features.columns import TypeSources, decide_types, read_recorded
from gemel.features.sources import table
from gemel.features.tables import Tables, exposures, properties
from gemel.files import DATA, VIEWS, Change, Files, add_header, models_folder, read_yaml
from gemel.files import compare as compare_files
from gemel.files import write as write_files
from gemel.history_tests import history_tests
from gemel.on_demand.computing import compute_all
from gemel.spec.project import DbtProject

STORE = f"{VIEWS}/feature_store.yaml"


def generate(
    graph: Graph, bound: Bound, sources: TypeSources, *, root: Path, project: str, dbt: DbtProject
) -> dict[str, str | None]:
    """The text of each generated file by its path below `root`; None for a file that needs places of tables from dbt.

    Raises Problems if a type is not known, or if the warehouse does not support a view.
    """
    engine = sources.engine
    tables = Tables(graph)
    types = decide_types(tables, bound, sources)
    problems: list[GemelError] = []
    folder = models_folder(root, "features")
    files: dict[str, str | None] = {}
    for view in bound.views:
        file = view.place.file if view.place else f"{VIEWS}/"
        try:
            text = tables.model(view, types[view.name], dbt=dbt, engine=engine)
        except GemelError as error:
            problems.append(error)
            continue
        files[f"{folder}/{view.name}.sql"] = add_header(".sql", file, text)
    if problems:
        raise Problems(problems)
    if bound.views:
        files[f"{folder}/_feature_views.yml"] = add_header(
            ".yml", f"{VIEWS}/", properties(tables, bound, types, engine)
        )
        computed = compute_all(bound.on_demand, types)
        places = places_of(bound, dbt, engine)
        written = (
            None
            if len(places) < len(bound.views)
            else repository.definitions(tables, bound, types, computed, project=project, engine=engine, places=places)
        )
        files[f"{VIEWS}/definitions.py"] = written and add_header(".py", f"{VIEWS}/", written)
        files[f"{DATA}/.gitignore"] = "*\n!.gitignore\n"
        histories = (each for view in bound.views for each in tables.histories(view))
        files |= history_tests(histories, dbt=dbt, root=root, engine=engine)
    if bound.services:
        files[f"{folder}/_feature_services.yml"] = add_header(".yml", f"{VIEWS}/", exposures(bound))
    return files


def places_of(bound: Bound, dbt: DbtProject, engine: Engine) -> dict[str, Table]:
    """The places of the views' tables that are in dbt's manifest, or of their copies."""
    if engine.has(Capability.COPIED):
        return {view.name: Table("", "", view.name, view.name) for view in bound.views}
    named = {view.name: dbt.relation_name(view.name) for view in bound.views}
    return {name: table(relation, engine) for name, relation in named.items() if relation}


def compare(root: Path, files: Files) -> list[Change]:
    """The differences between the files on disk and `files`."""
    changes = compare_files(root, files)
    if f"{VIEWS}/definitions.py" in files and not (root / STORE).exists():
        changes.append(Change(STORE, "missing"))
    return sorted(changes, key=lambda change: change.path)


def write(root: Path, files: Files, *, store: Callable[[], str]) -> list[Change]:
    """Write `files` to disk, and return the changes. `store` gives the text of feature_store.yaml, if it is missing.

    Raises Problems (G525) before anything is written if a file that gemel did not write is in the way.
    """
    changes = compare(root, files)
    # feature_store.yaml is the user's to change, so it is written only once.
    write_files(root, files, changes, once={STORE: store})
    return changes


def recorded_types(root: Path, engine: Engine = DUCKDB) -> dict[str, dict[str, str]]:
    """The types of the feature tables in the generated properties."""
    return read_recorded(read_yaml(root / models_folder(root, "features") / "_feature_views.yml"), engine)
