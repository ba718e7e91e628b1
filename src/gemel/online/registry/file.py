"""The registry if it is a file. Feast writes over it, so a process that is killed meanwhile leaves a part of it."""

from pathlib import Path

from gemel.errors import BridgeError, reason_of
from gemel.online.config import Registry, RegistryFile
from gemel.online.registry.messages import fields_of


def check_registry(repo: Path, registry: Registry) -> None:
    """Raises BridgeError (G530) if there is a registry that Feast could not read."""
    if isinstance(registry, RegistryFile) and is_broken(registry.path):
        inside = registry.path.is_relative_to(repo.parent)
        name = registry.path.relative_to(repo.parent) if inside else registry.path
        raise BridgeError(
            "G530",
            f"{name} is not a registry of Feast, or only a part of one",
            hint="`gemel features apply` writes it again",
        )


def drop_broken_registry(registry: Registry) -> None:
    """Remove a registry that Feast could not read: applying the definitions writes it again."""
    if isinstance(registry, RegistryFile) and is_broken(registry.path):
        try:
            registry.path.unlink()
        except OSError as error:
            raise BridgeError("G530", f"cannot write to {registry.path.parent}: {reason_of(error)}") from None


def drop_copied_registry(repo: Path, registry: Registry) -> None:
    """Remove a registry that was copied here with the folder.

    Feast's registry has the full path of the online tables, and applying it in a copy drops the tables of the
    original folder. A new registry is built from the generated files. One outside of the folder is no copy.
    """
    mark, here = repo / "data" / "registry.home", str(repo.resolve())
    try:
        if (
            isinstance(registry, RegistryFile)
            and registry.path.resolve().is_relative_to(repo.resolve())
            and registry.path.is_file()
            and mark.is_file()
            and mark.read_text(encoding="utf-8") != here
        ):
            registry.path.unlink()
        if mark.parent.is_dir():
            mark.write_text(here, encoding="utf-8")
    except OSError as error:
        raise BridgeError("G530", f"cannot write to {mark.parent}: {error.strerror or error}") from None


def is_broken(file: Path) -> bool:
    """Whether there is a file that is not a complete protobuf message, or one that ends before the project's name.

    Fields stand in the order of their numbers, and each begins with its length: a file that was cut is noticed unless
    it lacks nothing but the last field, the history of versions.
    """
    try:
        numbers = {field.number for field in fields_of(file.read_bytes())}
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return not numbers & _PROJECT or max(numbers) > _LAST_FIELD


_PROJECT = {15, 17}
"""The fields that name the project, in older and newer releases of Feast."""
_LAST_FIELD = 100
"""More than Feast's Registry has."""
