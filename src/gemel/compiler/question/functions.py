"""Functions that a question's expressions may not call: such an expression may compute only with the row's values.

The rule holds for filters and result filters. It does not hold for definitions, which the project's owner writes.
"""

import re

from sqlglot import ErrorLevel, exp

from gemel.engines.duckdb import DIALECT

REACHES: dict[str, str] = {
    "reads files": "read_.* .*_scan(_dumb)? sniff_csv glob parquet_.* query query_table which_secret shell",
    "reads the settings and catalog of the database": "getenv getvariable current_setting current_.*_id current_query "
    "current_schemas? current_database current_catalog in_search_path pg_(?!typeof$).* duckdb_.* pragma_.* "
    ".*_privilege icu_calendar_names inet_.* (col|obj|shobj)_description format_pg_type get_block_size map_to_pg_oid "
    "txid_current version current_role user stats vector_type .*external_resource.* seq_scan summary "
    "parse_duckdb_log_message",
    "changes the database's state or stops it": "nextval currval lastval setval setseed write_log error assert_true "
    "sleep.* pg_sleep .*_logging .*_profiling checkpoint force_checkpoint truncate_duckdb_logs",
    "runs SQL": "json_execute_serialized_sql json_(de)?serialize_(sql|plan) sql_auto_complete python_.*",
    "makes rows": "range generate_series generate_subscripts unnest repeat_row test_.* regexp_split_to_table "
    "json_each json_tree histogram_values",
    "computes over many rows": "count_star histogram histogram_exact entropy sumkahan fsum kahan_sum favg wavg "
    "weighted_avg geomean geometric_mean approx_top_k reservoir_quantile bitstring_agg kurtosis_pop sem mad product "
    "first last any_value arbitrary arg_(min|max).* argm.* m(in|ax)_by json_group_.* variant_group_.* grouping.* "
    "mean lttb sum_no_overflow decimal_average combine_aggr",
}
"""What a row's expression may not do, and the functions that do it: each word is a pattern for function names."""

_BY_NAME = [(re.compile("|".join(f"(?:{word})" for word in words.split())), what) for what, words in REACHES.items()]

_BY_KIND: list[tuple[tuple[type[exp.Expr], ...], str]] = [
    ((exp.AggFunc, exp.Window), "computes over many rows"),
    ((exp.Lambda, exp.Comprehension), "contains a function of its own"),
    ((exp.Columns, exp.PositionalColumn), "refers to columns without naming them"),
    ((exp.ReadCSV, exp.ReadParquet), "reads files"),
    ((exp.GenerateSeries, exp.Explode, exp.Posexplode, exp.Unnest), "makes rows"),
    (
        (
            exp.CurrentUser,
            exp.SessionUser,
            exp.CurrentRole,
            exp.CurrentSchema,
            exp.CurrentSchemas,
            exp.CurrentCatalog,
            exp.CurrentDatabase,
            exp.CurrentVersion,
            exp.SessionParameter,
        ),
        "reads the settings and catalog of the database",
    ),
]


def find_forbidden(tree: exp.Expr) -> str | None:
    """What is forbidden in an expression, for a message: `getenv reads the settings ...`. None if nothing is."""
    for node in tree.walk():
        for kinds, what in _BY_KIND:
            if isinstance(node, kinds):
                return f"{node.sql(DIALECT, unsupported_level=ErrorLevel.IGNORE)[:60]} {what}"
        if isinstance(node, exp.Anonymous):
            name = node.name.lower()
            for pattern, what in _BY_NAME:
                if pattern.fullmatch(name):
                    return f"{name[:60]} {what}"
    return None
