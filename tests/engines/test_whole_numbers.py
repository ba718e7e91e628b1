"""A metric has one type on an engine, whichever way it is queried; whole numbers have one type on all engines."""

from decimal import Decimal

import duckdb
import pytest

from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import make_query
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.connections import duckdb as duckdb_files
from gemel.engines.connections import postgres
from gemel.engines.connections.files import Profile
from gemel.errors import GemelError, WarehouseError
from gemel.run import Runner
from worlds.postgres import in_schema, own_name, own_schema

LARGEST = 2**63 - 1
COLUMNS = "shop text, day date, small int, large bigint, price numeric(18, 2), weight double precision"
ROWS = f"""
    ('a', DATE '2024-01-01', 1, 10, 1.50, 0.5), ('a', DATE '2024-01-02', 2, 20, 2.25, 0.25),
    ('b', DATE '2024-01-09', 3, 30, 4.00, 1.5), ('b', DATE '2024-02-01', NULL, NULL, NULL, NULL),
    ('large', DATE '2024-02-02', 1, {LARGEST}, 1, 1), ('large', DATE '2024-02-03', 1, {LARGEST}, 1, 1)
"""
DECIMAL = {"meta": {"gemel": {"type": "decimal"}}}

NUMBERS = ("small", "large", "price", "weight")
AGGREGATES = ("sum", "average", "min", "count", "count_distinct")
MEASURES = [{"name": f"{agg}_{column}", "agg": agg, "expr": column} for column in NUMBERS for agg in AGGREGATES]
MEASURES.append({"name": "exact_large", "agg": "sum", "expr": "large", "config": DECIMAL})
NAMES = [measure["name"] for measure in MEASURES]


def simple(name, measure, **more):
    return {"name": name, "type": "simple", "type_params": {"measure": {"name": measure, **more}}}


def derived(name, expr, *inputs, **more):
    used = [{"name": each} if isinstance(each, str) else each for each in inputs]
    return {"name": name, "type": "derived", "type_params": {"expr": expr, "metrics": used}, **more}


FORMULAS = [
    derived("difference", "sum_large - sum_small", "sum_large", "sum_small"),
    derived("doubled", "2 * (sum_large + coalesce(min_small, 0))", "sum_large", "min_small"),
    derived("share", "sum_small / sum_large", "sum_small", "sum_large"),
    derived("exact_sum", "sum_large + 0", "sum_large", config=DECIMAL),
    derived("of_exact", "exact_large - sum_small", "exact_large", "sum_small"),
]
MANIFEST = {
    "semantic_models": [
        {
            "name": "sales",
            "node_relation": {"alias": "sales", "schema_name": "main"},
            "defaults": {"agg_time_dimension": "day"},
            "primary_entity": "sale",
            "entities": [{"name": "shop", "type": "foreign"}],
            "dimensions": [{"name": "day", "type": "time", "type_params": {"time_granularity": "day"}}],
            "measures": MEASURES,
        }
    ],
    "metrics": [
        *(simple(name, name) for name in NAMES),
        *(simple(f"{name}_filled", name, fill_nulls_with=0, join_to_timespine=True) for name in NAMES),
        *(derived(f"{name}_before", name, {"name": name, "offset_window": "1 day"}) for name in NAMES),
        *FORMULAS,
    ],
    "project_configuration": {
        "time_spines": [
            {
                "node_relation": {"alias": "days", "schema_name": "main"},
                "primary_column": {"name": "day", "time_granularity": "day"},
            }
        ]
    },
    "saved_queries": [],
}
SAME = {"difference": "BIGINT", "doubled": "BIGINT", "share": "DOUBLE"}
SAME |= {"sum_small": "BIGINT", "sum_large": "BIGINT", "min_small": "INTEGER", "min_large": "BIGINT"}
SAME |= {f"{agg}_{column}": "BIGINT" for agg in ("count", "count_distinct") for column in NUMBERS}
SAME |= dict.fromkeys(("exact_large", "exact_sum", "of_exact"), "DECIMAL(38,0)")
"""The types that are the same on every engine."""
OTHERS = {
    "duckdb": {f"average_{column}": "DOUBLE" for column in NUMBERS},
    "postgres": {f"average_{column}": "DECIMAL" for column in NUMBERS} | {"average_weight": "DOUBLE"},
}


class Shop:
    """The rows in one engine."""

    def __init__(self, warehouse, schema):
        self.runner = Runner(warehouse)
        self.graph = bind(in_schema(read_manifest(MANIFEST), schema), self.runner.dialect)

    def ask(self, metrics, group_by=(), **more):
        query = make_query(metrics, list(group_by), **more)
        return self.runner.rows(compile_query(self.graph, query, Context.naming(self.runner.dialect)))

    def types(self, metric, group_by=()):
        return self.ask([metric], group_by).types[-1]


TABLES = f"""
    CREATE TABLE sales ({COLUMNS});
    INSERT INTO sales VALUES {ROWS};
    CREATE TABLE days AS
    SELECT CAST(DATE '2024-01-01' + CAST(n AS int) AS date) AS day FROM generate_series(0, 90) AS t(n)
"""


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def shop(request):
    if request.param == "duckdb":
        with duckdb.connect() as connection:
            connection.execute(TABLES)
            yield Shop(duckdb_files.Warehouse(Profile("", "", path=":memory:", database="memory"), connection), "main")
        return
    with own_schema(request.getfixturevalue("needs_postgres"), own_name("whole")) as schema:
        schema.connection.execute(f"SET search_path = {schema.name}; {TABLES}")
        server = postgres.Server(schema.connection.info.dbname, schema.options)
        with postgres.Warehouse(server) as warehouse:
            yield Shop(warehouse, schema.name)


WAYS = [
    ("{}", ()),
    ("{}", ("shop",)),
    ("{}", ("metric_time__day",)),
    ("{}[7 days]", ("metric_time__day",)),
    ("{}[7 days]", ("metric_time__month", "shop")),
    ("{}[month to date]", ("metric_time__day", "shop")),
    ("{}[all]", ("metric_time__day", "shop")),
    ("{}[all]", ("metric_time__month", "shop")),
    ("{}_filled", ("metric_time__day",)),
    ("{}_before", ("metric_time__day",)),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_has_one_type_whichever_way_it_is_queried(shop, name):
    types = {(way, *keys): shop.types(way.format(name), keys) for way, keys in WAYS}
    assert len(set(types.values())) == 1, types
    expected = (SAME | OTHERS[shop.runner.dialect]).get(name)
    assert expected is None or set(types.values()) == {expected}


@pytest.mark.parametrize("name", [each["name"] for each in FORMULAS])
def test_a_formula_over_whole_numbers_has_their_type_on_every_engine(shop, name):
    for keys in ((), ("shop",), ("metric_time__day",)):
        assert shop.types(name, keys) == SAME[name]


def test_values_have_the_type_in_every_form(shop):
    few = ["{{ Entity('shop') }} in ('a', 'b')"]
    result = shop.ask(["sum_large", "exact_large", "average_large"], ["shop"], where=few, order_by=["shop"])
    assert result.rows() == [("a", 30, Decimal(30), 15), ("b", 30, Decimal(30), 30)]
    assert [type(value) for value in result.rows()[0][1:3]] == [int, Decimal]
    assert [str(each) for each in result.arrow().schema.types[1:3]] == ["int64", "decimal128(38, 0)"]
    assert str(result.df()["sum_large"].dtype) == "int64"


def test_a_result_that_is_only_described_has_the_same_types(shop):
    query = make_query(["sum_large", "exact_large", "doubled", "count_large"], [])
    compiled = compile_query(shop.graph, query, Context.naming(shop.runner.dialect))
    types = tuple(kind for _, kind in shop.runner.describe(compiled))
    assert types == shop.runner.rows(compiled).types == ("BIGINT", "DECIMAL(38,0)", "BIGINT", "BIGINT")


def test_a_sum_that_does_not_fit_names_the_metric_and_a_decimal_keeps_all_digits(shop):
    large = ["{{ Entity('shop') }} = 'large'"]
    for form in ("rows", "arrow", "df"):
        with pytest.raises(
            WarehouseError, match="a sum of whole numbers does not fit into BIGINT: sum_large\n"
        ) as caught:
            getattr(shop.ask(["sum_small", "sum_large"][1:], where=large), form)()
        assert caught.value.code == "G407"
        assert "{type: decimal}, on the metric or its measure, keeps 38 digits" in str(caught.value)
    [row] = shop.ask(["exact_large", "exact_sum", "of_exact"], where=large).rows()
    assert row == (Decimal(2 * LARGEST), Decimal(2 * LARGEST), Decimal(2 * LARGEST - 2))
    assert shop.ask(["exact_large"], where=large).arrow()["exact_large"].to_pylist() == [Decimal(2 * LARGEST)]


def test_another_type_than_decimal_is_refused():
    measure = {**MEASURES[0], "config": {"meta": {"gemel": {"type": "float"}}}}
    model = {**MANIFEST["semantic_models"][0], "measures": [measure]}
    manifest = {**MANIFEST, "semantic_models": [model], "metrics": [simple("sum_small", "sum_small")]}
    with pytest.raises(GemelError, match="type cannot be 'float'") as caught:
        read_manifest(manifest)
    assert caught.value.code == "G122"
