"""Descriptions, which people write in Markdown: as HTML for a page, and as plain text for lists and the search."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


def as_html(text: str) -> str:
    """Safe HTML: HTML in the text is shown as text, and links to scripts and images are no elements."""
    tokens = _parser().parse(text)
    for token in _flat(tokens):
        if token.type == "link_open":
            token.attrSet("rel", "noreferrer")
    return str(_parser().renderer.render(tokens, _parser().options, {})).strip()


def as_text(text: str) -> str:
    """The words alone, in one line: `**Gross** revenue` becomes `Gross revenue`."""
    parts = (
        token.content if token.type in ("text", "code_inline", "code_block", "fence") else " "
        for token in _flat(_parser().parse(text))
        if token.type in ("text", "code_inline", "code_block", "fence", "softbreak", "hardbreak")
        or (token.type.endswith("_close") and token.block)
    )
    return " ".join("".join(parts).split())


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def _flat(tokens: "list[Token]") -> "Iterator[Token]":
    for token in tokens:
        if token.type == "inline":
            yield from token.children or ()
        else:
            yield token
