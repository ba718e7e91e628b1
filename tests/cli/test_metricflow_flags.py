"""Every command and flag of `mf` (cli/main.py and cli/utils.py of dbt-metricflow) and of `dbt sl` is accepted."""

import pytest

from gemel.cli.metricflow import NOTES

QUERY = ["query", "--metrics", "revenue"]
FLAGS = [
    # mf query
    [*QUERY, "--group-by", "metric_time"],
    [*QUERY, "--where", "{{ Dimension('sale__region') }} = 'north'"],
    [*QUERY, "--start-time", "2024-01-01", "--end-time", "2024-12-31T23:59:59"],
    [*QUERY, "--group-by", "metric_time", "--order", "-metric_time"],
    [*QUERY, "--limit", "100"],
    [*QUERY, "--csv", "revenue.csv"],
    [*QUERY, "--explain"],
    [*QUERY, "--explain", "--show-dataflow-plan"],
    [*QUERY, "--display-plans"],
    [*QUERY, "--explain", "--show-sql-descriptions"],
    [*QUERY, "--decimals", "2"],
    [*QUERY, "--quiet"],
    # dbt sl query
    [*QUERY, "--compile"],
    [*QUERY, "--group-by", "metric_time", "--order-by", "metric_time"],
    # mf list, dbt sl list
    ["list", "metrics", "--search", "rev"],
    ["list", "metrics", "--show-all-dimensions"],
    ["list", "dimensions", "--metrics", "revenue"],
    ["list", "entities", "--metrics", "revenue"],
    ["list", "dimension-values", "--dimension", "sale__region", "--metrics", "revenue"],
    ["list", "dimension-values", "--dimension", "sale__region", "--metrics", "revenue", "--start-time", "2024-01-01"],
    ["list", "dimension-values", "--dimension", "sale__region", "--metrics", "revenue", "--end-time", "2024-12-31"],
    ["list", "saved-queries", "--show-exports"],
    ["list", "saved-queries", "--show-parameters"],
    # mf validate-configs, dbt sl validate
    ["validate-configs", "--skip-dw"],
    ["validate-configs", "--dw-timeout", "30"],
    ["validate-configs", "--show-all"],
    ["validate-configs", "--verbose-issues"],
    ["validate-configs", "--semantic-validation-workers", "4"],
    ["validate", "--timeout", "30"],
    # the others
    ["-v", *QUERY],
    ["--verbose", *QUERY],
    ["health-checks"],
]


@pytest.mark.parametrize("arguments", FLAGS, ids=" ".join)
def test_a_flag_is_taken(gemel, arguments):
    ran = gemel(*arguments)
    assert ran.code == 0, ran.err
    noted = [flag for flag in NOTES if flag in arguments]
    assert [line.split(" has no effect")[0] for line in ran.err.splitlines() if line.startswith("note: ")] == [
        f"note: {flag}" for flag in noted
    ]


@pytest.mark.parametrize("flags", [[], ["-m"], ["--message"], ["--clean"], ["--yes"]])
def test_the_tutorial_is_the_readme(gemel, flags):
    ran = gemel("tutorial", *flags, shop=False)
    assert (ran.code, "README" in ran.out) == (0, True)


def test_lists_show_what_they_are_asked_for(gemel):
    assert "sale__region" in gemel("list", "metrics", "--show-all-dimensions", "--search", "revenue").out
    assert "sale__region" not in gemel("list", "metrics", "--search", "revenue").out
    assert "limit" in gemel("list", "saved-queries", "--show-parameters", "--format", "csv").out.splitlines()[0]
    assert gemel("list", "saved-queries", "--show-exports", "--format", "csv").out.splitlines()[0].endswith("exports")
    assert "can be queried" in gemel("health-checks").out
