"""What the reference evaluator stands on: a manifest's names, the rows of its tables, joins, the time spine."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp

from gemel.compiler.question.query import Item, MetricItem
from gemel.spec.manifest import Dimension, Entity, Manifest, SemanticModel
from gemel.spec.metrics import Measure, Metric, MetricInput
from gemel.spec.time import DATE_PARTS, Window, coarsest, is_standard
from reference_values import Filter, Ref, date_part, expression, minus, parse, parse_filter, rank, to_ref, truncate

Row = dict[str, Any]
Hop = tuple[str, str]
Element = Dimension | Entity
JOINABLE = {
    "foreign": ("primary", "unique", "natural"),
    "primary": ("primary", "unique", "natural"),
    "unique": ("primary", "unique", "natural"),
    "natural": ("primary", "unique"),
}


class Undefined(Exception):
    """This query has no defined meaning."""


@dataclass(eq=False)
class Fact:
    """One row of a model. `clock` names the dimension that is its metric's time, `time` is that, cut to its grain."""

    model: SemanticModel
    row: Row
    clock: str | None = None
    known: dict[Any, Any] = field(default_factory=dict)

    @property
    def time(self) -> dt.datetime | None:
        return self.element(self.clock) if self.clock else None

    def element(self, name: str) -> Any:
        """The value of a dimension (a time is cut to its grain) or entity of the row's own model.

        A key of several columns of which one is NULL is no key.
        """
        found = element_of(self.model, name)
        value = self.raw(found.expr)
        if isinstance(value, tuple) and None in value:
            return None
        return truncate(value, found.grain) if isinstance(found, Dimension) and found.is_time else value

    def raw(self, expr: str) -> Any:
        if expr not in self.known:
            self.known[expr] = expression(expr, self.row.__getitem__)
        return self.known[expr]


@dataclass
class World:
    """The manifest's names and the tables' rows."""

    manifest: Manifest
    tables: dict[str, list[Row]]
    by_entity: Callable[["World", Ref], dict[Any, Any]]
    known: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.models = {model.name: model for model in self.manifest.models}
        self.metrics = {metric.name: metric for metric in self.manifest.metrics}
        self.custom = {name: (spine, column) for spine in self.manifest.time_spines for name, column in spine.custom}
        self.periods = {
            name: {
                truncate(row[spine.column], spine.grain): expression(column, row.__getitem__)
                for row in self.tables[spine.relation.name]
            }
            for name, (spine, column) in self.custom.items()
        }

    # names

    def measures(self, metric: Metric) -> list[Measure]:
        definition = metric.definition
        if definition.measure:
            return [definition.measure]
        return [measure for used in definition.inputs for measure in self.measures(self.metrics[used.name])]

    def grain_of(self, measure: Measure) -> str:
        return element_of(self.models[measure.model], measure.time_dimension).grain

    def standard(self, grain: str) -> str:
        return grain if is_standard(grain) else self.custom[grain][0].grain

    def complete(self, item: Item | MetricItem, metrics: Sequence[Metric]) -> Ref:
        """An item with its grain. Without one, metric_time is by the day, unless a metric says or is otherwise."""
        ref = to_ref(item, self.custom)
        if ref.grain or ref.part or ref.entities:
            return ref
        if ref.name == "metric_time":
            return replace(ref, grain=coarsest([self.default_grain(metric) for metric in metrics] or ["day"]))
        found = next((way[1] for model in self.models.values() if (way := self.way(model, ref.links, ref.name))), None)
        if found is None and ref.links and ref.name in self.components(ref.links[-1]):
            return Ref(ref.links[-1], ref.links[:-1], component=ref.name)
        return replace(ref, grain=found.grain) if isinstance(found, Dimension) and found.is_time else ref

    def components(self, entity: str) -> tuple[str, ...]:
        """The columns of a composite entity, named by the model that it is the key of."""
        entities = (e for model in self.models.values() for e in model.entities if e.name == entity)
        keys = [e.expr for e in entities if e.type == "primary"]
        tree = parse(keys[0]) if keys else None
        return tuple(column.name for column in tree.expressions) if isinstance(tree, exp.Tuple) else ()

    def single(self, ref: Ref) -> list[Ref]:
        """An item as the columns that it is shown by: an entity of several columns as each."""
        names = () if ref.component or ref.entities else self.components(ref.name)
        return [replace(ref, component=name) for name in names] or [ref]

    def default_grain(self, metric: Metric) -> str:
        return metric.time_granularity or coarsest(["day", *map(self.grain_of, self.measures(metric))])

    def filter(self, text: str, metrics: Sequence[Metric]) -> Filter:
        key = (text, tuple(metric.name for metric in metrics))
        if key not in self.known:
            self.known[key] = parse_filter(text, lambda item: self.complete(item, metrics))
        return self.known[key]

    def filters(self, metric: Metric, used: MetricInput | None = None) -> tuple[Filter, ...]:
        """The metric's own filters, or those that it gets where another metric uses it."""
        return tuple(self.filter(text, [metric]) for text in (metric if used is None else used).filters)

    def column(self, ref: Ref) -> str:
        suffix = f"extract_{ref.part}" if ref.part else ref.grain or ref.component
        return "__".join((*ref.links, ref.name, *([suffix] if suffix else [])))

    # joins

    def way(self, model: SemanticModel, links: Sequence[str], name: str) -> tuple[tuple[Hop, ...], Element] | None:
        """The hops to an element, each an entity and the model where it is a key; the fewest.

        `customer__region__zone`: over customer to a model with a region, over region to a model with a zone. A
        model's own dimensions are called by a key of it: `order__status`. A key of the model where the way stands
        may be said, too, where it leads nowhere else: `order__customer__segment` of an order.
        """
        mine = [e for e in (*model.dimensions, *model.entities) if e.name == name]
        own = [key_of(model), *(entity.name for entity in model.entities if entity.type != "foreign")]
        if mine and ((len(links) == 1 and links[0] in own) or (not links and isinstance(mine[0], Entity))):
            return (), mine[0]
        ways = []
        for entity in model.entities:
            for other in self.models.values():
                keys = [e for e in other.entities if e.name == entity.name and e.type in JOINABLE[entity.type]]
                if links and entity.name == links[0] and keys and other is not model:
                    there = [e for e in (*other.dimensions, *other.entities) if e.name == name]
                    rest = ((), there[0]) if len(links) == 1 and there else None
                    rest = self.way(other, links[1:], name) if len(links) > 1 else rest
                    ways += [(((entity.name, other.name), *rest[0]), rest[1])] if rest else []
        if not ways and len(links) > 1 and links[0] in own:
            return self.way(model, links[1:], name)
        return min(ways, key=lambda way: len(way[0]), default=None)

    def follow(self, fact: Fact, hops: Iterable[Hop]) -> Fact | None:
        """The one row that a fact leads to, or none."""
        way = [fact]
        for hop in hops:
            step: tuple[Any, ...] = (*hop, fact.time)
            if step not in way[-1].known:  # as it is for a row that no fact leads to
                step = (*step, *partitions(way, self.models[hop[1]]).items())
            if step not in way[-1].known:
                rows = [row for row in self.rows(hop[1]) if meets(way, row, hop[0], fact.time)]
                if len(rows) > 1 and any(dimension.validity for dimension in rows[0].model.dimensions):
                    raise Undefined("a fact with two versions of what it leads to")
                way[-1].known[step] = rows[0] if rows else None
            there = way[-1].known[step]
            if there is None:
                return None
            way.append(there)
        return way[-1]

    def rows(self, name: str) -> list[Fact]:
        if ("rows", name) not in self.known:
            model = self.models[name]
            self.known["rows", name] = [Fact(model, row) for row in self.tables[model.relation.name]]
        return self.known["rows", name]

    def facts(self, measure: Measure) -> list[Fact]:
        model = self.models[measure.model]
        return [Fact(model, row, measure.time_dimension) for row in self.tables[model.relation.name]]

    def meeting(self, refs: Sequence[Ref]) -> list[Fact]:
        """The rows of the model that is nearest to all items, and the rows elsewhere that none of them leads to."""
        ways = {name: [self.way(model, ref.links, ref.name) for ref in refs] for name, model in self.models.items()}
        hops = {name: dict.fromkeys(way[0] for way in found) for name, found in ways.items() if None not in found}
        if not hops:
            raise Undefined("items that do not meet")
        home = min(hops, key=lambda name: len([way for way in hops[name] if way]))
        reached = [self.models[name] for way in hops[home] for _, name in way]
        if any(dimension.validity for model in reached for dimension in model.dimensions):
            raise Undefined("a history needs a moment to be read at")
        facts = [Fact(self.models[home], row) for row in self.tables[self.models[home].relation.name]]
        strangers = []
        for way in filter(None, hops[home]):
            met = [self.follow(fact, way) for fact in facts]
            nowhere = {(*other[0], None): None for other in hops[home] if other} | {(): None}
            strangers += [
                Fact(self.models[home], {}, None, {**nowhere, (*way[0], None): row})
                for row in self.rows(way[-1][1])
                if row not in met
            ]
        return facts + strangers

    # values

    def value(self, ref: Ref, fact: Fact | None, moment: dt.datetime | None) -> Any:
        """What an item says of a fact seen at a moment. The metric's own time is read off the moment."""
        if ref.name == "metric_time" or (fact is not None and fact.clock and is_clock(ref, fact.model, fact.clock)):
            return self.at(moment, ref)
        if ref.entities:
            return self.metric_value(ref, fact)
        way = self.way(fact.model, ref.links, ref.name)
        if way is None:
            raise Undefined(f"{self.column(ref)} cannot be reached from {fact.model.name}")
        hops, element = way
        target = self.follow(fact, hops) if hops else fact.known.get((), fact)
        if target is None:
            return None
        value = target.raw(element.expr)
        if ref.component:
            return value[self.components(ref.name).index(ref.component)]
        return (
            self.at(truncate(value, element.grain), ref)
            if isinstance(element, Dimension) and element.is_time
            else value
        )

    def metric_value(self, ref: Ref, fact: Fact) -> Any:
        """`Metric('orders', ['customer'])`: the whole metric by that entity; NULL where there is none.

        The metric's facts have the entity by its whole path, `view__listing` of views. The fact here has the entity
        alone, `listing` of bookings; if not, as much of the path as it needs.
        """
        if ref not in self.known:
            self.known[ref] = self.by_entity(self, ref)
        entity = ref.entities[0]
        paths = [entity.links[start:] for start in range(len(entity.links), -1, -1)]
        ours = next((links for links in paths if self.way(fact.model, links, entity.name)), entity.links)
        parts = self.single(replace(entity, links=ours))
        return self.known[ref].get(tuple(self.value(part, fact, fact.time) for part in parts))

    def holds(self, test: Filter, fact: Fact | None, moment: dt.datetime | None) -> bool:
        return test.holds([self.value(ref, fact, moment) for ref in test.refs])

    # time

    def at(self, moment: dt.datetime | None, ref: Ref) -> Any:
        if moment is None:
            return None
        return date_part(moment, ref.part) if ref.part else self.period(moment, ref.grain)

    def period(self, moment: dt.datetime | None, grain: str) -> Any:
        """The period that a moment is in. Outside of a custom grain's spine there is none."""
        if moment is None or is_standard(grain):
            return truncate(moment, grain)
        return self.periods[grain].get(truncate(moment, self.standard(grain)))

    def moment_items(self, measure: Measure, items: Iterable[Ref]) -> list[Ref]:
        """The items that read the metric's time: metric_time, or the measure's own time dimension by its name."""
        return [item for item in items if is_clock(item, self.models[measure.model], measure.time_dimension)]

    def only_time(self, test: Filter, measure: Measure) -> bool:
        return bool(test.refs) and self.moment_items(measure, test.refs) == list(test.refs)

    def speaks_of_time(self, test: Filter, metric: Metric) -> bool:
        return any(self.moment_items(measure, test.refs) for measure in self.measures(metric))

    def step(self, times: Sequence[Ref], unit: str, *, to_start: bool) -> str | None:
        """The grain by which results can move as a whole: the finest asked one, no coarser than the offset's unit.

        None where there is none, or where something asked cannot be read off the start of such a period.
        """
        grains = {item.grain or DATE_PARTS[item.part] for item in times}
        if not any(item.grain for item in times) or (to_start and self.finest(times) == "week"):
            return None
        if grains == {unit}:
            return unit
        if not all(map(is_standard, (*grains, unit))):
            return None
        finest = self.finest(times)
        if finest == "week" and (grains != {"week"} or rank(unit) > rank("week")):
            return None
        return finest if rank(finest) <= min(map(rank, (*grains, unit))) else None

    def spine_step(self, measure: Measure, spoken: Iterable[Ref], *units: str | None) -> str:
        """The grain by which facts meet the time spine: their own; that of the finest spine, if it is coarser and no
        time that is asked or filtered by, and no window, is finer than the spine."""
        own = self.grain_of(measure)
        finest = min((spine.grain for spine in self.manifest.time_spines), key=rank)
        if rank(finest) <= rank(own):
            return own
        grains = [self.standard(ref.grain or DATE_PARTS[ref.part]) for ref in spoken]
        grains += [self.standard(unit) for unit in units if unit]
        if any(rank(grain) < rank(finest) for grain in grains):
            raise Undefined("a time spine that is not fine enough")
        return finest

    def step_of_facts(self, measure: Measure, unit: str, spoken: Iterable[Ref]) -> str:
        """The grain by which facts move; by custom periods the one that those are made of, if the metric knows it."""
        own = self.grain_of(measure)
        if is_standard(unit):
            return self.spine_step(measure, spoken, unit)
        if rank(self.standard(unit)) < rank(own):
            raise Undefined("custom periods that are finer than the facts")
        return self.standard(unit)

    def finest(self, items: Iterable[Ref]) -> str:
        """The finest asked grain, a custom one only if there is no other."""
        grains = [item.grain for item in items if item.grain]
        if not grains:
            raise Undefined("a date part says no moment")
        return min(filter(is_standard, grains), key=rank, default=grains[0])

    def spine_grain(self, refs: Iterable[Ref]) -> str:
        """The grain by which a spine has all of some times; a date part is read off days.

        That of a custom grain, if its spine is fine enough for the others.
        """
        grains = [ref.grain or "day" for ref in refs]
        finest = min(map(self.standard, grains), key=rank, default="day")
        return next((g for g in grains if not is_standard(g) and rank(self.standard(g)) <= rank(finest)), finest)

    def spine(self, grain: str) -> list[dt.datetime]:
        """All moments of the spine for a grain: the coarsest spine that is fine enough."""
        if ("spine", grain) not in self.known:
            fine = [spine for spine in self.manifest.time_spines if rank(spine.grain) <= rank(self.standard(grain))]
            if not fine:
                raise Undefined("a time spine that is not fine enough")
            table = max(fine, key=lambda spine: rank(spine.grain)) if is_standard(grain) else self.custom[grain][0]
            rows = self.tables[table.relation.name]
            self.known["spine", grain] = sorted(truncate(row[table.column], table.grain) for row in rows)
        return self.known["spine", grain]

    def moments(
        self, grain: str, within: Callable[[dt.datetime], bool] = lambda moment: True, spoken: Iterable[Ref] = ()
    ) -> list[dt.datetime]:
        """The spine's periods, by their first moment, of which any moment is within bounds.

        The spine has the times that are `spoken` of, too.
        """
        result: dict[Any, dt.datetime] = {}
        for moment in filter(within, self.spine(self.spine_grain([Ref("metric_time", grain=grain), *spoken]))):
            start = truncate(moment, grain) if is_standard(grain) else moment
            result.setdefault(self.period(moment, grain), start)
        return list(result.values())

    def back(self, moment: dt.datetime, shift: Window | str, step: str) -> Any:
        """The period (of `step`) that an offset looks at from a moment; none where there is no such period.

        By custom periods, a day looks at the same day of the period so many before, if that is long enough.
        """
        if isinstance(shift, str):
            return truncate(moment, shift)
        if is_standard(shift.unit):
            return minus(moment, shift)
        days = self.periods[shift.unit]
        periods = sorted(set(days.values()))
        here = days.get(truncate(moment, self.standard(shift.unit)))
        place = periods.index(here) - shift.count if here in periods else -1
        if place < 0 or step == shift.unit:
            return periods[place] if place >= 0 else None
        if rank(step) < rank(self.standard(shift.unit)):
            raise Undefined("custom periods are made of days, and have no hours")
        nth = sorted(day for day in days if days[day] == here).index(moment)
        target = sorted(day for day in days if days[day] == periods[place])
        return target[nth] if nth < len(target) else None


def element_of(model: SemanticModel, name: str) -> Element:
    return next(e for e in (*model.dimensions, *model.entities) if e.name == name)


def key_of(model: SemanticModel) -> str | None:
    return next((entity.name for entity in model.entities if entity.type == "primary"), model.primary_entity)


def is_clock(ref: Ref, model: SemanticModel, clock: str) -> bool:
    return ref.name == "metric_time" or (ref.links == (key_of(model),) and ref.name == clock)


def partitions(way: Sequence[Fact], model: SemanticModel) -> dict[str, Any]:
    """The partition of a model that a way is in: of each of its partition dimensions, the value in the nearest row
    before, perhaps the fact itself, whose model has that dimension too."""
    result = {}
    for name in partitions_of(model):
        before = next((row for row in reversed(way) if name in partitions_of(row.model)), None)
        if before is not None:
            result[name] = before.element(name)
    return result


def overlapping(versions: Iterable[tuple[Any, dt.date | None, dt.date | None]]) -> bool:
    """Whether two rows of a history, (key, start, end), are valid at one time: [start, end) has it, NULL is open."""
    valid = [each for each in versions if each[0] is not None and each[1] is not None]
    return any(
        sum(1 for key, start, end in valid if key == other and start <= moment and (end is None or moment < end)) > 1
        for other, moment, _ in valid
    )


def partitions_of(model: SemanticModel) -> list[str]:
    return [dimension.name for dimension in model.dimensions if dimension.is_partition]


def meets(way: Sequence[Fact], right: Fact, entity: str, time: dt.datetime | None) -> bool:
    """Whether a join takes this row: the key and the partition equal, and valid at that time.

    No NULL is equal to anything. A validity window holds [start, end); an end that is NULL is open.
    """
    wanted = {entity: way[-1].element(entity)} | partitions(way, right.model)
    if any(value is None or value != right.element(name) for name, value in wanted.items()):
        return False
    for dimension in right.model.dimensions:
        bound = right.element(dimension.name) if dimension.validity else None
        if dimension.validity == "start" and (time is None or bound is None or time < bound):
            return False
        if dimension.validity == "end" and bound is not None and (time is None or time >= bound):
            return False
    return True
