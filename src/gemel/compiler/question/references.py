"""References in filters: what stands between {{ and }}, and the handles that take its place while SQL is read."""

import re
from collections.abc import Sequence

from gemel.compiler.question.parsing import parse_reference
from gemel.compiler.question.query import Item, MetricItem
from gemel.errors import QueryError

TAG = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
HANDLE = re.compile(r"__ref_(\d+)")


def shorten(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 120 else flat[:117] + "...")


def take_references(text: str) -> tuple[str, list[Item | MetricItem]]:
    """A filter with handles in place of its references. Raises QueryError (G303, G307)."""
    references: list[Item | MetricItem] = []

    def handle(match: re.Match[str]) -> str:
        references.append(parse_reference(match[1]))
        # The blanks keep a neighbour from changing the name: `{{ ... }}1` must not become __ref_01.
        return f" __ref_{len(references) - 1} "

    plain = TAG.sub(handle, text)
    if "{{" in plain or "{%" in plain or "{#" in plain:
        raise QueryError(
            "G307",
            f"the filter {shorten(text)} contains template code that is not a reference",
            hint="between {{ and }} write only Dimension(...), TimeDimension(...), Entity(...) or Metric(...)",
        )
    if HANDLE.search(text):
        raise QueryError("G307", f"a filter cannot contain names such as __ref_0: {shorten(text)}")
    return plain, references


def restore(text: str, references: Sequence[Item | MetricItem]) -> str:
    """A text for people, with the references in place of their handles."""
    return HANDLE.sub(lambda match: f"{{{{ {references[int(match[1])]} }}}}", text)
