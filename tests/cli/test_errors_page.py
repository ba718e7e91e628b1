"""docs/errors.md has every code, and no code that is gone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_code_is_on_the_page_with_what_provokes_it():
    source = "\n".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r'"(G[1-9]\d\d)"', source))
    rows = re.findall(r"^\| (G\d{3}) \| (.+) \| (.+) \|$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    documented = [code for code, *_ in rows]
    assert sorted(used - set(documented)) == [], "give it a row in docs/errors.md"
    assert sorted(set(documented) - used) == [], "take its row out of docs/errors.md"
    assert len(documented) == len(set(documented))
