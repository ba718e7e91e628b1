"""A function of the warehouse that a project lets questions call."""

from dataclasses import dataclass

from gemel.errors import Place


@dataclass(frozen=True, slots=True)
class WarehouseFunction:
    """`initials(value text) -> text`. `calls` is the warehouse's name for it, if it is another."""

    signature: str
    calls: str | None = None
    description: str | None = None
    place: Place | None = None
