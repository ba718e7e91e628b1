"""What a model's text depends on: its own words and the macros of its project and packages, not dbt's own."""

import pytest

from gemel.dbt.rendering import Renderer
from gemel.engines.lookup import all_engines
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject, Macro, Node

CENTS = "macro.shop.cents"


def text(*, macro, package, adapter="duckdb"):
    """What decides a model that calls the project's `cents`, which calls `macro` of a package."""
    inner = Macro(f"macro.{package}.hash", package, macro)
    macros = {
        CENTS: Macro(CENTS, "shop", "{% macro cents() %}{{ hash() }}{% endmacro %}", (inner.id,)),
        inner.id: inner,
    }
    node = Node(
        "model.shop.mart", "model", "mart", "mart", Relation("mart"), raw="select {{ cents() }}", macros=(CENTS,)
    )
    return Renderer(DbtProject("shop", adapter=adapter, macros=macros)).text(node)


@pytest.mark.parametrize("adapter", [engine.name for engine in all_engines()])
def test_macros_of_an_adapter_are_dbts_own(adapter):
    assert text(macro="old", package=f"dbt_{adapter}") == text(macro="new", package=f"dbt_{adapter}")


def test_macros_of_an_adapter_without_an_engine_are_dbts_own_in_a_project_that_uses_it():
    assert text(macro="old", package="dbt_dremio", adapter="dremio") == text(
        macro="new", package="dbt_dremio", adapter="dremio"
    )


@pytest.mark.parametrize("package", ["shop", "dbt_utils"])
def test_macros_of_projects_and_packages_decide(package):
    assert text(macro="old", package=package) != text(macro="new", package=package)
