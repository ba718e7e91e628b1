"""Every error that gemel raises: one family, split by what the user does next, each with a code.

`docs/errors.md` shows each code with input that provokes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""An error cannot be used. A warning works, but will surprise someone. A note is worth knowing once."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file. `line` and `column` count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class About:
    """The definition that an error is about, from which its place can be looked up: `("metric", "revenue")`.

    `kind` is `metric`, `semantic_model`, `saved_query`, `time_spine`, `feature_view` or `feature_service`;
    `element` is a measure, dimension, entity or feature of it; `path` leads further into its YAML, key by key.
    """

    kind: str
    name: str
    element: str | None = None
    path: tuple[str | int, ...] = ()


class GemelError(Exception):
    """An error that a user can act on: a code, what is wrong, where, and what to do.

    A terminal shows its str():

        metrics/core.yml:7:5: G201 no metric named 'revnue'
          hint: did you mean revenue?

    A warning or note (see `severity`) is never raised, only reported.
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
    """A definition in the project must change (G1xx)."""


class UnknownNameError(GemelError):
    """Nothing has this name (G2xx)."""


class QueryError(GemelError):
    """The query must change (G3xx)."""


class WarehouseError(GemelError):
    """The database reported an error, or cannot be reached (G4xx)."""


class BridgeError(GemelError):
    """Features, feature tables, Feast and the online store (G5xx)."""


class ProjectError(GemelError):
    """The project, its manifest or its profile is missing or cannot be read (G6xx)."""


class BiError(GemelError):
    """Models for BI tools: saved queries as tables, wide views and their consumers (G70x)."""


class FormatError(GemelError):
    """Another tool's format cannot express a definition, or its file cannot be read (G72x)."""


class Problems(GemelError):
    """Several errors of one pass, in `errors`."""

    def __init__(self, errors: Iterable[GemelError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(first.code, first.message, hint=first.hint, place=first.place, about=first.about)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def reason_of(error: Exception) -> str:
    """The reason of another library's or the system's error: an OSError's without its number and its file."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint with the candidates nearest to `name`; None if none is near."""
    folded = {candidate.lower(): candidate for candidate in candidates}
    near = [folded[match] for match in get_close_matches(name.lower()[:200], folded, n=3, cutoff=0.6)]
    return f"did you mean {' or '.join(near)}?" if near else None
