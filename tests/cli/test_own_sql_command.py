"""SQL of definitions at the shell: what the engine lacks, or sqlglot cannot read, is an error with a place."""

import json

import pytest


@pytest.fixture
def with_texts(files):
    """Give the shop a dimension and a filtered metric with these texts."""

    def write(expr, filter):
        definitions = json.loads(files.manifest.read_text())
        definitions["semantic_models"][0]["dimensions"].append({"name": "odd", "type": "categorical", "expr": expr})
        filtered = {"name": "some", "type": "simple", "type_params": {"measure": {"name": "amount"}}}
        filtered["filter"] = {"where_filters": [{"where_sql_template": filter}]}
        definitions["metrics"].append(filtered)
        files.manifest.write_text(json.dumps(definitions))

    return write


UNKNOWN = ["DATETIME({})", "VAR_MAP({})", "MATCH_AGAINST(1, {})", "lower({}, 1)", "json_extract({}, '[1,2]')"]


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_call_that_sqlglot_cannot_write_is_the_engines_to_refuse(text, gemel, with_texts):
    with_texts(text.format("region"), text.format("{{ Dimension('sale__region') }}") + " IS NULL")
    for command in (
        ("query", "-m", "revenue", "-g", "sale__odd"),
        ("query", "-m", "some"),
        ("query", "-m", "revenue", "-g", "sale__odd", "--dialect", "bigquery", "--explain"),
        ("query", "-m", "some", "--dialect", "postgres", "--explain"),
        ("validate",),
        ("list", "metrics"),
    ):
        ran = gemel(*command)
        assert "Traceback" not in ran.out + ran.err
        assert "bug in gemel" not in ran.out + ran.err
        if "--dialect" in command:
            assert ran.code == 1 and "G327" in ran.err
        if command[0] == "query" and "json_extract" not in text:
            assert ran.code == 1


def test_a_typing_error_is_reported_with_its_definition(gemel, with_texts):
    with_texts("upper(region", "{{ Dimension('sale__region') }} = = 'x'")
    ran = gemel("validate")
    assert ran.code == 1
    assert "G105 the expr of 'odd'" in ran.out + ran.err
    assert "G308 the filter" in ran.out + ran.err
