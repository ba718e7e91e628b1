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
    """A filter with handles in place of its references. Raises QueryError (G303, G307).

    What stands in braces inside a quoted text and is no reference is a part of that text: `note = '{{x}}'`.
    """
    references: list[Item | MetricItem] = []
    parts: list[str] = []
    quotes = end = 0
    for match in TAG.finditer(text):
        parts.append(text[end : match.start()])
        quotes += parts[-1].count("'")
        end = match.end()
        try:
            references.append(parse_reference(match[1]))
        except QueryError:
            if quotes % 2 == 0:
                raise
            parts.append(match[0])
            quotes += match[0].count("'")
        else:
            # The blanks keep a neighbour from changing the name: `{{ ... }}1` must not become __ref_01.
            parts.append(f" __ref_{len(references) - 1} ")
    plain = "".join((*parts, text[end:]))
    if has_template(plain):
        raise QueryError(
            "G307",
            f"the filter {shorten(text)} contains template code that is not a reference",
            hint="between {{ and }} write only Dimension(...), TimeDimension(...), Entity(...) or Metric(...)",
        )
    if HANDLE.search(text):
        message = f"a filter cannot contain names such as __ref_0: {shorten(text)}"
        raise QueryError("G307", message, hint="write a reference such as {{ Dimension('entity__name') }}")
    return plain, references


def has_template(text: str) -> bool:
    """Whether there is template code outside of quoted texts."""
    outside = _QUOTED.sub("''", text) if "{" in text else ""
    return any(mark in outside for mark in ("{{", "{%", "{#"))


_QUOTED = re.compile(r"'(?:[^']|'')*'")


def restore(text: str, references: Sequence[Item | MetricItem]) -> str:
    """A text for people, with the references in place of their handles."""
    return HANDLE.sub(lambda match: f"{{{{ {references[int(match[1])]} }}}}", text)
