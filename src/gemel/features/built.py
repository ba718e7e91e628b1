"""Compare the tables that dbt built with their declarations in Feast."""

from gemel.compiler.compiled import compile_table
from gemel.errors import BridgeError, GemelError, Problems, WarehouseError
from gemel.features.infinities import find_infinite_facts, find_infinite_rows
from gemel.features.opened import Features
from gemel.features.types import TYPES
from gemel.on_demand.computing import compute_all


def check_built(features: Features) -> None:
    """Compare each built table with its declaration in Feast. Raises Problems (G532, G537)."""
    problems: list[BridgeError] = []
    relations, runner = features.relations(), features.session.runner
    for name, types in features.types().items():
        with features.reading_tables():
            built = dict(runner.describe(compile_table(relations[name], features.engine.dialect)))
            [view] = features.select_views([name])
            problems.extend(find_infinite_rows(view, built, relations[name], runner))
        for column, type_ in types.items():
            if built.get(column) != TYPES[type_].sql:
                problems.append(
                    BridgeError(
                        "G532",
                        f"{name}.{column} is {built.get(column, 'missing')} in the built table, but "
                        f"{TYPES[type_].sql} in its Feast definition",
                        hint="run `gemel generate`, then `dbt build`",
                    )
                )
    features.release()
    if problems:
        raise Problems(problems)


def check_types(features: Features) -> tuple[GemelError, ...]:
    """Types that a feature or key cannot have (G524), and on-demand features over values of the wrong type (G592).

    A type that is not known before the models are built is not an error.
    """
    try:
        types = features.types()
    except Problems as problems:
        return tuple(each for each in problems.errors if each.code != "G523")
    try:
        compute_all(features.bound.on_demand, types)
    except Problems as problems:
        return problems.errors
    return ()


def check_infinities(features: Features) -> tuple[GemelError, ...]:
    """Facts that become known at a time that a table cannot have (G537). Reads the rows of the facts."""
    try:
        with features.reading_tables():
            return tuple(find_infinite_facts(features.session.graph, features.views, features.session.runner))
    except WarehouseError:
        return ()  # another check reports missing tables and SQL that does not bind
