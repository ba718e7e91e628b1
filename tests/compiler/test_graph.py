"""Names looked up: how one model's rows reach another's columns."""

import pytest

from gemel.compiler.names.graph import bind
from gemel.errors import DefinitionError, QueryError, UnknownNameError
from gemel.spec.manifest import Manifest, Relation, TimeSpine
from gemel.spec.metrics import Derived, Measure, Metric
from worlds.shop import GRAPH, METRICS, MODELS, ORDERS, SPINE, model, of, over, time, with_metrics, word


def graph(*models):
    return bind(Manifest(models, ()))


def way(bound, home, name):
    """`"customer>customers region>regions"`, or None."""
    found = bound.attribute(home, tuple(name.split("__")))
    return None if found is None else " ".join(f"{hop.entity}>{hop.model}" for hop in found.hops)


def test_a_name_is_found_here_or_any_number_of_hops_away():
    assert way(GRAPH, "orders", "order__status") == ""
    assert way(GRAPH, "orders", "customer") == ""
    assert way(GRAPH, "orders", "customer__segment") == "customer>customers"
    assert way(GRAPH, "orders", "customer__region__region_name") == "customer>customers region>regions"
    three = way(GRAPH, "orders", "customer__region__country__country_name")
    assert three == "customer>customers region>regions country>countries"


def test_the_way_may_be_shortened_to_its_last_entity():
    assert way(GRAPH, "orders", "country__country_name") == "customer>customers region>regions country>countries"


def test_an_entity_of_another_model_is_reached_through_its_owner():
    assert way(GRAPH, "orders", "customer__region") == "customer>customers"


@pytest.mark.parametrize("name", ["status", "visit__status", "customer__status", "nothing__at_all", "order__order"])
def test_what_no_way_leads_to_is_a_miss(name):
    assert GRAPH.attribute("orders", tuple(name.split("__"))) is None


@pytest.mark.parametrize("left", ["primary", "unique", "foreign", "natural"])
@pytest.mark.parametrize("right", ["primary", "unique", "foreign", "natural"])
def test_a_join_never_multiplies_the_rows_on_its_left(left, right):
    history = (time("since", validity="start"), time("until", validity="end")) if right == "natural" else ()
    bound = graph(model("facts", {"thing": left}), model("things", {"thing": right}, word("color"), *history))
    allowed = right in ("primary", "unique") or (right == "natural" and left != "natural")
    assert (way(bound, "facts", "thing__color") is not None) == allowed


def test_a_natural_key_without_a_history_is_no_key():
    bound = graph(model("facts", {"thing": "foreign"}), model("things", {"thing": "natural"}, word("color")))
    assert way(bound, "facts", "thing__color") is None


def test_two_models_with_a_history_never_stand_in_one_join():
    history = (time("since", validity="start"), time("until", validity="end"))
    bound = graph(
        model("facts", {"shop": "foreign"}),
        model("shops", {"shop": "natural", "owner": "foreign"}, word("street"), *history),
        model("owners", {"owner": "natural"}, word("owner_name"), *history),
    )
    assert way(bound, "facts", "shop__street") == "shop>shops"
    assert way(bound, "facts", "owner__owner_name") is None
    assert way(bound, "shops", "owner__owner_name") is None


def two_ways(owner="city", other="city"):
    """A sale's city: that of its shop, or that of its buyer."""
    return graph(
        model("sales", {"sale": "primary", "shop": "foreign", "buyer": "foreign"}),
        model("shops", {"shop": "primary", owner: "foreign"}),
        model("buyers", {"buyer": "primary", other: "foreign"}),
        model("cities", {"city": "primary"}, word("mayor")),
    )


def test_of_two_equally_short_ways_none_is_guessed():
    with pytest.raises(QueryError, match="G306 'city__mayor' can be reached in 2 ways") as error:
        way(two_ways(), "sales", "city__mayor")
    assert error.value.hint == "write the whole path: shop__city__mayor or buyer__city__mayor"


def test_a_tie_is_told_again_when_it_is_asked_again():
    bound = two_ways()
    for _ in range(2):
        with pytest.raises(QueryError, match="G306"):
            way(bound, "sales", "city__mayor")


def test_the_whole_path_chooses_between_two_ways():
    assert way(two_ways(), "sales", "buyer__city__mayor") == "buyer>buyers city>cities"


def test_the_shorter_of_two_ways_wins():
    bound = graph(
        model("sales", {"sale": "primary", "shop": "foreign", "city": "foreign"}),
        model("shops", {"shop": "primary", "city": "foreign"}),
        model("cities", {"city": "primary"}, word("mayor")),
    )
    assert way(bound, "sales", "city__mayor") == "city>cities"
    assert way(bound, "sales", "shop__city__mayor") == "shop>shops city>cities"


def test_a_path_that_runs_in_a_circle_ends():
    bound = graph(
        model("people", {"person": "primary", "house": "foreign"}, word("age")),
        model("houses", {"house": "primary", "person": "foreign"}, word("color")),
    )
    assert way(bound, "people", "house__color") == "house>houses"
    assert way(bound, "people", "house__person__house__color") is None


def company():
    """Every department has a head, who is an employee; every employee is in a department."""
    return graph(
        model("sales", {"sale": "primary", "employee": "foreign"}),
        model("employees", {"employee": "primary", "head": "unique", "department": "foreign"}, word("title")),
        model("departments", {"department": "primary", "head": "foreign"}, word("floor")),
    )


def test_a_way_may_come_back_to_a_model_in_another_role():
    bound = company()
    assert way(bound, "employees", "department__head__title") == "department>departments head>employees"
    whole = "employee>employees department>departments head>employees"
    assert way(bound, "sales", "employee__department__head__title") == whole
    assert way(bound, "sales", "head__title") == whole
    assert ("department", "head", "title") in bound.attributes("employees")


def test_no_entity_is_on_a_way_twice():
    assert way(company(), "sales", "employee__department__head__department__floor") is None


def addresses(*more):
    """An order has two addresses; the model of addresses goes by its own name and by both roles."""
    return graph(
        model("orders", {"order": "primary", "billing": "foreign", "shipping": "foreign", "customer": "foreign"}),
        model("addresses", {"address": "primary", "billing": "unique", "shipping": "unique"}, word("city")),
        model("customers", {"customer": "primary", "segment": "foreign"}, word("age")),
        model("segments", {"segment": "primary"}, word("color")),
        *more,
    )


def test_a_role_leads_to_the_model_whose_key_goes_by_its_name():
    bound = addresses()
    assert way(bound, "orders", "billing__city") == "billing>addresses"
    assert way(bound, "orders", "shipping__city") == "shipping>addresses"
    assert way(bound, "orders", "address__city") is None


def test_after_a_role_its_model_may_be_called_by_its_own_name():
    assert way(addresses(), "orders", "billing__address__city") == "billing>addresses"


def test_a_way_may_start_from_the_facts_own_key():
    bound = addresses(model("refunds", {"refund": "primary", "order": "foreign"}))
    assert way(bound, "orders", "order__customer__age") == "customer>customers"
    assert way(bound, "refunds", "order__customer__age") == "order>orders customer>customers"
    assert way(bound, "orders", "order__customer__segment__color") == "customer>customers segment>segments"


def test_a_step_that_leads_elsewhere_is_taken():
    bound = addresses(model("places", {"address": "unique"}, word("city")))
    assert way(bound, "orders", "billing__address__city") == "billing>addresses address>places"


def test_own_dimensions_go_under_the_primary_entity_and_every_other_key():
    bound = graph(model("planes", {"plane": "primary", "tail": "unique", "maker": "foreign"}, word("seats")))
    assert bound.ways.prefixes("planes") == ("plane", "tail")
    assert way(bound, "planes", "tail__seats") == ""
    assert way(bound, "planes", "maker__seats") is None


def test_what_is_listed_for_a_model_can_be_asked_of_it():
    listed = GRAPH.attributes("orders")
    assert {"__".join(segments) for segments in listed} == {
        "order", "customer", "order__ordered_at", "order__paid_at", "order__status", "order__is_large",
        "customer__segment", "customer__region", "customer__region__region_name", "customer__region__country",
    }  # fmt: skip
    assert all(GRAPH.attribute("orders", segments) == attribute for segments, attribute in listed.items())


def test_an_unknown_metric_is_refused_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="G201 no metric named 'revenu'") as error:
        GRAPH.metric("revenu")
    assert error.value.hint.startswith("did you mean revenue")


def test_a_private_metric_cannot_be_asked_for():
    private = Metric("hidden", METRICS[0].definition, private=True)
    with pytest.raises(UnknownNameError, match="G201"):
        with_metrics(private).metric("hidden")


def test_metrics_in_a_circle_are_refused_with_the_circle():
    circle = with_metrics(Metric("a", Derived("b", (of("b"),))), Metric("b", Derived("a", (of("a"),))))
    with pytest.raises(DefinitionError, match=r"G102 .*: a -> b -> a"):
        circle.measures(circle.metric("a"))


def test_an_input_that_is_no_metric_is_refused():
    broken = with_metrics(Metric("a", Derived("b", (of("revenu"),))))
    with pytest.raises(DefinitionError, match=r"G101 .*'revenu'"):
        broken.measures(broken.metric("a"))


def test_a_measure_placed_in_time_by_no_time_is_refused():
    timeless = Measure("timeless", "orders", "sum", "amount", "status")
    with pytest.raises(DefinitionError, match=r"G103 .*'status'"):
        GRAPH.time_dimension(timeless)


def test_the_spine_is_the_coarsest_that_is_fine_enough():
    hours = TimeSpine(Relation("hours"), "hour", "hour")
    bound = bind(Manifest(MODELS, (over(ORDERS, "orders"),), time_spines=(hours, SPINE)))
    assert [bound.spine(grain).grain for grain in ("hour", "day", "month", "season")] == ["hour", "day", "day", "day"]


def test_a_grain_finer_than_every_spine_is_refused():
    with pytest.raises(DefinitionError, match=r"G104 .*'minute'"):
        GRAPH.spine("minute")
