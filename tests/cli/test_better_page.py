"""docs/better.md shows what its questions give, on the shop that lies beside it."""

import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from gemel.cli import main
from worlds.projects import run_dbt

DOCS = Path(__file__).parents[2] / "docs"


def shown() -> list[tuple[str, str]]:
    """The page's commands, each with the block that follows it."""
    blocks = re.findall(r"(?:^    .*\n|^ *\n(?=    ))+", (DOCS / "better.md").read_text(), re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"\n\n", "\n".join(line[4:] for line in block.split("\n")))]
    texts = [part.strip("\n") for part in parts if part.strip()]
    return [(command, answer) for command, answer in pairwise(texts) if command.startswith("gemel ")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The shop, built by dbt once."""
    folder = tmp_path_factory.mktemp("docs") / "shop"
    shutil.copytree(DOCS / "shop", folder, ignore=shutil.ignore_patterns("target", "*.duckdb", "logs"))
    run_dbt(folder, "build", "--quiet", "--profiles-dir", ".")
    return folder


def test_the_page_has_its_questions():
    assert len(shown()) == 17


@pytest.mark.parametrize(("command", "answer"), shown())
def test_the_page_shows_what_is_answered(shop, command, answer, monkeypatch, capfd):
    monkeypatch.chdir(shop)
    main(shlex.split(command.replace("\\\n", ""))[1:])
    out, err = capfd.readouterr()
    assert [line.rstrip() for line in (out + err).strip("\n").split("\n")] == [*map(str.rstrip, answer.split("\n"))]
