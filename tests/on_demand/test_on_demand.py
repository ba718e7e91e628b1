"""On-demand views: what they may take, what of them is refused and where, and what a training set makes of them."""

import datetime as dt

import pyarrow as pa
import pytest

from gemel.errors import BridgeError, GemelError, Problems
from gemel.features.selection import choose
from gemel.on_demand.computing import compute, compute_all
from gemel.online import answers
from gemel.online.store import StoredRow
from training.test_training import Place

VIEWS = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        ttl: 2 days
        features: [{metric: orders, windows: [1 day, all]}, {dimension: customer__nick, as_of: current}]
      - name: selling
        entity: shop
        schedule: day
        features: [{metric: revenue, windows: [all]}]
      - name: hidden
        entity: shop
        schedule: day
        online: false
        features: [{metric: orders, windows: [all], name: sales}]
    on_demand_views:
      - name: offering
        inputs: {pieces: int64, coupon: string}
        features:
          - name: with_orders
            expr: pieces + buying.orders_all
          - name: cheap
            expr: lower(coupon) = 'cheap'
    feature_services:
      - {name: offer_v1, owner: ada, features: [selling, offering]}
"""


def refusals(shop, old, new):
    assert old in VIEWS
    with pytest.raises(Problems) as caught:
        shop.bound(VIEWS.replace(old, new))
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            "pieces + buying.orders_all",
            "piecs + buying.orders_al",
            [
                "feature_views/shop.yml:22:15: G591 feature 'with_orders' uses 'piecs', which is not an input "
                "of 'offering'\n  hint: did you mean pieces?",
                "feature_views/shop.yml:22:15: G591 feature 'with_orders' uses 'buying.orders_al', which is not a "
                "feature of a view\n  hint: did you mean buying.orders_all or buying.orders_1d?",
            ],
        ),
        (
            "pieces + buying.orders_all",
            "pieces + orders_all",
            [
                "feature_views/shop.yml:22:15: G591 feature 'with_orders' uses 'orders_all', which is not an input "
                "of 'offering'\n  hint: did you mean buying.orders_all?"
            ],
        ),
        (
            "pieces + buying.orders_all",
            "sqrt(pieces)",
            [
                "feature_views/shop.yml:22:15: G590 feature 'with_orders': the function 'sqrt' is not in the grammar, "
                "which means the same in SQL and in Python\n  hint: there are arithmetic, comparisons, and, or, not, "
                "in, between, case, abs, round, floor, ceil, least, greatest, coalesce, nullif, cast, concat, lower, "
                "upper, trim, length, extract, date_diff, year, month, day, hour, minute, second, dayofweek"
            ],
        ),
        (
            "pieces + buying.orders_all",
            "pieces +",
            ["feature_views/shop.yml:22:15: G590 feature 'with_orders': 'pieces +' is not an expression"],
        ),
        (
            "pieces + buying.orders_all",
            "1 + buying.orders_all",
            [
                "feature_views/shop.yml:18:11: G591 input 'pieces' of 'offering' is used by no feature\n"
                "  hint: remove it: every request would have to bring it"
            ],
        ),
        (
            "buying.orders_all",
            "hidden.sales",
            [
                "feature_views/shop.yml:18:11: G564 'offering' takes from 'hidden', which is not online\n"
                "  hint: remove `online: false` from 'hidden'"
            ],
        ),
        (
            "name: with_orders",
            "name: orders_all",
            [
                "feature_views/shop.yml:18:11: G503 'orders_all' of 'offering' has the name of buying.orders_all, "
                "which it uses too, and Feast has one of a name\n  hint: give it another name"
            ],
        ),
        (
            "[selling, offering]",
            "[selling, offering.dear]",
            [
                "feature_views/shop.yml:26:54: G505 feature view 'offering' has no feature named 'dear'\n"
                "  hint: it has with_orders, cheap"
            ],
        ),
        (
            "name: cheap",
            "name: revenue_all",
            [
                "feature_views/shop.yml:26:54: G507 feature service 'offer_v1' would have two columns named "
                "'revenue_all'\n  hint: give a feature another name with `name:`, or take single features of the view"
            ],
        ),
    ],
)
def test_what_cannot_be_computed_or_served_is_refused_where_it_is_written(shop, old, new, messages):
    errors = refusals(shop, old, new)
    assert [each[: len(expected)] for each, expected in zip(errors, messages, strict=True)] == messages


def test_an_input_is_no_entity_and_no_feature_of_its_service(shop):
    named = VIEWS.replace("coupon", "customer")
    with pytest.raises(Problems, match="G503 'customer' of 'offering' has the name of entity 'customer'"):
        shop.bound(named)
    named = VIEWS.replace("pieces", "revenue_all")
    with pytest.raises(Problems, match="G507 feature service 'offer_v1' would have two columns named 'revenue_all'"):
        shop.bound(named)
    other = """      - name: asking
        inputs: {pieces: float64}
        features: [{name: half, expr: pieces / 2}]
    feature_services:"""
    two = VIEWS.replace("    feature_services:", other).replace("[selling, offering]", "[selling, offering, asking]")
    with pytest.raises(Problems, match="G507 feature service 'offer_v1' needs input 'pieces' as int64 and as flo"):
        shop.bound(two)
    with pytest.raises(BridgeError, match="G555"):
        choose(shop.bound(two.replace(", asking]", "]")), ["offering", "asking"])


def test_types_that_do_not_fit_are_reported_once_they_are_known(shop):
    text = VIEWS.replace("pieces + buying.orders_all", "pieces || buying.nick").replace("lower(coupon)", "coupon + 1")
    bound = shop.bound(text)
    with pytest.raises(Problems) as caught:
        compute_all(bound.on_demand, shop.types(bound))
    assert [str(each) for each in caught.value.errors] == [
        "feature_views/shop.yml:22:15: G592 feature 'with_orders': pieces || buying.nick needs texts, not int64: "
        "write cast(... as varchar)",
        "feature_views/shop.yml:24:15: G592 feature 'cheap': coupon + 1 needs numbers, not string",
    ]


def test_a_declared_type_is_the_expressions_or_a_wider_one(shop):
    wide = VIEWS.replace(
        "orders_all\n          - name: cheap", "orders_all\n            dtype: float64\n          - name: cheap"
    )
    bound = shop.bound(wide)
    assert compute(bound.on_demand[0], shop.types(bound)).types() == {"with_orders": "float64", "cheap": "bool"}
    with pytest.raises(Problems, match=r"it is int64, and `dtype` says string: write cast\(\.\.\. as varchar\)"):
        compute(shop.bound(wide.replace("float64", "string")).on_demand[0], shop.types(bound))


def test_the_hash_of_a_feature_changes_with_its_meaning_and_with_that_of_what_it_takes(shop):
    def hashes(text, source="1"):
        bound = shop.bound(text)
        result = compute(bound.on_demand[0], shop.types(bound))
        sources = {"buying.orders_all": source}
        return [result.digest(sources, name) for name in ("with_orders", "cheap")] + [result.digest(sources)]

    before = hashes(VIEWS)
    assert (
        hashes(
            VIEWS.replace("pieces + buying", "pieces  +  (buying").replace(
                "orders_all\n          -", "orders_all)\n          -"
            )
        )
        == before
    )
    assert [new == old for new, old in zip(hashes(VIEWS, "2"), before, strict=True)] == [False, True, False]
    changed = hashes(VIEWS.replace("'cheap'", "'dear'"))
    assert [new == old for new, old in zip(changed, before, strict=True)] == [True, False, False]
    assert hashes(VIEWS.replace("pieces: int64", "pieces: float64"))[0] != before[0]


@pytest.fixture
def place():
    place = Place()
    place.build(VIEWS)
    yield place
    place.shop.con.close()


def spine(**columns):
    rows = len(next(iter(columns.values())))
    moments = pa.array([dt.datetime(2024, 1, 4)] * rows, pa.timestamp("us"))
    return pa.table({"customer": ["a"] * rows, "shop": pa.array([1] * rows), "event_timestamp": moments, **columns})


def test_a_training_set_takes_the_inputs_from_the_spine(place):
    rows = spine(pieces=pa.array([1, None, 2**63 - 1], pa.uint64()), coupon=["Cheap", "dear", None])
    for accuracy in ("served", "exact"):
        result = place.make("offer_v1", rows, accuracy=accuracy)
        assert result.arrow().column_names[5:] == ["revenue_all", "with_orders", "cheap"]
        assert result.arrow().select(["with_orders", "cheap"]).to_pydict() == {
            "with_orders": [3, None, None],  # beyond 64 bits there is no value
            "cheap": [True, False, None],
        }
    assert result.manifest["features"] == ["selling.revenue_all", "offering.with_orders", "offering.cheap"]
    assert result.manifest["inputs"] == {"pieces": "int64", "coupon": "string"}
    assert result.manifest["definitions"]["buying"]["features"].keys() == {"orders_all"}


def test_inputs_alone_need_no_entity(place):
    result = place.make("offering.cheap buying.nick", spine(pieces=[1], coupon=["cheap"])).arrow()
    assert result.select(["nick", "cheap"]).to_pydict() == {"nick": ["Ada"], "cheap": [True]}


def test_a_text_that_looks_like_a_number_stays_one_in_a_csv_file(place, tmp_path):
    (tmp_path / "spine.csv").write_text("customer,shop,event_timestamp,pieces,coupon\na,1,2024-01-04,1,007\n")
    result = place.make("offering", tmp_path / "spine.csv").arrow()
    assert result.select(["coupon", "with_orders"]).to_pydict() == {"coupon": ["007"], "with_orders": [3]}


def test_the_time_of_the_rows_can_be_an_input_too(place):
    asking = "inputs: {pieces: int64, coupon: string, asked_at: timestamp}"
    hour = "          - {name: hour_asked, expr: hour(asked_at)}\n    feature_services:"
    place.build(VIEWS.replace("inputs: {pieces: int64, coupon: string}", asking).replace("    feature_services:", hour))
    zoned = pa.array([dt.datetime(2024, 1, 4, 23, 30)], pa.timestamp("ns", "UTC")).cast(
        pa.timestamp("ns", "Asia/Tokyo")
    )
    rows = spine(pieces=[1], coupon=["cheap"]).rename_columns(["customer", "shop", "unused", "pieces", "coupon"])
    result = place.make("offering", rows.append_column("asked_at", zoned), time_column="asked_at").arrow()
    assert result.select(["with_orders", "hour_asked"]).to_pydict() == {"with_orders": [3], "hour_asked": [23]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pieces": [1]}, "G551 the spine has no column 'coupon', an input of the features"),
        ({"pieces": [1.0], "coupon": ["a"]}, "G553 the spine's 'pieces' is double, and the features' input is int64"),
        ({"pieces": [1], "coupon": [7]}, "G553 the spine's 'coupon' is int64, and the features' input is string"),
        ({"pieces": [1], "coupon": ["a"], "cheap": [1]}, "G552 feature offering.cheap has the name of the spine's col"),
    ],
)
def test_a_spine_that_does_not_bring_the_inputs_is_refused(place, columns, message):
    with pytest.raises(GemelError) as caught:
        place.make("offering", spine(**columns))
    assert message in str(caught.value)


def test_online_a_feature_is_as_old_and_as_stale_as_what_it_is_computed_of(shop):
    bound = shop.bound(VIEWS)
    old, new = dt.datetime(2024, 1, 4, tzinfo=dt.UTC), dt.datetime.now(dt.UTC)
    stored = {
        ("buying", "a"): StoredRow(old, {"orders_all": 2}),
        ("selling", 1): StoredRow(new, {"revenue_all": 3.0}),
    }

    def find(needed, rows):
        return [
            [stored.get((each.view.name, *(row[entity] for entity in each.view.entities))) for row in rows]
            for each in needed
        ]

    rows = [
        {"shop": 1, "customer": "a", "pieces": "5", "coupon": ""},
        {"shop": 2, "customer": "z", "pieces": None, "coupon": "CHEAP"},
    ]
    request = answers.prepare("offer_v1", choose(bound, ["offer_v1"]), shop.types(bound))
    first, second = answers.answer(request, rows, find)
    assert first.values == {"revenue_all": 3.0, "with_orders": 7, "cheap": False}
    assert (first.moments, first.stale) == ({"revenue_all": new, "with_orders": old}, ["with_orders"])
    assert (second.values, second.moments) == ({"revenue_all": None, "with_orders": None, "cheap": True}, {})
    with pytest.raises(
        BridgeError, match="'offer_v1' must be looked up by shop, customer, pieces, coupon, not by shop"
    ):
        answers.answer(request, [{"shop": 1}], find)


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("int64", "-5", -5),
        ("int64", 2**63, None),
        ("int64", True, None),
        ("int64", 1.0, None),
        ("float64", "1e3", 1000.0),
        ("float64", 2, 2.0),
        ("float64", "much", None),
        ("bool", "true", True),
        ("bool", 1, None),
        ("string", "", ""),
        ("string", 5, None),
        ("timestamp", "2024-01-31", dt.datetime(2024, 1, 31)),
        ("timestamp", dt.date(2024, 1, 31), dt.date(2024, 1, 31)),
        ("timestamp", 5, None),
    ],
)
def test_an_input_is_of_its_type_or_refused(type_, value, expected):
    if expected is not None:
        assert answers.read_input(value, type_, "x") == expected
        assert answers.read_input(None, type_, "x") is None
        return
    with pytest.raises(BridgeError, match="G535"):
        answers.read_input(value, type_, "x")
