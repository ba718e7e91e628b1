"""Rows as a person sees them."""

import datetime as dt
import json
from decimal import Decimal

import pytest

from gemel.json_text import json_text
from gemel.spec.fields import format_count
from gemel.text_tables import markdown, table


def shown(columns, rows, **how):
    lines, left_out = table(columns, rows, **how)
    return lines[2:], left_out


def test_numbers_stand_right_and_texts_left_and_nothing_is_null():
    lines, left_out = table(["name", "n"], [("a", 1), ("bcd", 200), (None, None)])
    assert lines == ["name    n", "----  ---", "a       1", "bcd   200", "NULL  NULL"[:4] + " NULL"] or lines[
        -1
    ].split() == [
        "NULL",
        "NULL",
    ]
    assert left_out is None


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0.5, 0.25], ["0.50", "0.25"]),
        ([1 / 3, 2.0], ["0.3333", "2.0000"]),
        ([10.0, 20.0], ["10", "20"]),
        ([Decimal("2.50"), Decimal("3")], ["2.5", "3.0"]),
        ([0.00001234, 1.0], ["0.000012", "1.000000"]),
        ([float("nan"), 1.5], ["nan", "1.5"]),
        ([1, 2.5], ["1.0", "2.5"]),
        ([True, None], ["true", "NULL"]),
    ],
)
def test_a_column_shows_its_numbers_alike(values, written):
    lines, _ = shown(["x"], [(value,) for value in values])
    assert [line.strip() for line in lines] == written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("12345678901234567890.12"), "12345678901234567890.12"),
        (Decimal("12.50"), "12.5"),
        (Decimal("12.00"), "12"),
        (Decimal("1200"), "1200"),
        (Decimal("-0.0000000000000000001"), "-0.0000000000000000001"),
        (Decimal("1E+30"), "1" + "0" * 30),
        (Decimal("NaN"), "null"),
        (float("inf"), "null"),
        (0.1, "0.1"),
        (True, "true"),
        ([Decimal("0.10"), None], "[0.1, null]"),
        ({"a": Decimal("1.5"), "é": "x\ny"}, '{"a": 1.5, "é": "x\\ny"}'),
        (dt.date(2024, 1, 2), '"2024-01-02"'),
        ([], "[]"),
    ],
)
def test_json_has_all_digits_of_a_decimal(value, text):
    assert json_text(value) == text


def test_json_with_lines_is_that_of_python():
    value = {"a": [1, {"b": None, "c": []}], "d": {}, "e": "x"}
    assert json_text(value, indent=2) == json.dumps(value, indent=2)
    assert json_text(value) == json.dumps(value)


def test_decimals_can_be_said():
    assert [line.strip() for line in shown(["x"], [(1 / 3,), (2.0,)], decimals=2)[0]] == ["0.33", "2.00"]


def test_times_that_are_all_midnights_are_days():
    midnight, noon = dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 12)
    assert shown(["t"], [(midnight,), (None,)])[0] == ["2024-01-01", "NULL"]
    assert shown(["t"], [(midnight,), (noon,)])[0] == ["2024-01-01 00:00:00", "2024-01-01 12:00:00"]


def test_a_value_cannot_move_the_cursor():
    (line,), _ = shown(["x"], [("a\nb\x1b[2J",)])
    assert line == "a\\nb\\x1b[2J"


def test_wide_characters_take_two_columns():
    lines, _ = shown(["city", "n"], [("東京", 1), ("Rome", 2), ("Zu\u0308rich", 3)])
    assert lines == ["東京    1", "Rome    2", "Zu\u0308rich  3"]


def test_a_long_text_is_cut_to_the_terminal_and_that_is_said():
    lines, left_out = shown(["note", "n"], [("x" * 100, 1)], width=20)
    assert lines == ["x" * 16 + "…  1"]
    assert left_out == "long texts cut"


def test_columns_that_do_not_fit_are_left_out_from_the_right_and_named():
    lines, left_out = shown([f"column_{i}" for i in range(5)], [tuple(range(5))], width=30)
    assert lines == ["       0         1         2"]
    assert left_out == "2 columns left out (column_3, column_4)"


def test_markdown_aligns_and_escapes():
    assert list(markdown(["a|b", "n"], [("x|y", 1)])) == ["| a\\|b | n |", "| --- | --: |", "| x\\|y | 1 |"]


def test_no_rows_leave_the_header():
    assert table(["a", "bb"], [])[0] == ["a  bb", "-  --"]


def test_things_are_counted_in_words():
    assert [format_count(number, what) for number, what in ((1, "row"), (0, "row"), (1200, "saved query"))] == [
        *("1 row", "0 rows", "1,200 saved queries")
    ]
