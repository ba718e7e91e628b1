"""What docs/compiler.md shows is what its own script prints."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

from compiler.example_questions import HERE

PAGE = Path(__file__).parents[2] / "docs" / "compiler.md"


def test_the_page_shows_what_its_script_prints():
    text = PAGE.read_text()
    [script] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    blocks = [block.strip() for block in re.findall(r"```(?:text|sql)\n(.*?)```", text, re.DOTALL)]
    manifest = (HERE / "example_manifest.json").as_posix()
    with redirect_stdout(io.StringIO()) as printed:
        exec(script.replace("target/semantic_manifest.json", manifest), {})
    assert [part.strip() for part in printed.getvalue().split("\n\n")] == blocks
