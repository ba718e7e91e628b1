"""How far the numbers of two states are apart, on values."""

import datetime as dt
import math

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.diff.numbers import NEAR, Moved, compare_tables
from gemel.diff.report import as_json, excess
from gemel.errors import ProjectError

NAN, INF = float("nan"), float("inf")


def compare(before: list, after: list, kinds: tuple = (None, None)) -> Moved:
    """The groups a, b, c … with these values in both states."""
    groups = [chr(ord("a") + place) for place in range(len(before))]
    columns = [pyarrow.array(each, kind) for each, kind in zip((before, after), kinds, strict=True)]
    tables = [pyarrow.table({"group": groups, "value": column}) for column in columns]
    [moved] = compare_tables(tables, "metric", ["value"], 3)
    return moved


@pytest.mark.parametrize(
    ("before", "after"),
    [(5.0, NAN), (0.0, NAN), (NAN, 17.0), (NAN, 0.0), (5.0, INF), (INF, -INF), (INF, 3.0), (0.0, 1e-9)],
)
def test_what_moves_by_no_share_fails_the_gate_whatever_else_moves(before, after):
    for others in ([], [100.0]):
        moved = compare([before, *others], [after, *(each * 1.001 for each in others)])
        assert (moved.moved, moved.unscaled) == (1 + len(others), 1)
        assert moved.exceeds(10.0)
        assert "by no share of its value in 1 group" in excess(moved, 10.0)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_nan_in_both_states_is_no_move_and_not_in_the_spread(value):
    moved = compare([value, 1.0, 3.0], [value, 2.0, 4.0])
    assert (moved.groups, moved.moved, moved.unscaled, moved.mean) == (3, 2, 0, 1.0)
    assert set(moved.quantiles) == {1.0}
    assert (moved.largest, moved.relative) == (1.0, 1.0)
    assert not moved.exceeds(1.0)


def test_a_fall_to_zero_is_the_whole_value():
    moved = compare([5.0, 100.0], [0.0, 100.0])
    assert (moved.relative, moved.unscaled) == (1.0, 0)
    assert moved.exceeds(0.99) and not moved.exceeds(1.0)


def test_texts_and_times_that_differ_fail_the_gate():
    day = dt.date(2024, 1, 1)
    assert compare(["x", "y"], ["x", "z"]).exceeds(10.0)
    assert compare([day], [day + dt.timedelta(days=1)]).exceeds(10.0)
    assert not compare(["x", "y"], ["x", "y"]).exceeds(0.0)
    assert not compare([day], [dt.datetime(2024, 1, 1)]).exceeds(0.0)


def test_types_that_cannot_be_compared_are_named():
    moved = compare([1, 2], ["1", "x"])
    assert moved.why == "its type changes from int64 to string"
    assert compare([None, None], ["1", "x"]).appeared == 2
    numbers, texts = pyarrow.table({"k": [1], "v": [1]}), pyarrow.table({"k": ["x"], "v": [1]})
    with pytest.raises(ProjectError, match="G764 k: its type changes from int64 to string"):
        list(compare_tables([numbers, texts], "metric", ["v"], 3))


def test_json_has_nan_as_text():
    moved = compare([5.0], [NAN])
    state = type("State", (), {"name": "x", "notes": ()})()
    [content] = as_json(state, state, [], [moved], [])["numbers"]
    assert (content["examples"][0]["before"], content["examples"][0]["after"]) == (5.0, "nan")
    assert (content["unscaled"], content["relative"], content["examples"][0]["difference"]) == (1, None, None)


VALUES = st.one_of(
    st.none(), st.sampled_from([0.0, -0.0, 1.0, 1.0 + 1e-12, NAN, INF, -INF, 1e308, -1e308]), st.floats()
)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6))
def test_totals_are_those_of_plain_python(pairs):
    def is_moved(old, new):
        if None in (old, new):
            return old is not new
        if old == new or (math.isnan(old) and math.isnan(new)):
            return False
        near = math.isfinite(old) and math.isfinite(new) and abs(new - old) <= NEAR * max(abs(old), abs(new))
        return not near

    moved = compare(*(list(side) for side in zip(*pairs, strict=True)), kinds=(pyarrow.float64(), pyarrow.float64()))
    present = [pair for pair in pairs if pair != (None, None)]
    both = [pair for pair in present if None not in pair]
    finite = [(old, new) for old, new in both if math.isfinite(old) and math.isfinite(new)]
    shares = [abs((new - old) / old) for old, new in finite if old and is_moved(old, new)]
    assert moved.groups == len(present)
    assert moved.moved == sum(is_moved(*pair) for pair in present)
    assert moved.appeared + moved.gone == len(present) - len(both)
    assert moved.unscaled == sum(is_moved(*pair) for pair in both) - len(shares)
    assert moved.relative == (pytest.approx(max(shares)) if shares else None)
