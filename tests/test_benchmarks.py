"""The benchmarks' own instruments: what they say of a process is true of it alone."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PARENT = """
import subprocess, sys
held = b"x" * 400_000_000
del held
print(subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True).stdout)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is told the peak of its parent")
def test_a_small_process_is_not_told_the_memory_of_a_large_parent():
    own = f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); from timing import peak_memory; print(peak_memory())"
    child = [sys.executable, "-c", own]
    ran = subprocess.run([sys.executable, "-c", PARENT, *child], capture_output=True, text=True, check=True)
    assert 1 < float(ran.stdout) < 100


@pytest.mark.parametrize("file", sorted(BENCHMARKS.glob("*.py")), ids=lambda file: file.stem)
def test_what_a_benchmark_imports_from_gemel_is_there(file):
    """Benchmarks run seldom, and import late."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "gemel":
            for name in node.names:
                there = hasattr(import_module(node.module), name.name) or find_spec(f"{node.module}.{name.name}")
                assert there, f"{file.name}:{node.lineno}: {name.name}"
