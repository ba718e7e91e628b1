"""Each rule over the definitions, with what provokes it."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.shop import CUSTOMERS, DAYS, REVENUE, SALES, findings_of, graph_of
from gemel import checks
from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from trials import examples

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "tests" / "worlds" / "manifests"


def test_good_definitions_have_no_findings():
    assert findings_of() == []


def severities(*metrics, **definitions):
    return [finding.severity for finding in checks.check(graph_of(*metrics, **definitions))]


# --- names ----------------------------------------------------------------------------------------------------


def test_metric_time_is_the_name_of_nothing_else():
    model = SALES.replace("name: region", "name: metric_time, expr: region")
    assert findings_of(REVENUE.replace("revenue", "metric_time"), models=[model, CUSTOMERS]) == 2 * [
        "G140 'metric_time' is reserved for the time of metrics"
    ]


@pytest.mark.parametrize("name", ["Month", "season"])
def test_a_dimension_with_the_name_of_a_grain_cannot_be_asked_by(name):
    days = DAYS.replace("}}", "}, custom_granularities: [{name: season}]}")
    assert findings_of(models=[SALES.replace("name: region", f"name: {name}"), CUSTOMERS], spines=[days]) == [
        f"G141 queries cannot name {name.lower()!r} of semantic model 'sales': it is the name of a grain"
    ]


def test_a_double_underscore_stands_between_names_and_not_in_them():
    assert findings_of(models=[SALES.replace("name: region", "name: sales__region"), CUSTOMERS]) == [
        "G141 queries cannot name 'sales__region' of semantic model 'sales': it contains a double underscore, which "
        "separates names"
    ]


def test_a_custom_granularity_has_a_name_of_its_own():
    days = DAYS.replace("}}", "}, custom_granularities: [{name: season}, {name: week}]}")
    hours = days.replace("alias: days", "alias: hours").replace(", {name: week}", "").replace(": day}", ": hour}")
    assert findings_of(spines=[days, hours]) == [
        "G142 custom granularity 'week' has the name of a standard one",
        "G142 custom granularity 'season' is defined by the time spines 'days' and 'hours'",
    ]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("customer", "entity 'customer' of semantic model 'sales'"),
        ("sale__region", "dimension 'region' of semantic model 'sales'"),
    ],
)
def test_a_metric_and_what_it_is_asked_by_have_different_names(name, what):
    assert findings_of(REVENUE.replace("revenue", name)) == [
        f"G150 metric {name!r} has the name of {what}: a query cannot use both"
    ]


# --- joins ----------------------------------------------------------------------------------------------------

HISTORY = CUSTOMERS.replace("type: primary", "type: natural") + (
    "  - {name: since, type: time, type_params: {validity_params: {is_start: true}}}\n"
    "  - {name: until, type: time, type_params: {validity_params: {is_end: true}}}\n"
)


def test_a_history_has_a_start_and_an_end():
    assert findings_of(models=[SALES, HISTORY]) == []
    assert findings_of(models=[SALES, HISTORY.replace("{validity_params: {is_end: true}}", "{}")]) == [
        "G143 the history of semantic model 'customers' has 1 start and no end"
    ]


def test_the_edges_of_a_history_are_times():
    assert findings_of(models=[SALES, HISTORY.replace("since, type: time", "since, type: categorical")]) == [
        "G143 dimension 'since' starts or ends the history of 'customers', but is not a time"
    ]


def test_a_foreign_entity_that_is_nobodys_key_may_be_a_typing_error():
    entity = "entity 'custmer' of semantic model 'sales' is the key of no semantic model"
    typed = [SALES.replace("name: customer", "name: custmer"), CUSTOMERS]
    (first, _) = findings_of(models=typed)
    assert first == f"G152 {entity}"
    assert checks.check(graph_of(models=typed))[0].hint == "did you mean customer?"
    assert severities(models=typed)[0] == "warning"
    assert severities(models=[SALES]) == ["note"]


REGIONS = "{name: regions, node_relation: {alias: regions}, entities: [{name: region_id, type: primary}], dimensions: \
[{name: continent, type: categorical}]}"
SHOPS = "{name: shops, node_relation: {alias: shops}, entities: [{name: shop, type: primary}, \
{name: region_id, type: foreign}], dimensions: []}"


def test_a_name_with_two_join_paths_is_reported_with_both():
    sales = SALES.replace("dimensions:", "  - {name: shop, type: foreign}\ndimensions:")
    customers = CUSTOMERS.replace("dimensions:", "  - {name: region_id, type: foreign}\ndimensions:")
    models = [sales, customers, SHOPS, REGIONS]
    assert findings_of(models=models) == [
        "G153 region_id__continent can be reached in 2 ways: sales -> customers (by customer) -> regions (by "
        "region_id) and sales -> shops (by shop) -> regions (by region_id)"
    ]
    (finding,) = checks.check(graph_of(models=models))
    assert (finding.severity, finding.hint) == (
        "note",
        "in queries, write the whole path: customer__region_id__continent or shop__region_id__continent",
    )


def test_a_name_that_no_longer_path_makes_unique_is_a_warning():
    twins = CUSTOMERS.replace("name: customers", "name: clients")
    assert findings_of(models=[SALES, CUSTOMERS, twins]) == [
        "G153 customer__segment can be reached in 2 ways: sales -> customers (by customer) and sales -> clients (by "
        "customer)"
    ]
    assert severities(models=[SALES, CUSTOMERS, twins]) == ["warning"]


def test_dimensions_that_no_metric_can_be_grouped_by_are_reported():
    nothing_leads_there = CUSTOMERS.replace("customer, type: primary", "buyer, type: primary")
    assert findings_of(models=[SALES, CUSTOMERS, nothing_leads_there.replace("customers", "buyers")]) == [
        "G154 no metric can be grouped by the dimensions of semantic model 'buyers'"
    ]
    no_key = CUSTOMERS.replace("type: primary", "type: foreign").replace("customers", "visits")
    assert findings_of(models=[SALES, CUSTOMERS, no_key]) == [
        "G154 queries cannot name dimensions of semantic model 'visits': it has no primary entity"
    ]


# --- metrics --------------------------------------------------------------------------------------------------


def derived(name, expr, *inputs):
    return f"{{name: {name}, type: derived, type_params: {{expr: '{expr}', metrics: [{', '.join(inputs)}]}}}}"


def test_every_circle_is_reported_once_and_metrics_that_lead_into_it_are_not():
    circles = [derived("a", "b", "b"), derived("b", "c + a", "c", "a"), derived("c", "b", "b"), derived("d", "a", "a")]
    circles += [derived("self", "self", "self")]
    assert findings_of(*circles) == [
        "G102 metrics refer to each other in a circle: b -> c -> b",
        "G102 metrics refer to each other in a circle: a -> b -> a",
        "G102 metrics refer to each other in a circle: self -> self",
    ]


def test_an_expr_that_no_metric_uses_is_checked_too():
    assert findings_of(models=[SALES.replace("name: region", 'name: region, expr: "lower(region"'), CUSTOMERS]) == [
        "G105 the expr of 'region': 'lower(region' is not an expression: Expecting )"
    ]


def test_an_input_that_the_expr_does_not_use_is_reported():
    assert findings_of(derived("profit", "2 * revenue", "revenue", "{name: revenue, alias: cost}")) == [
        "G151 the expr of metric 'profit' does not use its input 'cost'"
    ]


def test_a_missing_input_is_reported_with_its_name():
    (finding,) = checks.check(graph_of(derived("profit", "revenue - cost", "revenue")))
    assert finding.code == "G106" and "names 'cost', which is not one of its input metrics" in finding.message


@pytest.mark.parametrize("expr", ["revenue / NULLIF(paid, 0)", "revenue / 2", "revenue * paid"])
def test_a_division_that_handles_0_is_not_reported(expr):
    inputs = ["revenue", "{name: revenue, alias: paid}"] if "paid" in expr else ["revenue"]
    assert findings_of(derived("share", expr, *inputs)) == []


def test_a_division_by_what_may_be_0_is_reported():
    assert findings_of(derived("share", "revenue / (paid - 1)", "revenue", "{name: revenue, alias: paid}")) == [
        "G156 metric 'share' divides by paid - 1: if that is 0, the metric is NULL"
    ]
    assert findings_of(models=[SALES.replace("agg: sum", "agg: sum, expr: amount / tax"), CUSTOMERS]) == [
        "G157 measure 'amount' divides by tax in every row: if that is 0, some engines raise an error, others return "
        "infinity"
    ]


CUMULATIVE = "{name: ever, type: cumulative, type_params: {measure: {name: amount}}}"
OFFSET = derived("before", "ago", "{name: revenue, alias: ago, offset_window: 1 week}")
FILLED = "{name: filled, type: simple, type_params: {measure: {name: amount, join_to_timespine: true}}}"


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (CUMULATIVE, "'ever' is accumulated"),
        (OFFSET, "'before' looks at another time"),
        (FILLED, "'filled' has a row for every time (join_to_timespine)"),
    ],
)
def test_a_time_spine_that_a_metric_needs_is_reported_before_any_query(metric, why):
    assert findings_of(metric, spines=[]) == [
        f"G104 metric {why}, but no time spine is fine enough: it needs one of grain 'day'"
    ]
    by_hour = SALES.replace("time_granularity: day", "time_granularity: hour")
    assert findings_of(metric, models=[by_hour, CUSTOMERS]) == [
        f"G155 metric {why}, but by hour no time spine is fine enough: it needs one of grain 'hour'"
    ]
    assert findings_of(metric) == []


def test_a_window_of_hours_needs_a_time_spine_by_the_hour():
    by_hour = SALES.replace("time_granularity: day", "time_granularity: second")
    hours = "{name: hours, type: cumulative, type_params: {measure: {name: amount}, window: 3 hours}}"
    assert findings_of(hours, models=[by_hour, CUSTOMERS]) == [
        "G104 metric 'hours' is accumulated, but no time spine is fine enough: it needs one of grain 'hour'"
    ]


# --- questions ------------------------------------------------------------------------------------------------


def filtered(name, filter):
    return REVENUE.replace("revenue", name)[:-1] + f', filter: "{filter}"}}'


def test_filters_are_read_and_their_dimensions_looked_for():
    findings = findings_of(
        filtered("lost", "{{ Dimension('customer__colour') }} = 'red'"),
        filtered("broken", "{{ Dimension('customer__segment') }} = "),
        derived("of_lost", "lost", "lost"),
    )
    assert findings[0] == "G202 no dimension or entity named 'customer__colour' for metric 'lost'"
    assert findings[1].startswith("G308 the filter \"{{ Dimension('customer__segment') }} =\" cannot be used")
    assert len(findings) == 2


def test_a_saved_query_is_checked_as_it_is():
    saved = "{name: q, query_params: {metrics: [revenue], group_by: [\"Dimension('customer__colour')\"]}}"
    assert findings_of(saved_queries=[saved]) == [
        "G202 no dimension or entity named 'customer__colour' for metric 'revenue'"
    ]
    saved = "{name: q, query_params: {metrics: [revenue], group_by: ['Dimension(']}}"
    (finding,) = checks.check(graph_of(saved_queries=[saved]))
    assert (finding.code, finding.about.kind, finding.about.name) == ("G303", "saved_query", "q")


def test_a_non_additive_dimension_that_the_model_lacks_is_reported():
    model = SALES.replace("agg: sum", "agg: sum, non_additive_dimension: {name: region}")
    (finding,) = findings_of(models=[model, CUSTOMERS])
    assert finding.startswith("G109 measure 'amount' does not add up over 'region', which is not a time dimension")


def test_a_metric_that_must_be_grouped_by_more_than_time_is_not_an_error():
    mixed = "{{ TimeDimension('metric_time', 'day') }} > '2024-01-01' or {{ Dimension('sale__region') }} = 'n'"
    ago = derived("before", "ago", "{name: revenue, alias: ago, offset_window: 1 week}")[:-1]
    (finding,) = checks.check(graph_of(f'{ago}, filter: "{mixed}"}}'))
    assert (finding.code, finding.severity) == ("G320", "note")
    assert finding.hint == "group by sale__region too, or split the filter"


def test_a_measure_without_a_time_is_reported():
    (finding,) = checks.check(graph_of(models=[SALES.replace("time_dimension: sold_at", "time_dimension: region")]))[1:]
    assert finding.code == "G103" and "has the agg_time_dimension 'region', which is not a time" in finding.message


def test_one_refused_metric_does_not_hide_another_of_the_same_facts():
    bad = [filtered(f"lost_{i}", f"{{{{ Dimension('customer__colour_{i}') }}}} = 'red'") for i in range(30)]
    assert len(findings_of(*bad, *(REVENUE.replace("revenue", f"good_{i}") for i in range(30)))) == 30


@pytest.mark.parametrize("file", sorted(MANIFESTS.glob("*.semantic.json")), ids=lambda file: file.name)
def test_definitions_that_every_dbt_accepts_have_no_error(file):
    findings = checks.check(bind(read_manifest(json.loads(file.read_text()))))
    assert {(finding.severity, finding.code) for finding in findings} == {
        ("note", "G152"),
        ("note", "G154"),
        ("note", "G156"),
    }


@examples(25)
@given(st.integers(2, 12))
def test_generated_definitions_have_no_error(snowflakes):
    findings = checks.check(bind(read_manifest(generated().manifest(5 * snowflakes))))
    assert {(finding.severity, finding.code) for finding in findings} <= {("note", "G156"), ("note", "G153")}


def generated():
    """The generator of definitions in benchmarks/, which is not a package."""
    spec = spec_from_file_location("generated", ROOT / "benchmarks" / "generated.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_window_of_hours_over_facts_by_day_is_reported():
    params = "measure: {name: amount}, cumulative_type_params: {window: {count: 3, granularity: hour}}"
    metric = "{name: lately, type: cumulative, type_params: {" + params + "}}"
    assert findings_of(metric) == [
        "G159 metric 'lately' is accumulated over 3 hours, but its facts are by day: the window covers the whole day"
    ]
    assert severities(metric) == ["warning"]
