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
            [view] = features.named([name])
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
    """Types that no feature or key can have (G524), and what on-demand features compute with the wrong ones (G592).

    Types that nobody knows before the models are built are no mistake.
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
    """Facts that are known at no time that a table can have (G537): their rows are read."""
    try:
        with features.reading_tables():
            return tuple(find_infinite_facts(features.session.graph, features.views, features.session.runner))
    except WarehouseError:
        return ()  # a table that is not there, or SQL that does not bind, has an error of its own
