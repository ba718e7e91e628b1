"""Whatever a manifest holds, reading it gives a Manifest or a refusal, never a traceback."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import GemelError
from gemel.spec.manifest import Manifest
from trials import examples

FILES = sorted((Path(__file__).parents[1] / "worlds" / "manifests").glob("*.semantic.json"))
MANIFESTS = [json.loads(file.read_text()) for file in FILES]


def paths(value, path=()):
    """The way to every value inside."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


PATHS = [list(paths(manifest))[1:] for manifest in MANIFESTS]
JUNK = st.recursive(
    st.sampled_from([None, True, False, 0, 1, -1, 10**400, 1e400, 0.5, "", " ", "x", "7 days", "9" * 5000 + " days"])
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "type", "count", "granularity", "where_filters"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def mutated(draw):
    """A real manifest with some of its values replaced, removed, doubled, or put in another's place."""
    which = draw(st.integers(0, len(MANIFESTS) - 1))
    manifest = copy.deepcopy(MANIFESTS[which])
    for _ in range(draw(st.integers(1, 6))):
        *way, last = draw(st.sampled_from(PATHS[which]))
        try:
            parent = manifest
            for key in way:
                parent = parent[key]
            match draw(st.sampled_from(["junk", "remove", "double", "swap"])):
                case "junk":
                    parent[last] = draw(JUNK)
                case "remove":
                    del parent[last]
                case "double" if isinstance(parent, list):
                    parent.append(parent[last])
                case _:
                    other = manifest
                    for key in draw(st.sampled_from(PATHS[which])):
                        other = other[key]
                    parent[last] = copy.deepcopy(other)
        except (KeyError, IndexError, TypeError):
            continue
    return manifest


@examples(300)
@given(mutated())
def test_a_mutated_manifest_is_read_or_refused(data):
    try:
        assert isinstance(read_manifest(data), Manifest)
    except GemelError as refused:
        assert str(refused)


@given(JUNK)
def test_junk_is_refused(data):
    with pytest.raises(GemelError):
        read_manifest(data)
    with pytest.raises(GemelError):
        read_manifest({"semantic_models": [data], "metrics": [data]})


def test_deep_nesting_is_refused():
    deep = "x"
    for _ in range(950):
        deep = [deep]
    for metric in ({"filter": deep}, {"type": deep}):
        with pytest.raises(GemelError):
            read_manifest({"semantic_models": [], "metrics": [{"name": "a", "type": "simple", **metric}]})
