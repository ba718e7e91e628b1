"""The description of each engine: it can be looked up, is consistent, and is used."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlglot import Dialect

import gemel.engines.rewrites
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import Capability, Engine
from gemel.engines.lookup import NAMES, all_engines, engine_for_adapter, engine_for_dialect

ENGINES = pytest.mark.parametrize("engine", all_engines(), ids=lambda each: each.name)
SOURCE = Path(gemel.engines.rewrites.__file__).parent.parent


@ENGINES
def test_an_engine_is_found_by_dbts_name_and_by_its_dialect(engine):
    assert Dialect.get(engine.dialect)
    assert engine_for_adapter(engine.name) == engine
    first = next(each for each in all_engines() if each.dialect == engine.dialect)
    assert engine_for_dialect(engine.dialect) == first == replace(engine, name=first.name)


def test_every_file_of_an_engine_is_listed_under_its_name():
    shared = {"__init__", "adaptation", "engine", "lookup", "others", "rewrites", "stores", "types", "whole_numbers"}
    files = {file.stem for file in (SOURCE / "engines").glob("*.py")} - shared
    assert files == set(NAMES)
    assert len({each.name for each in all_engines()}) == len(all_engines())


@pytest.mark.parametrize("capability", Capability, ids=lambda each: each.name)
def test_some_engines_have_each_capability_others_do_not_and_some_code_depends_on_it(capability):
    having = [engine for engine in all_engines() if engine.has(capability)]
    assert 0 < len(having) < len(all_engines())
    usage = rf"(has\(|return |\()Capability\.{capability.name}\b"
    files = [file for file in SOURCE.rglob("*.py") if file.parent.name != "engines" or file.stem == "adaptation"]
    assert any(re.search(usage, file.read_text()) for file in files)


@ENGINES
def test_an_engine_rewrites_asof_joins_unless_it_has_them(engine):
    assert (gemel.engines.rewrites.asof_to_join in engine.rewrites) == (engine is not DUCKDB)
    assert len(set(engine.rewrites)) == len(engine.rewrites)


def test_an_engine_that_feast_copies_from_or_that_can_be_queried_has_everything_that_this_requires():
    for engine in all_engines():
        assert not engine.has(Capability.COPIED) or engine.feast
        assert not (engine.connect or engine.uri) or (engine.connect and engine.uri)


@pytest.mark.parametrize(
    ("adapter", "dialect"),
    [("sqlserver", "tsql"), ("synapse", "tsql"), ("tsql", "tsql"), ("teradata", "teradata"), ("vertica", "duckdb")],
)
def test_an_adapter_has_its_dialect_and_an_unknown_adapter_has_duckdbs(adapter, dialect):
    engine = engine_for_adapter(adapter)
    assert engine.dialect == dialect
    assert engine.feast is engine.connect is None
    assert (engine.capabilities, engine.rewrites) == (
        engine_for_dialect(dialect).capabilities,
        engine_for_dialect(dialect).rewrites,
    )


def test_an_engine_without_a_description_has_the_capabilities_of_most_engines():
    assert engine_for_dialect("teradata") == Engine("teradata", "teradata")
    assert engine_for_dialect("teradata").has(Capability.RANGES) and not engine_for_dialect("teradata").has(
        Capability.SERIES
    )
