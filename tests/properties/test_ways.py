"""Roles, paths that come back, keys of two columns: any question over them, against the reference evaluator."""

import random
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from gemel.spec.manifest import SemanticModel
from properties.asking import DAYS, Place, assert_same
from worlds import ways
from worlds.questions import Asker, Question

WAYS = Place(ways)


class WaysAsker(Asker):
    """Asks along every way, also one that comes back to a model in another role."""

    def _walk(self, model: SemanticModel, links: tuple[str, ...], found: dict[str, Any], seen: tuple[str, ...]) -> None:
        super()._walk(model, links, found, (model.name,))

    def condition(self, items: dict[str, Any], chance: random.Random, **more: Any) -> str:
        """By one column of a key of two."""
        single = {name: item for name, item in items.items() if not item[1].expr.startswith("(")}
        for name in items.keys() - single.keys():
            for column in ("order_id", "line_no"):
                single[f"{name}__{column}"] = (items[name][0], ways.word(column))
        return super().condition(single, chance, **more)


def asker(*kinds: str) -> WaysAsker:
    return WaysAsker(ways.MANIFEST, ways.VALUES, DAYS, hops=3, only=kinds)


def asked(seed: int, *kinds: str) -> Question:
    return asker(*kinds).question(random.Random(seed))


@pytest.mark.parametrize("kind", ["simple", "ratio", "derived", "cumulative", "conversion"])
@given(seed=st.integers(0, 2**32), tables=ways.worlds)
def test_whatever_the_way_the_sql_gives_what_the_definition_says(kind, seed, tables):
    question = asked(seed, kind)
    note(str(question))
    assert_same(question, tables, WAYS)


@given(seed=st.integers(0, 2**32), tables=ways.worlds)
def test_metrics_meet_whatever_the_ways(seed, tables):
    question = asked(seed, "simple", "ratio", "derived", "cumulative", "conversion")
    note(str(question))
    assert_same(question, tables, WAYS)


@given(seed=st.integers(0, 2**32), tables=ways.worlds)
def test_distinct_values_are_found_along_every_way(seed, tables):
    question = asker().values_question(random.Random(seed))
    note(str(question))
    assert_same(question, tables, WAYS)
