"""Everything that gemel can refuse. One family, split by what the user does next, a code each.

`docs/errors.md` shows each code with the input that provokes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""An error is refused. A warning works, and will surprise someone. A note is worth knowing once."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something is written. `line` and `column` count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class About:
    """The definition that an error speaks of, for whoever can look its place up: `("metric", "revenue")`.

    `kind` is `metric`, `semantic_model`, `saved_query`, `time_spine`, `feature_view` or `feature_service`;
    `element` is a measure, dimension, entity or feature inside it; `path` leads further into its YAML, key by key.
    """

    kind: str
    name: str
    element: str | None = None
    path: tuple[str | int, ...] = ()


class GemelError(Exception):
    """A refusal that a user can act on: a code, what is wrong, where, and the way out.

    str() is what a terminal shows:

        metrics/core.yml:7:5: G201 no metric named 'revnue'
          hint: did you mean revenue?

    One of another `severity` is never raised, only told.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        place: Place | None = None,
        about: About | None = None,
        severity: Severity = "error",
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.hint = hint
        self.place = place
        self.about = about
        self.severity = severity

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        where += f"{self.severity} " if self.severity != "error" else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{where}{self.code} {self.message}{hint}"


class DefinitionError(GemelError):
    """A definition in the project has to change (G1xx)."""


class UnknownNameError(GemelError):
    """A name that nothing has (G2xx)."""


class QueryError(GemelError):
    """The question cannot be asked like this (G3xx)."""


class WarehouseError(GemelError):
    """The database said no, or is not there (G4xx)."""


class BridgeError(GemelError):
    """Features, feature tables, Feast and the online store (G5xx)."""


class ProjectError(GemelError):
    """No project, no manifest, a profile that cannot be read (G6xx)."""


class BiError(GemelError):
    """What BI tools read: saved queries as tables, wide views and their consumers (G70x)."""


class FormatError(GemelError):
    """Another tool's format: it cannot say something, or a file of it cannot be read (G72x)."""


class Problems(GemelError):
    """Several refusals found in one pass. `errors` holds each."""

    def __init__(self, errors: Iterable[GemelError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(first.code, first.message, hint=first.hint, place=first.place, about=first.about)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known names, or None where none is near."""
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    near = [folded[match] for match in get_close_matches(name.lower()[:200], folded, n=3, cutoff=0.6)]
    return f"did you mean {' or '.join(near)}?" if near else None
