"""What a benchmark says: tables and remarks, as markdown, and between their markers in README.md."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Table:
    """Rows under `head`. A cell that is no text is a number of seconds, ratios or megabytes, or None."""

    head: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)

    def markdown(self) -> str:
        cells = [[shown(cell) for cell in row] for row in (self.head, *self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.head))]
        # The first column is words, the others are numbers.
        padded = [[c.rjust(w) if place else c.ljust(w) for place, (c, w) in enumerate(zip(row, widths, strict=True))]
                  for row in cells]  # fmt: skip
        rule = ["-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
        return "\n".join("| " + " | ".join(row) + " |" for row in (padded[0], rule, *padded[1:]))


@dataclass(slots=True)
class Report:
    """A benchmark's figures. Each remark is a paragraph."""

    parts: list[Table | str] = field(default_factory=list)

    def markdown(self) -> str:
        return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in self.parts)


def shown(cell: object) -> str:
    """Three digits, whatever the size: 0.0213, 1.25, 118."""
    match cell:
        case None:
            return "-"
        case float() if abs(cell) >= 100:
            return f"{cell:,.0f}"
        case float():
            return f"{cell:#.3g}"
        case int():
            return f"{cell:,}"
        case _:
            return str(cell)


def ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def write(readme: Path, name: str, text: str) -> None:
    """Put text between `<!-- name -->` and `<!-- /name -->`."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before = readme.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(before):
        raise SystemExit(f"{readme} has no {start} ... {end}")
    readme.write_text(pattern.sub(lambda _: f"{start}\n{text}\n{end}", before), encoding="utf-8")
