"""The names of tables as dbt writes them: `relation_name` in its artifacts, with the quoting of project and adapter."""

from gemel.spec.manifest import Part

_QUOTES = {'"': '"', "`": "`", "[": "]"}


def split_name(full_name: str) -> tuple[Part, ...]:
    """The parts of a table's name: `ANALYTICS."Dbt.Me".t` -> `("ANALYTICS", False), ("Dbt.Me", True), ("t", False)`.

    A quote that is doubled within quotes is one; `` `a.b.c` `` is BigQuery's name of three parts. What is no name, as
    dbt-duckdb's `read_parquet('a.parquet')` of a source, has no parts.
    """
    parts: list[Part] = []
    text, quoted, closing = "", False, ""
    chars = iter(full_name.strip() + ".")
    for char in chars:
        if closing:
            if char != closing:
                text += char
                continue
            char = next(chars, ".")
            if char == closing:
                text += char
                continue
            closing = ""
        if char in _QUOTES and not text and not quoted:
            quoted, closing = True, _QUOTES[char]
        elif char == ".":
            parts.append((text, quoted))
            text, quoted = "", False
        elif quoted or char in "()'\"` ,":
            return ()
        else:
            text += char
    if closing or not all(text for text, _ in parts):
        return ()
    if len(parts) == 1 and parts[0][1] and full_name.strip().startswith("`") and "." in parts[0][0]:
        return tuple((part, True) for part in parts[0][0].split("."))
    return tuple(parts)
