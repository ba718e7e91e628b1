"""Keys, values and times as Feast stores them online: version 3 of its key encoding, and hand-written protocol buffers.

Functions take and return whole columns as lists, because a call per value would cost too much. The tests compare all
results with those of Feast's own classes.
"""

import datetime as dt
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gemel.errors import BridgeError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NO_TIME = -(2**63)
"""Feast's encoding of a NULL time in a column that has other times."""

# Of feast.types.Value: the tag byte of a field, and the number of its type in keys.
_STRING, _INT32, _INT64, _DOUBLE, _FLOAT, _BOOL, _TIME = 0x12, 0x18, 0x20, 0x29, 0x35, 0x38, 0x40
_KEY_TYPES = {"string": 2, "int32": 3, "int64": 4}
_INTEGERS = {_INT32, _INT64, _TIME}


class _Memo(dict[Any, bytes]):
    """Encodes each distinct value once: most columns repeat their values."""

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        self.encode = encode

    def __missing__(self, value: Any) -> bytes:
        encoded = self[value] = self.encode(value)
        return encoded


def encode_keys(types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> list[bytes]:
    """The key of each entity row. `types` are by entity, in the order of `columns`; a key sorts entities by name."""
    order = sorted(range(len(types)), key=list(types).__getitem__)
    head = key_prefix(list(types))
    kinds = list(types.values())
    parts = [_encode_key_column(kinds[index], columns[index]) for index in order]
    if len(parts) == 1:
        return [head + part for part in parts[0]]
    return [head + b"".join(row) for row in zip(*parts, strict=True)]


def key_prefix(entities: Sequence[str]) -> bytes:
    """The bytes that all keys of these entities begin with."""
    names = [name.encode() for name in sorted(entities)]
    return struct.pack("<I", len(names)) + b"".join(struct.pack("<II", 2, len(name)) + name for name in names)


def _encode_key_column(type_: str, column: Sequence[Any]) -> list[bytes]:
    number = _KEY_TYPES[type_]
    if type_ == "string":
        encoded = [value.encode() for value in column]
        lengths = _Memo(lambda length: struct.pack("<II", number, length))
        return [lengths[len(value)] + value for value in encoded]
    layout, size = ("<IIi", 4) if type_ == "int32" else ("<IIq", 8)
    pack = struct.Struct(layout).pack
    return [pack(number, size, value) for value in column]


def split_key(key: bytes, entities: int) -> int | None:
    """The end of Feast's key in a Redis key, where the project's name begins. None if it is no such key."""
    place = 4
    try:
        for _ in range(2 * entities):
            (length,) = struct.unpack_from("<I", key, place + 4)
            place += 8 + length
    except struct.error:
        return None
    return place if place <= len(key) else None


def decode_key(key: bytes, types: Mapping[str, str]) -> dict[str, str | int] | None:
    """The key of an entity, from Feast's bytes. None if it is not one of these entities and types."""
    head, values = key_prefix(list(types)), {}
    place = len(head)
    if not key.startswith(head):
        return None
    try:
        for name in sorted(types):
            number, length = struct.unpack_from("<II", key, place)
            value, place = key[place + 8 : place + 8 + length], place + 8 + length
            if number != _KEY_TYPES[types[name]] or place > len(key):
                return None
            values[name] = value.decode() if types[name] == "string" else int.from_bytes(value, "little", signed=True)
    except (struct.error, UnicodeDecodeError):
        return None
    return {name: values[name] for name in types} if place == len(key) else None


Before = Callable[[int], bytes]
"""The bytes before a value of a given size. Packing them together with the value costs nothing."""


def encode_values(type_: str, column: Sequence[Any], before: Before = lambda size: b"") -> list[bytes]:
    """Each value as a serialized feast.types.Value, which is empty for NULL. Times are in microseconds since 1970."""
    match type_:
        case "float64" | "float32":
            layout, tag = (b"d", _DOUBLE) if type_ == "float64" else (b"f", _FLOAT)
            head = before(1 + struct.calcsize(b"<" + layout)) + bytes((tag,))
            pack = struct.Struct(b"<%ds%b" % (len(head), layout)).pack
            nothing = before(0)
            return [nothing if value is None else pack(head, value) for value in column]
        case _:
            encode = _ENCODERS[type_]
            memo = _Memo(lambda value: _after(before, encode(value)))
            memo[None] = before(0)
            return list(map(memo.__getitem__, column))


def _after(before: Before, encoded: bytes) -> bytes:
    return before(len(encoded)) + encoded


def _encode_string(value: str) -> bytes:
    encoded = value.encode()
    return bytes((_STRING,)) + varint(len(encoded)) + encoded


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "int32": lambda value: bytes((_INT32,)) + varint(value),
    "int64": lambda value: bytes((_INT64,)) + varint(value),
    "bool": lambda value: bytes((_BOOL, 1 if value else 0)),
    "string": _encode_string,
    "timestamp": lambda value: bytes((_TIME,)) + varint(value // 1_000_000),
}


def value_texts(type_: str, column: Sequence[Any]) -> list[str | None]:
    """The readable text that Feast stores beside a value in SQLite: numbers and strings as Python writes them."""
    match type_:
        case "string":
            return list(column)
        case "timestamp":
            return [None] * len(column)
        case _:
            return [None if value is None else str(value) for value in column]


def encode_moments(column: Sequence[int], before: Before = lambda size: b"") -> list[bytes]:
    """Microseconds since 1970, each as a serialized google.protobuf.Timestamp."""
    return list(map(_Memo(lambda moment: _after(before, _encode_moment(moment))).__getitem__, column))


def _encode_moment(moment: int) -> bytes:
    seconds, rest = divmod(moment, 1_000_000)
    return (b"\x08" + varint(seconds) if seconds else b"") + (b"\x10" + varint(rest * 1000) if rest else b"")


def decode_moment(encoded: bytes) -> int:
    """Microseconds since 1970. Raises BridgeError (G563) if it is no time."""
    fields, place = {8: 0, 16: 0}, 0
    try:
        while place < len(encoded):
            tag = encoded[place]
            fields[tag], place = _read_varint(encoded, place + 1)
        decode_time(fields[8] * 1_000_000)
    except (IndexError, OverflowError):
        raise BridgeError(
            "G563",
            f"the online store has a time that gemel did not write: {encoded[:20].hex()}",
            hint="run `gemel features materialize`, which rewrites the values",
        ) from None
    return fields[8] * 1_000_000 + fields[16] // 1000


def decode_value(encoded: bytes) -> Any:
    """The content of a serialized feast.types.Value. Raises BridgeError (G563) if no feature of ours can have it."""
    if not encoded:
        return None
    tag = encoded[0]
    try:
        if tag in _INTEGERS:
            value = _read_varint(encoded, 1)[0]
            return (None if value == NO_TIME else decode_time(value * 1_000_000)) if tag == _TIME else value
        match tag:
            case 0x29:
                return struct.unpack_from("<d", encoded, 1)[0]
            case 0x35:
                return struct.unpack_from("<f", encoded, 1)[0]
            case 0x38:
                return encoded[1] != 0
            case 0x12:
                length, place = _read_varint(encoded, 1)
                if place + length == len(encoded):
                    return encoded[place:].decode()
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError):
        pass
    raise BridgeError(
        "G563",
        f"the online store has a value that gemel did not write: {encoded[:20].hex()}",
        hint="run `gemel features materialize`, which rewrites the values",
    )


def decode_time(moment: int) -> dt.datetime:
    """A time in UTC from microseconds since 1970."""
    return EPOCH + dt.timedelta(microseconds=moment)


def varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; a negative number as 64 bits in two's complement."""
    if 0 <= value < 128:
        return bytes((value,))
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(encoded: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = encoded[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value - 2**64 if value >= 2**63 else value, place
