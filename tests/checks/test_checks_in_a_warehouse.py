"""Each rule over tables and their rows, with what provokes it."""

import pytest

from checks.shop import CUSTOMERS, DAYS, REVENUE, SALES, findings_in
from checks.test_checks import HISTORY, derived, filtered
from gemel import checks
from gemel.compiler.names.resolution import resolve
from gemel.compiler.question.parsing import make_query


def test_tables_that_fit_have_no_findings(tmp_path):
    assert findings_in(tmp_path, check=checks.check_rows) == []


# --- missing --------------------------------------------------------------------------------------------------


def test_a_missing_table_is_reported_once_and_not_for_each_metric(tmp_path):
    more = [REVENUE.replace("revenue", f"revenue_{i}") for i in range(5)]
    by_segment = filtered("gold", "{{ Dimension('customer__segment') }} = 'gold'")
    dropped = "DROP TABLE customers; ALTER TABLE sales RENAME TO old_sales;"
    assert findings_in(tmp_path, *more, by_segment, tables=dropped) == [
        "G405 the table main.sales cannot be read: Table with name sales does not exist!",
        "G405 the table main.customers cannot be read: Table with name customers does not exist!",
    ]


def test_each_missing_column_is_reported(tmp_path):
    renamed = "ALTER TABLE sales RENAME region TO area; ALTER TABLE sales RENAME amount TO total;"
    assert findings_in(tmp_path, REVENUE.replace("revenue", "again"), tables=renamed) == [
        f'G406 Table "sales" does not have a column named "{name}" '
        f"({name!r} of semantic model 'sales' reads main.sales)"
        for name in ("region", "amount")
    ]


def test_a_function_that_the_engine_does_not_have_is_reported_with_the_metric(tmp_path):
    (finding,) = findings_in(tmp_path, derived("odd", "oddly(revenue)", "revenue"))
    assert finding.startswith("G406 Scalar Function with name oddly does not exist")


# --- types ----------------------------------------------------------------------------------------------------


def test_a_time_dimension_is_a_time_in_the_warehouse(tmp_path):
    as_text = "ALTER TABLE sales ALTER sold_at TYPE VARCHAR;"
    assert findings_in(tmp_path, tables=as_text) == [
        "G160 time dimension 'sold_at' of semantic model 'sales' is VARCHAR in the warehouse, which is not a time"
    ]
    cast = SALES.replace("name: sold_at, type", 'name: sold_at, expr: "sold_at::DATE", type')
    (tmp_path / "shop.duckdb").unlink()
    assert findings_in(tmp_path, tables=as_text, models=[cast, CUSTOMERS]) == []


def test_the_edges_of_a_history_and_the_steps_of_a_spine_are_times(tmp_path):
    tables = """
        CREATE OR REPLACE TABLE customers AS
            SELECT 7 AS customer_id, 'gold' AS segment, 1 AS since, DATE '2024-01-01' AS until;
        CREATE OR REPLACE TABLE days AS SELECT '2024-01-01' AS day;
    """
    assert findings_in(tmp_path, models=[SALES, HISTORY], tables=tables) == [
        "G160 time dimension 'since' of semantic model 'customers' is INTEGER in the warehouse, which is not a time",
        "G160 column 'day' of time spine 'days' is VARCHAR in the warehouse, which is not a time",
    ]


def test_a_key_has_one_kind_of_type_on_both_sides(tmp_path):
    as_text = "ALTER TABLE customers ALTER customer_id TYPE VARCHAR;"
    assert findings_in(tmp_path, tables=as_text) == [
        "G161 entity 'customer' is INTEGER in semantic model 'sales', but VARCHAR in 'customers': equal keys may not "
        "match"
    ]


def test_numbers_of_any_width_join(tmp_path):
    assert findings_in(tmp_path, tables="ALTER TABLE customers ALTER customer_id TYPE DECIMAL(20, 0);") == []


@pytest.mark.parametrize(
    ("agg", "use"),
    [
        ("sum", "has agg sum"),
        ("average", "has agg average"),
        ("median", "has agg percentile"),
        ("sum_boolean", "counts true values"),
    ],
)
def test_texts_have_no_sum_no_average_and_no_truth(tmp_path, agg, use):
    model = SALES.replace("agg: sum", f"agg: {agg}, expr: region")
    assert findings_in(tmp_path, models=[model, CUSTOMERS]) == [
        f"G162 measure 'amount' {use}, but region is VARCHAR in the warehouse"
    ]


def test_texts_have_a_least_one(tmp_path):
    assert findings_in(tmp_path, models=[SALES.replace("agg: sum", "agg: min, expr: region"), CUSTOMERS]) == []


def test_a_date_has_no_hours(tmp_path):
    by_hour = SALES.replace("time_granularity: day", "time_granularity: hour")
    assert findings_in(tmp_path, models=[by_hour, CUSTOMERS]) == [
        "G163 time dimension 'sold_at' has granularity hour, but is a DATE"
    ]


# --- rows -----------------------------------------------------------------------------------------------------


def test_a_time_that_a_spine_has_twice_is_reported(tmp_path):
    assert findings_in(tmp_path, tables="INSERT INTO days VALUES ('2024-02-01'), ('2024-02-01');") == [
        "G164 time spine 'days' has 2 more rows than days: facts that join it are counted twice"
    ]


@pytest.mark.parametrize("grain", ["hour", "day", "week", "month", "quarter", "year"])
def test_a_spine_without_gaps_is_whole_at_every_grain(tmp_path, grain):
    step = {"hour": "1 hour", "quarter": "3 months"}.get(grain, f"1 {grain}")
    range_ = f"generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2024-01-01', INTERVAL '{step}')"
    tables = f"CREATE OR REPLACE TABLE days AS SELECT unnest({range_}) AS day;"
    assert findings_in(tmp_path, spines=[DAYS.replace(": day}", f": {grain}}}")], tables=tables) == []


def test_a_time_that_a_spine_lacks_is_reported(tmp_path):
    gap = "DELETE FROM days WHERE day = '2024-02-01' OR day BETWEEN '2024-07-01' AND '2024-07-03';"
    assert findings_in(tmp_path, tables=gap) == [
        "G165 time spine 'days' lacks 4 days between 2024-01-01 and 2024-12-31"
    ]
    (tmp_path / "shop.duckdb").unlink()
    assert findings_in(tmp_path, tables="DELETE FROM days;") == [
        "G165 time spine 'days' is empty: metrics that are accumulated, offset or filled return no rows"
    ]


def test_a_key_with_two_rows_is_reported_if_rows_are_read(tmp_path):
    twice = "INSERT INTO customers VALUES (7, 'silver'), (NULL, 'none'), (NULL, 'none');"
    assert findings_in(tmp_path, tables=twice) == []
    (tmp_path / "shop.duckdb").unlink()
    assert findings_in(tmp_path, tables=twice, check=checks.check_rows) == [
        "G166 entity 'customer' is primary in semantic model 'customers', but 7 has 2 rows: facts that join it are "
        "counted more than once"
    ]


def test_the_examples_are_the_values_with_the_most_rows(tmp_path):
    more = (
        "INSERT INTO customers VALUES (7, 'x'), (7, 'y'), (3, 'x'), (3, 'y'), (5, 'x'), (5, 'y'), (6, 'x'), (6, 'y');"
    )
    (finding,) = findings_in(tmp_path, tables=more, check=checks.check_rows)
    assert "but 7 has 3 rows, 3 has 2 rows and 5 has 2 rows: facts that join it are" in finding


def test_a_key_that_no_model_joins_by_is_reported_too(tmp_path):
    twice = "INSERT INTO sales SELECT * FROM sales;"
    assert findings_in(tmp_path, tables=twice, check=checks.check_rows) == [
        "G166 entity 'sale' is primary in semantic model 'sales', but 1 has 2 rows"
    ]


@pytest.mark.parametrize(
    ("group_by", "where", "refused"),
    [
        ([], [], False),
        (["sale__region"], [], False),
        (["customer__segment"], [], True),
        ([], ["{{ Dimension('customer__segment') }} = 'gold'"], True),
        ([], ["{{ Metric('segments', ['customer']) }} > 0"], False),
    ],
)
def test_a_query_can_refuse_keys_that_are_not_unique_where_it_joins_by_them(tmp_path, group_by, where, refused):
    counted = CUSTOMERS + "measures:\n  - {name: segments, agg: count, expr: segment, agg_time_dimension: since}\n"
    counted = counted.replace(
        "dimensions:", "dimensions:\n  - {name: since, type: time, type_params: {time_granularity: day}}"
    )
    segments = "{name: segments, type: simple, type_params: {measure: {name: segments}}}"
    twice = "ALTER TABLE customers ADD COLUMN since DATE; INSERT INTO customers VALUES (7, 'silver', NULL);"
    query = make_query(["revenue"], group_by, where=where)

    def check(graph, runner):
        return checks.check_keys(graph, resolve(graph, query), runner)

    findings = findings_in(tmp_path, segments, models=[SALES, counted], tables=twice, check=check)
    assert [each[:4] for each in findings] == ["G166"] * refused


def test_a_key_of_several_columns_is_unique_as_a_whole(tmp_path):
    pair = 'expr: "(customer_id, id)"'
    sales = SALES.replace("type: foreign, expr: customer_id", f"type: foreign, {pair}")
    customers = CUSTOMERS.replace("type: primary, expr: customer_id", f"type: primary, {pair}")
    tables = "ALTER TABLE customers ADD COLUMN id INTEGER DEFAULT 1; INSERT INTO customers VALUES (7, 'silver', 2);"
    models = [sales, customers]
    assert findings_in(tmp_path, models=models, tables=tables, check=checks.check_rows) == []
    (tmp_path / "shop.duckdb").rename(tmp_path / "old.duckdb")
    tables = "ALTER TABLE customers ADD COLUMN id INTEGER DEFAULT 1; INSERT INTO customers VALUES (7, 'bronze', 1);"
    (finding,) = findings_in(tmp_path, models=models, tables=tables, check=checks.check_rows)
    assert "but 7, 1 has 2 rows" in finding


def test_a_partitioned_key_is_unique_only_for_facts_that_join_it_by_partition(tmp_path):
    partition = "dimensions:\n  - {name: ds, type: categorical, is_partition: true}"
    customers = CUSTOMERS.replace("dimensions:", partition)
    tables = "ALTER TABLE customers ADD COLUMN ds INTEGER DEFAULT 1; INSERT INTO customers VALUES (7, 'silver', 2);"
    assert findings_in(tmp_path, models=[SALES, customers], tables=tables, check=checks.check_rows) == [
        "G166 entity 'customer' is primary in semantic model 'customers', but 7 has 2 rows: facts of 'sales', which do "
        "not join it by partition ds, are counted more than once"
    ]
    (tmp_path / "shop.duckdb").unlink()
    tables += "ALTER TABLE sales ADD COLUMN ds INTEGER DEFAULT 1;"
    models = [SALES.replace("dimensions:", partition), customers]
    assert findings_in(tmp_path, models=models, tables=tables, check=checks.check_rows) == []


HISTORIES = """CREATE OR REPLACE TABLE customers AS FROM (VALUES
    (7, 'gold', TIMESTAMP '2024-01-01', TIMESTAMP '2024-03-01'), {rows}, (8, 'gold', TIMESTAMP '2024-01-01', NULL)
) AS t(customer_id, segment, since, until);"""


@pytest.mark.parametrize(
    "rows",
    [
        "(7, 'silver', TIMESTAMP '2024-03-01', NULL)",
        "(7, 'silver', TIMESTAMP '2024-05-01', TIMESTAMP '2024-06-01')",
        # Two changes within one day, seen by day.
        "(7, 'tin', TIMESTAMP '2024-03-01 08:00', TIMESTAMP '2024-03-01 09:00'), "
        "(7, 'silver', TIMESTAMP '2024-03-01 09:00', NULL)",
        # Never valid.
        "(7, 'silver', NULL, NULL), (7, 'tin', TIMESTAMP '2024-02-01', TIMESTAMP '2024-02-01')",
        "(NULL, 'silver', TIMESTAMP '2024-01-01', NULL), (NULL, 'gold', TIMESTAMP '2024-01-01', NULL)",
    ],
)
def test_versions_that_follow_each_other_have_no_findings(tmp_path, rows):
    tables = HISTORIES.format(rows=rows)
    assert findings_in(tmp_path, models=[SALES, HISTORY], tables=tables, check=checks.check_rows) == []


@pytest.mark.parametrize(
    ("rows", "moment"),
    [
        ("(7, 'silver', TIMESTAMP '2024-02-01', TIMESTAMP '2024-04-01')", "2024-02-01"),
        ("(7, 'silver', TIMESTAMP '2024-02-01', TIMESTAMP '2024-02-02')", "2024-02-01"),
        ("(7, 'silver', TIMESTAMP '2023-01-01', NULL)", "2024-01-01"),  # two open ones, but for the first's end
        ("(7, 'gold', TIMESTAMP '2024-01-01', TIMESTAMP '2024-03-01')", "2024-01-01"),
        ("(9, 'tin', TIMESTAMP '2024-05-01', NULL), (9, 'gold', TIMESTAMP '2024-06-01', NULL)", "2024-06-01"),
    ],
)
@pytest.mark.parametrize("check", [checks.check_tables, checks.check_rows])
def test_versions_that_overlap_are_reported_without_data_too(tmp_path, rows, moment, check):
    key = rows[1]
    assert findings_in(tmp_path, models=[SALES, HISTORY], tables=HISTORIES.format(rows=rows), check=check) == [
        f"G166 semantic model 'customers' is a history of 'customer', but {key} has two rows that are valid at "
        f"{moment}: facts that join it are counted more than once"
    ]


def test_a_version_that_ends_before_it_starts_is_reported(tmp_path):
    rows = "(7, 'silver', TIMESTAMP '2024-05-01', TIMESTAMP '2024-04-01')"
    assert findings_in(tmp_path, models=[SALES, HISTORY], tables=HISTORIES.format(rows=rows)) == [
        "G172 1 row of semantic model 'customers', a history, ends before it starts, such as the one from 2024-05-01 "
        "on: no fact joins it"
    ]


def test_a_history_in_partitions_has_one_version_in_each(tmp_path):
    partition = "dimensions:\n  - {name: ds, type: categorical, is_partition: true}"
    rows = "(7, 'silver', TIMESTAMP '2024-02-01', NULL)"
    tables = (
        HISTORIES.format(rows=rows)
        + """
        ALTER TABLE sales ADD COLUMN ds TEXT DEFAULT 'gold';
        ALTER TABLE customers ADD COLUMN ds TEXT; UPDATE customers SET ds = segment;
    """
    )
    models = [each.replace("dimensions:", partition) for each in (SALES, HISTORY)]
    assert findings_in(tmp_path, models=models, tables=tables) == []
    (tmp_path / "shop.duckdb").unlink()
    (finding,) = findings_in(tmp_path, models=[SALES, models[1]], tables=tables)
    assert "7 has two rows that are valid at 2024-02-01" in finding
