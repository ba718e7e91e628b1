"""The state of reading one manifest: the definitions read so far, and all errors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from gemel.errors import About, DefinitionError, GemelError, did_you_mean
from gemel.spec.fields import Json, plural, short_repr
from gemel.spec.manifest import SemanticModel
from gemel.spec.metrics import Measure, Metric
from gemel.spec.time import GRAINS

T = TypeVar("T")


class Reported(Exception):
    """The cause is already among the problems, and must not be reported again."""


@dataclass(slots=True)
class Definitions:
    """The definitions read so far. A measure that is None exists, but is invalid."""

    problems: list[GemelError] = field(default_factory=list)
    grains: tuple[str, ...] = GRAINS
    models: dict[str, SemanticModel] = field(default_factory=dict)
    measures: dict[str, Measure | None] = field(default_factory=dict)
    metric_names: set[str] = field(default_factory=set)
    private: dict[str, Metric] = field(default_factory=dict)

    def read_each(
        self,
        parent: Json,
        key: str,
        kind: str,
        read: "Callable[[Json, Definitions], T]",
        *,
        inside: About | None = None,
    ) -> tuple[T, ...]:
        """Every valid item under `key`; the others become problems."""
        results: list[T] = []
        names: set[str] = set()
        items = parent.get(key) or []
        if not isinstance(items, list):
            self.refuse("G121", f"{key} must be a list, not {short_repr(items)}", inside)
            return ()
        for item in items:
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name.strip():
                self.refuse("G121", f"a {kind.replace('_', ' ')} has no name", inside)
                continue
            about = About(inside.kind, inside.name, name.lower()) if inside else About(kind, name.lower())
            if name.lower() in names:
                self.refuse("G125", f"two {plural(kind)} are named {name.lower()!r}", about)
                continue
            names.add(name.lower())
            try:
                results.append(read(item, self))
            except Reported:
                continue
            except DefinitionError as error:
                error.about = about
                self.problems.append(error)
        return tuple(results)

    def refuse(self, code: str, message: str, about: About | None) -> None:
        self.problems.append(DefinitionError(code, message, about=about))

    def suggest(self, name: str, names: Iterable[str]) -> str | None:
        """A hint with a similar name, for the first few problems only: each hint compares all names."""
        return did_you_mean(name, names) if len(self.problems) < 20 else None

    def model(self, name: str) -> SemanticModel:
        if name not in self.models:
            raise DefinitionError("G101", f"no semantic model is named {name!r}", hint=self.suggest(name, self.models))
        return self.models[name]

    def measure(self, name: str) -> Measure:
        if name not in self.measures:
            raise DefinitionError("G101", f"no measure is named {name!r}", hint=self.suggest(name, self.measures))
        measure = self.measures[name]
        if measure is None:
            raise Reported
        return measure

    def check_metric(self, name: str) -> str:
        if name not in self.metric_names:
            raise DefinitionError("G101", f"no metric is named {name!r}", hint=self.suggest(name, self.metric_names))
        return name
