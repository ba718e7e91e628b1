"""Reads single values of JSON objects. Each function raises DefinitionError (G121, G122) for an invalid value.

`text_or_none` and `object_or_empty` raise nothing: they treat a value of another type as missing.
"""

from typing import Any

from gemel.errors import DefinitionError, did_you_mean

Json = dict[str, Any]


def name_of(item: Json) -> str:
    return text(item, "name").lower()


def text(item: Json, key: str) -> str:
    value = item.get(key)
    if isinstance(value, str) and value:
        return value
    optional_text(item, key)  # says what else it is
    raise DefinitionError("G121", f"{key} is missing")


def optional_text(item: Json, key: str) -> str | None:
    """The text under a key; None for an empty one."""
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise DefinitionError("G121", f"{key} must be a text, not {short_repr(value)}")
    return value or None


def text_or_none(item: Json, key: str) -> str | None:
    """The text under a key; None for an empty one and for any other value."""
    value = item.get(key)
    return value if isinstance(value, str) and value else None


def texts(item: Json, key: str) -> tuple[str, ...]:
    values = item.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DefinitionError("G121", f"{key} must be a list of texts, not {short_repr(values)}")
    return tuple(values)


def expression(item: Json) -> str | None:
    """SQL text. YAML gives `expr: 1` and `expr: true` as a number and a boolean."""
    value = item.get("expr")
    match value:
        case None | "":
            return None
        case str():
            return value
        case bool() | int() | float():
            return str(value).lower()
        case _:
            raise DefinitionError("G121", f"expr must be SQL, not {short_repr(value)}")


def object_at(item: Json, key: str) -> Json | None:
    value = item.get(key)
    if value is not None and not isinstance(value, dict):
        raise DefinitionError("G121", f"{key} must be an object, not {short_repr(value)}")
    return value


def object_or_empty(item: Json, key: str) -> Json:
    """The object under a key; an empty one for any other value."""
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def object_or_name(item: Json, key: str) -> Json | None:
    return {"name": item[key]} if isinstance(item.get(key), str) else object_at(item, key)


def objects(item: Json, key: str) -> list[Json]:
    values = item.get(key)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def choice(item: Json, key: str, choices: tuple[str, ...], *, default: str | None = None) -> str:
    value = item.get(key)
    if value is None:
        value = default
    if isinstance(value, str) and value.lower() in choices:
        return value.lower()
    if value is None:
        raise DefinitionError("G121", f"{key} is missing", hint=f"one of {', '.join(choices)}")
    near = did_you_mean(value, choices) if isinstance(value, str) else None
    raise DefinitionError("G122", f"{key} cannot be {short_repr(value)}", hint=near or f"one of {', '.join(choices)}")


def short_repr(value: object) -> str:
    """A value as it appears in messages, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def format_count(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`, `2 saved queries`"""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(kind: str) -> str:
    words = kind.replace("_", " ")
    return words[:-1] + "ies" if words.endswith("y") else words + "s"
