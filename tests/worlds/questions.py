"""Random queries over any manifest, in a form that MetricFlow and gemel both take."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from gemel.compiler.question.parsing import make_query
from gemel.compiler.question.query import Query
from gemel.spec.manifest import Dimension, Entity, Manifest, SemanticModel
from gemel.spec.metrics import Measure, Metric, Simple

JOINABLE = {"primary": ("primary", "unique", "natural"), "natural": ("primary", "unique")}


@dataclass(frozen=True)
class Question:
    """As text. `group_by` are dunder names; a date part is `metric_time__extract_month`."""

    metrics: tuple[str, ...]
    group_by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    min_max_only: bool = False

    def without_limit(self) -> "Question":
        return replace(self, limit=None)

    def for_gemel(self) -> Query:
        return make_query(
            self.metrics,
            self.group_by,
            where=self.where,
            start=self.start,
            end=self.end,
            order_by=self.order_by,
            limit=self.limit,
            min_max_only=self.min_max_only,
        )

    def for_metricflow(self) -> dict[str, Any]:
        return {
            "metrics": list(self.metrics),
            "group_by": [spelled(name) for name in self.group_by],
            "where": list(self.where),
            "start": self.start,
            "end": self.end,
            "order_by": [spelled(name) for name in self.order_by],
            "limit": self.limit,
            "min_max_only": self.min_max_only,
        }

    def __str__(self) -> str:
        parts = [" ".join(self.metrics) or "-", "by", " ".join(self.group_by) or "-"]
        parts += ["where", " AND ".join(self.where)] if self.where else []
        parts += [f"from {self.start} to {self.end}"] if self.start or self.end else []
        parts += ["order", " ".join(self.order_by)] if self.order_by else []
        parts += [f"limit {self.limit}"] if self.limit is not None else []
        return " ".join(parts) + (" (min/max)" if self.min_max_only else "")


def spelled(name: str) -> str:
    """MetricFlow prints `metric_time__extract_month` but does not read it."""
    if "__extract_" not in name:
        return name
    front, part = name.split("__extract_")
    return called("TimeDimension", front, f"date_part_name='{part}'").strip("{} ")


@dataclass
class Asker:
    """Makes up questions. `values` are what columns hold, to filter by; `days` to constrain to."""

    manifest: Manifest
    values: dict[str, list[Any]]
    days: list[str]
    grains: tuple[str, ...] = ("day", "day", "week", "month", "quarter", "year")
    hops: int = 2
    only: tuple[str, ...] = ()
    _reach: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics = {metric.name: metric for metric in self.manifest.metrics}
        self.models = {model.name: model for model in self.manifest.models}
        self.custom = [name for spine in self.manifest.time_spines for name, _ in spine.custom]
        self.public = [
            m.name for m in self.manifest.metrics if not m.private and (not self.only or m.type in self.only)
        ]

    def question(self, chance: random.Random) -> Question:
        if chance.random() < 0.06 and not self.only:
            return self.values_question(chance)
        metrics = tuple(dict.fromkeys(chance.choices(self.public, k=chance.choice([1, 1, 1, 2, 3]))))
        items = self.shared(metrics)
        times = [name for name in items if is_time(items[name])]
        group_by: list[str] = []
        if chance.random() < (0.95 if self.needs_time(metrics) else 0.6):
            group_by.append(self.metric_time(chance))
            if chance.random() < 0.1:
                group_by.append(self.metric_time(chance))
        if items and chance.random() < 0.6:
            for name in chance.sample(sorted(items), k=min(len(items), chance.choice([1, 1, 2]))):
                group_by.append(self.grained(name, chance) if name in times else name)
        group_by = list(dict.fromkeys(group_by))
        chance.shuffle(group_by)
        where = [self.condition(items, chance) for _ in range(chance.choice([0, 0, 0, 1, 1, 2]))]
        start, end = self.span(chance)
        order, limit = self.order(metrics, group_by, chance)
        return Question(metrics, tuple(group_by), tuple(where), start, end, order, limit)

    def values_question(self, chance: random.Random) -> Question:
        model = chance.choice(list(self.models.values()))
        items = {n: e for n, e in self.reach(model).items() if isinstance(e[1], Dimension) and n.count("__") < 2}
        if not items or chance.random() < 0.2:
            return Question((), (f"metric_time__{chance.choice(self.grains)}",), (), *self.span(chance))
        names = chance.sample(sorted(items), k=min(len(items), chance.choice([1, 1, 2])))
        where = [self.condition(items, chance, timed=False)] if chance.random() < 0.3 else []
        if chance.random() < 0.15:
            where += [text for text in [self.by_metric(items, chance)] if text]
        group_by = tuple(self.grained(name, chance) if is_time(items[name]) else name for name in names)
        return Question((), group_by, tuple(where), min_max_only=len(names) == 1 and chance.random() < 0.3)

    # What the metrics can be asked by

    def shared(self, metrics: Iterable[str]) -> dict[str, Any]:
        found = [self.reach(self.models[measure.model]) for name in metrics for measure in self.asked_measures(name)]
        return {name: found[0][name] for name in found[0] if all(name in other for other in found)}

    def measures(self, name: str) -> list[Measure]:
        definition = self.metrics[name].definition
        if definition.measure:
            return [definition.measure]
        return [measure for used in definition.inputs for measure in self.measures(used.name)]

    def asked_measures(self, name: str) -> list[Measure]:
        """Those whose model the items must be reachable from: of a conversion only the base."""
        definition = self.metrics[name].definition
        inputs = definition.matched[0][:1] if definition.matched else definition.inputs
        if not inputs:
            return self.measures(name)
        return [measure for used in inputs for measure in self.asked_measures(used.name)]

    def needs_time(self, metrics: Iterable[str]) -> bool:
        return any(needs_time(self.metrics, self.metrics[name]) for name in metrics)

    def reach(self, model: SemanticModel) -> dict[str, Any]:
        """Name -> (model, element) of all that is reachable in so many hops."""
        if model.name not in self._reach:
            found: dict[str, Any] = {}
            self._walk(model, (), found, (model.name,))
            self._reach[model.name] = found
        return self._reach[model.name]

    def _walk(self, model: SemanticModel, links: tuple[str, ...], found: dict[str, Any], seen: tuple[str, ...]) -> None:
        key = next((e.name for e in model.entities if e.type == "primary"), model.primary_entity)
        prefix = links or (key,)
        for dimension in model.dimensions:
            found.setdefault("__".join((*prefix, dimension.name)), (model, dimension))
        for entity in model.entities:
            if not links or entity.name != links[-1]:
                found.setdefault("__".join((*links, entity.name)), (model, entity))
            types = JOINABLE["natural" if entity.type == "natural" else "primary"]
            for other in self.models.values():
                keys = [e for e in other.entities if e.name == entity.name and e.type in types]
                if keys and other.name not in seen and len(links) < self.hops and entity.name not in links:
                    self._walk(other, (*links, entity.name), found, (*seen, other.name))

    # Pieces

    def metric_time(self, chance: random.Random) -> str:
        draw = chance.random()
        if draw < 0.1:
            return "metric_time"
        if draw < 0.18:
            return f"metric_time__extract_{chance.choice(['year', 'quarter', 'month', 'day', 'dow', 'doy'])}"
        if self.custom and draw < 0.28:
            return f"metric_time__{chance.choice(self.custom)}"
        return f"metric_time__{chance.choice(self.grains)}"

    def grained(self, name: str, chance: random.Random) -> str:
        draw = chance.random()
        if draw < 0.2:
            return name
        if draw < 0.28:
            return f"{name}__extract_{chance.choice(['year', 'quarter', 'month', 'day', 'dow', 'doy'])}"
        if self.custom and draw < 0.36:
            return f"{name}__{chance.choice(self.custom)}"
        return f"{name}__{chance.choice(['month', 'month', 'year', 'quarter'])}"

    def condition(self, items: dict[str, Any], chance: random.Random, *, timed: bool = True) -> str:
        draw = chance.random()
        if timed and draw < 0.06:
            part, value = chance.choice([("month", 2), ("dow", 3), ("day", 15), ("year", 2024), ("quarter", 1)])
            spoken = chance.choice(
                [
                    f"Dimension('metric_time').date_part('{part}')",
                    f"TimeDimension('metric_time', date_part_name='{part}')",
                ]
            )
            return f"{{{{ {spoken} }}}} {chance.choice(['=', '>', '<>'])} {value}"
        if timed and draw < 0.09:
            first, last = sorted(chance.sample(self.days, 2))
            return f"{{{{ Dimension('metric_time').grain('day') }}}} between '{first}' and '{last}'"
        if timed and (draw < 0.25 or not items):
            grain = chance.choice(["day", "day", "week", "month"])
            operator = chance.choice(["<", ">=", "<=", "="])
            return f"{{{{ TimeDimension('metric_time', '{grain}') }}}} {operator} '{chance.choice(self.days)}'"
        if timed and draw < 0.32:
            by_metric = self.by_metric(items, chance)
            if by_metric:
                return by_metric
        if timed and draw < 0.4:
            return f"({self.condition(items, chance)}) or ({self.condition(items, chance, timed=False)})"
        name = chance.choice(sorted(items))
        _, element = items[name]
        if is_time(items[name]):
            grain = chance.choice(["day", "month"]) if element.grain in ("hour", "day") else element.grain
            text = called("TimeDimension", name, f"'{grain}'")
            return f"{text} {chance.choice(['<', '>='])} '{chance.choice(self.days)}'"
        kind = "Dimension" if isinstance(element, Dimension) else "Entity"
        text = called(kind, name)
        values = sorted({v for v in self.values.get(element.expr, ()) if isinstance(v, str | int | float)}, key=str)[
            :20
        ]
        draw = chance.random()
        if not values or draw < 0.2:
            return f"{text} is {chance.choice(['', 'not '])}null"
        value = chance.choice(values)
        shown = f"'{value}'" if isinstance(value, str) else str(value)
        if draw < 0.3:
            return f"not ({text} = {shown})"
        if draw < 0.35:
            return f"{text} in ({shown}, {shown})"
        if draw < 0.4:
            return f"coalesce({text}, {shown}) = {shown}"
        return f"{text} {chance.choice(['=', '=', '<>'])} {shown}"

    def by_metric(self, items: dict[str, Any], chance: random.Random) -> str | None:
        whole = [name for name in self.public if not self.needs_time([name])]
        whole = [name for name in whole if isinstance(self.metrics[name].definition, Simple)] * 3 + whole
        if not whole:
            return None
        metric = chance.choice(whole)
        known = {name for name, found in self.shared([metric]).items() if isinstance(found[1], Entity)}
        known |= {self.prefixed(metric, name) for name in known if "__" not in name}
        names = [name for name in sorted(known) if name.split("__")[-1] in items]
        if not names:
            return None
        item = f"Metric('{metric}', ['{chance.choice(names)}'])"
        return f"{{{{ {item} }}}} {chance.choice(['>', '<='])} {chance.randint(0, 5)}"

    def prefixed(self, metric: str, name: str) -> str:
        """An entity with the key of the metric's model, if it has one: `view__listing`."""
        keys = {
            next((e.name for e in self.models[measure.model].entities if e.type == "primary"), None)
            for measure in self.asked_measures(metric)
        }
        key = keys.pop() if len(keys) == 1 else None
        return f"{key}__{name}" if key and key != name else name

    def span(self, chance: random.Random) -> tuple[str | None, str | None]:
        if chance.random() < 0.7:
            return None, None
        start, end = sorted(chance.sample(self.days, 2))
        return chance.choice([(start, end), (start, end), (start, None), (None, end)])

    def order(self, metrics: tuple[str, ...], group_by: list[str], chance: random.Random) -> Any:
        if chance.random() < 0.85:
            return (), None
        # `metric_time` alone does not say which of several is meant.
        several = sum(name.startswith("metric_time") for name in group_by) > 1
        items = [name for name in group_by if not (several and name == "metric_time")]
        names = chance.sample([*metrics, *items], k=1)
        return tuple(chance.choice(["", "-"]) + name for name in names), chance.choice([None, 1, 5])


def called(kind: str, name: str, *more: str) -> str:
    """MetricFlow wants a way of two hops apart: `Dimension('region__zone', entity_path=['customer'])`."""
    *path, name = name.rsplit("__", 1 if kind == "Entity" else 2) if name.count("__") > (kind != "Entity") else (name,)
    if path and kind != "Entity":
        name = f"{path.pop()}__{name}"
    more = (*more, "entity_path=[" + ", ".join(f"'{step}'" for step in path) + "]") if path else more
    return "{{ " + kind + "(" + ", ".join((f"'{name}'", *more)) + ") }}"


def is_time(found: Any) -> bool:
    return isinstance(found[1], Dimension) and found[1].is_time


def needs_time(metrics: dict[str, Metric], metric: Metric) -> bool:
    definition = metric.definition
    if not definition.is_formula:
        return definition.accumulated is not None and definition.back is not None
    return any(used.moved or needs_time(metrics, metrics[used.name]) for used in definition.inputs)
