import json
from pathlib import Path

import pytest

from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest

MANIFEST = Path(__file__).parent.parent / "compiler" / "example_manifest.json"


@pytest.fixture(scope="session")
def example():
    """The worked example's graph."""
    return bind(read_manifest(json.loads(MANIFEST.read_text())))
