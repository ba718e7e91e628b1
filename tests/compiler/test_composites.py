"""Entities whose key is several columns: what they are made of, and when two of them do not fit."""

import pytest

from gemel.compiler.names.composites import composites
from gemel.compiler.question.expressions import Texts
from gemel.errors import Problems
from gemel.spec.manifest import Entity, Relation, SemanticModel


def found(**exprs):
    """`lines="primary (a, b)"`: an entity `line` in each model of the keyword's name."""
    models = [
        SemanticModel(name, Relation(name), None, (Entity("line", *definition.split(" ", 1)),), ())
        for name, definition in exprs.items()
    ]
    return composites(models, Texts())


def refusals(**exprs):
    with pytest.raises(Problems) as caught:
        found(**exprs)
    return [(error.about.name, str(error)) for error in caught.value.errors]


@pytest.mark.parametrize("expr", ["line_id", "(line_id)", "(a || b)", "coalesce(a, b)", "(a) + (b, c)", "(a,"])
def test_what_is_no_row_of_columns_is_one_key(expr):
    assert found(lines=f"primary {expr}") == {}


def test_the_components_are_named_by_the_model_whose_key_they_are():
    named = {"line": ("order_id", "line_no")}
    assert found(shipments="foreign (of_order, of_line)", lines="primary (order_id, Line_No)") == named
    assert found(lines="primary (order_id, cast(line_no as int))") == named


def test_as_many_columns_are_needed_everywhere():
    errors = refusals(lines="primary (a, b)", shipments="foreign (a, b, c)", parcels="foreign a")
    assert [model for model, _ in errors] == ["shipments", "parcels"]
    assert errors[0][1].startswith(
        "G130 entity 'line' is 3 columns in semantic model 'shipments', but 2 columns in 'li"
    )
    assert errors[1][1].startswith("G130 entity 'line' is one column in semantic model 'parcels'")


@pytest.mark.parametrize("expr", ["(a, upper(b))", "(a, a)", "(a, 1)"])
def test_every_component_of_the_key_needs_a_name(expr):
    [(_, message)] = refusals(lines=f"primary {expr}", shipments="foreign (a, upper(b))")
    assert message.startswith("G131")
