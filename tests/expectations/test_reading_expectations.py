"""Metric tests as they are written, and the problems of invalid ones."""

from dataclasses import replace
from textwrap import indent

import pytest
import yaml
from sales import graph_of

from gemel.dbt.project_file import locate_definitions
from gemel.errors import GemelError, Place
from gemel.expectations.plans import judge
from gemel.spec.metric_tests import Compared, Comparison, Expected, Input, Row, Tolerance, read_metric_tests


def read(text):
    """The tests of revenue, and their problems."""
    graph = graph_of({"revenue": yaml.safe_load(text)})
    tests, problems = read_metric_tests(graph.metrics.values())
    return tests, problems


def first_problem(text):
    """The first problem: its code, its path below the tests, and its full text."""
    graph = graph_of({"revenue": yaml.safe_load(text)})
    tests, problems = read_metric_tests(graph.metrics.values())
    if not problems:
        with pytest.raises(GemelError) as caught:
            for test in tests:
                judge(graph, test)
        problems = [caught.value]
    first = problems[0]
    return first.code, first.about.path[4:], str(first)


def test_a_test_is_read_into_what_it_claims():
    tests, problems = read("""
      - name: known
        description: As the books say.
        expect: {rows: [{sale__region: north, metric_time: 2024-01, revenue: 30}]}
        grain: Month
        tolerance: 1%
        severity: warn
      - at_least: 0.8 * web
        at_most: 100
        group_by: sale__region
        filter: "{{ Dimension('sale__channel') }} = 'shop'"
        metrics: [{name: Revenue, alias: web, filter: [], group_by: [], sum_over: sale__channel}]
      - at_least: 0
      - at_least: 1
    """)
    assert problems == ()
    known, bounds, *others = tests
    assert known.claim == Expected((Row((("sale__region", "north"), ("metric_time", "2024-01")), 30),))
    assert (known.full_name, known.grain, known.severity) == ("revenue__known", "month", "warn")
    assert known.tolerance == Tolerance(0.01, relative=True)
    assert bounds.claim == Compared((Comparison("at_least", "0.8 * web"), Comparison("at_most", 100)))
    assert bounds.inputs == (Input("revenue", "web", (), (), ("sale__channel",)),)
    assert [test.name for test in (bounds, *others)] == ["at_least_and_at_most", "at_least", "at_least_2"]


@pytest.mark.parametrize(
    ("text", "code", "path", "words"),
    [
        ("- {at_leest: 0}", "G770", ("at_leest",), "did you mean at_least"),
        ("- {at_least: 0, where: 'x'}", "G770", ("where",), "write filter"),
        ("- {at_least: 0, severity: warning}", "G770", ("severity",), "did you mean warn?"),
        ("- at_least", "G770", (), "must be a mapping"),
        ("{at_least: 0}", "G770", (), "tests must be a list"),
        ("null", "G770", (), "tests must be a list"),
        ("- {at_least: true}", "G770", ("at_least",), "a number or an expression"),
        ("- {at_least: .nan}", "G770", ("at_least",), "a number or an expression"),
        ("- {at_least: 0, group_by: [1]}", "G770", ("group_by", 0), "must be a text"),
        ("- {at_least: 0, allow_null: 'yes'}", "G770", ("allow_null",), "true or false"),
        ("- {between: [1, 0]}", "G770", ("between",), "write the least value first"),
        ("- {between: 1}", "G770", ("between",), "a list of two"),
        ("- {not_null: false}", "G770", ("not_null",), "only be true"),
        ("- {equals: 1, tolerance: -1}", "G770", ("tolerance",), "of at least 0"),
        ("- {at_least: 0, grain: day, group_by: metric_time}", "G770", ("grain",), "already"),
        ("- expect: {rows: []}", "G770", ("expect",), "needs rows"),
        ("- expect: {rows: [{revenu: 1}]}", "G770", ("expect", "rows", 0), "rename revenu to revenue"),
        ("- expect: {rows: [{revenue: many}]}", "G770", ("expect", "rows", 0, "revenue"), "a number or null"),
        (
            "- expect: {rows: [{sale: 1, revenue: 1}, {sale__region: a, revenue: 1}]}",
            "G770",
            ("expect", "rows", 1),
            "the first one, which names sale",
        ),
        ("- expect: {rows: [{revenue: 1}, {revenue: 2}]}", "G770", ("expect", "rows", 1), "the same group"),
        ("- {name: empty}", "G771", (), "needs a claim"),
        ("- {equals: 1, at_least: 0}", "G771", ("at_least",), "are two tests"),
        ("- {at_least: 0, tolerance: 1}", "G771", ("tolerance",), "only for expect and equals"),
        ("- {not_null: true, allow_null: true}", "G771", ("allow_null",), "contradicts not_null"),
        ("- {expect: {rows: [{revenue: 1}]}, group_by: sale}", "G771", ("group_by",), "name the groups"),
        ("- {expect: {rows: [{revenue: 1}]}, grain: day}", "G771", ("grain",), "metric_time"),
        ("- {name: A b, at_least: 0}", "G772", ("name",), "cannot be named"),
        ("[{name: a, at_least: 0}, {name: a, at_most: 0}]", "G772", ("name",), "two tests"),
        ("- {at_least: 0.5 * ordes}", "G773", (), "did you mean orders?"),
        ("- {at_least: sum(orders)}", "G773", (), "computes over many rows"),
        ("- {at_least: select 1}", "G773", (), "cannot be used"),
        ("- {at_least: 0, start_time: 7 days ago}", "G773", (), "another day each day"),
        ("- {at_least: 0, metrics: [{name: orders}]}", "G773", (), "no expression mentions it"),
        ("- {expect: {rows: [{metric_time__day: soon, revenue: 1}]}}", "G773", (), "is not a day"),
        ("- {at_least: x, metrics: [{name: orders, alias: x, group_by: sale__region}]}", "G774", (), "sum_over"),
        ("- {at_least: x, metrics: [{name: ordes, alias: x}]}", "G201", (), "did you mean orders?"),
        ("- {at_least: 0, group_by: sale__regoin}", "G202", (), "did you mean sale__region?"),
        ("- {at_least: 0, filter: sale__region = 'a'}", "G309", (), "is not a reference"),
        ("- {at_least: 0, grain: fortnight}", "G304", (), "no grain"),
    ],
)
def test_an_invalid_test_is_reported_at_its_place(text, code, path, words):
    problem_code, problem_path, message = first_problem(text)
    assert (problem_code, problem_path[-len(path) :] if path else ()) == (code, path), message
    assert words in message


def test_every_problem_has_the_line_of_the_key_that_it_is_about(tmp_path):
    tests = "- at_least: 0\n  at_mots: 1\n- name: b\n  expect:\n    rows:\n      - {revenue: 1}\n      - {revenue: x}\n"
    head = "metrics:\n  - name: Revenue\n    config:\n      meta:\n        gemel:\n          tests:\n"
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/core.yml").write_text(head + indent(tests, " " * 12))
    lines = locate_definitions(tmp_path)
    assert [lines.of(problem.about) for problem in read(tests)[1]] == [
        Place("models/core.yml", 8, 15),
        Place("models/core.yml", 13, 22),
    ]


def test_two_tests_that_dbt_would_keep_in_one_file_are_refused():
    graph = graph_of({})
    metrics = [
        replace(graph.metrics["revenue"], name=name, meta={"gemel": {"tests": [{"name": test, "at_least": 0}]}})
        for name, test in (("a", "b__c"), ("a__b", "c"))
    ]
    assert [str(problem) for problem in read_metric_tests(metrics)[1]] == [
        "G772 a test of metric 'a' has the name 'a__b__c' too\n  hint: rename one of them"
    ]
