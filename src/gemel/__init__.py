"""gemel: the metrics that a business reads and the features that its models learn from, from one definition."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemel.errors import GemelError
    from gemel.project import Answer, Project, load

__all__ = ["Answer", "GemelError", "Project", "load"]

_HOMES = {
    "Answer": "gemel.project",
    "GemelError": "gemel.errors",
    "Project": "gemel.project",
    "load": "gemel.project",
}


def __getattr__(name: str) -> Any:
    # `import gemel` alone must cost nothing: what is behind a name is imported when it is asked for.
    if name not in _HOMES:
        raise AttributeError(f"module 'gemel' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
