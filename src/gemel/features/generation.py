"""All that `gemel generate` writes of the feature views, as texts by path, and Feast's store beside it."""

from collections.abc import Callable
from pathlib import Path

from gemel.compiler.names.graph import Graph
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import Capability, Engine
from gemel.engines.stores import Table
from gemel.errors import GemelError, Problems
from gemel.features import repository
from gemel.features.bound import Bound
from gemel.features.columns import Known, decide_types, read_recorded
from gemel.features.sources import table
from gemel.features.tables import Tables, exposures, properties
from gemel.files import DATA, VIEWS, Change, Files, add_header, models_folder, read_yaml
from gemel.files import compare as compare_files
from gemel.files import write as write_files
from gemel.on_demand.computing import compute_all
from gemel.spec.project import DbtProject

STORE = f"{VIEWS}/feature_store.yaml"


def generate(
    graph: Graph, bound: Bound, known: Known, *, root: Path, project: str, dbt: DbtProject
) -> dict[str, str | None]:
    """Every generated file's text by its path below `root`; None for one that waits for dbt to say where tables are.

    Raises Problems where a type is not known, or where the warehouse cannot say a view.
    """
    engine = known.engine
    tables = Tables(graph)
    types = decide_types(tables, bound, known)
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
    if bound.services:
        files[f"{folder}/_feature_services.yml"] = add_header(".yml", f"{VIEWS}/", exposures(bound))
    return files


def places_of(bound: Bound, dbt: DbtProject, engine: Engine) -> dict[str, Table]:
    """Where the tables of the views are, of those that dbt knows of; a copied one is where we put it."""
    if engine.has(Capability.COPIED):
        return {view.name: Table("", "", view.name, view.name) for view in bound.views}
    named = {view.name: dbt.relation_name(view.name) for view in bound.views}
    return {name: table(relation, engine) for name, relation in named.items() if relation}


def compare(root: Path, files: Files) -> list[Change]:
    """What differs between the files on disk and those that there should be."""
    changes = compare_files(root, files)
    if f"{VIEWS}/definitions.py" in files and not (root / STORE).exists():
        changes.append(Change(STORE, "missing"))
    return sorted(changes, key=lambda change: change.path)


def write(root: Path, files: Files, *, store: Callable[[], str]) -> list[Change]:
    """Make the files on disk be `files`; what was changed. `store` makes feature_store.yaml, where there is none.

    Raises Problems (G525) before anything is written where a file that is not ours is in the way.
    """
    changes = compare(root, files)
    # The store is the user's to change, so it is written once and never looked at again.
    write_files(root, files, changes, once={STORE: store})
    return changes


def recorded_types(root: Path, engine: Engine = DUCKDB) -> dict[str, dict[str, str]]:
    """The types of the feature tables as they were generated last."""
    return read_recorded(read_yaml(root / models_folder(root, "features") / "_feature_views.yml"), engine)
