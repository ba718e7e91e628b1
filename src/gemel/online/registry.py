"""Feast's registry file. Feast writes over it, so a process that is killed meanwhile leaves a part of it."""

from pathlib import Path

from gemel.errors import BridgeError, reason_of


def check_registry(repo: Path) -> None:
    """Raises BridgeError (G530) if there is a registry that Feast could not read."""
    if is_broken(registry_of(repo)):
        raise BridgeError(
            "G530",
            f"{registry_of(repo).relative_to(repo.parent)} is not a registry of Feast, or only a part of one",
            hint="`gemel features apply` writes it again",
        )


def drop_broken_registry(repo: Path) -> None:
    """Remove a registry that Feast could not read: applying the definitions writes it again."""
    if is_broken(registry_of(repo)):
        try:
            registry_of(repo).unlink()
        except OSError as error:
            raise BridgeError("G530", f"cannot write to {registry_of(repo).parent}: {reason_of(error)}") from None


def registry_of(repo: Path) -> Path:
    """Where the registry is, if it is a file."""
    return repo / "data" / "registry.db"


def is_broken(file: Path) -> bool:
    """Whether there is a file that is not a complete protobuf message, or one that ends before the project's name.

    Fields stand in the order of their numbers, and each begins with its length: a file that was cut is noticed unless
    it lacks nothing but the last field, the history of versions.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    place, fields = 0, set()
    while place < len(content):
        tag, place = _read_number(content, place)
        match tag & 7:
            case 0:
                _, place = _read_number(content, place)
            case 1:
                place += 8
            case 2:
                length, place = _read_number(content, place)
                place += length
            case 5:
                place += 4
            case _:
                return True
        fields.add(tag >> 3)
    return place > len(content) or not fields & _PROJECT or max(fields) > _LAST_FIELD


_PROJECT = {15, 17}
"""The fields that name the project, in older and newer releases of Feast."""
_LAST_FIELD = 100
"""More than Feast's Registry has."""


def _read_number(content: bytes, place: int) -> tuple[int, int]:
    """A protobuf varint, and the place after it; past the end if it is not complete."""
    number = shift = 0
    while place < len(content):
        byte = content[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
    return number, place + 1
