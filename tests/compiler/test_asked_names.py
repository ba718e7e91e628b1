"""Names in questions: plain names in filters, all unknown names at once, and functions that a project adds."""

import pytest

from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import make_query
from gemel.errors import GemelError, Problems, ProjectError
from gemel.spec.functions import WarehouseFunction
from worlds.shop import GRAPH


def compiled(*metrics, graph=GRAPH, dialect="duckdb", **question):
    return compile_query(graph, make_query(metrics, **question), Context.naming(dialect)).sql


def refusal(*metrics, **question):
    with pytest.raises(GemelError) as refused:
        compiled(*metrics, **question)
    return refused.value


@pytest.mark.parametrize(
    ("plain", "reference"),
    [
        ("customer__segment = 'x'", "{{ Dimension('customer__segment') }} = 'x'"),
        ("customer = 7", "{{ Entity('customer') }} = 7"),
        ("metric_time__day >= '2024-01-01'", "{{ TimeDimension('metric_time', 'day') }} >= '2024-01-01'"),
        (
            "lower(customer__segment) in ('x') and customer__segment <> 'y'",
            "lower({{ Dimension('customer__segment') }}) in ('x') and {{ Dimension('customer__segment') }} <> 'y'",
        ),
        ("METRIC_TIME__MONTH > '2024-01-01'", "{{ TimeDimension('metric_time', 'month') }} > '2024-01-01'"),
    ],
)
@pytest.mark.parametrize("metrics", [["orders"], []])
def test_a_plain_name_of_a_group_by_item_is_read_as_that_item(plain, reference, metrics):
    group_by = ["customer__segment", "metric_time__day"] if metrics else ["customer__segment"]
    if not metrics and "time" in plain.lower():
        return
    assert compiled(*metrics, group_by=group_by, where=plain) == compiled(*metrics, group_by=group_by, where=reference)


@pytest.mark.parametrize(
    ("where", "meant"),
    [
        ("segment = 'x'", "{{ Dimension('customer__segment') }}"),
        ("customer__segmnt = 'x'", "{{ Dimension('customer__segment') }}"),
        ("orders > 2", "--having"),
        ("customer__segment = done", "single quotes"),
        ('customer__segment = "done"', "single quotes"),
    ],
)
def test_another_plain_name_is_refused_with_what_was_probably_meant(where, meant):
    error = refusal("orders", where=where)
    assert error.code == "G309" and meant in str(error)


def test_all_unknown_names_of_a_question_are_reported_at_once():
    error = refusal(
        *("orders", "revenu", "ordrs"),
        group_by=["customer__nam", "metric_time"],
        where=["segment = 'x' or planet = 1", "{{ Dimension('customer__moon') }} = 2"],
        having=["orders > 1 and metric_time__day > current_date", "orbit > 1"],
    )
    assert isinstance(error, Problems)
    assert [each.code for each in error.errors] == ["G201", "G201", "G309", "G309", "G202", "G202", "G316"]
    for name in ("revenu", "ordrs", "customer__nam", "customer__moon", "segment", "planet", "orbit"):
        assert repr(name) in str(error)


def test_one_unknown_name_is_one_error():
    assert not isinstance(refusal("revenu"), Problems)
    assert refusal("orders", group_by=["planet"]).code == "G202"


# Functions of the project.

INITIALS = WarehouseFunction("initials(value text) -> text", calls="tools.initials")


def test_a_project_can_name_functions_of_its_warehouse():
    graph = bind(GRAPH.manifest, functions=[INITIALS])
    assert "TOOLS.INITIALS(" in compiled("orders", graph=graph, where="initials(customer__segment) = 'AB'").upper()


@pytest.mark.parametrize(
    ("where", "code", "dialect"),
    [
        ("initials(1) = 'x'", "G340", "duckdb"),
        ("initials(customer__segment, 1) = 'x'", "G340", "duckdb"),
        ("tools.initials(customer__segment) = 'x'", "G340", "duckdb"),
        ("initials(customer__segment) = 'x'", "G340", "postgres"),
    ],
)
def test_such_a_function_takes_what_its_signature_says_on_its_own_warehouse(where, code, dialect):
    error = refusal("orders", graph=bind(GRAPH.manifest, functions=[INITIALS]), where=where, dialect=dialect)
    assert error.code == code


@pytest.mark.parametrize(
    "declared",
    [
        WarehouseFunction("initials"),
        WarehouseFunction("Initials(value text) -> text"),
        WarehouseFunction("lower(value text) -> text"),
        WarehouseFunction("initials(value varchar) -> text"),
        WarehouseFunction("initials(value text) -> table"),
        WarehouseFunction("initials(value text) -> text", calls="initials(x); drop table y"),
        WarehouseFunction("initials(value path) -> text"),
    ],
)
def test_a_declaration_that_is_no_signature_is_refused(declared):
    with pytest.raises(ProjectError) as refused:
        compiled("orders", graph=bind(GRAPH.manifest, functions=[declared]), where="customer__segment = 'x'")
    assert refused.value.code == "G604"


def test_a_trusted_filter_is_in_the_warehouses_own_words():
    where = "regexp_extract({{ Dimension('customer__segment') }}, '^x') = getvariable('y')"
    assert "getvariable('y')" in compiled("orders", trusted=where).lower()
    assert refusal("orders", where=where).code == "G340"
    assert refusal("orders", trusted="1 = 1; drop table x").code == "G308"
    assert refusal("orders", trusted="{{ Entity('customer') }} in (select 1)").code == "G308"
