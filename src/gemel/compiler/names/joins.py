"""How one model's rows reach another's columns: many-to-one steps, and the ways that they form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gemel.spec.manifest import Entity, SemanticModel

FARTHEST_HOPS = 8  # where the search for a shortened path gives up

# For each type of entity in the left model, the types in the right model that it may join without multiplying rows.
JOINS = {
    "foreign": ("primary", "unique", "natural"),
    "primary": ("primary", "unique", "natural"),
    "unique": ("primary", "unique", "natural"),
    "natural": ("primary", "unique"),
}


@dataclass(frozen=True, slots=True)
class Hop:
    """One many-to-one step: over `entity` to the model where it is a key."""

    entity: str
    model: str


class Ways:
    """The ways between the models of one manifest. Results are cached, as the manifest never changes."""

    def __init__(self, models: Mapping[str, SemanticModel], entities: Mapping[str, Mapping[str, Entity]]) -> None:
        self._models = models
        self._entities = entities
        self._histories = {name for name, model in models.items() if any(each.validity for each in model.dimensions)}
        self._hops: dict[str, tuple[Hop, ...]] = {}
        self._keyed: dict[str, list[str]] = {}
        for model, by_name in entities.items():
            for entity in by_name.values():
                if entity.type != "foreign":
                    self._keyed.setdefault(entity.name, []).append(model)
        self._before: dict[str, set[str]] = {}
        self._distances: dict[str, dict[str, int]] = {}

    def walks(self, home: str, path: tuple[str, ...], length: int) -> Iterator[tuple[Hop, ...]]:
        """Every walk of `length` hops from `home` that ends with the entities of `path`.

        A walk may reach a model again in another role: the head of an employee's department is an employee. It never
        uses an entity twice.
        """

        def step(model: str, walked: tuple[Hop, ...]) -> Iterator[tuple[Hop, ...]]:
            if len(walked) == length:
                yield walked
                return
            fixed = len(walked) - (length - len(path))
            if path and fixed <= 0 and self._far_from(path[0]).get(model, length) > -fixed:
                return
            passed_history = any(hop.model in self._histories for hop in walked)
            for hop in self.hops(model):
                if fixed >= 0 and hop.entity != path[fixed]:
                    continue
                if passed_history and hop.model in self._histories:
                    continue
                if all(hop.entity != other.entity for other in walked):
                    yield from step(hop.model, (*walked, hop))

        return step(home, ())

    def hops(self, model: str) -> tuple[Hop, ...]:
        """The many-to-one steps out of a model."""
        if model not in self._hops:
            self._hops[model] = tuple(self._find_hops(model))
        return self._hops[model]

    def _find_hops(self, model: str) -> Iterator[Hop]:
        for entity in self._entities[model].values():
            for right in self._keyed.get(entity.name, ()):
                key = self._entities[right].get(entity.name)
                if right == model or key is None or key.type not in JOINS[entity.type]:
                    continue
                if right in self._histories and model in self._histories:
                    continue
                if key.type == "natural" and right not in self._histories:
                    continue
                yield Hop(entity.name, right)

    def partitions(self, home: str, hops: Sequence[Hop]) -> Iterator[tuple[int, str]]:
        """The partition dimensions by which the last of some hops joins, each with the number of hops to the nearest
        earlier model that has it too: 0 for `home` itself."""
        passed = [self._models[home], *(self._models[hop.model] for hop in hops)]
        for dimension in passed.pop().dimensions:
            if dimension.is_partition:
                for place in reversed(range(len(passed))):
                    if any(each.is_partition and each.name == dimension.name for each in passed[place].dimensions):
                        yield place, dimension.name
                        break

    def keyed(self, entity: str) -> Sequence[str]:
        """The models in which an entity is a key."""
        return self._keyed.get(entity, ())

    def prefixes(self, model: str) -> tuple[str, ...]:
        """The entities that can stand in front of a model's own dimensions: its primary entity, then its other keys."""
        primary = self._models[model].primary_entity
        keys = (entity.name for entity in self._entities[model].values() if entity.type != "foreign")
        return tuple(dict.fromkeys(chain((primary,) if primary else (), keys)))

    def has_validity(self, model: str) -> bool:
        """Whether a model has a history: rows that are valid for a time."""
        return model in self._histories

    def entity_to(self, model: str, home: str) -> str | None:
        """The nearest key of `home` to which each row of a model leads."""
        route = self.route(model, lambda hop: hop.model == home)
        return route[-1].entity if route else None

    def route(self, home: str, is_goal: Callable[[Hop], bool]) -> tuple[Hop, ...] | None:
        """The fewest hops from `home` that end with such a hop, however many; one of several ways with as many."""
        reached = {home}
        border: list[tuple[str, tuple[Hop, ...]]] = [(home, ())]
        while border:
            walks = [(hop.model, (*walked, hop)) for model, walked in border for hop in self.hops(model)]
            for _, walk in walks:
                if is_goal(walk[-1]):
                    return walk
            border = list({model: (model, walk) for model, walk in reversed(walks) if model not in reached}.values())
            reached.update(model for model, _ in border)
        return None

    def _far_from(self, entity: str) -> dict[str, int]:
        """The least number of hops from each model to one that has an entity. The search skips models that are too
        far away."""
        if entity not in self._distances:
            if not self._before:
                before: dict[str, set[str]] = {}
                for left in self._models:
                    for hop in self.hops(left):
                        before.setdefault(hop.model, set()).add(left)
                self._before = before  # complete, as other threads read it
            far = {model: 0 for model, entities in self._entities.items() if entity in entities}
            border = list(far)
            while border:
                border = [left for right in border for left in self._step_back(right, far)]
            self._distances[entity] = far
        return self._distances[entity]

    def _step_back(self, right: str, far: dict[str, int]) -> Iterator[str]:
        for left in self._before.get(right, ()):
            if left not in far:
                far[left] = far[right] + 1
                yield left
