"""Python source text, with line breaks that `ruff format` keeps at any line width."""

from collections.abc import Iterable, Mapping

WIDTH = 88


def bracket(opening: str, items: list[str], closing: str) -> str:
    """On one line if it is short; otherwise one item per line, with a trailing comma that makes formatters keep it."""
    line = opening + ", ".join(items) + closing
    if len(line) <= WIDTH // 2 and "\n" not in line:
        return line
    body = "".join(f"    {line}\n" for item in items for line in f"{item},".splitlines())
    return f"{opening}\n{body}{closing}"


def format_list(items: Iterable[str]) -> str:
    return bracket("[", list(items), "]")


def call(name: str, /, **arguments: str | None) -> str:
    return bracket(f"{name}(", [f"{key}={value}" for key, value in arguments.items() if value], ")")


def tags(values: Mapping[str, str | None]) -> str:
    items = [f"{literal(key)}: {literal(value)}" for key, value in values.items() if value is not None]
    return bracket("{", items, "}")


def literal(text: str) -> str:
    """The text as a Python literal, with escapes, in the quotes that ruff would choose."""
    quote = '"' if text.count('"') <= text.count("'") else "'"
    if text.isprintable() and quote not in text and "\\" not in text:
        return f"{quote}{text}{quote}"
    return quote + "".join(_escaped(letter, quote) for letter in text) + quote


def _escaped(letter: str, quote: str) -> str:
    if letter == quote:
        return f"\\{letter}"
    return letter if letter.isprintable() and letter != "\\" else letter.encode("unicode_escape").decode()
