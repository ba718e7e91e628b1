"""Messages in protobuf's encoding, as their fields: enough to change some and keep all others, without Feast's
classes."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gemel.online.encoding import varint

NUMBER, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How the value of a field is encoded."""


class Field(NamedTuple):
    """A field of a message. `value` is a number, or the bytes of a text, a message, or a number of fixed length."""

    number: int
    kind: int
    value: int | bytes


def fields_of(content: bytes) -> Iterator[Field]:
    """The fields of a message, in order. Raises ValueError if it ends within one, or is no message."""
    place = 0
    while place < len(content):
        tag, place = _number(content, place)
        number, kind = tag >> 3, tag & 7
        if kind == NUMBER:
            value, place = _number(content, place)
            yield Field(number, kind, value)
            continue
        if kind == BYTES:
            length, place = _number(content, place)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"there is no encoding {kind}")
        if place + length > len(content):
            raise ValueError("the message ends within a field")
        yield Field(number, kind, content[place : place + length])
        place += length


def message(fields: Iterable[Field]) -> bytes:
    """The message with these fields."""
    parts: list[bytes] = []
    for number, kind, value in fields:
        parts.append(varint(number << 3 | kind))
        if isinstance(value, int):
            parts.append(varint(value))
        else:
            parts += [varint(len(value)), value] if kind == BYTES else [value]
    return b"".join(parts)


def embedded(number: int, fields: Iterable[Field]) -> Field:
    """A field that is a message of its own."""
    return Field(number, BYTES, message(fields))


def text_at(fields: Iterable[Field], number: int) -> str:
    """The text of a field, empty if it is not there."""
    return b"".join(each.value for each in fields if each.number == number and isinstance(each.value, bytes)).decode()


def number_at(fields: Iterable[Field], number: int) -> int:
    """The number of a field, 0 if it is not there."""
    value = next((each.value for each in fields if each.number == number and isinstance(each.value, int)), 0)
    return value if value < 1 << 63 else value - (1 << 64)


def message_at(fields: Iterable[Field], number: int) -> list[Field]:
    """The fields of the message in a field, none if it is not there."""
    return [inner for each in fields if each.number == number for inner in fields_of(_bytes(each))]


def _bytes(field: Field) -> bytes:
    if isinstance(field.value, int):
        raise ValueError(f"field {field.number} is a number")
    return field.value


def _number(content: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place after it."""
    number = shift = 0
    while place < len(content) and shift < 70:
        byte = content[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
    raise ValueError("the message ends within a number")
